//! Tells tenants what went wrong, by events of Postrider's own that whoever
//! wants to be told subscribes to.
//!
//! Deliveries that failed are found in the log, and read again from shortly
//! before its end after a restart, so none is missed; idempotency keys keep any
//! from being told twice. Disabled subscriptions are heard of as they change. What
//! breakers do is known to the dispatcher alone, and lost with a crash.
//!
//! What becomes of such an event, or of a subscription that names them, is never
//! told by another one, so nothing goes in circles.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;

use super::{Control, Error, Result};
use crate::{
    domain::{
        Attempt, Attributes, BreakerChange, ContentType, DeliveryState, ErrorKind, NewEvent,
        Payload, State, StateCode, Subscription, SubscriptionId, TenantId, Timestamp, Trigger,
    },
    storage::{self, LogPosition},
};

const FAILED: &str = "postrider.delivery.failed";
const DISABLED: &str = "postrider.subscription.disabled";
const OPENED: &str = "postrider.subscription.breaker.opened";
const RECOVERED: &str = "postrider.subscription.recovered";

/// Attempts that are read at once.
const SLICE: usize = 256;
/// How far before the end of the log it is read again after a restart, or by
/// the process that takes this over.
const OVERLAP: Duration = Duration::from_mins(2);
/// What is older is not told: by then its idempotency key may be forgotten.
const NEWS: Duration = Duration::from_hours(6 * 24);
/// Pause after the store failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells what went wrong until it is told to stop.
pub async fn tell(
    control: Arc<Control>,
    mut breakers: broadcast::Receiver<BreakerChange>,
    stop: CancellationToken,
) {
    let mut changes = control.store.subscription_changes();
    let mut log_end = control.store.log_end();
    log_end.mark_changed();
    let mut teller = Teller {
        control,
        read: None,
    };
    let telling = async {
        loop {
            tokio::select! {
                grown = log_end.changed() => {
                    if grown.is_err() {
                        return;
                    }
                    if let Err(error) = teller.read_log().await {
                        tracing::warn!(%error, "could not tell of deliveries that failed yet");
                        tokio::time::sleep(PAUSE).await;
                        log_end.mark_changed();
                    }
                }
                change = changes.recv() => match change {
                    Ok(change) => if let Some(now) = change.now {
                        teller.changed(&now).await;
                    },
                    Err(RecvError::Lagged(lost)) => tracing::warn!(lost, "changes were not told"),
                    Err(RecvError::Closed) => return,
                },
                change = breakers.recv() => match change {
                    Ok(change) => teller.breaker(change).await,
                    Err(RecvError::Lagged(lost)) => tracing::warn!(lost, "breakers were not told"),
                    Err(RecvError::Closed) => return,
                },
            }
        }
    };
    stop.run_until_cancelled(telling).await;
}

struct Teller {
    control: Arc<Control>,
    /// The log was read up to here; not at all while another process does so.
    read: Option<LogPosition>,
}

impl Teller {
    /// Whether this is the one process that tells what all can know: that which
    /// owns the first of the queues.
    fn is_the_one(&self) -> bool {
        self.control.store.owns(SubscriptionId::from_bytes([0; 16]))
    }

    async fn read_log(&mut self) -> Result<()> {
        if !self.is_the_one() {
            self.read = None;
            return Ok(());
        }
        let begins = self.read.is_none();
        let mut read = match self.read {
            Some(read) => read,
            None => self.begin().await?,
        };
        loop {
            let slice = self.control.store.read_log(read, SLICE).await?;
            for (_, attempt) in &slice.attempts {
                self.attempted(attempt, begins).await?;
            }
            if let Some((last, _)) = slice.attempts.last() {
                read = *last;
            }
            self.read = Some(read);
            if slice.attempts.len() < SLICE {
                return Ok(());
            }
        }
    }

    /// Where to begin to read: a little before the last attempt.
    async fn begin(&self) -> Result<LogPosition> {
        let store = &self.control.store;
        let end = *store.log_end().borrow();
        let before = LogPosition(end.0.saturating_sub(1));
        let last = store.read_log(before, 1).await?;
        let Some((_, last)) = last.attempts.first() else {
            return Ok(end);
        };
        let place = store.position_before(last.start_time.before(OVERLAP));
        Ok(place.await?)
    }

    /// Tells of the delivery, if this was its last attempt and failed. While the
    /// log is read again, what disabled its subscription may not be told either.
    async fn attempted(&self, attempt: &Attempt, again: bool) -> Result<()> {
        let tells = attempt.error_kind.is_some()
            && attempt.trigger != Trigger::Test
            && !attempt.event_type.is_operational()
            && self.is_news(attempt.start_time);
        if !tells {
            return Ok(());
        }
        let store = &self.control.store;
        if again && let Some(found) = store.find_subscription(attempt.subscription_id).await? {
            self.changed(&found).await;
        }
        if attempt.next_attempt_time.is_some() {
            return Ok(());
        }
        let delivery = store.delivery(&attempt.tenant, attempt.delivery_id).await;
        match delivery {
            // It was cancelled while the attempt was under way.
            Ok(delivery) if delivery.state == DeliveryState::Cancelled => return Ok(()),
            Err(storage::Error::NotFound(_)) => return Ok(()),
            delivery => delivery?,
        };
        let data = json!({
            "deliveryId": attempt.delivery_id.to_string(),
            "eventId": attempt.delivery_id.event_id().to_string(),
            "eventType": attempt.event_type.as_str(),
            "subscriptionId": attempt.subscription_id.to_string(),
            "attempts": attempt.number,
            "lastAttempt": {
                "startTime": attempt.start_time.to_string(),
                "errorKind": attempt.error_kind.map(error_kind),
                "responseStatus": attempt.response_status,
            },
        });
        let key = format!(
            "postrider:{}:failed:{}",
            attempt.delivery_id, attempt.number
        );
        self.publish(&attempt.tenant, FAILED, &data, Some(key))
            .await
    }

    /// Tells of a subscription that is disabled.
    async fn changed(&self, subscription: &Subscription) {
        let reason = &subscription.state_reason;
        if subscription.state != State::Disabled
            || !self.is_the_one()
            || !self.is_news(reason.since)
        {
            return;
        }
        let data = json!({
            "subscriptionId": subscription.id.to_string(),
            "reason": reason_code(reason.code),
            "message": reason.message,
            "since": reason.since.to_string(),
        });
        let since = reason.since.as_micros();
        let key = format!("postrider:{}:disabled:{since}", subscription.id);
        self.tell_of(subscription, DISABLED, &data, Some(key)).await;
    }

    /// Tells what a breaker of this process did.
    async fn breaker(&self, change: BreakerChange) {
        let store = &self.control.store;
        match store.find_subscription(change.subscription_id).await {
            Ok(Some(subscription)) => {
                let event_type = if change.is_open { OPENED } else { RECOVERED };
                let data = json!({
                    "subscriptionId": subscription.id.to_string(),
                    "time": change.time.to_string(),
                });
                self.tell_of(&subscription, event_type, &data, None).await;
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "a breaker was not told"),
        }
    }

    async fn tell_of(
        &self,
        subscription: &Subscription,
        event_type: &str,
        data: &Value,
        key: Option<String>,
    ) {
        if subscription.spec.events.name_operational() {
            return;
        }
        let (id, tenant) = (subscription.id, &subscription.tenant);
        if let Err(error) = self.publish(tenant, event_type, data, key).await {
            tracing::warn!(subscription = %id, event_type, %error, "an event was not told");
        }
    }

    /// Publishes an event, if anybody wants it. Fails where that may go better
    /// later.
    async fn publish(
        &self,
        tenant: &TenantId,
        event_type: &str,
        data: &Value,
        idempotency_key: Option<String>,
    ) -> Result<()> {
        let event_type = event_type.parse().expect("it is a type");
        let all = self.control.store.tenant_subscriptions(tenant).await?;
        if !all.subscriptions.iter().any(|one| one.wants(&event_type)) {
            return Ok(());
        }
        let event = NewEvent {
            event_type,
            payload: Payload {
                data: Bytes::from(data.to_string()),
                content_type: ContentType::default(),
            },
            idempotency_key,
            ordering_key: None,
            attributes: Attributes::default(),
            deliver_after: None,
        };
        match self.control.accept(tenant, vec![event]).await {
            Err(error @ (Error::DiskFull | Error::Unavailable | Error::Contended)) => Err(error),
            // Erasure takes words out of an attempt, so its event may differ.
            Ok(_) | Err(Error::KeyReused { .. }) => Ok(()),
            Err(error) => {
                tracing::error!(%tenant, %error, "an event of postrider could not be published");
                Ok(())
            }
        }
    }

    fn is_news(&self, time: Timestamp) -> bool {
        self.control.now().since(time) < NEWS
    }
}

fn reason_code(code: StateCode) -> &'static str {
    match code {
        StateCode::Created => "CREATED",
        StateCode::Requested => "REQUESTED",
        StateCode::Gone => "GONE",
        StateCode::Failing => "FAILING",
    }
}

fn error_kind(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Status => "STATUS",
        ErrorKind::Redirect => "REDIRECT",
        ErrorKind::Gone => "GONE",
        ErrorKind::Dns => "DNS",
        ErrorKind::Connect => "CONNECT",
        ErrorKind::Tls => "TLS",
        ErrorKind::Timeout => "TIMEOUT",
        ErrorKind::Reset => "RESET",
        ErrorKind::ResponseTooLarge => "RESPONSE_TOO_LARGE",
        ErrorKind::Protocol => "PROTOCOL",
        ErrorKind::Request => "REQUEST",
        ErrorKind::Refused => "REFUSED",
    }
}
