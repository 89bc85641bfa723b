//! What the demo does with the server: subscribes, publishes, tails.

use std::{collections::HashSet, net::SocketAddr, time::Duration};

use anyhow::{Context, bail};
use tokio::time::{sleep, timeout};
use tonic::{Streaming, transport::Channel};

use super::{Outcome, SECRET, screen::Screen};
use crate::{
    cli::clock,
    proto::{
        Attempt, AttemptOutcome, CreateSubscriptionRequest, DeleteSubscriptionRequest, Event,
        ListSubscriptionsRequest, PublishEventRequest, RetryDelays, RetryPolicy, Subscription,
        TailDeliveriesRequest, TailDeliveriesResponse,
        delivery_service_client::DeliveryServiceClient, event,
        event_service_client::EventServiceClient, retry_policy,
        subscription_service_client::SubscriptionServiceClient, tail_deliveries_response,
    },
};

/// Types of the events that the receiver refuses at first.
pub(super) const FAILING_TYPES: [&str; 2] = ["payment.captured", "invoice.sent"];

const EVENTS: [(&str, &str); 5] = [
    ("order.created", r#"{"orderId":"ord_123","total":4200}"#),
    ("payment.captured", r#"{"orderId":"ord_123","amount":4200}"#),
    ("order.packed", r#"{"orderId":"ord_123","parcels":1}"#),
    ("order.shipped", r#"{"orderId":"ord_123","carrier":"DHL"}"#),
    (
        "invoice.sent",
        r#"{"orderId":"ord_123","invoiceId":"inv_9"}"#,
    ),
];
const DESCRIPTION: &str = "made by postrider demo";
const BETWEEN_EVENTS: Duration = Duration::from_millis(400);
const RETRY_DELAYS_SECONDS: [i64; 3] = [1, 2, 4];
const TOLD_WITHIN: Duration = Duration::from_mins(1);

/// The demo's subscription and the stream of its attempts.
pub(super) struct Story {
    events: EventServiceClient<Channel>,
    attempts: Streaming<TailDeliveriesResponse>,
    subscription_id: String,
    start_nanos: u64,
}

impl Story {
    /// Subscribes the URL and opens the tail, before anything is published.
    pub(super) async fn begin(address: SocketAddr, url: &str) -> anyhow::Result<Self> {
        let channel = Channel::from_shared(format!("http://{address}"))?
            .connect()
            .await?;
        let mut subscriptions = SubscriptionServiceClient::new(channel.clone());
        remove_earlier(&mut subscriptions).await?;
        let subscription = subscriptions
            .create_subscription(CreateSubscriptionRequest {
                subscription: Some(subscription(url)),
                ..CreateSubscriptionRequest::default()
            })
            .await
            .context("the subscription was refused")?
            .into_inner();
        let attempts = DeliveryServiceClient::new(channel.clone())
            .tail_deliveries(TailDeliveriesRequest::default())
            .await
            .context("the tail was refused")?;
        Ok(Self {
            events: EventServiceClient::new(channel),
            attempts: attempts.into_inner(),
            subscription_id: subscription.id,
            start_nanos: clock::unix_nanos(),
        })
    }

    /// Id of the demo's subscription.
    pub(super) fn subscription_id(&self) -> &str {
        &self.subscription_id
    }

    /// Publishes the events and shows their attempts until all are settled.
    pub(super) async fn tell(&mut self, screen: &Screen) -> anyhow::Result<Outcome> {
        self.start_nanos = clock::unix_nanos();
        let publish = publish(self.events.clone());
        let show = async {
            let settled = self.settle(screen);
            timeout(TOLD_WITHIN, settled)
                .await
                .context("the events were not delivered in time")?
        };
        let ((), mut outcome) = tokio::try_join!(publish, show)?;
        let elapsed = clock::unix_nanos().saturating_sub(self.start_nanos);
        outcome.took = Duration::from_nanos(elapsed);
        Ok(outcome)
    }

    /// Shows attempts until the server ends the stream.
    pub(super) async fn follow(&mut self, screen: &Screen) -> anyhow::Result<()> {
        while let Some(attempt) = next(&mut self.attempts).await? {
            screen.attempt(&attempt, self.start_nanos)?;
        }
        Ok(())
    }

    /// Shows attempts until each event was delivered or given up.
    async fn settle(&mut self, screen: &Screen) -> anyhow::Result<Outcome> {
        let mut settled = HashSet::new();
        let mut outcome = Outcome {
            published: EVENTS.len(),
            ..Outcome::default()
        };
        while settled.len() < EVENTS.len() {
            let Some(attempt) = next(&mut self.attempts).await? else {
                bail!("the server closed the tail");
            };
            screen.attempt(&attempt, self.start_nanos)?;
            // An older data folder may hold subscriptions of its own.
            if attempt.subscription_id != self.subscription_id {
                continue;
            }
            outcome.attempts += 1;
            if attempt.outcome() == AttemptOutcome::Succeeded {
                outcome.delivered += 1;
            }
            if attempt.number > 1 {
                outcome.retried_delivery_id.clone_from(&attempt.delivery_id);
            }
            if attempt.next_attempt_time.is_none() {
                settled.insert(attempt.delivery_id);
            }
        }
        Ok(outcome)
    }
}

/// Removes what demos on the same data folder left: their receivers are gone.
async fn remove_earlier(client: &mut SubscriptionServiceClient<Channel>) -> anyhow::Result<()> {
    let request = ListSubscriptionsRequest {
        page_size: 1000,
        ..ListSubscriptionsRequest::default()
    };
    let found = client.list_subscriptions(request).await?.into_inner();
    let earlier = |known: &Subscription| known.description == DESCRIPTION;
    for Subscription { id, etag, .. } in found.subscriptions.into_iter().filter(earlier) {
        let request = DeleteSubscriptionRequest { id, etag };
        client.delete_subscription(request).await?;
    }
    Ok(())
}

async fn publish(mut client: EventServiceClient<Channel>) -> anyhow::Result<()> {
    for (event_type, data) in EVENTS {
        let event = Event {
            r#type: event_type.to_owned(),
            payload: Some(event::Payload::Data(data.into())),
            ..Event::default()
        };
        let request = PublishEventRequest { event: Some(event) };
        client
            .publish_event(request)
            .await
            .context("the event was refused")?;
        sleep(BETWEEN_EVENTS).await;
    }
    Ok(())
}

async fn next(stream: &mut Streaming<TailDeliveriesResponse>) -> anyhow::Result<Option<Attempt>> {
    while let Some(message) = stream.message().await? {
        match message.event {
            Some(tail_deliveries_response::Event::Attempt(attempt)) => return Ok(Some(attempt)),
            Some(tail_deliveries_response::Event::Closing(_)) => return Ok(None),
            _ => {}
        }
    }
    Ok(None)
}

fn subscription(url: &str) -> Subscription {
    let delays = RETRY_DELAYS_SECONDS.map(|seconds| prost_types::Duration { seconds, nanos: 0 });
    Subscription {
        url: url.to_owned(),
        events: ["order.*", "payment.*", "invoice.*"]
            .map(String::from)
            .into(),
        secret: SECRET.to_owned(),
        description: DESCRIPTION.to_owned(),
        retry_policy: Some(RetryPolicy {
            schedule: Some(retry_policy::Schedule::Delays(RetryDelays {
                delays: delays.into(),
            })),
            jitter: Some(0.0),
            max_age: None,
        }),
        ..Subscription::default()
    }
}
