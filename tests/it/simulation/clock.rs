//! The two clocks of the simulated machine: the true one, which is tokio's paused
//! time summed up over lives, and the wall clock beside it, which is set at times.

use std::time::Duration;

use parking_lot::Mutex;
use postrider::domain::{Clock, Timestamp};
use tokio::time::Instant;

/// 2024-01-15T22:00:00Z: two hours before the day ends.
const BEGINNING: Timestamp = Timestamp::from_secs(1_705_356_000);

/// A point in time, by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Which life of the process.
    pub life: u32,
    /// Microseconds since the world began.
    pub truth: u64,
    /// What the wall clock says.
    pub wall: Timestamp,
}

#[derive(Default)]
struct State {
    life: u32,
    /// What passed in earlier lives and between them.
    before: Duration,
    /// When this life began.
    began: Option<Instant>,
    ahead: Duration,
    behind: Duration,
}

/// The machine's clocks.
#[derive(Default)]
pub struct Clocks(Mutex<State>);

impl Clocks {
    /// Begins a life, in its runtime.
    pub fn begin(&self) {
        let mut state = self.0.lock();
        state.life += 1;
        state.began = Some(Instant::now());
    }

    /// Ends it, in its runtime; so much passes until the next one.
    pub fn end(&self, pause: Duration) {
        let mut state = self.0.lock();
        let lasted = state
            .began
            .take()
            .map_or(Duration::ZERO, |began| began.elapsed());
        state.before += lasted + pause;
    }

    /// Sets the wall clock forward.
    pub fn forward(&self, by: Duration) {
        self.0.lock().ahead += by;
    }

    /// Sets the wall clock back.
    pub fn back(&self, by: Duration) {
        self.0.lock().behind += by;
    }

    pub fn moment(&self) -> Moment {
        let state = self.0.lock();
        let lives = state.began.map_or(Duration::ZERO, |began| began.elapsed());
        let truth = state.before + lives;
        let wall = BEGINNING.after(truth).after(state.ahead);
        Moment {
            life: state.life,
            truth: u64::try_from(truth.as_micros()).unwrap(),
            wall: wall.before(state.behind),
        }
    }
}

impl Clock for Clocks {
    fn now(&self) -> Timestamp {
        self.moment().wall
    }
}
