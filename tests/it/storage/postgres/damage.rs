//! Bytes of a payload that changed in the database are never read.

use postrider::{
    domain::{Event, EventId},
    storage::{Error, View},
};

use super::{
    super::{build::*, fixture::Fixture},
    InPostgres,
};
use crate::support::cluster::connect;

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
