//! Somebody who keeps subscriptions, and steps in at random.

use std::{sync::Arc, time::Duration};

use postrider::{
    control::{
        Control, CreateSubscription, Error, List, Renewal, Result, SpecPatch, UpdateSubscription,
    },
    domain::{
        DeliveryFilter, DeliveryId, DeliveryState, Erasure, EventPatterns, PayloadFormat,
        RateLimit, ReplayMode, ReplaySpec, RetryPolicy, Schedule, Secret, SignatureScheme, State,
        SubscriptionId, SubscriptionSpec, TenantId, TimeRange, Timeout,
    },
};

use super::{
    dice::Dice,
    history::{Change, Outcome},
    plan::positive,
    publisher::TYPES,
    scene::{Place, Scene},
};

/// What subscriptions name.
const PATTERNS: [&[&str]; 7] = [
    &["*"],
    &["*"],
    &["order.*"],
    &["order.shipped", "user.*"],
    &["order.created"],
    &["*", "order.shipped.*", "postrider.*"],
    &["postrider.delivery.*", "user.created"],
];

pub struct Operator {
    pub scene: Arc<Scene>,
    pub control: Arc<Control>,
    pub dice: Dice,
}

/// What is known of a call from its answer.
fn outcome<T>(result: &Result<T>) -> Outcome {
    match result {
        Ok(_) => Outcome::Done,
        // The test was accepted, and more is not known.
        Err(Error::Unavailable | Error::TestPending(_) | Error::Internal(_)) => Outcome::Unknown,
        Err(_) => Outcome::Refused,
    }
}

impl Operator {
    /// Steps in for as long as it is let.
    pub async fn work(mut self) {
        loop {
            let pause = self.dice.between(200, 6_000);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            self.step().await;
        }
    }

    /// Creates what was to be there from the beginning.
    pub async fn begin(&mut self) {
        if self.scene.places.lock().is_empty() {
            for _ in 0..self.scene.plan.subscriptions {
                self.plan_subscription();
            }
        }
        self.create_all().await;
    }

    /// Enables what is disabled, so that everything can be settled.
    pub async fn enable_all(&mut self) {
        self.create_all().await;
        let places = self.scene.places.lock().clone();
        for place in places {
            let Some(id) = place.id.filter(|_| !place.deleted) else {
                continue;
            };
            let enable = self.control.set_subscription_state(
                &place.tenant,
                id,
                State::Active,
                String::new(),
            );
            let _ = enable.await;
        }
    }

    fn plan_subscription(&mut self) {
        let mut places = self.scene.places.lock();
        let tenants = self.scene.tenants();
        let number = places.len();
        places.push(Place {
            tenant: self.dice.pick(&tenants).clone(),
            number,
            id: None,
            deleted: false,
            moves: 0,
        });
    }

    /// Creates the subscriptions that nobody has confirmed yet.
    async fn create_all(&mut self) {
        let places = self.scene.places.lock().clone();
        for (at, place) in places.iter().enumerate() {
            if place.id.is_some() {
                continue;
            }
            // The same request asks for the same.
            let mut dice = Dice::new(self.scene.plan.seed, &place.request_id());
            let create = CreateSubscription {
                spec: spec(&place.url(), &mut dice),
                secret: Some(secret(&mut dice)),
                signing_key: None,
                request_id: Some(place.request_id()),
                validate_only: false,
            };
            let created = self.control.create_subscription(&place.tenant, create);
            if let Ok(created) = created.await {
                self.scene.places.lock()[at].id = Some(created.id);
            }
        }
    }

    async fn step(&mut self) {
        self.create_all().await;
        let places = self.scene.places.lock().clone();
        let places: Vec<_> = (0..)
            .zip(&places)
            .filter(|(_, place)| !place.deleted)
            .filter_map(|(at, place)| Some((at, place.tenant.clone(), place.id?)))
            .collect();
        if places.is_empty() {
            return self.plan_subscription();
        }
        let (at, tenant, id) = self.dice.pick(&places).clone();
        match self.dice.below(100) {
            0..4 => self.plan_subscription(),
            4..24 => self.update(at, &tenant, id).await,
            24..33 => self.set_state(&tenant, id, State::Disabled).await,
            33..50 => self.set_state(&tenant, id, State::Active).await,
            50..52 => self.delete(at, &tenant, id).await,
            52..62 => self.rotate(&tenant, id).await,
            62..74 => self.retry(&tenant, id).await,
            74..84 => self.cancel(&tenant, id).await,
            84..87 => self.erase(&tenant, id).await,
            87..93 => self.replay(&tenant, id).await,
            _ => self.test(&tenant, id).await,
        }
    }

    async fn update(&mut self, at: usize, tenant: &TenantId, id: SubscriptionId) {
        let place = {
            let mut places = self.scene.places.lock();
            places[at].moves += 1;
            places[at].clone()
        };
        let fresh = spec(&place.url(), &mut self.dice);
        let mut patch = SpecPatch::default();
        for _ in 0..self.dice.between(1, 3) {
            match self.dice.below(8) {
                0 => patch.url = Some(fresh.url.clone()),
                1 => patch.events = Some(fresh.events.clone()),
                2 => patch.retry_policy = Some(fresh.retry_policy.clone()),
                3 => patch.rate_limit = Some(fresh.rate_limit),
                4 => patch.max_in_flight = Some(fresh.max_in_flight),
                5 => patch.ordered = Some(fresh.ordered),
                6 => patch.payload_format = Some(fresh.payload_format),
                _ => patch.filter = Some(fresh.filter.clone()),
            }
        }
        let update = UpdateSubscription {
            id,
            expected: None,
            patch,
            validate_only: false,
        };
        let _ = self.control.update_subscription(tenant, update).await;
    }

    async fn set_state(&mut self, tenant: &TenantId, id: SubscriptionId, state: State) {
        let set = self
            .control
            .set_subscription_state(tenant, id, state, String::new());
        let _ = set.await;
    }

    async fn delete(&mut self, at: usize, tenant: &TenantId, id: SubscriptionId) {
        let deleted = self.control.delete_subscription(tenant, id, None).await;
        if matches!(deleted, Ok(()) | Err(Error::NotFound(_))) {
            self.scene.places.lock()[at].deleted = true;
        }
    }

    async fn rotate(&mut self, tenant: &TenantId, id: SubscriptionId) {
        let secret = secret(&mut self.dice);
        let overlap = Duration::from_secs(*self.dice.pick(&[0, 5, 60, 600]));
        let renewal = Renewal::Secret(Some(secret.clone()));
        let change = Change::Rotate(id, secret, overlap);
        let call = self.control.rotate_secret(tenant, id, renewal, overlap);
        self.noted(change, call).await;
    }

    async fn retry(&mut self, tenant: &TenantId, id: SubscriptionId) {
        let states = match self.dice.below(10) {
            0..5 => vec![DeliveryState::Failed],
            5..8 => vec![DeliveryState::Delivering],
            _ => Vec::new(),
        };
        if let Some(delivery) = self.some_delivery(tenant, id, states).await {
            let call = self.control.retry(tenant, delivery);
            self.noted(Change::Retry(delivery), call).await;
        }
    }

    async fn cancel(&mut self, tenant: &TenantId, id: SubscriptionId) {
        let mut states = vec![DeliveryState::Delivering];
        if self.dice.chance(50) {
            states.extend([DeliveryState::Pending, DeliveryState::Retrying]);
        }
        if let Some(delivery) = self.some_delivery(tenant, id, states).await {
            let call = self.control.cancel(tenant, delivery);
            self.noted(Change::Cancel(delivery), call).await;
        }
    }

    async fn erase(&mut self, tenant: &TenantId, id: SubscriptionId) {
        let erasure = if self.dice.chance(15) {
            Erasure::Subscription(id)
        } else {
            let Some(delivery) = self.some_delivery(tenant, id, Vec::new()).await else {
                return;
            };
            Erasure::Event(delivery.event_id())
        };
        let call = self.control.erase(tenant, erasure);
        self.noted(Change::Erase(erasure), call).await;
    }

    async fn replay(&mut self, tenant: &TenantId, id: SubscriptionId) {
        let modes = [ReplayMode::Failed, ReplayMode::Missing, ReplayMode::All];
        let spec = ReplaySpec {
            subscription_id: id,
            event_types: Vec::new(),
            accepted: TimeRange::ALL,
            mode: *self.dice.pick(&modes),
            rate_limit: positive(self.dice.between(2, 100)),
        };
        let call = self.control.create_replay(tenant, spec, false);
        self.noted(Change::Replay(id), call).await;
    }

    async fn test(&mut self, tenant: &TenantId, id: SubscriptionId) {
        let call = self
            .control
            .test_subscription(tenant, id, TYPES[0].parse().unwrap());
        self.noted(Change::Test(id), call).await;
    }

    async fn noted<T>(&self, change: Change, call: impl Future<Output = Result<T>>) {
        let place = self.scene.begin(change, |history| &mut history.changes);
        let outcome = outcome(&call.await);
        self.scene
            .end(place, outcome, |history| &mut history.changes);
    }

    async fn some_delivery(
        &mut self,
        tenant: &TenantId,
        id: SubscriptionId,
        states: Vec<DeliveryState>,
    ) -> Option<DeliveryId> {
        let filter = DeliveryFilter {
            subscription_id: Some(id),
            states,
            ..DeliveryFilter::default()
        };
        let list = List {
            page_size: 20,
            page_token: String::new(),
        };
        let page = self.control.list_deliveries(tenant, &filter, &list).await;
        let found = page.ok()?.items;
        (!found.is_empty()).then(|| self.dice.pick(&found).id)
    }
}

fn secret(dice: &mut Dice) -> Secret {
    let mut bytes = [0; 32];
    for byte in &mut bytes {
        *byte = u8::try_from(dice.below(256)).unwrap();
    }
    Secret::generate(bytes)
}

fn spec(url: &str, dice: &mut Dice) -> SubscriptionSpec {
    let patterns = dice.pick(&PATTERNS);
    let patterns = patterns.iter().map(|pattern| pattern.parse().unwrap());
    let events = EventPatterns::new(patterns.collect()).unwrap();
    let limit = dice.chance(40).then(|| dice.between(1, 8));
    let burst = dice.between(1, 5);
    let formats = [
        PayloadFormat::Envelope,
        PayloadFormat::Raw,
        PayloadFormat::CloudEventsBinary,
        PayloadFormat::CloudEventsStructured,
    ];
    let schemes = [
        vec![SignatureScheme::StandardWebhooks],
        vec![
            SignatureScheme::StandardWebhooks,
            SignatureScheme::Sha256Body,
        ],
        vec![SignatureScheme::Sha256Body],
    ];
    SubscriptionSpec {
        retry_policy: policy(dice),
        timeout: Timeout::new(Duration::from_secs(dice.between(1, 15))).unwrap(),
        max_in_flight: positive(*dice.pick(&[1, 2, 5, 64])),
        #[expect(clippy::cast_precision_loss, reason = "it is small")]
        rate_limit: limit
            .map(|rate| RateLimit::new(rate as f64 / 2.0, Some(positive(burst))).unwrap()),
        ordered: dice.chance(40),
        payload_format: *dice.pick(&formats),
        signature_schemes: dice.pick(&schemes).clone(),
        filter: dice
            .chance(25)
            .then(|| "event.data.size > 4".parse().unwrap()),
        ..SubscriptionSpec::new(url.parse().unwrap(), events)
    }
}

fn policy(dice: &mut Dice) -> RetryPolicy {
    let seconds = |list: &[u64]| list.iter().copied().map(Duration::from_secs).collect();
    let schedule = match dice.below(5) {
        0 => return RetryPolicy::default(),
        1 => Schedule::Delays(seconds(&[])),
        2 => Schedule::Delays(seconds(&[1, 5, 20])),
        3 => Schedule::Delays(seconds(&[2, 3])),
        _ => Schedule::Exponential {
            first: Duration::from_secs(1),
            factor: 2.0,
            cap: Duration::from_secs(10),
            attempts: 5,
        },
    };
    #[expect(clippy::cast_precision_loss, reason = "it is small")]
    let jitter = dice.below(6) as f64 / 10.0;
    let age = dice.between(20, 200);
    let max_age = dice.chance(15).then(|| Duration::from_secs(age));
    RetryPolicy::new(schedule, Some(jitter), max_age).unwrap()
}
