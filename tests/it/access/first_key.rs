//! The first key: made by the server, or configured.

use std::{fs, os::unix::fs::PermissionsExt, process::Stdio};

use postrider::proto::{
    ListSubscriptionsRequest, subscription_service_client::SubscriptionServiceClient,
};
use tokio::process::Command;
use tonic::Code;

use super::{ALL, Home, KEYS, admin_key, key_with, revoke, shown};
use crate::support::{
    Cluster, Process,
    process::{ROOT_KEY, binary},
    within,
};

/// What a call that shows this key comes to.
async fn called(server: &Process, key: &str) -> Code {
    let mut subscriptions = SubscriptionServiceClient::new(shown(server.channel(), key, ""));
    let request = ListSubscriptionsRequest::default();
    let listed = subscriptions.list_subscriptions(request).await;
    listed.map_or_else(|status| status.code(), |_| Code::Ok)
}

/// What a call of `postrider` ends with and says.
async fn said(arguments: &[&str], variables: &[(&str, &str)]) -> (bool, String) {
    let mut command = Command::new(binary());
    command
        .args(arguments)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = within("the command to end", command.output())
        .await
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn a_new_store_gets_a_key_that_only_a_file_has() {
    let home = Home::open().await;
    let Home {
        server,
        admin,
        data,
    } = home;
    assert_eq!(called(&server, &admin).await, Code::Ok);
    let path = data.path().join("admin.key");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let log = server.stop().await.join("\n");
    let id = format!("key_{}", &admin[3..29]);
    assert!(log.contains(&id) && log.contains("admin.key"), "{log}");
    assert!(!log.contains(&admin[..40]), "the key is in the log");

    let data_dir = data.path().to_str().unwrap();
    let shown = said(&["admin-key", "--show", "--data-dir", data_dir], &[]).await;
    assert_eq!(shown, (true, format!("{admin}\n")));

    // Another start makes no other one, even where the file was taken away.
    fs::remove_file(&path).unwrap();
    let server = Process::start_with(data.path(), &KEYS).await;
    assert!(!path.exists());
    assert_eq!(called(&server, &admin).await, Code::Ok);
    // Keys are revoked for good, and the first one is like any other.
    revoke(server.channel(), &admin, "", &id).await;
    assert_eq!(called(&server, &admin).await, Code::Unauthenticated);
    server.stop().await;
    let server = Process::start_with(data.path(), &KEYS).await;
    let second = admin_key(data.path());
    assert_eq!(called(&server, &admin).await, Code::Unauthenticated);
    assert_eq!(called(&server, &second).await, Code::Ok);
}

#[tokio::test]
async fn a_configured_key_is_good_for_as_long_as_it_is_configured() {
    let (printed, key) = said(&["admin-key"], &[]).await;
    assert!(printed);
    let key = key.trim();
    let data = tempfile::tempdir().unwrap();
    let with_key = [KEYS[0], ("POSTRIDER_AUTH_ADMIN_KEY", key)];
    let server = Process::start_with(data.path(), &with_key).await;
    assert!(!data.path().join("admin.key").exists());
    assert_eq!(called(&server, key).await, Code::Ok);
    let other = super::create(server.channel(), key, "acme", key_with(&ALL)).await;
    server.stop().await;

    let file = data.path().join("key-in-a-file");
    fs::write(&file, format!("{key}\n")).unwrap();
    let with_file = [
        KEYS[0],
        ("POSTRIDER_AUTH_ADMIN_KEY_FILE", file.to_str().unwrap()),
    ];
    let server = Process::start_with(data.path(), &with_file).await;
    assert_eq!(called(&server, key).await, Code::Ok);
    server.stop().await;

    let server = Process::start_with(data.path(), &KEYS).await;
    assert_eq!(called(&server, key).await, Code::Unauthenticated);
    assert_eq!(called(&server, &other.key).await, Code::Ok);
    assert_eq!(called(&server, &admin_key(data.path())).await, Code::Ok);
}

#[tokio::test]
async fn what_would_let_anybody_in_is_refused_with_a_sentence() {
    let data = tempfile::tempdir().unwrap();
    let data_dir = data.path().to_str().unwrap();
    let open = [
        "serve",
        "--auth",
        "none",
        "--listen",
        "0.0.0.0:0",
        "--data-dir",
        data_dir,
    ];
    let (started, told) = said(&open, &[]).await;
    assert!(
        !started && told.contains("must be a loopback address"),
        "{told}"
    );

    let mistyped = ROOT_KEY.replace('=', "");
    let (started, told) = said(
        &["serve", "--data-dir", data_dir],
        &[("POSTRIDER_SECRETS_KEY", &mistyped)],
    )
    .await;
    assert!(
        !started && told.contains("secrets.key must be empty, or the base64"),
        "{told}"
    );
    assert!(!told.contains(&mistyped), "{told}");

    let (_, url) = Cluster::shared().database().await;
    let (started, told) = said(
        &["serve", "--listen", "127.0.0.1:0"],
        &[
            ("POSTRIDER_STORAGE_ENGINE", "postgres"),
            ("POSTRIDER_STORAGE_URL", &url),
        ],
    )
    .await;
    assert!(!started && told.contains("needs secrets.key"), "{told}");
}
