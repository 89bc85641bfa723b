//! The lives of a simulated process, one after the other, each in a runtime of its
//! own with paused time: when that is dropped, everything that ran is dead.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use postrider::{
    control::{self, Control, TailItem, TailRequest, TailStart},
    dispatch::{self, Dispatcher},
    domain::{BreakerChange, DeliveryFilter, TenantId, Timestamp},
    storage::{
        Engine, Health,
        embedded::{Threads, open_in_memory},
    },
};
use tokio::{runtime::Builder, sync::broadcast, task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    dice::Dice,
    history::{End, History},
    operator::Operator,
    plan::Plan,
    planted::Bug,
    publisher,
    receivers::Network,
    scene::{self, Scene},
    seat::Seat,
    settle,
};

/// How long a drain may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// Lives through a plan and tells what happened.
pub fn run(plan: Plan) -> History {
    let scene = Scene::new(plan);
    let mut dice = Dice::new(scene.plan.seed, "world");
    for _ in 0..scene.plan.lives {
        live(&scene, &mut dice, false);
    }
    live(&scene, &mut dice, true);
    std::mem::take(&mut *scene.history.lock())
}

fn live(scene: &Arc<Scene>, dice: &mut Dice, last: bool) {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let settings = Plan::settings(dice);
    let end = runtime.block_on(async {
        scene.clocks.begin();
        let life = Life::begin(scene, settings).await;
        let end = if last {
            life.heal().await
        } else {
            life.pass(dice).await
        };
        let moment = scene.clocks.moment();
        let longest = *dice.pick(&[100, 2_000, 30_000]);
        let pause = Duration::from_millis(dice.below(longest));
        scene.clocks.end(pause);
        scene.history.lock().lives.push((end, moment, settings));
        end
    });
    drop(runtime);
    if end == End::Crash {
        scene.disk.restart(|| dice.chance(50));
    }
    scene.disk.set_full(false);
    if scene.plan.jumps && dice.chance(20) {
        jump(scene, dice);
    }
}

/// One life of the process.
struct Life {
    scene: Arc<Scene>,
    store: Arc<dyn Engine>,
    control: Arc<Control>,
    dispatchers: Vec<Dispatcher>,
    /// Ends what writes beside the dispatcher.
    draining: CancellationToken,
    writing: Vec<JoinHandle<()>>,
    /// Those outside.
    callers: Vec<JoinHandle<()>>,
}

impl Life {
    async fn begin(scene: &Arc<Scene>, settings: dispatch::Settings) -> Self {
        let clocks = scene.clocks.clone();
        let opened = open_in_memory(&scene.disk, Threads::Callers, clocks.clone()).await;
        let store: Arc<dyn Engine> = Arc::new(Seat::new(opened.unwrap(), scene.clone()));
        let network = Arc::new(Network::new(scene.clone()));
        let dispatch = || {
            let (network, random) = (network.clone(), scene.random.clone());
            dispatch::start(store.clone(), network, clocks.clone(), random, settings)
        };
        let mut dispatchers = vec![dispatch()];
        if scene.plan.bug == Some(Bug::LostLease) {
            dispatchers.push(dispatch());
        }
        let draining = CancellationToken::new();
        let replays = control::replay(store.clone(), clocks.clone(), draining.clone());
        let random = scene.random.clone();
        let control = Arc::new(scene::control(store.clone(), clocks.clone(), random));
        let breakers = dispatchers[0].breakers();
        tokio::spawn(listen(scene.clone(), dispatchers[0].breakers()));
        let telling = control::tell(control.clone(), breakers, draining.clone());
        let writing = vec![tokio::spawn(replays), tokio::spawn(telling)];
        for tenant in scene.tenants() {
            tokio::spawn(follow(scene.clone(), control.clone(), tenant));
        }
        Self {
            scene: scene.clone(),
            store,
            control,
            dispatchers,
            draining,
            writing,
            callers: Vec::new(),
        }
    }

    fn operator(&self) -> Operator {
        let life = self.scene.clocks.moment().life;
        Operator {
            scene: self.scene.clone(),
            control: self.control.clone(),
            dice: Dice::new(self.scene.plan.seed, &format!("operator {life}")),
        }
    }

    /// Lives for a while, and ends in some way.
    async fn pass(mut self, dice: &mut Dice) -> End {
        let scene = self.scene.clone();
        let mut operator = self.operator();
        operator.begin().await;
        if scene.plan.operator {
            self.callers.push(tokio::spawn(operator.work()));
        }
        for tenant in scene.tenants() {
            let publish = publisher::publish(scene.clone(), self.control.clone(), tenant);
            self.callers.push(tokio::spawn(publish));
        }
        let seconds = scene.plan.seconds;
        let mut left = dice.between(seconds * 300, seconds * 1_700);
        while left > 0 {
            let step = dice.between(1, 20_000).min(left);
            sleep(Duration::from_millis(step)).await;
            left -= step;
            if scene.plan.jumps && dice.chance(20) {
                jump(&scene, dice);
            }
            if scene.plan.full_disk {
                let moment = scene.clocks.moment();
                scene.history.lock().full.push(moment);
                scene.disk.set_full(dice.chance(25));
            }
        }
        if !scene.plan.crashes || dice.chance(25) {
            scene.disk.set_full(false);
            self.drain(Duration::from_millis(dice.between(1, 20_000)))
                .await;
            return End::Drained;
        }
        let writes = dice.below(6);
        match dice.below(4) {
            0 => self.fail(|| scene.disk.set_sync_fails(true)).await,
            1 | 2 => self.fail(|| scene.disk.cut_power_after(writes)).await,
            _ => {}
        }
        End::Crash
    }

    /// Lets the disk fail, and lives until the store says so.
    async fn fail(&self, fail: impl FnOnce()) {
        self.scene.disk.set_full(false);
        fail();
        let mut health = self.store.health();
        let failed = health.wait_for(|health| matches!(health, Health::Failed(_)));
        let _ = tokio::time::timeout(Duration::from_secs(5), failed).await;
    }

    /// Takes nothing new, and ends what is under way.
    async fn drain(self, deadline: Duration) {
        for caller in &self.callers {
            caller.abort();
        }
        let moment = self.scene.clocks.moment();
        self.scene.history.lock().drains.push(moment);
        self.draining.cancel();
        self.store.hand_over();
        let finish = async {
            for dispatcher in self.dispatchers {
                dispatcher.drain(deadline).await;
            }
            for writing in self.writing {
                let _ = writing.await;
            }
            self.store.close().await;
        };
        if tokio::time::timeout(PATIENCE, finish).await.is_err() {
            let told = "the process did not drain".to_owned();
            self.scene.history.lock().violations.push(told);
        }
    }

    /// Lives until everything is settled, with receivers that are well.
    async fn heal(self) -> End {
        self.scene.moods.lock().healed = true;
        let mut operator = self.operator();
        operator.enable_all().await;
        settle::settle(&self.scene, &self.control, &self.store).await;
        self.drain(PATIENCE).await;
        End::Drained
    }
}

fn jump(scene: &Scene, dice: &mut Dice) {
    let by = *dice.pick(&[100, 5_000, 60_000, 3_600_000]);
    let by = Duration::from_millis(dice.between(1, by));
    if dice.chance(50) {
        scene.clocks.forward(by);
    } else {
        scene.clocks.back(by);
    }
    let moment = scene.clocks.moment();
    scene.history.lock().jumps.push(moment);
}

/// Writes down what breakers do.
async fn listen(scene: Arc<Scene>, mut breakers: broadcast::Receiver<BreakerChange>) {
    while let Ok(change) = breakers.recv().await {
        let told = (scene.clocks.moment(), change);
        scene.history.lock().breakers.push(told);
    }
}

/// Follows a tenant's log over all lives.
async fn follow(scene: Arc<Scene>, control: Arc<Control>, tenant: TenantId) {
    let token = scene.tokens.lock().get(&tenant).cloned();
    let request = TailRequest {
        filter: DeliveryFilter::default(),
        start: token.map_or(TailStart::At(Timestamp::MIN), TailStart::After),
        heartbeat: Duration::from_secs(30),
    };
    let told = |what: String| scene.history.lock().violations.push(what);
    let tail = control
        .tail(&tenant, request, CancellationToken::new())
        .await;
    let tail = match tail {
        Ok(tail) => tail,
        Err(error) => return told(format!("tail of {tenant} was refused: {error}")),
    };
    let mut tail = std::pin::pin!(tail);
    let life = scene.clocks.moment().life;
    let mut dice = Dice::new(scene.plan.seed, &format!("tail {tenant} {life}"));
    while let Some(Ok(step)) = tail.next().await {
        match step.item {
            TailItem::Attempt(attempt) => {
                let mut history = scene.history.lock();
                history
                    .tails
                    .entry(tenant.clone())
                    .or_default()
                    .push(attempt);
            }
            TailItem::Skipped(before) => told(format!("tail of {tenant} skipped before {before}")),
            TailItem::Heartbeat(_) | TailItem::Closing => {}
        }
        let token = (tenant.clone(), step.resume_token);
        scene.tokens.lock().extend([token]);
        // A reader that takes its time, as long as somebody publishes.
        if dice.chance(10) && !scene.moods.lock().healed {
            sleep(Duration::from_millis(dice.below(8_000))).await;
        }
    }
}
