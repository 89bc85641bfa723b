//! What was acknowledged survives every kill.
//!
//! A server under every kind of load is killed again and again: at random times,
//! while it starts, and at chosen system calls where strace is there. What was
//! acknowledged is then compared with what the receivers got and with what the
//! store tells. `tests/crash` does the same with bigger numbers.

mod check;
mod churn;
mod ledger;
mod load;
pub mod payload;
pub mod plan;
mod receipts;
mod tail;

use std::{
    os::unix::process::ExitStatusExt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use rustix::process::Signal;
use tokio::{task::JoinSet, time::timeout};

use self::{
    churn::Churn,
    ledger::Ledger,
    plan::{Dice, Plan},
    receipts::Receipts,
    tail::Tail,
};
use crate::support::{Process, Receiver, assert_sound, process::subscription, within};

/// Attempts that each subscription may have under way.
const IN_FLIGHT: u32 = 8;
/// System calls at which a server is killed.
const CALLS: [&str; 4] = ["fdatasync", "pwrite64", "sync_file_range", "fsync"];

/// Everything that outlives the server.
pub struct Scene {
    plan: Plan,
    folder: tempfile::TempDir,
    receiver: Receiver,
    receipts: Arc<Receipts>,
    ledger: Ledger,
    churn: Churn,
    tail: Tail,
    life: AtomicU32,
    dying: AtomicBool,
    strace: bool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_every_kill() {
    let plan = Plan::read();
    say(&format!("{plan:?}"));
    let scene = Scene::set(plan).await;
    for _ in 0..scene.plan.kills {
        scene.live_and_die().await;
    }
    check::everything(&scene).await;
}

impl Scene {
    async fn set(plan: Plan) -> Arc<Self> {
        let receipts = Arc::new(Receipts::default());
        let taking = receipts.clone();
        let strace = std::process::Command::new("strace")
            .args(["-qq", "-o", "/dev/null", "true"])
            .status();
        let scene = Self {
            plan,
            folder: tempfile::tempdir().unwrap(),
            receiver: Receiver::forgetting(move |request| taking.take(request)).await,
            receipts,
            ledger: Ledger::default(),
            churn: Churn::default(),
            tail: Tail::default(),
            life: AtomicU32::new(0),
            dying: AtomicBool::new(false),
            strace: strace.is_ok_and(|status| status.success()),
        };
        let server = scene.start().await;
        let lasting = [
            ("/steady", "*", vec![40; 40]),
            ("/flaky", "*", vec![20; 3]),
            ("/rotated", payload::TYPES[2], vec![50; 20]),
        ];
        for (path, events, delays) in lasting {
            let wanted = postrider::proto::Subscription {
                events: vec![events.to_owned()],
                max_in_flight: IN_FLIGHT,
                ..subscription(scene.receiver.url(path), &delays)
            };
            let made = server.subscribe(wanted).await;
            if path == "/rotated" {
                *scene.churn.rotating.lock().unwrap() = made.id;
            }
        }
        server.stop().await;
        Arc::new(scene)
    }

    /// Starts a server that is not meant to die.
    async fn start(&self) -> Process {
        Process::start_with(self.folder.path(), &self.plan.variables()).await
    }

    /// Sees that all there is in the store agrees with itself.
    async fn assert_sound(&self) {
        if let Some(adapter) = self.plan.adapter() {
            assert_sound(adapter, self.folder.path()).await;
        }
    }

    /// Which life of the server this is.
    fn life(&self) -> u32 {
        self.life.load(Ordering::Relaxed)
    }

    /// Whether this life has ended.
    fn dying(&self) -> bool {
        self.dying.load(Ordering::Relaxed)
    }

    /// The dice of somebody in this life.
    fn dice(&self, thrower: u64) -> Dice {
        Dice::new(self.plan.seed, u64::from(self.life()) << 32 | (thrower + 1))
    }

    /// One life of the server, to its violent end.
    async fn live_and_die(self: &Arc<Self>) {
        let mut dice = self.dice(u64::from(u32::MAX) - 1);
        let life = Duration::from_secs_f64(self.plan.seconds_per_life).mul_f64(
            #[expect(clippy::cast_precision_loss, reason = "it is below 2,000")]
            {
                dice.below(1_000) as f64 / 1_000.0 + 0.5
            },
        );
        match dice.below(5) {
            0 => {
                let time = Duration::from_millis(dice.below(200));
                let variables = self.plan.variables();
                Process::kill_after(self.folder.path(), &variables, time).await;
            }
            1 | 2 if self.strace => self.die_under_load(&at_a_call(&mut dice), life).await,
            _ => self.die_under_load(&[], life).await,
        }
        self.receiver.quiet().await;
        self.receipts.next_life();
        // The others are recovered by the server itself.
        if dice.once_in(4) {
            self.assert_sound().await;
        }
        self.life.fetch_add(1, Ordering::Relaxed);
    }

    async fn die_under_load(self: &Arc<Self>, launcher: &[String], life: Duration) {
        let folder = self.folder.path();
        let started = Process::start_under(launcher, folder, &self.plan.variables()).await;
        let server = match started {
            Ok(server) => Arc::new(server),
            Err(log) if launcher.is_empty() => panic!("the server ended: {log}"),
            Err(_) => return,
        };
        self.dying.store(false, Ordering::Relaxed);
        let mut load = JoinSet::new();
        self.load(&server, &mut load);
        let all_ended = async {
            while let Some(ended) = load.join_next().await {
                ended.unwrap();
            }
        };
        // All have ended by themselves if the server has died at a call.
        if timeout(life, all_ended).await.is_err() {
            self.dying.store(true, Ordering::Relaxed);
            server.signal(Signal::KILL);
        }
        within("the end of the load", async {
            while let Some(ended) = load.join_next().await {
                ended.unwrap();
            }
        })
        .await;
        let server = Arc::into_inner(server).expect("the load has ended");
        let (status, log) = server.wait().await;
        assert_eq!(status.signal(), Some(9), "{status}: {}", log.join("\n"));
    }

    fn load(self: &Arc<Self>, server: &Arc<Process>, load: &mut JoinSet<()>) {
        let (scene, copy) = (self.clone(), server.clone());
        load.spawn(async move { load::gone(scene.tail.go_on(&copy).await) });
        let (scene, copy) = (self.clone(), server.clone());
        load.spawn(async move {
            load::gone(scene.churn.go_on(&scene, &copy, scene.dice(200)).await);
        });
        let (scene, copy) = (self.clone(), server.clone());
        load.spawn(async move { load::gone(load::repeat_cut(&scene, &copy).await) });
        load::start(self, server, load);
    }
}

/// A command that kills what it starts at a system call of its.
fn at_a_call(dice: &mut Dice) -> Vec<String> {
    let call = CALLS[usize::try_from(dice.below(CALLS.len() as u64)).unwrap()];
    let most = if dice.once_in(2) { 12 } else { 300 };
    let nth = 1 + dice.below(most);
    let inject = format!("inject={call}:signal=KILL:when={nth}");
    let trace = format!("trace={call}");
    let words = [
        "strace",
        "-D",
        "-f",
        "-qq",
        "--seccomp-bpf",
        "-o",
        "/dev/null",
    ];
    let mut launcher: Vec<_> = words.map(str::to_owned).into();
    launcher.extend(["-e".to_owned(), trace, "-e".to_owned(), inject]);
    launcher
}

#[expect(clippy::print_stderr, reason = "a failed run is repeated by its seed")]
fn say(line: &str) {
    eprintln!("crash: {line}");
}
