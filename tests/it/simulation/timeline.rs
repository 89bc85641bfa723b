//! A history as a person reads it: one line for each thing that began or ended.

use std::fmt::Debug;

use super::{
    clock::Moment,
    history::{Call, History},
};

/// The lines, in the order of time.
pub fn lines(history: &History) -> Vec<String> {
    let mut lines: Vec<(Moment, String)> = Vec::new();
    let mut say = |at: Moment, what: String| lines.push((at, what));
    for call in &history.subscriptions {
        let what = call.what.now.as_ref().map(|now| {
            let spec = &now.spec;
            format!(
                "{:?} v{} {} policy {:?} rate {:?} permits {} ordered {}",
                now.state,
                now.version.0,
                spec.url,
                spec.retry_policy,
                spec.rate_limit,
                spec.max_in_flight,
                spec.ordered
            )
        });
        let id = call.what.id;
        told(call, &format!("{id} is {what:?}"), &mut say);
    }
    for call in &history.stored {
        for stored in &call.what {
            let event = &stored.event;
            let what = format!(
                "{} {} key {:?} after {:?}",
                event.id, event.event_type, event.ordering_key, event.deliver_after
            );
            told(call, &what, &mut say);
        }
    }
    for call in &history.changes {
        told(call, &format!("{:?}", call.what), &mut say);
    }
    for call in &history.recorded {
        told(call, &format!("record {:?}", call.what), &mut say);
    }
    for start in &history.started {
        let (subscription, delivery) = (start.subscription, start.delivery);
        say(start.at, format!("start {delivery} to {subscription}"));
    }
    for request in &history.requests {
        let what = format!(
            "attempt {} of {} at {}",
            request.number, request.event, request.url
        );
        say(request.begin, what.clone());
        if let Some((at, answer)) = &request.answered {
            say(*at, format!("{what} got {answer:?}"));
        }
    }
    for at in &history.jumps {
        say(*at, "the clock was set".to_owned());
    }
    for (end, at, settings) in &history.lives {
        say(*at, format!("{end:?}, {settings:?}"));
    }
    lines.sort_by_key(|(at, _)| at.truth);
    let line = |(at, what): (Moment, String)| {
        let (seconds, micros) = (at.truth / 1_000_000, at.truth % 1_000_000);
        format!("{} {seconds:5}.{micros:06} {} {what}", at.life, at.wall)
    };
    lines.into_iter().map(line).collect()
}

fn told<T: Debug>(call: &Call<T>, what: &str, say: &mut impl FnMut(Moment, String)) {
    say(call.begin, format!("{what} ..."));
    if let Some(end) = call.end {
        say(end, format!("{what}: {:?}", call.outcome));
    }
}
