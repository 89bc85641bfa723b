//! A publisher: hands in events, and repeats those that it was not answered about.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use postrider::{
    control::{Control, Error},
    domain::{Attributes, ContentType, NewEvent, Payload, TenantId},
};

use super::{
    dice::Dice,
    history::{Outcome, Published},
    scene::Scene,
};

pub const TYPES: [&str; 4] = [
    "order.created",
    "order.shipped",
    "order.shipped.late",
    "user.created",
];

/// Publishes for as long as it is let.
pub async fn publish(scene: Arc<Scene>, control: Arc<Control>, tenant: TenantId) {
    let life = scene.clocks.moment().life;
    let mut dice = Dice::new(scene.plan.seed, &format!("publisher {tenant} {life}"));
    for number in 0.. {
        let pause = dice.between(1, scene.plan.publish_pause);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let events = match unheard(&scene, &tenant) {
            Some(events) => events,
            None if dice.chance(10) => again(&scene, &tenant, &mut dice),
            None => fresh(&scene, &tenant, &format!("{life}-{number}"), &mut dice),
        };
        if !events.is_empty() {
            call(&scene, &control, &tenant, events).await;
        }
    }
}

/// What was handed in before and may be handed in again.
fn unheard(scene: &Scene, tenant: &TenantId) -> Option<Vec<NewEvent>> {
    let mut unheard = scene.unheard.lock();
    let place = unheard.iter().position(|(whose, _)| whose == tenant)?;
    Some(unheard.remove(place).1)
}

/// An event that was handed in before, answered or not.
fn again(scene: &Scene, tenant: &TenantId, dice: &mut Dice) -> Vec<NewEvent> {
    let history = scene.history.lock();
    let ours = history.published.iter().rev().take(30);
    let ours = ours.filter(|call| call.what.tenant == *tenant);
    let keyed = ours.flat_map(|call| &call.what.events);
    let keyed: Vec<_> = keyed
        .filter(|event| event.idempotency_key.is_some())
        .collect();
    if keyed.is_empty() {
        return Vec::new();
    }
    vec![(*dice.pick(&keyed)).clone()]
}

fn fresh(scene: &Scene, tenant: &TenantId, number: &str, dice: &mut Dice) -> Vec<NewEvent> {
    let count = if dice.chance(70) {
        1
    } else {
        dice.between(2, 4)
    };
    // All of a call can be repeated, or nothing.
    let keyed = dice.chance(60);
    let events = (0..count).map(|nth| {
        let size = dice.below(10);
        let json = dice.chance(90);
        let data = if json {
            format!(r#"{{"name":"{tenant}-{number}-{nth}","size":{size}}}"#)
        } else {
            format!("{tenant},{number},{nth},{size}\n")
        };
        let media = if json { "application/json" } else { "text/csv" };
        let now = scene.clocks.moment().wall;
        let delay = dice.between(1, 40_000);
        let order = dice.below(3);
        let attributes = BTreeMap::from([("nth".to_owned(), nth.to_string())]);
        NewEvent {
            event_type: dice.pick(&TYPES).parse().unwrap(),
            payload: Payload::new(Bytes::from(data), media.parse::<ContentType>().unwrap())
                .unwrap(),
            idempotency_key: keyed.then(|| format!("{number}-{nth}")),
            ordering_key: dice.chance(60).then(|| format!("order-{order}")),
            attributes: Attributes::new(attributes).unwrap(),
            deliver_after: dice
                .chance(15)
                .then(|| now.after(Duration::from_millis(delay))),
        }
    });
    events.collect()
}

async fn call(scene: &Scene, control: &Control, tenant: &TenantId, events: Vec<NewEvent>) {
    let keyed = events.iter().all(|event| event.idempotency_key.is_some());
    if keyed {
        // Whoever dies meanwhile repeats it.
        let entry = (tenant.clone(), events.clone());
        scene.unheard.lock().push(entry);
    }
    let published = Published {
        tenant: tenant.clone(),
        events: events.clone(),
        accepted: Vec::new(),
    };
    let place = scene.begin(published, |history| &mut history.published);
    let outcome = match control.publish_batch(tenant, events.clone()).await {
        Ok(accepted) => {
            scene.history.lock().published[place].what.accepted = accepted;
            Outcome::Done
        }
        Err(Error::DiskFull | Error::Contended) => Outcome::Refused,
        Err(Error::Unavailable | Error::Internal(_)) => Outcome::Unknown,
        Err(error) => {
            let told = format!("publish failed: {error:?}");
            scene.history.lock().violations.push(told);
            Outcome::Refused
        }
    };
    scene.end(place, outcome, |history| &mut history.published);
    if outcome == Outcome::Done && keyed {
        let mut unheard = scene.unheard.lock();
        unheard.retain(|(whose, waiting)| whose != tenant || *waiting != events);
    }
}
