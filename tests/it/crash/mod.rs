//! What was acknowledged survives every kill, of a server or of the database.
//!
//! Servers under every kind of load are killed again and again: at random times,
//! while they start, and at chosen system calls where strace is there; or the
//! database they share is stopped. What was acknowledged is then compared with
//! what the receivers got and with what the store tells. `tests/crash` does the
//! same with bigger numbers.

mod check;
mod churn;
mod fleet;
mod home;
mod ledger;
mod load;
mod logs;
mod outage;
pub mod payload;
pub mod plan;
mod receipts;
mod tail;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use self::{
    churn::Churn,
    fleet::Fleet,
    home::Home,
    ledger::Ledger,
    load::Refusals,
    logs::Logs,
    plan::{Dice, Plan},
    receipts::Receipts,
    tail::Tail,
};
use crate::support::{Process, Receiver, process::subscription};

/// Attempts that each subscription may have under way.
const IN_FLIGHT: u32 = 8;

/// An endpoint from the first life to the end: its path, what it wants, and
/// when it is tried again.
type Endpoint = (&'static str, &'static str, &'static [i64]);

const ENDPOINTS: [Endpoint; 4] = [
    ("/steady", "*", &[40; 40]),
    ("/flaky", "*", &[20; 3]),
    ("/rotated", payload::TYPES[2], &[50; 20]),
    (ORDERED, payload::TYPES[0], &[30; 40]),
];
/// The path of the one that gets events in order.
const ORDERED: &str = "/ordered";
/// One more, which takes its time, where several servers could call it at once.
const LATE: Endpoint = ("/late", payload::TYPES[0], &[40; 20]);

/// Everything that outlives the servers.
pub struct Scene {
    plan: Plan,
    home: Home,
    receiver: Receiver,
    receipts: Arc<Receipts>,
    ledger: Ledger,
    refusals: Refusals,
    churn: Churn,
    tails: Vec<Tail>,
    logs: Logs,
    life: AtomicU32,
    strace: bool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_every_kill() {
    kill(Plan::of_kills()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_every_kill_beside_others() {
    kill(Plan::of_kills_beside_others()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_every_stop_of_the_database() {
    let scene = Scene::set(Plan::of_stops()).await;
    let mut fleet = Fleet::of(&scene);
    fleet.start().await;
    let mut longest = outage::Longest::default();
    for _ in 0..scene.plan.stops {
        outage::once(&scene, &fleet, &mut longest).await;
    }
    fleet.stop().await;
    check::everything(&scene).await;
    outage::assert_short(&scene, &longest);
}

async fn kill(plan: Plan) {
    let scene = Scene::set(plan).await;
    let mut fleet = Fleet::of(&scene);
    for _ in 0..scene.plan.kills {
        fleet.live_and_die().await;
    }
    fleet.stop().await;
    check::everything(&scene).await;
}

impl Scene {
    async fn set(plan: Plan) -> Arc<Self> {
        say(&format!("{plan:?}"));
        let receipts = Arc::new(Receipts::default());
        let taking = receipts.clone();
        let strace = std::process::Command::new("strace")
            .args(["-qq", "-o", "/dev/null", "true"])
            .status();
        let scene = Self {
            home: Home::new(&plan).await,
            receiver: Receiver::forgetting(move |request| taking.take(request)).await,
            receipts,
            ledger: Ledger::default(),
            refusals: Refusals::default(),
            churn: Churn::default(),
            tails: (0..plan.replicas).map(|_| Tail::default()).collect(),
            logs: Logs::default(),
            life: AtomicU32::new(0),
            strace: strace.is_ok_and(|status| status.success()),
            plan,
        };
        let server = scene.start().await;
        for (path, events, delays) in scene.lasting() {
            let wanted = postrider::proto::Subscription {
                events: vec![events.to_owned()],
                max_in_flight: IN_FLIGHT,
                ordered: path == ORDERED,
                ..subscription(scene.receiver.url(path), delays)
            };
            let made = server.subscribe(wanted).await;
            if path == "/rotated" {
                *scene.churn.rotating.lock().unwrap() = made.id;
            }
        }
        server.stop().await;
        Arc::new(scene)
    }

    /// Endpoints that last from the first life to the end.
    fn lasting(&self) -> Vec<Endpoint> {
        let late = self.plan.is_shared().then_some(LATE);
        ENDPOINTS.into_iter().chain(late).collect()
    }

    /// Starts a server that is not meant to die at once.
    async fn start(&self) -> Process {
        Process::start_with(self.home.dir(), &self.home.variables()).await
    }

    /// Which life of the servers this is.
    fn life(&self) -> u32 {
        self.life.load(Ordering::Relaxed)
    }

    /// Ends a life.
    fn next_life(&self) {
        self.receipts.next_life();
        self.life.fetch_add(1, Ordering::Relaxed);
    }

    /// The dice of somebody in this life.
    fn dice(&self, thrower: u64) -> Dice {
        Dice::new(self.plan.seed, u64::from(self.life()) << 32 | (thrower + 1))
    }
}

#[expect(clippy::print_stderr, reason = "a failed run is repeated by its seed")]
fn say(line: &str) {
    eprintln!("crash: {line}");
}
