//! Clients that are known by their certificate, with other people's programs.

use std::path::Path;

use super::{
    certificates::{Authority, Files},
    run, showing, start,
};
use crate::support::Process;

/// Publishes as the tenant, if one is named, and returns what grpcurl said.
async fn publish(server: &Process, trust: &[&str], more: &[&str]) -> String {
    let request = r#"{"event": {"type": "order.shipped", "json": 1}}"#;
    let method = "postrider.v1.EventService/PublishEvent";
    let call = ["-d", request, &server.address, method];
    run("grpcurl", &[trust, more, &call].concat()).await.1
}

async fn server(folder: &Path, files: &Files, authority: &Authority, granted: &str) -> Process {
    let more = [
        ("POSTRIDER_AUTH_MODE", "keys"),
        ("POSTRIDER_TLS_CLIENT_CA_FILE", &*authority.file),
        ("POSTRIDER_TLS_CLIENT_AUTH", "optional"),
        ("POSTRIDER_AUTH_CERTIFICATES", granted),
    ];
    start(&folder.join("data"), files, &more).await
}

#[tokio::test]
async fn a_certificate_stands_for_a_key_where_its_name_is_configured() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let granted = "CN=shop = acme: publish, spiffe://example.org/ops = *: admin publish, \
                   CN=reader = acme: read";
    let files = authority.server("server");
    let server = server(folder.path(), &files, &authority, granted).await;
    let trust = ["-cacert", &*authority.file];
    let shop = authority.client("shop");
    let ops = authority.named_client("ops", "spiffe://example.org/ops");
    let reader = authority.client("reader");
    let stranger = authority.client("stranger");
    let acme = ["-H", "postrider-tenant: acme"];
    let globex = ["-H", "postrider-tenant: globex"];
    for (files, tenant, expected) in [
        (Some(&shop), &[][..], "\"eventId\""),
        (Some(&shop), &acme, "\"eventId\""),
        (Some(&shop), &globex, "TENANT_NOT_ALLOWED"),
        (Some(&ops), &globex, "\"eventId\""),
        (Some(&reader), &acme, "SCOPE_MISSING"),
        (Some(&stranger), &acme, "CERTIFICATE_UNKNOWN"),
        (None, &acme, "API_KEY_MISSING"),
    ] {
        let shown = files.map_or(trust.to_vec(), |files| showing(&trust, files));
        let told = publish(&server, &shown, tenant).await;
        assert!(told.contains(expected), "{expected}: {told}");
    }
    // What is shown counts, and not what would be good without it.
    let bad = ["-H", "authorization: Bearer pr_none"];
    let told = publish(&server, &showing(&trust, &shop), &bad).await;
    assert!(told.contains("API_KEY_MALFORMED"), "{told}");
    server.stop().await;
}
