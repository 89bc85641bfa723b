//! The server as somebody with nothing but grpcurl sees it.

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{Process, Receiver, eventually, within};

/// What grpcurl printed, or what it said went wrong.
async fn grpcurl(arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new("grpcurl");
    command.arg("-plaintext").args(arguments);
    let output = within("grpcurl", command.kill_on_drop(true).output())
        .await
        .expect("grpcurl is on the PATH; tests/run installs it");
    let text = |bytes| String::from_utf8(bytes).expect("grpcurl prints UTF-8");
    if output.status.success() {
        Ok(text(output.stdout))
    } else {
        Err(text(output.stderr))
    }
}

/// Calls a method of the package and returns its reply.
async fn call(server: &Process, method: &str, request: &Value) -> Result<Value, String> {
    let data = request.to_string();
    let method = format!("postrider.v1.{method}");
    let arguments = ["-d", &data, &server.address, &method];
    let reply = grpcurl(&arguments).await?;
    Ok(serde_json::from_str(&reply).expect("grpcurl prints JSON"))
}

#[tokio::test]
async fn reflection_shows_every_service_and_describes_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let listed = grpcurl(&[&server.address, "list"]).await.unwrap();
    let services: Vec<_> = listed.lines().collect();
    assert_eq!(
        services,
        [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
            "postrider.v1.ApiKeyService",
            "postrider.v1.DeliveryService",
            "postrider.v1.EventService",
            "postrider.v1.ReplayService",
            "postrider.v1.SubscriptionService",
        ]
    );
    for symbol in services
        .iter()
        .copied()
        .chain(["postrider.v1.Attempt", "grpc.health.v1.HealthCheckRequest"])
    {
        let described = grpcurl(&[&server.address, "describe", symbol]).await;
        assert!(described.is_ok(), "{symbol}: {described:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn health_answers_for_each_of_its_services() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    for service in ["", "liveness", "readiness"] {
        let data = json!({ "service": service }).to_string();
        let arguments = ["-d", &data, &server.address, "grpc.health.v1.Health/Check"];
        let reply = grpcurl(&arguments).await.unwrap();
        assert!(reply.contains("\"SERVING\""), "{service}: {reply}");
    }
    let data = r#"{"service":"unknown"}"#;
    let arguments = ["-d", data, &server.address, "grpc.health.v1.Health/Check"];
    let error = grpcurl(&arguments).await.unwrap_err();
    for told in ["NotFound", "UNKNOWN_SERVICE", "\"unknown\""] {
        assert!(error.contains(told), "{told}: {error}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_main_way_works_with_grpcurl_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let receiver = Receiver::accepting().await;
    let request = json!({"subscription": {"url": receiver.url("/"), "events": ["order.*"]}});
    let created = call(&server, "SubscriptionService/CreateSubscription", &request)
        .await
        .unwrap();
    assert!(created["secret"].as_str().unwrap().starts_with("whsec_"));
    let id = created["id"].as_str().unwrap();

    let event = json!({"event": {"type": "order.shipped", "json": {"n": 3, "x": [1.5, null]}}});
    let published = call(&server, "EventService/PublishEvent", &event)
        .await
        .unwrap();
    assert_eq!(published["deliveryCount"], 1);
    let request = receiver.wait_for(1).await.remove(0);
    assert_eq!(request.json()["data"], event["event"]["json"]);

    let shown = call(
        &server,
        "SubscriptionService/GetSubscription",
        &json!({ "id": id }),
    )
    .await
    .unwrap();
    assert_eq!(shown["secret"], Value::Null);
    let tested = call(
        &server,
        "SubscriptionService/TestSubscription",
        &json!({ "id": id }),
    )
    .await
    .unwrap();
    assert_eq!(tested["attempt"]["responseStatus"], 204);
    let rotate = json!({"id": id, "overlap": "3600s"});
    let rotated = call(
        &server,
        "SubscriptionService/RotateSubscriptionSecret",
        &rotate,
    )
    .await
    .unwrap();
    assert_eq!(rotated["liveSecrets"], 2);
    call(&server, "EventService/PublishEvent", &event)
        .await
        .unwrap();
    let signed = receiver.wait_for(3).await.remove(2);
    assert_eq!(signed.header("webhook-signature").split(' ').count(), 2);

    let update = json!({
        "subscription": {"id": id, "events": ["invoice.*"], "etag": shown["etag"]},
        "updateMask": {"paths": ["events"]},
    });
    let error = call(&server, "SubscriptionService/UpdateSubscription", &update)
        .await
        .unwrap_err();
    assert!(error.contains("ETAG_MISMATCH"), "{error}");
    call(
        &server,
        "SubscriptionService/DeleteSubscription",
        &json!({ "id": id }),
    )
    .await
    .unwrap();
    let error = call(
        &server,
        "SubscriptionService/GetSubscription",
        &json!({ "id": id }),
    )
    .await
    .unwrap_err();
    assert!(error.contains("NotFound"), "{error}");
    server.stop().await;
}

#[tokio::test]
async fn an_erased_event_is_shown_without_its_payload_and_not_retried() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let receiver = Receiver::accepting().await;
    let request = json!({"subscription": {"url": receiver.url("/"), "events": ["order.*"]}});
    let created = call(&server, "SubscriptionService/CreateSubscription", &request)
        .await
        .unwrap();
    let event = json!({"event": {
        "type": "order.shipped", "json": {"n": 3}, "attributes": {"name": "Ada"},
    }});
    let published = call(&server, "EventService/PublishEvent", &event)
        .await
        .unwrap();
    receiver.wait_for(1).await;
    let filter = json!({"filter": {"eventId": published["eventId"], "states": ["DELIVERY_STATE_SUCCEEDED"]}});
    let delivery = eventually("the delivery to be recorded", async || {
        let listed = call(&server, "DeliveryService/ListDeliveries", &filter);
        listed.await.unwrap()["deliveries"].get(0).cloned()
    })
    .await;

    let erase = json!({ "subscriptionId": created["id"] });
    let erased = call(&server, "EventService/EraseEvents", &erase).await;
    assert_eq!(
        erased.unwrap(),
        json!({"erasedEvents": "1", "erasedAttempts": "1"})
    );
    let get = json!({"id": published["eventId"], "view": "EVENT_VIEW_FULL"});
    let shown = call(&server, "EventService/GetEvent", &get).await.unwrap();
    assert!(shown["eraseTime"].is_string(), "{shown}");
    assert_eq!(
        (&shown["data"], &shown["attributes"]),
        (&Value::Null, &Value::Null)
    );
    let retry = json!({ "id": delivery["id"] });
    let refused = call(&server, "DeliveryService/RetryDelivery", &retry)
        .await
        .unwrap_err();
    for told in ["FailedPrecondition", "PAYLOAD_ERASED"] {
        assert!(refused.contains(told), "{told}: {refused}");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_a_disabled_subscription_missed_is_counted_and_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let receiver = Receiver::accepting().await;
    let request = json!({"subscription": {"url": receiver.url("/"), "events": ["order.*"]}});
    let created = call(&server, "SubscriptionService/CreateSubscription", &request)
        .await
        .unwrap();
    let id = json!({ "id": created["id"] });
    for (method, event_type) in [("Disable", "order.shipped"), ("Enable", "invoice.paid")] {
        let event = json!({"event": {"type": event_type, "json": {"of": method}}});
        let method = format!("SubscriptionService/{method}Subscription");
        call(&server, &method, &id).await.unwrap();
        call(&server, "EventService/PublishEvent", &event)
            .await
            .unwrap();
    }
    let replay =
        json!({"filter": {"subscriptionId": created["id"]}, "mode": "REPLAY_MODE_MISSING"});
    let only = json!({"replay": replay, "validateOnly": true});
    let counted = call(&server, "ReplayService/CreateReplay", &only).await;
    let counted = counted.unwrap();
    assert_eq!(
        (&counted["total"], &counted["id"]),
        (&json!("1"), &Value::Null)
    );
    let create = json!({ "replay": replay });
    let replay = call(&server, "ReplayService/CreateReplay", &create).await;
    let replay = replay.unwrap();
    assert_eq!(replay["state"], "REPLAY_STATE_RUNNING");
    let request = receiver.wait_for(1).await.remove(0);
    assert_eq!(request.json()["data"], json!({"of": "Disable"}));

    let id = json!({ "id": replay["id"] }).to_string();
    let method = "postrider.v1.ReplayService/WatchReplay";
    let arguments = ["-d", &id, &server.address, method];
    let watched = grpcurl(&arguments).await.unwrap();
    let shown = serde_json::Deserializer::from_str(&watched).into_iter::<Value>();
    let last = shown.last().unwrap().unwrap()["replay"].clone();
    assert_eq!(last["state"], "REPLAY_STATE_COMPLETED", "{watched}");
    for field in ["total", "done", "succeeded"] {
        assert_eq!(last[field], "1", "{field}");
    }
    let listed = call(&server, "ReplayService/ListReplays", &json!({})).await;
    assert_eq!(listed.unwrap()["replays"], json!([last]));
    let id = json!({ "id": replay["id"] });
    let error = call(&server, "ReplayService/CancelReplay", &id).await;
    let error = error.unwrap_err();
    assert!(error.contains("REPLAY_ENDED"), "{error}");
    server.stop().await;
}

#[tokio::test]
async fn attempts_are_counted_by_subscription_type_and_time() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let receiver = Receiver::accepting().await;
    let mut ids = Vec::new();
    for url in [receiver.url("/"), "http://127.0.0.1:9/".to_owned()] {
        let request = json!({"subscription": {"url": url, "events": ["order.*"]}});
        let created = call(&server, "SubscriptionService/CreateSubscription", &request).await;
        ids.push(created.unwrap()["id"].clone());
    }
    for event_type in ["order.created", "order.shipped", "order.shipped"] {
        let event = json!({"event": {"type": event_type, "json": {}}});
        let published = call(&server, "EventService/PublishEvent", &event).await;
        published.unwrap();
    }
    let stats = async |request: Value| {
        let answer = call(&server, "DeliveryService/GetDeliveryStats", &request);
        answer.await.unwrap()["stats"].take()
    };
    let by_subscription = json!({"groupBy": ["DELIVERY_STATS_DIMENSION_SUBSCRIPTION"]});
    let found = eventually("all first attempts to be counted", async || {
        let found = stats(by_subscription.clone()).await;
        let done = found[0]["succeeded"] == "3" && found[1]["attempts"] == "3";
        done.then_some(found)
    })
    .await;
    assert_eq!(
        (&found[0]["subscriptionId"], &found[1]["subscriptionId"]),
        (&ids[0], &ids[1])
    );
    assert_eq!(found[0]["successRate"], 1.0);
    assert!(found[0]["attemptDuration"]["p99"].is_string(), "{found}");
    assert!(found[0]["deliveryDuration"]["p50"].is_string(), "{found}");
    assert_eq!(
        (&found[1]["failed"], &found[1]["successRate"]),
        (&json!("3"), &Value::Null)
    );
    assert_eq!(found[1]["deliveryDuration"], Value::Null);

    let by_type = json!({
        "subscriptionId": ids[0],
        "groupBy": ["DELIVERY_STATS_DIMENSION_EVENT_TYPE"],
        "bucket": "604800s",
    });
    let found = stats(by_type).await;
    let counts = found.as_array().unwrap().iter();
    let counts: Vec<_> = counts
        .map(|one| (&one["eventType"], &one["attempts"]))
        .collect();
    let [created, shipped, one, two] =
        ["order.created", "order.shipped", "1", "2"].map(Value::from);
    assert_eq!(counts, [(&created, &one), (&shipped, &two)]);
    assert!(found[0]["startTime"].is_string(), "{found}");
    server.stop().await;
}

/// Bad requests for every method, each with the fields its error has to name.
const BAD_REQUESTS: &str = include_str!("../data/bad-requests.json");

#[tokio::test]
async fn every_method_names_the_fields_that_are_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path()).await;
    let cases: Vec<Value> = serde_json::from_str(BAD_REQUESTS).unwrap();
    for case in cases {
        let method = case["method"].as_str().unwrap();
        let error = call(&server, method, &case["request"]).await.unwrap_err();
        assert!(error.contains("InvalidArgument"), "{method}: {error}");
        for field in case["fields"].as_array().unwrap() {
            assert!(
                error.contains(&field.to_string()),
                "{method}, {field}: {error}"
            );
        }
    }
    server.stop().await;
}
