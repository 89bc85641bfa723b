//! Testing a subscription: a sample event goes out now, and its attempt comes
//! back.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{Control, Error, Result};
use crate::{
    domain::{
        Attempt, Attributes, ContentType, DeliveryFilter, DeliveryId, EventType, NewEvent, Payload,
        State, SubscriptionId, TenantId, Trigger,
    },
    storage::{AcceptEvents, PageRequest, Routed},
};

const SAMPLE: &[u8] = br#"{"message":"This is a test of your webhook subscription."}"#;

/// How long a test waits beyond the deadline of its attempt.
const GRACE: Duration = Duration::from_secs(5);

impl Control {
    /// Sends a sample event to a subscription and returns the attempt.
    pub async fn test_subscription(
        &self,
        tenant: &TenantId,
        id: SubscriptionId,
        event_type: EventType,
    ) -> Result<Arc<Attempt>> {
        let subscription = self.store.subscription(tenant, id).await?;
        if subscription.state == State::Disabled {
            return Err(Error::SubscriptionDisabled);
        }
        let now = self.clock.now();
        let sample = NewEvent {
            event_type,
            payload: Payload {
                data: Bytes::from_static(SAMPLE),
                content_type: ContentType::default(),
            },
            idempotency_key: None,
            ordering_key: None,
            attributes: Attributes::default(),
            deliver_after: None,
        };
        let event_id = self.next_event_ids(now, 1)[0];
        let accept = AcceptEvents {
            tenant: tenant.clone(),
            routed_at: None,
            events: vec![Routed {
                event: Arc::new(sample.accept(event_id, tenant.clone(), now)),
                subscriptions: vec![id],
                trigger: Trigger::Test,
            }],
        };
        self.store.accept_events(accept).await?;
        let patience = subscription.spec.timeout.as_duration() + GRACE;
        let attempt = self.first_attempt(tenant, DeliveryId::new(event_id, 0));
        match tokio::time::timeout(patience, attempt).await {
            Ok(attempt) => attempt,
            Err(_) => Err(Error::TestPending(event_id)),
        }
    }

    /// Waits for the delivery's first attempt. Whenever the log has grown it
    /// may be there.
    async fn first_attempt(&self, tenant: &TenantId, id: DeliveryId) -> Result<Arc<Attempt>> {
        let mut log_end = self.store.log_end();
        let filter = DeliveryFilter {
            delivery_id: Some(id),
            ..DeliveryFilter::default()
        };
        loop {
            log_end.mark_unchanged();
            if self.store.delivery(tenant, id).await?.attempt_count > 0 {
                let page = PageRequest {
                    size: 1,
                    cursor: None,
                };
                let attempts = self.store.list_attempts(tenant, &filter, page).await?;
                if let Some(attempt) = attempts.items.into_iter().next() {
                    return Ok(attempt);
                }
            }
            log_end.changed().await.map_err(|_| Error::Unavailable)?;
        }
    }
}
