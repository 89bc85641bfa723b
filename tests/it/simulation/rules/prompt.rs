//! Nothing is forgotten: what is due goes out soon, where nothing holds it back.

use postrider::domain::{DeliveryId, State};

use super::view::View;
use crate::simulation::history::{Answer, Call, Change};

/// How late an attempt may be, in microseconds, with a store that takes its time.
const PATIENCE: u64 = 12_000_000;
/// Permits that leave some for everybody.
const PLENTY: usize = 16;
/// So many failures may have opened the breaker.
const ROW: usize = 5;

/// An attempt that has to come.
struct Awaited {
    delivery: DeliveryId,
    life: u32,
    /// It begins after this time,
    after: u64,
    /// and is due by this one.
    due: u64,
}

pub fn judge(view: &View<'_>) -> Vec<String> {
    let awaited = repeated(view).chain(asked(view)).chain(fresh(view));
    let missed = awaited.filter(|awaited| {
        let until = awaited.due + PATIENCE;
        let mut requests = view.requests_of(awaited.delivery);
        !requests.any(|seen| (awaited.after..=until).contains(&seen.request.begin.truth))
            && is_free(view, awaited)
    });
    let tell = |awaited: Awaited| {
        let Awaited { delivery, due, .. } = awaited;
        format!(
            "{delivery} was due at {:.3} s and forgotten",
            super::view::seconds(due)
        )
    };
    missed.map(tell).collect()
}

/// Attempts that follow others.
fn repeated(view: &View<'_>) -> impl Iterator<Item = Awaited> {
    view.seen.iter().filter_map(|seen| {
        let next = seen.logged?.next_attempt_time?;
        let ended = seen.ended()?;
        let recorded = seen.recorded.filter(|call| call.is_done())?;
        let wait = next.since(ended.wall).as_micros();
        let due = ended.truth.saturating_add(u64::try_from(wait).ok()?);
        Some(Awaited {
            delivery: seen.delivery,
            life: ended.life,
            after: ended.truth,
            due: due.max(view.latest(recorded)),
        })
    })
}

/// Attempts that somebody asked for.
fn asked(view: &View<'_>) -> impl Iterator<Item = Awaited> {
    let changes = view.history.changes.iter();
    changes.filter(|call| call.is_done()).filter_map(|call| {
        let Change::Retry(delivery) = call.what else {
            return None;
        };
        // One that is under way has to end before.
        let mut others = view.requests_of(delivery);
        let beside = others.rfind(|seen| seen.started.truth <= view.latest(call));
        let ended = beside
            .and_then(|seen| seen.recorded)
            .map_or(0, Call::latest);
        Some(Awaited {
            delivery,
            life: call.begin.life,
            after: call.begin.truth,
            due: view
                .latest(call)
                .max(ended.min(view.life_end(call.begin.life))),
        })
    })
}

/// First attempts.
fn fresh(view: &View<'_>) -> impl Iterator<Item = Awaited> {
    let stored = view.history.stored.iter().filter(|call| call.is_done());
    stored.flat_map(move |call| {
        let events = call.what.iter();
        events.flat_map(move |stored| {
            let event = &stored.event;
            let wait = event.due().since(call.begin.wall).as_micros();
            let due = view.latest(call) + u64::try_from(wait).unwrap_or_default();
            let deliveries = (0..8).map(|ordinal| DeliveryId::new(event.id, ordinal));
            let known = deliveries.filter(|id| {
                let delivery = view.deliveries.get(id);
                delivery.is_some_and(|delivery| delivery.create_time == event.create_time)
            });
            known.map(move |delivery| Awaited {
                delivery,
                life: call.begin.life,
                after: call.begin.truth,
                due,
            })
        })
    })
}

/// Whether nothing can have held the attempt back since it was due.
fn is_free(view: &View<'_>, awaited: &Awaited) -> bool {
    let Awaited {
        delivery,
        life,
        after,
        due,
    } = *awaited;
    let until = due + PATIENCE;
    let subscription = view.deliveries[&delivery].subscription_id;
    let lives = view.history.lives.iter();
    let roomy = lives
        .filter(|(_, end, _)| end.life == life && end.truth > until)
        .any(|(_, _, settings)| settings.max_in_flight >= PLENTY);
    let places = view
        .of_subscription
        .get(&subscription)
        .into_iter()
        .flatten();
    let ours = places.map(|at| &view.seen[*at]);
    let ours: Vec<_> = ours
        .filter(|seen| seen.request.begin.life == life)
        .collect();
    let failures = ours.iter().filter(|seen| {
        let late = seen.started.truth > until;
        !late && !seen.answer().is_some_and(Answer::succeeds)
    });
    let busy = ours.iter().filter(|seen| {
        let late = seen.started.truth > until;
        !late && seen.ended().is_none_or(|end| end.truth > due)
    });
    let busy = busy.count();
    let open = view
        .versions(subscription, after, until)
        .iter()
        .all(|version| {
            version.is_some_and(|version| {
                let spec = &version.spec;
                version.state == State::Active
                    && !spec.ordered
                    && spec.rate_limit.is_none()
                    && busy < spec.max_in_flight.get() as usize
            })
        });
    let mut drains = view.history.drains.iter();
    let mut full = view.history.full.iter();
    roomy
        && open
        && failures.count() < ROW
        && !view.jumps(0, until)
        && !view.may_be_cancelled(delivery, until, |latest| latest >= after)
        && !drains.any(|at| at.life == life && at.truth <= until)
        && !full.any(|at| at.life == life && at.truth <= until)
}
