//! What a filter costs on an event of 2 KB: the first that looks at its payload,
//! which parses it, and each one after that.
//!
//! `cargo bench --bench filter`

#![expect(clippy::unwrap_used, reason = "in a benchmark, a panic is the report")]
#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use postrider::{
    control::{Filter, Subject},
    domain::{Attributes, ContentType, NewEvent, Payload},
};

const ROUNDS: u32 = 20_000;
const FILTERS: [&str; 3] = [
    "event.data.total > 100 && event.attributes.region == 'eu'",
    "event.data.items.exists(i, i.qty > 8 && i.sku.startsWith('sku-'))",
    "event.data.customer.email.matches('@client[.]example$') && !has(event.data.test)",
];

fn main() {
    let event = event();
    println!("payload: {} bytes", event.payload.data.len());
    for text in FILTERS {
        let filter = Filter::compile(&text.parse().unwrap()).unwrap();
        let first = time(|| filter.matches(&Subject::from(&event)).unwrap());
        let subject = Subject::from(&event);
        let further = time(|| filter.matches(&subject).unwrap());
        println!("{first:>10.2?} first {further:>10.2?} further  {text}");
    }
}

fn time(ask: impl Fn() -> bool) -> Duration {
    let begin = Instant::now();
    for _ in 0..ROUNDS {
        assert!(black_box(ask()));
    }
    begin.elapsed() / ROUNDS
}

fn event() -> NewEvent {
    let item = |n| {
        format!(r#"{{"sku":"sku-{n:04}","qty":{n},"price":{n}.5,"name":"A thing of some kind"}}"#)
    };
    let items = (1..=26).map(item).collect::<Vec<_>>().join(",");
    let data = format!(
        r#"{{"total":120.5,"customer":{{"email":"jo@client.example"}},"items":[{items}]}}"#
    );
    let attributes = [("region".to_owned(), "eu".to_owned())];
    NewEvent {
        event_type: "order.shipped".parse().unwrap(),
        payload: Payload::new(data.into(), ContentType::default()).unwrap(),
        idempotency_key: None,
        ordering_key: None,
        attributes: Attributes::new(attributes.into()).unwrap(),
        deliver_after: None,
    }
}
