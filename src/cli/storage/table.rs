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
    let mut text = format!("{url}: {}, {free} free\n\n", counts.format);
    let mut line = |cells: [String; 7], state: &str| {
        let [first, rest @ ..] = cells;
        let rest = rest.map(|cell| format!("{cell:>12}")).concat();
        let line = format!("{first:<10}{rest}   {state}");
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
        erased: totals.erased,
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
    let keys = count(totals.api_keys);
    text + &format!("\n{subscriptions} subscriptions, {requests} request ids, {keys} API keys\n")
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
            "erased": day.erased,
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
        "format": counts.format,
        "subscriptions": totals.subscriptions,
        "request_ids": totals.requests,
        "api_keys": totals.api_keys,
        "events": totals.events,
        "erased": totals.erased,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::offline::{Timestamp, Totals};

    fn counts() -> Counts {
        let day = DayCounts {
            day: Timestamp::MIN,
            events: 1_200_000,
            erased: 7,
            deliveries: 2_400_000,
            due: 3,
            attempts: 2_500_000,
            idempotency_keys: 0,
            bytes: 5 * 1024 * 1024 * 1024,
            at_rest: false,
        };
        Counts {
            format: "sled, format 1".to_owned(),
            totals: Totals {
                subscriptions: 12,
                events: day.events,
                deliveries: day.deliveries,
                due: day.due,
                attempts: day.attempts,
                ..Totals::default()
            },
            days: vec![day],
            free: Some(900),
        }
    }

    #[test]
    fn the_table_has_a_line_for_each_day_and_the_whole() {
        let url = "sled:./data".parse().unwrap();
        insta::assert_snapshot!(to_table(&url, &counts()), @"
        sled:./data: sled, format 1, 900 B free

        day             events  deliveries         due    attempts        keys        disk
        1970-01-01   1,200,000   2,400,000           3   2,500,000           0     5.0 GiB
        total        1,200,000   2,400,000           3   2,500,000           0     5.0 GiB

        12 subscriptions, 0 request ids, 0 API keys
        ");
    }

    #[test]
    fn the_object_has_the_same_numbers() {
        let url = "sled:./data".parse().unwrap();
        let object = to_json(&url, &counts());
        assert_eq!(object["store"], "sled:./data");
        assert_eq!(object["events"], 1_200_000);
        assert_eq!(object["bytes"], object["days"][0]["bytes"]);
        assert_eq!(object["days"][0]["day"], "1970-01-01");
    }
}
