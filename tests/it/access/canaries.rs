//! Secrets that are looked for in everything the server says: its log at the
//! most talkative level, its replies and its errors.

use std::{fs, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use postrider::{
    bootstrap::new_admin_key,
    proto::{
        CreateSubscriptionRequest, Event, GetSubscriptionRequest, ListAttemptsRequest,
        ListSubscriptionsRequest, PublishEventRequest, RotateSubscriptionSecretRequest,
        Subscription, UpdateSubscriptionRequest, delivery_service_client::DeliveryServiceClient,
        event::Payload, event_service_client::EventServiceClient,
        subscription_service_client::SubscriptionServiceClient,
    },
};
use prost_types::FieldMask;
use tokio_postgres::NoTls;
use tonic::Status;

use super::{ALL, Process, Shown, create, key_with, shown};
use crate::support::{
    Cluster, Receiver, Reply, eventually,
    process::{ROOT_KEY, subscription},
};

const SECRET: &str = "whsec_Y2FuYXJ5IGluIGEgY29hbCBtaW5lLCAzMiBieXRlcyE=";
const REPLACED: &str = "plain-canary-of-another-coal-mine";
const SIGNING_KEY: &str = "whsk_YW5vdGhlciBjYW5hcnksIGl0cyAzMiBieXRlcy4uLi4=";
const TOO_SHORT: &str = "short-canary";

/// What must be found nowhere: a secret as it is written, and the bytes that it
/// stands for.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let encoded = secret.rsplit('_').next().unwrap();
    let mut forms = vec![secret.as_bytes().to_vec(), encoded.as_bytes().to_vec()];
    if let Ok(bytes) = STANDARD.decode(encoded) {
        forms.push(format!("{bytes:?}").trim_matches(['[', ']']).into());
        forms.push(bytes);
    }
    forms
}

fn told(texts: &[String], secrets: &[&str]) -> Vec<String> {
    let holds = |text: &str, form: &[u8]| text.as_bytes().windows(form.len()).any(|w| w == form);
    let secret_in = |text: &str| {
        let found = |secret: &&&str| forms(secret).iter().any(|form| holds(text, form));
        secrets
            .iter()
            .find(found)
            .map(|secret| (*secret).to_owned())
    };
    let hits = texts
        .iter()
        .filter_map(|text| Some((secret_in(text)?, text)));
    hits.map(|(secret, text)| format!("{secret} in {text}"))
        .collect()
}

/// Uses every kind of secret there is; returns what was replied, and the secret
/// that was generated.
async fn everything(shown: &Shown, receiver: &Receiver) -> (Vec<String>, String) {
    let mut said = Vec::new();
    let mut subscriptions = SubscriptionServiceClient::new(shown.clone());
    let wanted = Subscription {
        secret: SECRET.to_owned(),
        signing_key: SIGNING_KEY.to_owned(),
        signature_schemes: vec![1, 2, 3],
        ..subscription(receiver.url("/"), &[1])
    };
    let request = |subscription: &Subscription| CreateSubscriptionRequest {
        subscription: Some(subscription.clone()),
        ..Default::default()
    };
    let made = subscriptions.create_subscription(request(&wanted)).await;
    let id = made.unwrap().into_inner().id;
    let wrong = Subscription {
        secret: TOO_SHORT.to_owned(),
        url: "not a URL".to_owned(),
        ..wanted
    };
    let refused = |status: Status| format!("{status:?} {:?}", status.details());
    let error = subscriptions.create_subscription(request(&wrong)).await;
    said.push(refused(error.unwrap_err()));

    let rotate = |secret: &str| RotateSubscriptionSecretRequest {
        id: id.clone(),
        secret: secret.to_owned(),
        ..Default::default()
    };
    let error = subscriptions.rotate_subscription_secret(rotate(TOO_SHORT));
    said.push(refused(error.await.unwrap_err()));
    let rotated = subscriptions.rotate_subscription_secret(rotate(REPLACED));
    rotated.await.unwrap();
    let rotated = subscriptions.rotate_subscription_secret(rotate(""));
    let generated = rotated
        .await
        .unwrap()
        .into_inner()
        .subscription
        .unwrap()
        .secret;

    let update = UpdateSubscriptionRequest {
        subscription: Some(Subscription {
            id: id.clone(),
            description: "changed".to_owned(),
            ..Default::default()
        }),
        update_mask: Some(FieldMask {
            paths: vec!["description".to_owned()],
        }),
        ..Default::default()
    };
    let updated = subscriptions.update_subscription(update).await.unwrap();
    said.push(format!("{:?}", updated.into_inner()));
    let get = GetSubscriptionRequest { id: id.clone() };
    let got = subscriptions.get_subscription(get).await.unwrap();
    said.push(format!("{:?}", got.into_inner()));
    let listed = subscriptions.list_subscriptions(ListSubscriptionsRequest::default());
    said.push(format!("{:?}", listed.await.unwrap().into_inner()));

    let event = Event {
        r#type: "order.shipped".to_owned(),
        payload: Some(Payload::Data("{}".into())),
        ..Default::default()
    };
    let publish = PublishEventRequest { event: Some(event) };
    let mut events = EventServiceClient::new(shown.clone());
    events.publish_event(publish).await.unwrap();
    receiver.wait_for(2).await;
    let deliveries = DeliveryServiceClient::new(shown.clone());
    let logged = eventually("both attempts in the log", async || {
        let mut deliveries = deliveries.clone();
        let listed = deliveries.list_attempts(ListAttemptsRequest::default());
        let attempts = listed.await.unwrap().into_inner().attempts;
        (attempts.len() == 2).then_some(attempts)
    });
    said.push(format!("{:?}", logged.await));
    (said, generated)
}

#[tokio::test]
async fn no_secret_is_in_any_log_reply_error_or_file_on_sled() {
    nothing_is_told(&[("POSTRIDER_STORAGE_ENGINE", "sled")]).await;
}

#[tokio::test]
async fn no_secret_is_in_any_log_reply_error_or_file_on_fjall() {
    nothing_is_told(&[("POSTRIDER_STORAGE_ENGINE", "fjall")]).await;
}

#[tokio::test]
async fn no_secret_is_in_any_log_reply_error_or_file_on_postgres() {
    let (_, url) = Cluster::shared().database().await;
    let engine = ("POSTRIDER_STORAGE_ENGINE", "postgres");
    nothing_is_told(&[engine, ("POSTRIDER_STORAGE_URL", &url)]).await;
    let sql = "SELECT count(*) FROM postrider.subscription
        WHERE content IS NOT NULL AND position($1::bytea IN content) = 0";
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let sealed = client.query_one(sql, &[&REPLACED.as_bytes()]).await;
    assert_eq!(sealed.unwrap().get::<_, i64>(0), 1);
}

async fn nothing_is_told(engine: &[(&str, &str)]) {
    let data = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|_, n| Reply::status(if n == 0 { 500 } else { 204 })).await;
    let admin = new_admin_key();
    let mut variables = vec![
        ("POSTRIDER_AUTH_MODE", "keys"),
        ("POSTRIDER_AUTH_ADMIN_KEY", &admin),
        ("POSTRIDER_LOG_LEVEL", "trace"),
    ];
    variables.extend(engine);
    let server = Process::start_with(data.path(), &variables).await;
    let key = create(server.channel(), &admin, "default", key_with(&ALL)).await;
    let shown = shown(server.channel(), &key.key, "");
    let (said, generated) = everything(&shown, &receiver).await;
    let log = server.stop().await;
    let is_trace = |line: &String| line.contains("TRACE");
    assert!(log.iter().any(is_trace), "it was traced");

    let written = [SECRET, REPLACED, SIGNING_KEY, TOO_SHORT];
    let made = [&*generated, &admin, &key.key, ROOT_KEY];
    let secrets = [&written[..], &made].concat();
    assert_eq!(told(&said, &secrets), [""; 0], "replies");
    assert_eq!(told(&log, &secrets), [""; 0], "log");
    assert_eq!(kept(data.path(), &secrets), [""; 0], "store");
}

/// The files below a directory that hold a secret.
fn kept(dir: &Path, secrets: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(kept(&path, secrets));
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let is_there = |form: Vec<u8>| bytes.windows(form.len()).any(|part| part == form);
        let is_kept = |secret: &&&str| forms(secret).into_iter().any(is_there);
        let kept = secrets.iter().find(is_kept);
        found.extend(kept.map(|secret| format!("{secret} in {}", path.display())));
    }
    found
}

#[test]
fn a_secret_is_found_in_each_of_its_forms() {
    let text = |text: String| told(&[text], &[SECRET, REPLACED]).len();
    let bytes = STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap());
    assert_eq!(text(format!("x {SECRET} y")), 1);
    assert_eq!(text(format!("{:?}", bytes.unwrap())), 1);
    assert_eq!(text(format!("{{\"a\":\"{REPLACED}\"}}")), 1);
    assert_eq!(text("whsec_ canary".to_owned()), 0);
}
