//! Reads a damaged store in every way, and holds what is read to what was
//! stored.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use postrider::{
    domain::{DeliveryId, TimeRange},
    storage::{
        DueKey, Engine, Error, EventFilter, LogPosition, View,
        embedded::{Adapter, check, open},
    },
};

use super::{EVENTS, Stored, settings};
use crate::{
    storage::{build::*, fixture::TestClock},
    support::within,
};

/// What came of one copy.
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    pub refused: bool,
    /// What could not be read, of any kind.
    pub errors: usize,
    pub missing: usize,
    /// Deliveries that could be made.
    due: usize,
}

/// Opens a copy and reads everything in every way.
pub async fn read(adapter: Adapter, dir: &Path, stored: &Stored) -> Seen {
    let mut seen = Seen::default();
    let opened = within(
        "the store to open",
        open(settings(adapter, dir), TestClock::new()),
    )
    .await;
    let engine = match opened {
        Ok(engine) => engine,
        Err(error) => {
            let said = error.to_string();
            assert!(said.contains(dir.to_str().unwrap()), "{said}");
            seen.refused = true;
            return seen;
        }
    };
    within("the store to be read", async {
        read_events(&*engine, stored, &mut seen).await;
        read_queues(&*engine, stored, &mut seen).await;
        read_attempts(&*engine, stored, &mut seen).await;
        // It may refuse, but not hang.
        let more = event(u128::from(EVENTS) + 1, days_after(1));
        let accepted = accept(&*engine, vec![routed(more, &[1])]).await;
        seen.errors += usize::from(accepted.is_err());
    })
    .await;
    within("the store to close", engine.close()).await;
    seen
}

async fn read_events(engine: &dyn Engine, stored: &Stored, seen: &mut Seen) {
    for (id, event) in &stored.events {
        match engine.event(tenant(), *id, View::Full).await {
            Ok(found) => assert!(found == *event, "{id} changed"),
            Err(Error::NotFound(_)) => seen.missing += 1,
            Err(_) => seen.errors += 1,
        }
        let delivery = engine.delivery(tenant(), DeliveryId::new(*id, 1)).await;
        match delivery {
            Ok(found) => assert_eq!(found.event_type, event.event_type),
            Err(Error::NotFound(_)) => seen.missing += 1,
            Err(_) => seen.errors += 1,
        }
    }
    let filter = EventFilter {
        types: Vec::new(),
        accepted: TimeRange::ALL,
    };
    let mut request = page(50);
    loop {
        let listed = engine.list_events(tenant(), &filter, View::Full, request.clone());
        let Ok(listed) = listed.await else {
            seen.errors += 1;
            return;
        };
        for found in listed.items {
            assert!(
                stored.events.get(&found.id) == Some(&found),
                "{} changed",
                found.id
            );
        }
        request.cursor = listed.next;
        if request.cursor.is_none() {
            return;
        }
    }
}

/// Loads what the scheduler would send.
async fn read_queues(engine: &dyn Engine, stored: &Stored, seen: &mut Seen) {
    for number in 1..=2 {
        let mut after: Option<DueKey> = None;
        loop {
            let Ok(due) = engine.due(sub(number), after, 50).await else {
                seen.errors += 1;
                break;
            };
            for place in &due.entries {
                match engine.load_work(sub(number), place.delivery_id).await {
                    Ok(Some(work)) => {
                        let event = stored.events.get(&work.event.id);
                        assert!(event == Some(&*work.event), "{} changed", work.event.id);
                        seen.due += 1;
                    }
                    Ok(None) => {}
                    Err(_) => seen.errors += 1,
                }
            }
            after = due.entries.last().copied();
            if due.complete || after.is_none() {
                break;
            }
        }
    }
    seen.missing += stored.due.saturating_sub(seen.due + seen.errors);
}

async fn read_attempts(engine: &dyn Engine, stored: &Stored, seen: &mut Seen) {
    match engine.read_log(LogPosition::default(), 10_000).await {
        Ok(log) => {
            for (_, found) in &log.attempts {
                let attempt = stored.attempts.get(&found.delivery_id);
                assert!(
                    attempt == Some(&**found),
                    "attempt of {} changed",
                    found.delivery_id
                );
            }
            seen.missing += stored.attempts.len() - log.attempts.len();
        }
        Err(_) => seen.errors += 1,
    }
}

/// Whether the check finds something.
pub async fn is_told(adapter: Adapter, dir: &Path) -> bool {
    let findings = Arc::new(Mutex::new(0));
    let keep = findings.clone();
    let found = Box::new(move |_| *keep.lock().unwrap() += 1);
    let checked = within("the check", check(settings(adapter, dir), found)).await;
    checked.is_err() || *findings.lock().unwrap() > 0
}
