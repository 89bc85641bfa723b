//! The deliveries of a day and their attempts: whether they read, and whether
//! each agrees with its event, its queue and its attempts.

use std::collections::{BTreeSet, HashMap};

use tokio_postgres::Row;
use uuid::Uuid;

use super::{PIECE, Report};
use crate::{
    domain::{Delivery, EventId, SubscriptionId, TenantId},
    storage::{
        Result,
        day::Day,
        postgres::{
            connect::Connection,
            days::name,
            error::from_pg,
            row::{self, DELIVERY, from_event, to_delivery_id, to_event_id, to_tenant},
            scan::Scan,
            stats,
        },
        row::{EventRow, read_attempt},
        stats::Counted,
    },
};

/// Where events go, by tenant and id; `None` for one that does not read, which
/// is found where it stands.
type Routes = HashMap<(TenantId, EventId), Option<Vec<SubscriptionId>>>;

/// The deliveries of a day.
pub(super) struct Deliveries<'a> {
    day: Day,
    client: &'a Connection,
    report: &'a mut Report,
}

impl<'a> Deliveries<'a> {
    pub(super) fn of(day: Day, client: &'a Connection, report: &'a mut Report) -> Self {
        report.enter(&name("delivery", day));
        Self {
            day,
            client,
            report,
        }
    }

    pub(super) async fn audit(mut self) -> Result<()> {
        let columns = format!(
            "{DELIVERY},
             (SELECT count(*) FROM {} a WHERE a.delivery = d.id) AS attempts,
             EXISTS (
                 SELECT FROM ready q
                 WHERE q.subscription = d.subscription AND q.due = d.due AND q.delivery = d.id
             ) AS is_queued",
            name("attempt", self.day)
        );
        let scan = Scan {
            columns: &columns,
            table: &format!("{} d", name("delivery", self.day)),
            filter: "true",
            key: &["d.id"],
            bytes: &[],
        };
        let mut after = Uuid::nil();
        loop {
            let piece = scan.read(self.client, &[&after], PIECE).await?;
            let Some(last) = piece.rows.last() else {
                return Ok(());
            };
            after = last.get("id");
            let mut deliveries = Vec::with_capacity(piece.rows.len());
            for row in &piece.rows {
                self.report.checked.totals.deliveries += 1;
                match row::delivery(row) {
                    Ok((tenant, delivery)) => deliveries.push((tenant, delivery, row)),
                    Err(_) => self.report.malformed(to_delivery_id(row.get("id"))),
                }
            }
            let events = deliveries.iter();
            let events = events.map(|(tenant, delivery, _)| (tenant, delivery.id.event_id()));
            let routes = self.routes(events.collect()).await?;
            for (tenant, delivery, row) in deliveries {
                let event = (tenant, delivery.id.event_id());
                self.route(&delivery, routes.get(&event));
                self.place(&delivery, row);
                self.attempts(&delivery, row);
            }
        }
    }

    /// Reads where these events go.
    async fn routes(&self, events: BTreeSet<(&TenantId, EventId)>) -> Result<Routes> {
        let (tenants, ids): (Vec<&str>, Vec<Uuid>) = events
            .into_iter()
            .map(|(tenant, id)| (tenant.as_str(), from_event(id)))
            .unzip();
        let sql = format!(
            "SELECT e.tenant, e.id, e.content
             FROM unnest($1::text[], $2::uuid[]) AS k (tenant, id)
             JOIN {} e ON e.tenant = k.tenant AND e.id = k.id",
            name("event", self.day)
        );
        let statement = self.client.prepare_cached(&sql).await.map_err(from_pg)?;
        let rows = self.client.query(&statement, &[&tenants, &ids]).await;
        let mut routes = Routes::new();
        for row in rows.map_err(from_pg)? {
            let (tenant, id) = (to_tenant(row.get("tenant"))?, to_event_id(row.get("id")));
            let read = EventRow::read(tenant.clone(), id, row.get("content"));
            routes.insert((tenant, id), read.ok().map(|read| read.subscriptions));
        }
        Ok(routes)
    }

    fn route(&mut self, delivery: &Delivery, route: Option<&Option<Vec<SubscriptionId>>>) {
        let (id, subscription) = (delivery.id, delivery.subscription_id);
        match route {
            None => self.report.find(format!("delivery {id} has no event")),
            Some(Some(goes_to))
                if goes_to.get(usize::from(id.ordinal())) != Some(&subscription) =>
            {
                self.report.find(format!(
                    "delivery {id} goes to {subscription}, and its event does not"
                ));
            }
            Some(_) => {}
        }
    }

    fn place(&mut self, delivery: &Delivery, row: &Row) {
        let id = delivery.id;
        match delivery.due {
            Some(_) if delivery.state.is_settled() => {
                self.report
                    .find(format!("delivery {id} is settled and due"));
            }
            None if !delivery.state.is_settled() => {
                let what = format!("delivery {id} is neither settled nor due");
                self.report.find(what);
            }
            Some(due) if !row.get::<_, bool>("is_queued") => {
                let what = format!("delivery {id} is due at {due} and stands in no queue");
                self.report.find(what);
            }
            _ => {}
        }
    }

    /// Attempts go with their delivery, and those that come late are counted,
    /// too; so there are never more or fewer.
    fn attempts(&mut self, delivery: &Delivery, row: &Row) {
        let (id, counted) = (delivery.id, delivery.attempt_count);
        let found: i64 = row.get("attempts");
        if found != i64::from(counted) {
            let what = format!("delivery {id} counts {counted} attempts and has {found}");
            self.report.find(what);
        }
    }
}

/// Checks the attempts of a day, and what is counted of them.
pub(super) async fn attempts(day: Day, client: &Connection, report: &mut Report) -> Result<()> {
    let (attempt, delivery) = (name("attempt", day), name("delivery", day));
    report.enter(&attempt);
    let scan = Scan {
        columns: "a.position, a.delivery, a.id, a.content, d.tenant, d.subscription",
        table: &format!("{attempt} a LEFT JOIN {delivery} d ON d.id = a.delivery"),
        filter: "true",
        key: &["a.position"],
        bytes: &["a.content"],
    };
    let mut after = i64::MIN;
    let mut counted = Counted::default();
    loop {
        let piece = scan.read(client, &[&after], PIECE).await?;
        let Some(last) = piece.rows.last() else {
            break;
        };
        after = last.get("position");
        for row in &piece.rows {
            one_attempt(row, report, &mut counted);
        }
    }
    report.enter(&name("stats", day));
    if let Some(what) = stats::of_day(client, day).await?.difference(&counted) {
        report.find(what);
    }
    Ok(())
}

fn one_attempt(row: &Row, report: &mut Report, counted: &mut Counted) {
    report.checked.totals.attempts += 1;
    let position: i64 = row.get("position");
    let id = to_delivery_id(row.get("delivery"));
    let Ok(attempt) = read_attempt(row.get("content")) else {
        report.malformed(position);
        return;
    };
    counted.count(&attempt, 1);
    let own = Uuid::from_bytes(attempt.id.to_bytes());
    if attempt.delivery_id != id || own != row.get::<_, Uuid>("id") {
        report.find(format!("the attempt at {position} stands for another one"));
        return;
    }
    let Some(tenant) = row.get::<_, Option<&str>>("tenant") else {
        report.find(format!(
            "the attempt at {position} has lost its delivery {id}"
        ));
        return;
    };
    let subscription = row::from_subscription(attempt.subscription_id);
    if attempt.tenant.as_str() != tenant || subscription != row.get::<_, Uuid>("subscription") {
        report.find(format!(
            "the attempt at {position} is of another tenant or subscription than its delivery {id}"
        ));
    }
}
