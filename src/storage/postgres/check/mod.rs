//! Walks through all tables of a store and tells what should not be so. Reads
//! only, a bounded piece at a time, while nobody serves the store.

mod catalog;
mod day;
mod deliveries;
mod queue;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{
    OpenError, Url,
    claim::Claim,
    connect::{Connection, Connections, SCHEMA},
    days::TABLES,
    error::from_pg,
    migrate,
    scan::Bounds,
};
use crate::{
    domain::{Keyring, SealId},
    storage::{Checked, Error, Finding, Found, Result, day::Day, error::describe},
};

/// What is looked at together.
const PIECE: Bounds = Bounds {
    rows: 1_000,
    bytes: 4 * 1024 * 1024,
};

/// Checks the store in a database. Fails only if there is none, if it is in use,
/// or if the database fails.
pub async fn check(url: &Url, keyring: Keyring, found: Found) -> Result<Checked, OpenError> {
    migrate::expect(url).await?;
    let checking = async {
        let connections = Connections::to(url, 2)?;
        let Some(claim) = Claim::alone(&connections).await? else {
            return Ok(None);
        };
        let client = connections.get().await?;
        let mut report = Report::new(keyring, found);
        audit(&client, &mut report).await?;
        claim.release().await;
        Ok(Some(report.checked))
    };
    let checked = checking.await.map_err(OpenError::database(url))?;
    checked.ok_or_else(|| OpenError::InUse { url: url.clone() })
}

async fn audit(client: &Connection, report: &mut Report) -> Result<()> {
    catalog::audit(client, report).await?;
    let days = partitions(client, report).await?;
    for day in days {
        report.checked.days += 1;
        let events = day::Events::of(day, client, report).audit().await;
        report.survive(events)?;
        let keys = day::Keys::of(day, client, report).audit().await;
        report.survive(keys)?;
        let deliveries = deliveries::Deliveries::of(day, client, report);
        let deliveries = deliveries.audit().await;
        report.survive(deliveries)?;
        let attempts = deliveries::attempts(day, client, report).await;
        report.survive(attempts)?;
    }
    report.enter("ready");
    let places = queue::places(client, report).await;
    report.survive(places)?;
    report.enter("attempt");
    let positions = queue::positions(client, report).await;
    report.survive(positions)
}

/// The days that have all their partitions.
async fn partitions(client: &Connection, report: &mut Report) -> Result<Vec<Day>> {
    let sql = "SELECT p.relname AS parent, c.relname AS name
               FROM pg_inherits i
               JOIN pg_class c ON c.oid = i.inhrelid
               JOIN pg_class p ON p.oid = i.inhparent
               JOIN pg_namespace n ON n.oid = p.relnamespace
               WHERE n.nspname = $1 AND p.relkind = 'p' ORDER BY c.relname";
    let rows = client.query(sql, &[&SCHEMA]).await.map_err(from_pg)?;
    let mut days = BTreeMap::<Day, BTreeSet<&str>>::new();
    for row in &rows {
        let (parent, name) = (row.get::<_, &str>("parent"), row.get::<_, &str>("name"));
        let rest = name.strip_prefix(parent).unwrap_or_default();
        let day = Day::parse(&rest.trim_start_matches('_').replace('_', "-"));
        if let Some(day) = day {
            days.entry(day).or_default().insert(parent);
        } else {
            report.enter(parent);
            report.find(format!("its partition {name} is of no day"));
        }
    }
    let mut whole = Vec::new();
    for (day, tables) in days {
        let missing = TABLES.iter().filter(|(table, _)| !tables.contains(table));
        let mut is_whole = true;
        for (table, _) in missing {
            is_whole = false;
            report.enter(table);
            report.find(format!(
                "has no partition of {day}, of which there are others"
            ));
        }
        if is_whole {
            whole.push(day);
        }
    }
    Ok(whole)
}

/// Where findings go, with the table in which they are made.
struct Report {
    keyring: Keyring,
    sealed: HashSet<SealId>,
    place: String,
    checked: Checked,
    found: Found,
}

impl Report {
    fn new(keyring: Keyring, found: Found) -> Self {
        Self {
            keyring,
            sealed: HashSet::new(),
            place: SCHEMA.to_owned(),
            checked: Checked::default(),
            found,
        }
    }

    /// What follows is found in this table.
    fn enter(&mut self, table: &str) {
        self.place = format!("{SCHEMA}.{table}");
    }

    fn find(&mut self, what: impl Into<String>) {
        self.checked.findings += 1;
        (self.found)(Finding {
            place: self.place.clone(),
            what: what.into(),
        });
    }

    /// Secrets whose key is not at hand, which is told once.
    fn sealed(&mut self, key: SealId) {
        if self.sealed.insert(key) {
            self.find(Error::Sealed(key).to_string());
        }
    }

    /// A row whose bytes make no sense.
    fn malformed(&mut self, what: impl std::fmt::Display) {
        self.find(format!("row {what} makes no sense"));
    }

    /// Goes on after a table that cannot be read any further, but not without a
    /// database.
    fn survive(&mut self, audited: Result<()>) -> Result<()> {
        match audited {
            Err(error @ (Error::Corrupt(_) | Error::Engine(_))) => {
                self.find(format!("cannot be read: {}", describe(&error)));
                Ok(())
            }
            audited => audited,
        }
    }
}
