//! A breaker that opened closes with the first probe that goes well.

use postrider::domain::{BreakerChange, SubscriptionId};

use super::view::{Seen, View, seconds};
use crate::simulation::{
    clock::Moment,
    history::{Answer, Call},
};

/// How late the scheduler may hear of a result that was recorded.
const LATE: u64 = 8_000_000;

pub fn judge(view: &View<'_>) -> Vec<String> {
    let opened = view.history.breakers.iter();
    let opened = opened.filter(|(_, change)| change.is_open);
    let stuck = opened.filter_map(|(at, change)| {
        let id = change.subscription_id;
        let probe = succeeded_after(view, id, *at)?;
        let until = view.latest(probe.recorded?).saturating_add(LATE);
        let judged = lives_until(view, at.life, until) && !written(view, id, at.truth, until);
        (judged && !closed(view, id, *at, until)).then(|| {
            let opened = seconds(at.truth);
            let probe = probe.name();
            format!("the breaker of {id}, open since {opened:.3} s, did not close after {probe}")
        })
    });
    stuck.collect()
}

/// The first attempt that began after the breaker opened and went well.
fn succeeded_after<'v>(view: &'v View<'_>, id: SubscriptionId, at: Moment) -> Option<&'v Seen<'v>> {
    let ours = view.of_subscription.get(&id)?.iter();
    let mut ours = ours.map(|place| &view.seen[*place]);
    ours.find(|seen| {
        seen.started.life == at.life
            && seen.started.truth > at.truth
            && seen.answer().is_some_and(Answer::succeeds)
            && seen.recorded.is_some_and(Call::is_done)
    })
}

fn closed(view: &View<'_>, id: SubscriptionId, opened: Moment, until: u64) -> bool {
    let closes = |(at, change): &(Moment, BreakerChange)| {
        change.subscription_id == id
            && !change.is_open
            && at.life == opened.life
            && (opened.truth..=until).contains(&at.truth)
    };
    view.history.breakers.iter().any(closes)
}

/// Whether a life lasted so long, and nothing was drained in it before.
fn lives_until(view: &View<'_>, life: u32, until: u64) -> bool {
    let ends = view.history.lives.iter().map(|(_, end, _)| end);
    let mut ends = ends.chain(&view.history.drains);
    !ends.any(|end| end.life == life && end.truth <= until)
}

/// Whether the subscription was written meanwhile: its breaker may be another.
fn written(view: &View<'_>, id: SubscriptionId, from: u64, until: u64) -> bool {
    let mut writes = view.writes.get(&id).into_iter().flatten();
    writes.any(|call| call.begin.truth <= until && call.latest() >= from)
}
