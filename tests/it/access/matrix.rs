//! Every method of the descriptors against everything that should not get in. A
//! new method without a row in the server's table, or without a request here,
//! fails.

use std::time::Duration;

use postrider::{
    bootstrap::{SystemClock, new_admin_key},
    domain::Clock,
    proto::{
        ApiKey, CreateApiKeyRequest, ListApiKeysRequest, ListSubscriptionsRequest,
        api_key_service_client::ApiKeyServiceClient,
        subscription_service_client::SubscriptionServiceClient,
    },
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{
    ALL, Home,
    call::{Method, call, methods},
    key_with,
    requests::{requests, unknown},
    shown,
};
use crate::support::eventually;

fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info();
    info.map(|info| info.reason.clone()).unwrap_or_default()
}

async fn refusal(home: &Home, method: &Method, authorization: Option<&str>) -> (Code, String) {
    let request = requests(&method.path, &unknown()).remove(0);
    match call(&home.server.channel(), method, authorization, request).await {
        Ok(_) => (Code::Ok, String::new()),
        Err(status) => (status.code(), reason(&status)),
    }
}

#[tokio::test]
async fn no_method_lets_anybody_in_without_a_good_key() {
    let home = Home::open().await;
    let key = |created: &ApiKey| format!("Bearer {}", created.key);
    let revoked = home.key("default", &ALL).await;
    home.revoke("default", &revoked.id).await;
    let expired = {
        let end = SystemClock.now().after(Duration::from_secs(1));
        let expires = ApiKey {
            expire_time: Some(prost_types::Timestamp {
                seconds: end.as_secs().cast_signed() + 1,
                nanos: 0,
            }),
            ..key_with(&ALL)
        };
        key(&home.create("default", expires).await)
    };
    let good = key(&home.key("default", &ALL).await);
    let of_another_server = format!("Bearer {}", new_admin_key());
    let mut mistyped = good.clone();
    let last = mistyped.pop().unwrap();
    mistyped.push(if last == '0' { '1' } else { '0' });
    let probe = &methods()[0];
    eventually("the key to expire", async || {
        let told = refusal(&home, probe, Some(&expired)).await;
        (told.1 == "API_KEY_EXPIRED").then_some(())
    })
    .await;
    let cases = [
        (None, "API_KEY_MISSING"),
        (Some("Bearer garbage"), "API_KEY_MALFORMED"),
        (Some("Basic cG9zdHJpZGVyOg=="), "API_KEY_MALFORMED"),
        (Some(&mistyped), "API_KEY_MALFORMED"),
        (Some(&of_another_server), "API_KEY_UNKNOWN"),
        (Some(&key(&revoked)), "API_KEY_REVOKED"),
        (Some(&expired), "API_KEY_EXPIRED"),
    ];
    for method in methods() {
        for (authorization, expected) in &cases {
            let told = refusal(&home, &method, *authorization).await;
            let expected = (Code::Unauthenticated, (*expected).to_owned());
            assert_eq!(told, expected, "{method:?} with {authorization:?}");
        }
        let (code, _) = refusal(&home, &method, Some(&good)).await;
        let refused = [Code::Unauthenticated, Code::PermissionDenied];
        assert!(!refused.contains(&code), "{method:?}: {code:?}");
    }
}

#[tokio::test]
async fn every_method_needs_one_scope_and_no_other() {
    let home = Home::open().await;
    let mut keys = Vec::new();
    for scope in ALL {
        let key = home.key("default", &[scope]).await;
        keys.push(format!("Bearer {}", key.key));
    }
    for method in methods() {
        let mut allowed = 0;
        for key in &keys {
            match refusal(&home, &method, Some(key)).await {
                (Code::PermissionDenied, reason) => assert_eq!(reason, "SCOPE_MISSING"),
                (Code::Unauthenticated, reason) => panic!("{method:?}: {reason}"),
                _ => allowed += 1,
            }
        }
        assert_eq!(allowed, 1, "{method:?}");
    }
}

#[tokio::test]
async fn a_key_of_a_tenant_names_no_other_and_nothing_for_all() {
    let home = Home::open().await;
    let key = home.key("acme", &ALL).await;
    let of = |tenant| {
        let channel = shown(home.server.channel(), &key.key, tenant);
        SubscriptionServiceClient::new(channel)
    };
    of("")
        .list_subscriptions(ListSubscriptionsRequest::default())
        .await
        .unwrap();
    of("acme")
        .list_subscriptions(ListSubscriptionsRequest::default())
        .await
        .unwrap();
    let refused = of("globex")
        .list_subscriptions(ListSubscriptionsRequest::default())
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "TENANT_NOT_ALLOWED");
    assert_eq!(refused.code(), Code::PermissionDenied);
    let refused = of("Glob ex")
        .list_subscriptions(ListSubscriptionsRequest::default())
        .await
        .unwrap_err();
    let violations = refused.get_error_details().bad_request().cloned();
    assert_eq!(
        violations.unwrap().field_violations[0].field,
        "postrider-tenant"
    );
    let mut keys = ApiKeyServiceClient::new(shown(home.server.channel(), &key.key, ""));
    let request = CreateApiKeyRequest {
        api_key: Some(ApiKey {
            all_tenants: true,
            ..key_with(&ALL)
        }),
    };
    let refused = keys.create_api_key(request).await.unwrap_err();
    assert_eq!(reason(&refused), "OPERATOR_ONLY");
    let request = ListApiKeysRequest {
        all_tenants: true,
        ..Default::default()
    };
    let refused = keys.list_api_keys(request).await.unwrap_err();
    assert_eq!(reason(&refused), "OPERATOR_ONLY");
}

#[tokio::test]
async fn probes_and_reflection_need_no_key_and_what_is_not_there_has_none() {
    let home = Home::open().await;
    let channel = home.server.channel();
    let open = |path: &str, is_stream| Method {
        path: path.to_owned(),
        is_stream,
    };
    for method in [
        open("/grpc.health.v1.Health/Check", false),
        open("/grpc.health.v1.Health/Watch", true),
        open(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            true,
        ),
    ] {
        call(&channel, &method, None, Vec::new()).await.unwrap();
    }
    let missing = open("/postrider.v1.EventService/NoSuchMethod", false);
    let refused = call(&channel, &missing, None, Vec::new())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    assert_eq!(reason(&refused), "UNKNOWN_METHOD");
}
