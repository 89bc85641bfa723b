//! One attempt from start to record: load what is not in memory, sign, send,
//! decide, record, and disable the subscription if that follows.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::{
    Endpoint, Transport,
    disable::Disabling,
    ended::Ended,
    request::{logged, logged_request},
    schedule::Start,
    window::Fresh,
};
use crate::{
    domain::{
        Attempt, AttemptId, Clock, Delivery, DeliveryId, Jitter, Next, Outcome, Random,
        SubscriptionId, Timestamp,
    },
    storage::{self, AttemptRecord, DueKey, Engine, Work},
};

/// Pause before a result is recorded again that the full disk refused.
const FULL_PAUSE: Duration = Duration::from_millis(500);

/// What attempts are made with.
pub(super) struct Attempts {
    pub(super) store: Arc<dyn Engine>,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
    pub(super) disabling: Disabling,
    /// Cancelled once the store takes no more writes: what cannot be recorded
    /// is not sent.
    pub(super) soft: CancellationToken,
}

impl Attempts {
    /// Makes the attempt and says what the schedule has to know.
    pub(super) async fn make(&self, start: Start) -> Ended {
        let Start {
            endpoint,
            key,
            fresh,
        } = start;
        let (subscription, id) = (endpoint.subscription().id, key.delivery_id);
        let Some(mut mark) = Mark::new(&*self.store, subscription, id) else {
            return Ended::Unchanged;
        };
        let work = match self.load(&endpoint, key, fresh).await {
            Ok(Some(work)) => work,
            Ok(None) => return Ended::Settled,
            Err(error) => return self.failed(&endpoint, key, &error),
        };
        let delivery = &work.delivery;
        let due = match delivery.due {
            None => return Ended::Settled,
            Some(due) if due > self.clock.now() => return Ended::DueAt(due),
            Some(due) => due,
        };
        match self.ahead_of(&endpoint, &work).await {
            Ok(None) => {}
            Ok(Some(ahead)) => return Ended::Behind(ahead),
            Err(error) => return self.failed(&endpoint, key, &error),
        }
        let record = self.send(&endpoint, &work, due).await;
        let next = record.next;
        if let Err(error) = self.record(record).await {
            return self.failed(&endpoint, key, &error);
        }
        mark.recorded = true;
        self.disabling
            .attempted(endpoint.subscription(), next)
            .await;
        Ended::Made {
            succeeded: next == Next::Succeed,
            due: next.place().1,
        }
    }

    async fn load(
        &self,
        endpoint: &Endpoint,
        key: DueKey,
        fresh: Option<Fresh>,
    ) -> storage::Result<Option<Work>> {
        let subscription = endpoint.subscription().id;
        let id = key.delivery_id;
        match fresh {
            Some(Fresh { event, trigger }) => Ok(Some(Work {
                delivery: Delivery::new(&event, id.ordinal(), subscription, trigger),
                event,
            })),
            None => self.store.load_work(subscription, id).await,
        }
    }

    /// Which delivery has to be settled before this one is sent.
    async fn ahead_of(&self, endpoint: &Endpoint, work: &Work) -> storage::Result<Option<DueKey>> {
        let (subscription, delivery) = (endpoint.subscription(), &work.delivery);
        match &delivery.ordering_key {
            Some(key) if subscription.spec.ordered => {
                let queue = &self.store;
                queue.ahead_of(subscription.id, key, delivery.id).await
            }
            _ => Ok(None),
        }
    }

    async fn send(&self, endpoint: &Endpoint, work: &Work, due: Timestamp) -> AttemptRecord {
        let Work { delivery, event } = work;
        let subscription = endpoint.subscription();
        let number = delivery.attempt_count + 1;
        let start_time = self.clock.now();
        let began = Instant::now();
        let request = endpoint.request(event, number, start_time);
        let request_headers = logged_request(&request.headers);
        let received = self.transport.send(request).await;
        let duration = began.elapsed();
        let now = self.clock.now();

        let random = self.random.bits();
        let outcome = Outcome::of(received.answer(), now);
        let jitter = Jitter::from_bits((random >> 96) as u32);
        let next = delivery.after_attempt(outcome, &subscription.spec.retry_policy, now, jitter);
        let response = received.response.as_ref();
        let attempt = Attempt {
            // The id and the jitter use different bits.
            id: AttemptId::new(start_time, random),
            tenant: event.tenant.clone(),
            delivery_id: delivery.id,
            subscription_id: subscription.id,
            event_type: delivery.event_type.clone(),
            trigger: delivery.trigger,
            number,
            start_time,
            duration,
            phases: received.phases,
            error_kind: outcome.error_kind(),
            error_message: received.error_message(),
            response_status: response.map(|response| response.status),
            response_headers: response.map_or_else(Vec::new, |response| logged(&response.headers)),
            response_body: response.map_or_else(Bytes::new, |response| response.body.clone()),
            response_body_truncated: response.is_some_and(|response| response.truncated),
            peer_address: response.and_then(|response| response.peer),
            request_headers,
            next_attempt_time: match next {
                Next::RetryAt(time) => Some(time),
                Next::Succeed | Next::Exhaust | Next::Disable => None,
            },
        };
        debug!(
            subscription = %subscription.id,
            delivery = %delivery.id,
            attempt = number,
            status = attempt.response_status,
            ?next,
            "attempted",
        );
        AttemptRecord {
            attempt,
            revision: delivery.revision,
            due,
            next,
            now,
        }
    }

    /// Records the attempt. While the disk is full it waits, with its permit,
    /// so that deliveries are not repeated for want of a place to note them.
    async fn record(&self, record: AttemptRecord) -> storage::Result<()> {
        loop {
            match self.store.record_attempts(vec![record.clone()]).await {
                Err(storage::Error::Full) => tokio::time::sleep(FULL_PAUSE).await,
                done => return done,
            }
        }
    }

    /// What a storage error means for the delivery.
    fn failed(&self, endpoint: &Endpoint, key: DueKey, error: &storage::Error) -> Ended {
        let (subscription, delivery) = (endpoint.subscription().id, key.delivery_id);
        match error {
            // Trying again would find the same; the rest of the queue goes on.
            storage::Error::Corrupt(_) => {
                error!(%subscription, %delivery, %error, "left out a delivery that cannot be read");
                Ended::Settled
            }
            storage::Error::Closed(_) => {
                if !self.soft.is_cancelled() {
                    error!(%error, "nothing more is sent");
                    self.soft.cancel();
                }
                Ended::Unchanged
            }
            // The store says so itself when it goes and when it is back.
            storage::Error::Unavailable(_) => Ended::Unchanged,
            storage::Error::LeaseLost => {
                warn!(%subscription, %delivery, "attempt came too late, its queue has another owner");
                Ended::Unchanged
            }
            error => {
                error!(%subscription, %delivery, %error, "store failed an attempt");
                Ended::Unchanged
            }
        }
    }
}

/// Marks a delivery as under way, if its queue is this process's; takes the
/// mark off again unless the record of the attempt has done so.
struct Mark<'a> {
    store: &'a dyn Engine,
    delivery: DeliveryId,
    recorded: bool,
}

impl<'a> Mark<'a> {
    fn new(
        store: &'a dyn Engine,
        subscription: SubscriptionId,
        delivery: DeliveryId,
    ) -> Option<Self> {
        store
            .attempt_started(subscription, delivery)
            .then_some(Self {
                store,
                delivery,
                recorded: false,
            })
    }
}

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        if !self.recorded {
            self.store.attempt_abandoned(self.delivery);
        }
    }
}
