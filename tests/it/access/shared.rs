//! Keys where two processes share a database.

use postrider::proto::{
    ApiKeyScope, TailDeliveriesRequest, delivery_service_client::DeliveryServiceClient,
};
use tonic::Code;

use super::{KEYS, create, key_with, revoke, shown};
use crate::support::{Cluster, Process, within};

#[tokio::test]
async fn a_key_that_one_process_revokes_is_good_for_nothing_at_the_other() {
    let (_, url) = Cluster::shared().database().await;
    let admin = postrider::bootstrap::new_admin_key();
    let variables = [
        KEYS[0],
        ("POSTRIDER_STORAGE_ENGINE", "postgres"),
        ("POSTRIDER_STORAGE_URL", &url),
        ("POSTRIDER_AUTH_ADMIN_KEY", &admin),
    ];
    let data = tempfile::tempdir().unwrap();
    let one = Process::start_with(data.path(), &variables).await;
    let other = Process::start_with(data.path(), &variables).await;
    let key = create(
        one.channel(),
        &admin,
        "acme",
        key_with(&[ApiKeyScope::Read]),
    )
    .await;
    let mut deliveries = DeliveryServiceClient::new(shown(other.channel(), &key.key, ""));
    let request = TailDeliveriesRequest::default;
    let mut tail = deliveries
        .tail_deliveries(request())
        .await
        .unwrap()
        .into_inner();
    revoke(one.channel(), &admin, "acme", &key.id).await;
    // How soon is told by the test of the module, which has a clock to move.
    let ended = within("the tail to end", tail.message()).await.unwrap_err();
    assert_eq!(ended.code(), Code::Unauthenticated);
    let refused = deliveries.tail_deliveries(request()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(!data.path().join("admin.key").exists());
}
