//! The servers of a run, each under its load, and their violent ends.

use std::{os::unix::process::ExitStatusExt, sync::Arc, time::Duration};

use rustix::process::Signal;
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{Scene, load, plan::Dice};
use crate::support::{Process, within};

/// System calls at which a server is killed.
const CALLS: [&str; 4] = ["fdatasync", "pwrite64", "sync_file_range", "fsync"];

/// A server, as its load sees it.
#[derive(Clone)]
pub struct Target {
    /// The server.
    pub server: Arc<Process>,
    /// Which of those that run at once it is.
    pub place: usize,
    /// That the load is to end.
    pub ending: CancellationToken,
}

impl Target {
    /// The dice of somebody in the load of this server.
    pub fn dice(&self, scene: &Scene, thrower: u64) -> Dice {
        scene.dice(self.place as u64 * 1_000 + thrower)
    }
}

/// All servers that run at once; those that were killed are not there.
pub struct Fleet {
    scene: Arc<Scene>,
    places: Vec<Option<Live>>,
}

/// A server under load.
struct Live {
    target: Target,
    load: JoinSet<()>,
}

impl Fleet {
    /// Nobody runs yet.
    pub fn of(scene: &Arc<Scene>) -> Self {
        let places = (0..scene.plan.replicas).map(|_| None);
        Self {
            scene: scene.clone(),
            places: places.collect(),
        }
    }

    /// Starts those that are not there.
    pub async fn start(&mut self) {
        for place in self.missing() {
            let server = self.scene.start().await;
            self.places[place] = Some(Live::new(&self.scene, server, place));
        }
    }

    /// The servers.
    pub fn servers(&self) -> Vec<Arc<Process>> {
        let live = self.places.iter().flatten();
        live.map(|live| live.target.server.clone()).collect()
    }

    /// One life of the servers, to the violent end of one of them or of all.
    pub async fn live_and_die(&mut self) {
        let scene = self.scene.clone();
        let mut dice = scene.dice(u64::from(u32::MAX) - 1);
        let life = Duration::from_secs_f64(scene.plan.seconds_per_life).mul_f64(
            #[expect(clippy::cast_precision_loss, reason = "it is below 2,000")]
            {
                dice.below(1_000) as f64 / 1_000.0 + 0.5
            },
        );
        let launcher = match dice.below(5) {
            0 => {
                let time = Duration::from_millis(dice.below(200));
                let home = &scene.home;
                Process::kill_after(home.dir(), &home.variables(), time).await;
                return self.died(&mut dice).await;
            }
            1 | 2 if scene.strace && !scene.plan.is_shared() => at_a_call(&mut dice),
            _ => Vec::new(),
        };
        let victims = self.victims(&mut dice);
        if launcher.is_empty() {
            self.start().await;
        } else if !self.start_under(&launcher).await {
            return self.died(&mut dice).await;
        }
        let mut dying: Vec<_> = victims
            .into_iter()
            .filter_map(|place| self.places[place].take())
            .collect();
        // All load has ended by itself if the server has died at a call.
        if timeout(life, dying[0].load_ended()).await.is_err() {
            for live in &dying {
                live.target.server.signal(Signal::KILL);
                live.target.ending.cancel();
            }
        }
        for live in &mut dying {
            within("the end of the load", live.load_ended()).await;
        }
        for live in dying {
            let (status, log) = live.into_server().wait().await;
            assert_eq!(status.signal(), Some(9), "{status}: {}", log.join("\n"));
            scene.logs.note(&log);
        }
        self.died(&mut dice).await;
    }

    /// Ends the load of all servers, and then them.
    pub async fn stop(self) {
        let mut live: Vec<_> = self.places.into_iter().flatten().collect();
        for live in &mut live {
            live.target.ending.cancel();
            within("the end of the load", live.load_ended()).await;
        }
        for live in live {
            let log = live.into_server().stop().await;
            self.scene.logs.note(&log);
        }
    }

    /// Starts the only server under a command that kills it; whether it came to
    /// listen.
    async fn start_under(&mut self, launcher: &[String]) -> bool {
        let home = &self.scene.home;
        let started = Process::start_under(launcher, home.dir(), &home.variables()).await;
        if let Ok(server) = started {
            self.places[0] = Some(Live::new(&self.scene, server, 0));
        }
        self.places[0].is_some()
    }

    /// Those who are killed: one, and sometimes all at once.
    fn victims(&self, dice: &mut Dice) -> Vec<usize> {
        let all = self.places.len();
        if dice.once_in(4) {
            return (0..all).collect();
        }
        vec![usize::try_from(dice.below(all as u64)).unwrap()]
    }

    /// Sees that nothing of those who were killed is under way, and begins the
    /// next life.
    async fn died(&self, dice: &mut Dice) {
        let scene = &self.scene;
        if self.places.iter().any(Option::is_some) {
            scene.receiver.caught_up().await;
        } else {
            scene.receiver.quiet().await;
            // The others are recovered by the server itself.
            if dice.once_in(4) {
                scene.home.assert_sound(&scene.plan).await;
            }
        }
        scene.next_life();
    }

    fn missing(&self) -> Vec<usize> {
        let places = self.places.iter().enumerate();
        let missing = places.filter(|(_, live)| live.is_none());
        missing.map(|(place, _)| place).collect()
    }
}

impl Live {
    fn new(scene: &Arc<Scene>, server: Process, place: usize) -> Self {
        let target = Target {
            server: Arc::new(server),
            place,
            ending: CancellationToken::new(),
        };
        let load = load::start(scene, &target);
        Self { target, load }
    }

    async fn load_ended(&mut self) {
        while let Some(ended) = self.load.join_next().await {
            ended.unwrap();
        }
    }

    fn into_server(self) -> Process {
        Arc::into_inner(self.target.server).expect("the load has ended")
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
