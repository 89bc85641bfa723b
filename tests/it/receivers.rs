//! The receivers of the README, with other people's verification packages,
//! against real deliveries.

use postrider::proto::{RotateSubscriptionSecretRequest, Subscription};

use crate::support::{Outsider, Process, process::subscription};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

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
