//! What attempts need, read for many of them at once.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use uuid::Uuid;

use super::{
    days::name,
    error::{again, from_pg, is_no_table},
    group::{Intake, Reply},
    row::{self, DELIVERY, from_delivery, from_event},
    state::State,
};
use crate::{
    domain::DeliveryId,
    storage::{Result, Work, day::Day},
};

/// Readers, each with a group of its own.
pub(super) const READERS: usize = 2;
/// Most deliveries that are read at once.
pub(super) const GROUP: usize = 64;

/// A delivery that is to be read.
pub(super) struct Loading {
    pub(super) delivery: DeliveryId,
    pub(super) reply: Reply<Option<Work>>,
}

/// Reads groups until nobody can hand in any more.
pub(super) async fn read(state: Arc<State>, intake: Arc<Intake<Loading>>) {
    while let Some(group) = intake.gather(|_| 1).await {
        let mut days = BTreeMap::<Day, Vec<Loading>>::new();
        for loading in group {
            let day = Day::of_delivery(loading.delivery);
            days.entry(day).or_default().push(loading);
        }
        for (day, loadings) in days {
            let ids = loadings.iter().map(|loading| loading.delivery);
            let found = read_day(&state, day, &ids.collect::<Vec<_>>()).await;
            let found = found.inspect_err(|error| state.note(error));
            answer(loadings, found);
        }
    }
}

fn answer(loadings: Vec<Loading>, found: Result<HashMap<DeliveryId, Result<Work>>>) {
    match found {
        Ok(mut found) => {
            for loading in loadings {
                let work = found.remove(&loading.delivery).transpose();
                let _ = loading.reply.send(work);
            }
        }
        Err(error) => {
            for loading in loadings {
                let _ = loading.reply.send(Err(again(&error)));
            }
        }
    }
}

/// The deliveries of a day that are due, each with its event. Joined as a table
/// among others, the event of a day that is young would be looked for among all
/// of its tenant's.
async fn read_day(
    state: &State,
    day: Day,
    ids: &[DeliveryId],
) -> Result<HashMap<DeliveryId, Result<Work>>> {
    let client = state.own_connection().await?;
    let (delivery, event) = (name("delivery", day), name("event", day));
    let statement = client
        .prepare_cached(&format!(
            "SELECT {DELIVERY}, e.content, e.body
             FROM unnest($1::uuid[], $2::uuid[]) AS k (delivery, event)
             JOIN {delivery} d ON d.id = k.delivery AND d.due IS NOT NULL
             CROSS JOIN LATERAL (
                 SELECT content, body FROM {event} WHERE tenant = d.tenant AND id = k.event LIMIT 1
             ) AS e"
        ))
        .await;
    let statement = match statement {
        Err(error) if is_no_table(&error) => return Ok(HashMap::new()),
        statement => statement.map_err(from_pg)?,
    };
    let deliveries: Vec<Uuid> = ids.iter().copied().map(from_delivery).collect();
    let events: Vec<Uuid> = ids.iter().map(|id| from_event(id.event_id())).collect();
    let rows = match client.query(&statement, &[&deliveries, &events]).await {
        Err(error) if is_no_table(&error) => return Ok(HashMap::new()),
        rows => rows.map_err(from_pg)?,
    };
    let found = rows.iter().map(|row| {
        let id = row::to_delivery_id(row.get("id"));
        let work = work(row).inspect_err(|_| state.left_out.add(id));
        (id, work)
    });
    Ok(found.collect())
}

fn work(row: &tokio_postgres::Row) -> Result<Work> {
    let (tenant, delivery) = row::delivery(row)?;
    let id = delivery.id.event_id();
    let content = row.get::<_, &[u8]>("content");
    let read = row::event(tenant, id, content)?;
    let event = Arc::new(row::whole(read, row.get("body"))?);
    Ok(Work { delivery, event })
}
