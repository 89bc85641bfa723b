//! Deliveries as CloudEvents, read by the packages of the CloudEvents project.

use postrider::proto::{Event, PayloadFormat, PublishEventRequest, Subscription, event::Payload};
use serde_json::{Value, json};

use crate::support::{Outsider, Process, process::subscription};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn event(data: &[u8], content_type: &str) -> Event {
    let attributes = [
        ("subject", "Grüße, \"5\" 100%"),
        ("region", "eu-1"),
        ("Not-Allowed", "left out"),
    ];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    Event {
        r#type: "order.shipped".to_owned(),
        content_type: content_type.to_owned(),
        payload: Some(Payload::Data(data.to_vec().into())),
        attributes: attributes.map(owned).into(),
        ..Default::default()
    }
}

/// Publishes JSON and bytes in both modes and compares what the package reads.
async fn read_with(program: &str, script: &str) {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let mut outsider = Outsider::start(program, script, SECRET).await;
    for format in [
        PayloadFormat::CloudeventsBinary,
        PayloadFormat::CloudeventsStructured,
    ] {
        let created = server
            .subscribe(Subscription {
                secret: SECRET.to_owned(),
                payload_format: format.into(),
                ..subscription(outsider.url.clone(), &[])
            })
            .await;
        let given = json!({"orderId": "ord_123", "total": 12.5, "note": "Größe \u{1f680}"});
        for (content_type, data, expected) in [
            (
                "application/json",
                given.to_string().into_bytes(),
                ("data", given),
            ),
            (
                "application/octet-stream",
                vec![0, 255, 10],
                ("base64", json!("AP8K")),
            ),
        ] {
            let request = PublishEventRequest {
                event: Some(event(&data, content_type)),
            };
            let published = server.events().publish_event(request).await.unwrap();
            let id = published.into_inner().event_id;
            let seen = outsider.next().await;
            assert_eq!(seen["verified"], true, "{format:?}: {seen}");
            assert_eq!(seen[expected.0], expected.1, "{format:?}: {seen}");
            let mut attributes = seen["attributes"].clone();
            let time = attributes.as_object_mut().unwrap().remove("time");
            assert!(matches!(time, Some(Value::String(time)) if time.starts_with("20")));
            let expected = json!({
                "specversion": "1.0",
                "id": id,
                "source": "/postrider/default",
                "type": "order.shipped",
                "datacontenttype": content_type,
                "subject": "Grüße, \"5\" 100%",
                "region": "eu-1",
            });
            assert_eq!(attributes, expected, "{format:?}");
        }
        delete(&server, created.id).await;
    }
    server.stop().await;
}

async fn delete(server: &Process, id: String) {
    let request = postrider::proto::DeleteSubscriptionRequest {
        id,
        etag: String::new(),
    };
    let deleted = server.subscriptions().delete_subscription(request).await;
    deleted.expect("it is there");
}

#[tokio::test]
async fn the_package_of_node_reads_every_delivery() {
    read_with("node", "node/cloudevents_receiver.js").await;
}

#[tokio::test]
async fn the_package_of_python_reads_every_delivery() {
    read_with("python3", "python/cloudevents_receiver.py").await;
}
