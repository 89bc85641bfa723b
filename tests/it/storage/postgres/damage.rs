//! Bytes of a payload that changed in the database are never read.

use postrider::{
    domain::{DeliveryFilter, DeliveryId, Erasure, Event, EventId, TimeRange},
    storage::{Error, EventFilter, View, postgres::check},
};

use super::{
    super::{build::*, fixture::Fixture},
    InPostgres,
};
use crate::support::{cluster::connect, keyring};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_byte_of_an_event_is_told_and_never_read() {
    let store = InPostgres::new().await;
    let engine = &**store.engine();
    subscribe(engine, 1).await;
    let short = Event {
        payload: payload("{\"n\":1}"),
        ..event(1, NOON)
    };
    let long = Event {
        payload: payload(vec![b'1'; 2_000]),
        ..event(2, NOON)
    };
    let mut deliveries = Vec::new();
    for event in [&short, &long] {
        deliveries.push(deliver(engine, event.clone(), &[1]).await);
    }
    let client = connect(&store.text_url).await;
    let change = async |id: EventId, column: &str, at: usize| {
        let id = u128::from_be_bytes(id.to_bytes());
        let change = format!(
            "UPDATE postrider.event
             SET {column} = set_byte({column}, {at}, get_byte({column}, {at}) # 1)
             WHERE id = '{id:032x}'"
        );
        assert_eq!(client.execute(&change, &[]).await.unwrap(), 1);
    };
    let length = async |id: EventId| {
        let id = u128::from_be_bytes(id.to_bytes());
        let length = format!("SELECT length(content) FROM postrider.event WHERE id = '{id:032x}'");
        let row = client.query_one(&length, &[]).await.unwrap();
        usize::try_from(row.get::<_, i32>(0)).unwrap()
    };
    let mut changes = Vec::new();
    for (event, delivery) in [&short, &long].into_iter().zip(&deliveries) {
        for at in 0..length(event.id).await {
            changes.push((event, delivery, "content", at));
        }
    }
    for at in [0, 1, 999, 1_999] {
        changes.push((&long, &deliveries[1], "body", at));
    }
    // A row that stands in the place of another one.
    let swap = "UPDATE postrider.event e SET content = o.content, body = o.body
                FROM postrider.event o WHERE o.id <> e.id";
    assert_eq!(client.execute(swap, &[]).await.unwrap(), 2);
    for (event, delivery) in [&short, &long].into_iter().zip(&deliveries) {
        let loaded = engine.load_work(sub(1), *delivery).await;
        assert!(matches!(loaded, Err(Error::Corrupt(_))), "{}", event.id);
    }
    assert_eq!(client.execute(swap, &[]).await.unwrap(), 2);
    for (event, delivery, column, at) in changes {
        change(event.id, column, at).await;
        let read = engine.event(tenant(), event.id, View::Full).await;
        assert!(matches!(read, Err(Error::Corrupt(_))), "{column} {at}");
        let loaded = engine.load_work(sub(1), *delivery).await;
        assert!(matches!(loaded, Err(Error::Corrupt(_))), "{column} {at}");
        change(event.id, column, at).await;
        let read = engine.event(tenant(), event.id, View::Full).await;
        assert_eq!(&read.unwrap(), event);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_event_is_passed_by_and_can_be_erased() {
    let store = InPostgres::new().await;
    let engine = &**store.engine();
    subscribe(engine, 2).await;
    for number in 1..=3 {
        let keyed = Event {
            idempotency_key: Some(format!("key-{number}")),
            payload: payload(vec![b'1'; 2_000]),
            ..event(number, NOON)
        };
        deliver(engine, keyed, &[1, 2]).await;
    }
    let damaged = event(2, NOON).id;
    let client = connect(&store.text_url).await;
    let change =
        "UPDATE postrider.event SET content = set_byte(content, 9, get_byte(content, 9) # 1)
                  WHERE id = $1";
    let id = uuid::Uuid::from_bytes(damaged.to_bytes());
    assert_eq!(client.execute(change, &[&id]).await.unwrap(), 1);

    let filter = EventFilter {
        types: Vec::new(),
        accepted: TimeRange::ALL,
    };
    let shown = async |view| {
        let list = |page| engine.list_events(tenant(), &filter, view, page);
        let events = every_page(1, list).await;
        events.iter().map(|event| event.id).collect::<Vec<_>>()
    };
    let others = [event(3, NOON).id, event(1, NOON).id];
    for view in [View::Basic, View::Full] {
        assert_eq!(shown(view).await, others);
    }
    let all = DeliveryFilter::default();
    let list = |page| engine.list_deliveries(tenant(), &all, page);
    assert_eq!(every_page(1, list).await.len(), 4);
    // Its queue goes on without it.
    let delivery = DeliveryId::new(damaged, 0);
    assert_eq!(engine.due(sub(1), None, 9).await.unwrap().entries.len(), 3);
    let loaded = engine.load_work(sub(1), delivery).await;
    assert!(matches!(loaded, Err(Error::Corrupt(what)) if what.contains(&damaged.to_string())));
    let due = engine.due(sub(1), None, 9).await.unwrap().entries;
    assert!(due.len() == 2 && due.iter().all(|key| key.delivery_id != delivery));

    let erased = engine
        .erase(tenant(), Erasure::Event(damaged), after(9))
        .await;
    let erased = erased.unwrap();
    assert_eq!((erased.events, erased.cancelled), (1, 2));
    let read = engine.event(tenant(), damaged, View::Full).await.unwrap();
    assert!(read.is_erased() && read.event_type == event(2, NOON).event_type);
    assert_eq!(shown(View::Full).await.len(), 3);
    assert_eq!(every_page(1, list).await.len(), 6);
    store.engine().close().await;
    let checked = check(&store.url, keyring(), Box::new(|_| {})).await;
    assert_eq!(checked.unwrap().findings, 0);
}
