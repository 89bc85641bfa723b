//! The receivers of the README, with other people's verification packages,
//! against real deliveries.

use postrider::proto::{
    PayloadFormat, RotateSubscriptionSecretRequest, SignatureScheme, Subscription,
};

use crate::support::{Outsider, Process, process::subscription};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SIGNING_KEY: &str =
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
const PUBLIC_KEY: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";

/// Publishes a few payloads that are easy to get wrong, and rotates in between.
async fn verify_with(program: &str, script: &str, secret: &str) {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let mut outsider = Outsider::start(program, script, secret).await;
    let created = server
        .subscribe(Subscription {
            secret: secret.to_owned(),
            ..subscription(outsider.url.clone(), &[])
        })
        .await;
    for data in [
        r#"{"orderId":"ord_123"}"#,
        " {\"spaced\" : [1.0, 2e3] } ",
        r#""Grüße, 世界 \u0000 🚀""#,
        "null",
    ] {
        let published = server.publish("order.shipped", data).await;
        let seen = outsider.next().await;
        assert_eq!(seen["id"], published.event_id);
        for way in ["package", "standard", "sha256"] {
            assert_eq!(seen["verified"][way], true, "{way} of {data}");
        }
        assert_eq!(seen["duplicate"], false);
        let body = seen["body"].as_str().unwrap();
        assert!(body.ends_with(&format!(",\"data\":{data}}}")), "{body}");
    }
    // Whoever knows only the old secret still verifies during the overlap.
    let rotate = RotateSubscriptionSecretRequest {
        id: created.id,
        ..Default::default()
    };
    let mut subscriptions = server.subscriptions();
    subscriptions
        .rotate_subscription_secret(rotate)
        .await
        .unwrap();
    server.publish("order.shipped", "{}").await;
    let seen = outsider.next().await;
    assert_eq!(seen["verified"]["package"], true);
    assert_eq!(seen["verified"]["sha256"], false);
    server.stop().await;
}

#[tokio::test]
async fn the_receiver_in_node_verifies_every_delivery() {
    verify_with("node", "node/receiver.js", SECRET).await;
    verify_with("node", "node/receiver.js", "plain,characters+of=1/word").await;
}

#[tokio::test]
async fn the_receiver_in_python_verifies_every_delivery() {
    verify_with("python3", "python/receiver.py", SECRET).await;
    verify_with(
        "python3",
        "python/receiver.py",
        "plain_characters_of_one_word",
    )
    .await;
}

/// A receiver that knows the public key alone verifies until the overlap of a
/// rotation ends.
async fn verify_by_public_key(program: &str, script: &str) {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let mut outsider = Outsider::start(program, script, PUBLIC_KEY).await;
    let created = server
        .subscribe(Subscription {
            signing_key: SIGNING_KEY.to_owned(),
            signature_schemes: vec![
                SignatureScheme::StandardWebhooks.into(),
                SignatureScheme::Ed25519.into(),
            ],
            payload_format: PayloadFormat::CloudeventsStructured.into(),
            ..subscription(outsider.url.clone(), &[])
        })
        .await;
    assert_eq!(created.public_key, PUBLIC_KEY);
    assert_eq!(created.signing_key, "");
    server.publish("order.shipped", "{}").await;
    assert_eq!(outsider.next().await["verified"], true);
    for (overlap, verified) in [
        (None, true),
        (Some(prost_types::Duration::default()), false),
    ] {
        let rotate = RotateSubscriptionSecretRequest {
            id: created.id.clone(),
            scheme: SignatureScheme::Ed25519.into(),
            overlap,
            ..Default::default()
        };
        let mut subscriptions = server.subscriptions();
        let rotated = subscriptions.rotate_subscription_secret(rotate);
        let rotated = rotated.await.unwrap().into_inner();
        assert_eq!(rotated.live_secrets, 1 + i32::from(verified));
        let shown = rotated.subscription.unwrap();
        assert_ne!(shown.public_key, PUBLIC_KEY);
        assert_eq!((shown.secret, shown.signing_key), Default::default());
        server.publish("order.shipped", "{}").await;
        assert_eq!(outsider.next().await["verified"], verified);
    }
    for line in server.stop().await {
        assert!(!line.contains("whsk_"), "{line}");
    }
}

#[tokio::test]
async fn node_verifies_by_the_public_key() {
    verify_by_public_key("node", "node/cloudevents_receiver.js").await;
}

#[tokio::test]
async fn python_verifies_by_the_public_key() {
    verify_by_public_key("python3", "python/cloudevents_receiver.py").await;
}
