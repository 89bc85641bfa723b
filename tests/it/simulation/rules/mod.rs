//! What may and must happen, judged when all is over from what those outside saw.
//! Nothing here asks the product for a decision. Where calls overlap, or nobody knows
//! what came of one, a rule allows whatever might have been.

mod breakers;
mod content;
mod deliveries;
mod held;
mod log;
mod order;
mod pace;
mod probes;
mod prompt;
mod schedule;
mod signatures;
mod state;
mod view;

use self::view::View;
use super::history::History;

/// Everything that is wrong with a history.
pub fn judge(history: &History) -> Vec<String> {
    let mut found = Vec::new();
    let view = View::new(history, &mut found);
    for rule in [
        deliveries::judge,
        log::judge,
        schedule::judge,
        state::judge,
        held::judge,
        content::judge,
        signatures::judge,
        pace::judge,
        probes::judge,
        breakers::judge,
        prompt::judge,
        order::judge,
    ] {
        found.extend(rule(&view));
    }
    found
}
