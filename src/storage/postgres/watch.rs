//! Looks at what other processes wrote: deliveries in the queues of this one,
//! changes of subscriptions, and how far the log can be read.
//!
//! Looking is the truth. Every 100 to 250 ms it happens by itself, and sooner
//! when this process wrote or another one told that it did.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    connect::Connection,
    error::{from_pg, unreadable},
    listen::WORK,
    queue,
    row::{to_subscription_id, to_tenant},
    state::State,
};
use crate::{
    domain::Version,
    storage::{Due, Hint, LogPosition, Result, SubscriptionChange, row::read_subscription},
};

/// Longest pause between two looks, at least and at most.
const SLOWEST: Duration = Duration::from_millis(100);
const SPREAD: Duration = Duration::from_millis(150);
/// Shortest pause.
const FASTEST: Duration = Duration::from_millis(10);
/// A look at the queues is followed by a pause so many times as long.
const REST: u32 = 20;
/// Most queues that are looked at.
const QUEUES: usize = 10_000;

/// The positions below which the log is complete.
pub(super) const BOUNDARY: &str = "(SELECT base FROM log) \
     + (pg_snapshot_xmin(pg_current_snapshot())::text::bigint << 10)";

/// What was seen so far.
pub(super) struct Watch {
    state: Arc<State>,
    /// Changes of subscriptions by transactions before this one were seen.
    seen: String,
    looks: u32,
    /// When the queues may be looked at again, and whether they have to be.
    rested: Instant,
    owed: bool,
    due: Instant,
}

impl Watch {
    /// Looks for the first time: what was there before is no news.
    pub(super) async fn begin(state: Arc<State>) -> Result<Self> {
        let client = state.own_connection().await?;
        let row = client
            .query_one("SELECT pg_snapshot_xmin(pg_current_snapshot())::text", &[])
            .await
            .map_err(from_pg)?;
        let now = Instant::now();
        let mut watch = Self {
            state: Arc::clone(&state),
            seen: row.get(0),
            looks: 0,
            rested: now,
            owed: false,
            due: now,
        };
        watch.look_at_log(&client).await?;
        Ok(watch)
    }

    /// Looks until the store closes.
    pub(super) async fn run(mut self) {
        let state = Arc::clone(&self.state);
        let looking = async {
            loop {
                let fastest = Instant::now() + FASTEST;
                if let Err(error) = self.look().await {
                    state.note(&error);
                }
                tokio::time::sleep_until(fastest).await;
                tokio::select! {
                    () = tokio::time::sleep_until(self.due) => {}
                    () = state.nudge.look.notified() => {}
                }
            }
        };
        state.closing.run_until_cancelled(looking).await;
    }

    async fn look(&mut self) -> Result<()> {
        let state = Arc::clone(&self.state);
        let now = Instant::now();
        let by_itself = now >= self.due;
        if by_itself {
            self.looks = self.looks.wrapping_add(1);
            // Spread by a number that has no factor in common with the spread,
            // so that processes do not look in step for long.
            let spread = self.looks.wrapping_mul(61) % 150;
            self.due = now + SLOWEST + SPREAD * spread / 150;
        }
        let client = state.own_connection().await?;
        if state.nudge.take_tell() {
            let told = client.batch_execute(&format!("NOTIFY {WORK}")).await;
            told.map_err(from_pg)?;
        }
        if by_itself || state.log_end.receiver_count() > 0 {
            self.look_at_log(&client).await?;
        }
        if by_itself || state.nudge.take_heard() {
            self.look_at_subscriptions(&client).await?;
            self.owed = true;
        }
        if self.owed && now >= self.rested {
            let began = Instant::now();
            self.look_at_queues(&client).await?;
            self.rested = Instant::now() + began.elapsed() * REST;
            self.owed = false;
        } else if self.owed {
            self.due = self.due.min(self.rested);
        }
        Ok(())
    }

    async fn look_at_log(&mut self, client: &Connection) -> Result<()> {
        let statement = client
            .prepare_cached(&format!(
                "SELECT greatest(
                     (SELECT max(position) FROM attempt WHERE position < {BOUNDARY}),
                     (SELECT removed_position FROM log))"
            ))
            .await
            .map_err(from_pg)?;
        let row = client.query_one(&statement, &[]).await.map_err(from_pg)?;
        let end = row.get::<_, Option<i64>>(0);
        let end = end.and_then(|end| u64::try_from(end).ok()).map(LogPosition);
        self.state.log_end.send_if_modified(|known| {
            let news = end.is_some_and(|end| end > *known);
            *known = end.unwrap_or_default().max(*known);
            news
        });
        Ok(())
    }

    async fn look_at_subscriptions(&mut self, client: &Connection) -> Result<()> {
        // Transactions that run now are looked at again next time.
        let statement = client
            .prepare_cached(
                "SELECT id, tenant, version, content,
                     pg_snapshot_xmin(pg_current_snapshot())::text AS seen
                 FROM subscription WHERE changed >= $1::text::xid8
                 UNION ALL
                 SELECT NULL, NULL, NULL, NULL, pg_snapshot_xmin(pg_current_snapshot())::text",
            )
            .await
            .map_err(from_pg)?;
        let rows = client.query(&statement, &[&self.seen]).await;
        for row in rows.map_err(from_pg)? {
            self.seen = row.get("seen");
            let Some(id) = row.get::<_, Option<_>>("id") else {
                continue;
            };
            let id = to_subscription_id(id);
            let version = u64::try_from(row.get::<_, i64>("version")).unwrap_or(0);
            let tenant = to_tenant(row.get("tenant"))?;
            let now = match row.get::<_, Option<&[u8]>>("content") {
                Some(content) => {
                    let read = read_subscription(tenant.clone(), id, content, &self.state.keyring);
                    Some(Arc::new(read.map_err(unreadable("subscription"))?))
                }
                None => None,
            };
            let change = SubscriptionChange { tenant, id, now };
            self.state.tell_change(change, Version(version));
        }
        Ok(())
    }

    async fn look_at_queues(&mut self, client: &Connection) -> Result<()> {
        let mut except = self.state.ownership.under_way();
        except.extend(self.state.left_out.ids());
        let woken: Vec<Due> =
            queue::first_of_each(client, &self.state, None, &except, QUEUES).await?;
        if !woken.is_empty() {
            self.state.announce(Hint {
                woken,
                ..Hint::default()
            });
        }
        Ok(())
    }
}
