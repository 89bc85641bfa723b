//! Waiting for what a store tells a little later than it answers, bounded.

use std::sync::Arc;

use postrider::{
    domain::Attempt,
    storage::{Engine, Hint, LogPosition},
};
use tokio::sync::broadcast;

use super::build::read_all;
use crate::support::within;

/// The whole log after a position, once it shows so many attempts and the end
/// of the log is known to be there.
pub async fn logged(
    engine: &dyn Engine,
    after: LogPosition,
    count: usize,
) -> Vec<(LogPosition, Arc<Attempt>)> {
    let mut end = engine.log_end();
    within("the log to show what was recorded", async {
        loop {
            let known = *end.borrow_and_update();
            let all = read_all(engine, after).await;
            if all.len() >= count && all.last().is_none_or(|(last, _)| *last <= known) {
                return all;
            }
            end.changed().await.unwrap();
        }
    })
    .await
}

/// The end of the log, once it is at a position or after it.
pub async fn log_end_from(engine: &dyn Engine, least: LogPosition) -> LogPosition {
    let mut end = engine.log_end();
    let reached = within("the log to grow", end.wait_for(|end| *end >= least)).await;
    *reached.unwrap()
}

/// The first of the hints that tells of a call, which are there already. Others
/// tell what the store found by itself.
pub fn told(hints: &mut broadcast::Receiver<Arc<Hint>>) -> Arc<Hint> {
    loop {
        let hint = hints.try_recv().unwrap();
        if !(hint.accepted.is_empty() && hint.rescheduled.is_empty()) {
            return hint;
        }
    }
}
