//! Another key for the secrets of a store.

use std::process::{Output, Stdio};

use hmac::{Hmac, KeyInit, Mac};
use postrider::{domain::RootKey, proto::Subscription};
use sha2::Sha256;
use tokio::process::Command;

use super::Place;
use crate::support::{
    Process, Receiver, Reply,
    process::{ROOT_KEY, binary, subscription},
    within,
};

const SECRET: &str = "a-secret-that-outlives-its-key";

/// Serves a store with these root keys; fails with the log.
async fn serve(place: &Place, keys: &str) -> Result<Process, String> {
    let mut variables = place.variables();
    variables.push(("POSTRIDER_SECRETS_KEY", keys));
    Process::start_under(&[], &place.data, &variables).await
}

/// What `postrider secrets rewrap` prints.
async fn rewrap(place: &Place, keys: &str) -> String {
    let output = run(&["secrets", "rewrap", &place.url], keys).await;
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

async fn run(arguments: &[&str], keys: &str) -> Output {
    let ran = Command::new(binary())
        .args(arguments)
        .env("POSTRIDER_SECRETS_KEY", keys)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    within("the command to end", ran).await.unwrap()
}

async fn the_key_can_be_changed(place: &Place) {
    let new = RootKey::generate([9; 32]).expose();
    let both = format!("{new},{ROOT_KEY}");
    let receiver = Receiver::start(|_, _| Reply::status(204)).await;
    let server = serve(place, ROOT_KEY).await.unwrap();
    server
        .subscribe(Subscription {
            secret: SECRET.to_owned(),
            ..subscription(receiver.url("/"), &[])
        })
        .await;
    server.stop().await;

    let refused = serve(place, &new).await.err().expect("it is not served");
    assert!(refused.contains("secrets.key"), "{refused}");
    let checked = run(&["storage", "check", &place.url], &new).await;
    let found = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(1), "{found}");
    assert_eq!(
        found.matches("secrets are sealed under the key").count(),
        1,
        "{found}"
    );
    assert!(!found.contains("makes no sense"), "{found}");
    let said = rewrap(place, &both).await;
    assert!(said.starts_with("sealed 1 row of "), "{said}");
    let said = rewrap(place, &both).await;
    assert!(said.starts_with("sealed 0 rows of "), "{said}");

    let server = serve(place, &new).await.unwrap();
    server.publish("order.shipped", "{}").await;
    let got = receiver.wait_for(1).await.remove(0);
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    let digest = mac.chain_update(&got.body).finalize().into_bytes();
    let hex = digest
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let signature = got.header("x-webhook-signature");
    assert_eq!(signature, format!("sha256={hex}"));
    server.stop().await;
    assert!(serve(place, ROOT_KEY).await.is_err(), "the old key is out");
}

#[tokio::test]
async fn the_key_of_a_sled_store_can_be_changed() {
    let data = tempfile::tempdir().unwrap();
    the_key_can_be_changed(&Place::embedded("sled", data.path().to_owned())).await;
}

#[tokio::test]
async fn the_key_of_a_fjall_store_can_be_changed() {
    let data = tempfile::tempdir().unwrap();
    the_key_can_be_changed(&Place::embedded("fjall", data.path().to_owned())).await;
}

#[tokio::test]
async fn the_key_of_a_database_can_be_changed() {
    let unused = tempfile::tempdir().unwrap();
    the_key_can_be_changed(&Place::database(unused.path().to_owned()).await).await;
}
