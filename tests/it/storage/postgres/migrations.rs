//! The schema comes about once, whoever is at it, and is refused where it is
//! not what this version knows.

use postrider::storage::postgres::{OpenError, Url, migrate, pending};
use tokio::task::JoinSet;

use crate::support::{Cluster, cluster::connect};

/// The names of all migrations.
const ALL: [&str; 7] = [
    "0001_store",
    "0002_erasure",
    "0003_replay",
    "0004_order",
    "0006_stats",
    "0007_api_keys",
    "0008_root_key",
];

/// A database without a schema, with its address as text.
async fn bare() -> (Url, String) {
    Cluster::shared().bare_database().await
}

#[tokio::test]
async fn ten_processes_that_start_at_once_migrate_once() {
    let (url, _) = bare().await;
    let mut starting = JoinSet::new();
    for _ in 0..10 {
        let url = url.clone();
        starting.spawn(async move { migrate(&url).await.unwrap().names });
    }
    let applied = starting.join_all().await;
    let applied: Vec<_> = applied.into_iter().flatten().collect();
    assert_eq!(applied, ALL);
}

#[tokio::test]
async fn what_is_pending_is_named_and_nothing_is_changed() {
    let (url, text) = bare().await;
    for _ in 0..2 {
        assert_eq!(pending(&url).await.unwrap().names, ALL);
    }
    let client = connect(&text).await;
    let schema = client.query_one("SELECT to_regnamespace('postrider') IS NULL", &[]);
    assert!(schema.await.unwrap().get::<_, bool>(0));

    migrate(&url).await.unwrap();
    assert!(pending(&url).await.unwrap().names.is_empty());
}

#[tokio::test]
async fn a_newer_or_altered_schema_is_refused_with_a_sentence() {
    let (url, text) = bare().await;
    migrate(&url).await.unwrap();
    let client = connect(&text).await;
    let execute = async |statement: &str| client.batch_execute(statement).await.unwrap();

    execute("INSERT INTO postrider.migration VALUES (99, '0099_later', 'x')").await;
    let refused = migrate(&url).await.unwrap_err();
    assert!(matches!(
        refused,
        OpenError::Newer {
            found: 99,
            known: 7,
            ..
        }
    ));
    let checked = pending(&url).await.unwrap_err();
    assert_eq!(checked.to_string(), refused.to_string());

    execute("DELETE FROM postrider.migration WHERE number = 99").await;
    execute("UPDATE postrider.migration SET checksum = 'x' WHERE number = 1").await;
    let refused = migrate(&url).await.unwrap_err();
    assert!(matches!(refused, OpenError::Altered { number: 1, .. }));
}

#[tokio::test]
async fn a_database_that_takes_no_writes_is_refused_with_a_sentence() {
    let (url, text) = bare().await;
    let client = connect(&text).await;
    let name: String = client
        .query_one("SELECT current_database()", &[])
        .await
        .unwrap()
        .get(0);
    let statement = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    client.batch_execute(&statement).await.unwrap();
    let refused = migrate(&url).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("{url} cannot hold a store: it takes no writes; name the primary, not a standby")
    );
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_told_apart() {
    let url: Url = "postgres://nobody@%2Fnowhere/none".parse().unwrap();
    let refused = migrate(&url).await.unwrap_err();
    assert!(matches!(refused, OpenError::Database { .. }));
    assert_eq!(
        refused.to_string(),
        "cannot open postgres:///nowhere:5432/none"
    );
}
