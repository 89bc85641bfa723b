//! What a store holds, for people and for machines.

use serde_json::{Value, json};

use crate::{
    bootstrap::offline::{Counts, DayCounts, StoreUrl},
    cli::figure::{bytes, count},
};

/// A line for each day and one for all of them.
pub(super) fn to_table(url: &StoreUrl, counts: &Counts) -> String {
    let totals = &counts.totals;
    let free = counts.free.map_or_else(|| "unknown".to_owned(), bytes);
    let mut text = format!("{url}, {free} free\n\n");
    let mut line = |cells: [String; 7], state: &str| {
        let [first, rest @ ..] = cells;
        let rest = rest.map(|cell| format!("{cell:>14}")).concat();
        let line = format!("{first:<12}{rest}   {state}");
        text.push_str(line.trim_end());
        text.push('\n');
    };
    let heads = [
        "day",
        "events",
        "deliveries",
        "due",
        "attempts",
        "keys",
        "disk",
    ];
    line(heads.map(str::to_owned), "");
    for day in &counts.days {
        let state = if day.at_rest { "at rest" } else { "" };
        line(cells(name(day), day), state);
    }
    let whole = DayCounts {
        day: counts.days.first().map(|day| day.day).unwrap_or_default(),
        events: totals.events,
        deliveries: totals.deliveries,
        due: totals.due,
        attempts: totals.attempts,
        idempotency_keys: totals.idempotency_keys,
        bytes: disk(counts),
        at_rest: false,
    };
    line(cells("total".to_owned(), &whole), "");
    let subscriptions = count(totals.subscriptions);
    let requests = count(totals.requests);
    text + &format!("\n{subscriptions} subscriptions, {requests} request ids\n")
}

fn cells(name: String, day: &DayCounts) -> [String; 7] {
    [
        name,
        count(day.events),
        count(day.deliveries),
        count(day.due),
        count(day.attempts),
        count(day.idempotency_keys),
        bytes(day.bytes),
    ]
}

/// The same as one JSON object.
pub(super) fn to_json(url: &StoreUrl, counts: &Counts) -> Value {
    let totals = &counts.totals;
    let days = counts.days.iter().map(|day| {
        json!({
            "day": name(day),
            "events": day.events,
            "deliveries": day.deliveries,
            "due": day.due,
            "attempts": day.attempts,
            "idempotency_keys": day.idempotency_keys,
            "bytes": day.bytes,
            "at_rest": day.at_rest,
        })
    });
    json!({
        "store": url.to_string(),
        "subscriptions": totals.subscriptions,
        "request_ids": totals.requests,
        "events": totals.events,
        "deliveries": totals.deliveries,
        "due": totals.due,
        "attempts": totals.attempts,
        "idempotency_keys": totals.idempotency_keys,
        "bytes": disk(counts),
        "bytes_free": counts.free,
        "days": days.collect::<Vec<_>>(),
    })
}

fn disk(counts: &Counts) -> u64 {
    counts.days.iter().map(|day| day.bytes).sum()
}

/// The date of a day.
fn name(day: &DayCounts) -> String {
    let (year, month, day) = day.day.date();
    format!("{year:04}-{month:02}-{day:02}")
}
