//! Compares what was acknowledged with what came and with what the store tells.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use postrider::{
    domain::{Signer, Timestamp},
    proto::{
        Attempt, Delivery, DeliveryFilter, DeliveryState, Event, ListAttemptsRequest,
        ListDeliveriesRequest, ListEventsRequest,
    },
};
use tokio::task::JoinSet;

use super::{IN_FLIGHT, Scene, ledger::Sent, load, payload, say};
use crate::support::{Process, Received, eventually};

/// What the store tells at the end.
struct Told {
    events: Vec<Event>,
    deliveries: Vec<Delivery>,
    attempts: Vec<Attempt>,
}

/// Starts the server a last time, lets it finish, and compares.
pub async fn everything(scene: &Arc<Scene>) {
    let server = Arc::new(scene.start().await);
    let mut reading = JoinSet::new();
    for tail in 0..scene.tails.len() {
        let (scene, server) = (scene.clone(), server.clone());
        reading.spawn(async move { scene.tails[tail].go_on(&server).await });
    }
    let cut = load::repeat_cut(scene, &server).await.unwrap();
    settled(&server).await;
    let told = Told::by(&server).await;
    for tail in &scene.tails {
        eventually("the tail", async || {
            (tail.count() >= told.attempts.len()).then_some(())
        })
        .await;
    }
    reading.shutdown().await;

    let sent = scene.ledger.all();
    events(&sent, &told, scene);
    deliveries(&sent, &told, scene);
    for tail in &scene.tails {
        attempts(&told, &tail.attempts());
    }
    order(&sent, scene);
    let duplicates = duplicates(scene);
    let churned = scene.churn.check(&server).await;
    the_last_secret_signs(scene, &server).await;
    say(&format!(
        "{} kills, {} stops, {} events acknowledged of {} sent, {cut} with a cut reply repeated last, \
         {} deliveries: {:?}; {} requests, {} attempts, {duplicates} duplicates, {churned} \
         subscriptions changed, {} attempts came too late; 0 lost, 0 torn, 0 changed, 0 doubles, 0 missed by the tail",
        scene.plan.kills,
        scene.plan.stops,
        scene.ledger.acknowledged(),
        sent.len(),
        told.deliveries.len(),
        told.states(),
        scene.receipts.requests(),
        told.attempts.len(),
        scene.logs.late(),
    ));
    let server = Arc::into_inner(server).expect("nobody else has it");
    server.stop().await;
    scene.home.assert_sound(&scene.plan).await;
    if scene.plan.is_shared() {
        assert_eq!(scene.logs.errors(), [""; 0]);
    }
}

/// Every acknowledged event is there once, with its own bytes at the receivers;
/// others at most once; a batch whole or not at all.
fn events(sent: &BTreeMap<u64, Sent>, told: &Told, scene: &Scene) {
    let mut found: HashMap<u64, Vec<&str>> = HashMap::new();
    for event in &told.events {
        let n = event.attributes["n"].parse().unwrap();
        found.entry(n).or_default().push(&event.id);
    }
    let mut batches: HashMap<u64, HashSet<bool>> = HashMap::new();
    for (n, sent) in sent {
        let ids = found.remove(n).unwrap_or_default();
        match &sent.acknowledged {
            Some((id, _)) => assert_eq!(ids, [id], "{n} is lost or doubled"),
            None => assert!(!sent.keyed && ids.len() < 2, "{n}: {ids:?}"),
        }
        if let Some(batch) = sent.batch {
            batches.entry(batch).or_default().insert(ids.is_empty());
        }
    }
    assert!(found.is_empty(), "nobody sent {found:?}");
    let torn = batches.values().filter(|parts| parts.len() > 1).count();
    assert_eq!(torn, 0, "batches are torn");

    assert_eq!(scene.receipts.changed(), [""; 0], "bytes changed");
    let numbers = scene.receipts.numbers();
    for event in &told.events {
        let n: u64 = event.attributes["n"].parse().unwrap();
        assert_eq!(numbers.get(&event.id), Some(&n), "{} is lost", event.id);
    }
    assert_eq!(numbers.len(), told.events.len(), "unknown events came");
}

/// Accepted = succeeded + failed + cancelled, and what succeeded was received.
fn deliveries(sent: &BTreeMap<u64, Sent>, told: &Told, scene: &Scene) {
    let mut of_event: HashMap<&str, u32> = HashMap::new();
    let mut succeeded: HashMap<&str, usize> = HashMap::new();
    let taken = scene.receipts.taken();
    let mut received: HashMap<&str, usize> = HashMap::new();
    for (_, id) in &taken {
        *received.entry(id).or_default() += 1;
    }
    for delivery in &told.deliveries {
        *of_event.entry(&delivery.event_id).or_default() += 1;
        assert!(is_settled(delivery.state()), "{} is open", delivery.id);
        if delivery.state() == DeliveryState::Succeeded {
            *succeeded.entry(&delivery.event_id).or_default() += 1;
        }
    }
    for (n, sent) in sent {
        let Some((id, count)) = &sent.acknowledged else {
            continue;
        };
        assert_eq!(of_event.get(id.as_str()), Some(count), "deliveries of {n}");
        let steady = ("/steady".to_owned(), id.clone());
        assert!(taken.contains(&steady), "{id} was not delivered");
    }
    for (id, count) in succeeded {
        let received = received.get(id).copied().unwrap_or_default();
        assert!(received >= count, "{id} succeeded without a receipt");
    }
}

/// The log is complete, and the tail read all of it once.
fn attempts(told: &Told, tail: &[String]) {
    let mut numbers: HashMap<&str, Vec<u32>> = HashMap::new();
    for attempt in &told.attempts {
        let numbers = numbers.entry(&attempt.delivery_id).or_default();
        numbers.push(attempt.number);
    }
    for delivery in &told.deliveries {
        let mut numbers = numbers.remove(delivery.id.as_str()).unwrap_or_default();
        numbers.sort_unstable();
        let expected: Vec<_> = (1..=delivery.attempt_count).collect();
        assert_eq!(numbers, expected, "attempts of {}", delivery.id);
    }
    assert!(numbers.is_empty(), "attempts of nothing: {numbers:?}");

    let read: HashSet<_> = tail.iter().map(String::as_str).collect();
    assert_eq!(read.len(), tail.len(), "the tail repeated");
    let logged: HashSet<_> = told.attempts.iter().map(|one| one.id.as_str()).collect();
    let missed: Vec<_> = logged.difference(&read).take(5).collect();
    assert!(missed.is_empty(), "the tail missed {missed:?}");
    assert_eq!(
        read.len(),
        logged.len(),
        "the tail told of unknown attempts"
    );
}

/// Of an ordering key, nothing came before what was acknowledged before it was
/// published had been taken.
fn order(sent: &BTreeMap<u64, Sent>, scene: &Scene) {
    let mut taken = HashSet::new();
    let mut latest: HashMap<u64, (u64, u64)> = HashMap::new();
    for (n, is_taken) in scene.receipts.ordered() {
        let Some(one) = sent.get(&n) else {
            continue;
        };
        let latest = latest.entry(n % payload::KEYS).or_default();
        if is_taken && taken.insert(n) {
            let acknowledged = one.acknowledged_at.unwrap_or(u64::MAX);
            assert!(acknowledged > latest.0, "{} came before {n}", latest.1);
        }
        *latest = (one.published_at, n).max(*latest);
    }
    assert!(!taken.is_empty(), "nothing came in order");
}

/// Nothing is sent twice but what was under way at a kill, or what a server
/// says that it could not record, since others had the queue by then.
fn duplicates(scene: &Scene) -> usize {
    let late = scene.logs.late();
    let repeats = scene.receipts.repeats();
    let in_one_life = &repeats.in_one_life;
    assert!(
        in_one_life.len() <= late,
        "sent twice in one life, {late} too late: {in_one_life:?}"
    );
    let most = scene.lasting().len() * usize::try_from(IN_FLIGHT).unwrap() + late;
    for (life, count) in &repeats.by_life {
        assert!(*count <= most, "{count} duplicates of life {life}");
    }
    assert_eq!(scene.receipts.overlaps(), [], "under way twice at once");
    repeats.by_life.values().sum()
}

/// A secret that was acknowledged is the one that signs.
async fn the_last_secret_signs(scene: &Scene, server: &Process) {
    let first = scene.ledger.all().len() as u64;
    let n = (first..first + 1_000)
        .find(|n| payload::event(*n, false).r#type == payload::TYPES[2])
        .expect("a third of the events is of this type");
    let request = postrider::proto::PublishEventRequest {
        event: Some(payload::event(n, false)),
    };
    let reply = server.events().publish_event(request).await.unwrap();
    let id = reply.into_inner().event_id;
    let last: Received = eventually("the signed event", async || {
        let last = scene.receipts.last_rotated()?;
        (last.header("webhook-id") == id).then_some(last)
    })
    .await;
    let seconds = last.header("webhook-timestamp").parse().unwrap();
    let signatures = scene.churn.secrets().into_iter().map(|secret| {
        let signer = Signer::from(&secret.parse().unwrap());
        signer.standard_webhooks(&id, Timestamp::from_secs(seconds), &last.body)
    });
    let found = last.header("webhook-signature");
    // No secret was rotated if every life was too short for it.
    let signatures: Vec<_> = signatures.collect();
    assert!(
        signatures.is_empty() || signatures.iter().any(|one| one == found),
        "signed by a secret that nobody knows"
    );
}

fn is_settled(state: DeliveryState) -> bool {
    use DeliveryState::{Cancelled, Failed, Succeeded};
    matches!(state, Succeeded | Failed | Cancelled)
}

/// Waits until nothing is on its way.
async fn settled(server: &Process) {
    use DeliveryState::{Delivering, Pending, Retrying};
    let filter = DeliveryFilter {
        states: [Pending, Delivering, Retrying].map(i32::from).to_vec(),
        ..Default::default()
    };
    let count = async || {
        let open = list_deliveries(server, Some(filter.clone())).await;
        open.len()
    };
    // How long a backlog takes is the machine's; that it shrinks is not.
    let mut open = count().await;
    while open > 0 {
        let fewer = eventually("more to settle", async || {
            let now = count().await;
            (now < open).then_some(now)
        });
        open = fewer.await;
    }
}

async fn list_deliveries(server: &Process, filter: Option<DeliveryFilter>) -> Vec<Delivery> {
    let mut found = Vec::new();
    let mut request = ListDeliveriesRequest {
        page_size: 1_000,
        filter,
        ..Default::default()
    };
    loop {
        let reply = server.deliveries().list_deliveries(request.clone()).await;
        let page = reply.unwrap().into_inner();
        found.extend(page.deliveries);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return found;
        }
    }
}

impl Told {
    async fn by(server: &Process) -> Self {
        let mut events = Vec::new();
        let mut request = ListEventsRequest {
            page_size: 1_000,
            ..Default::default()
        };
        loop {
            let reply = server.events().list_events(request.clone()).await;
            let page = reply.unwrap().into_inner();
            events.extend(page.events);
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        let mut attempts = Vec::new();
        let mut request = ListAttemptsRequest {
            page_size: 1_000,
            ..Default::default()
        };
        loop {
            let reply = server.deliveries().list_attempts(request.clone()).await;
            let page = reply.unwrap().into_inner();
            attempts.extend(page.attempts);
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        Self {
            events,
            deliveries: list_deliveries(server, None).await,
            attempts,
        }
    }

    /// How many deliveries there are in each state.
    fn states(&self) -> BTreeMap<&str, usize> {
        let mut states = BTreeMap::new();
        for delivery in &self.deliveries {
            let name = delivery.state().as_str_name();
            *states
                .entry(name.trim_start_matches("DELIVERY_STATE_"))
                .or_default() += 1;
        }
        states
    }
}
