//! What the receivers got, and what they answer.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use super::{ORDERED, payload, plan::mix};
use crate::support::{Received, Reply};

/// How long the endpoint `/late` takes to answer, so that requests which are
/// under way at once are seen to be.
const LATE: Duration = Duration::from_millis(10);

/// A request, as far as it is kept.
#[derive(Debug, Clone, Copy)]
struct Request {
    /// The life of the servers in which it came.
    life: u32,
    /// Which attempt it says that it is.
    attempt: u32,
    /// Whether it was answered 2xx.
    taken: bool,
}

/// An endpoint's path and an event.
type Place = (String, String);

#[derive(Debug, Default)]
struct Inner {
    life: u32,
    receipts: HashMap<Place, Vec<Request>>,
    /// Requests to the late endpoint that are not answered yet.
    under_way: HashMap<Place, usize>,
    overlaps: Vec<Place>,
    /// By event id, the number in the payload and the hash of the body.
    bodies: HashMap<String, (u64, u64)>,
    taken_at_steady: HashSet<String>,
    last_taken: HashMap<String, Instant>,
    changed: Vec<String>,
    requests: u64,
    last_rotated: Option<Received>,
    /// The numbers that came to the ordered endpoint, and whether it took them.
    ordered: Vec<(u64, bool)>,
}

/// Everything that was received.
#[derive(Debug, Default)]
pub struct Receipts(Mutex<Inner>);

/// What came more than once.
#[derive(Debug, Default)]
pub struct Repeats {
    /// How often a lasting endpoint got an attempt again, by the life in which
    /// it had got it before.
    pub by_life: HashMap<u32, usize>,
    /// What any endpoint got again within a life: the same attempt, or any
    /// after one that it took.
    pub in_one_life: Vec<String>,
}

/// A request that is not answered yet. It ends with its connection, too.
struct UnderWay {
    receipts: Arc<Receipts>,
    place: Place,
}

impl Receipts {
    /// Everything that comes from now on comes from the next life.
    pub fn next_life(&self) {
        self.lock().life += 1;
    }

    /// Notes a request, and answers as its endpoint does.
    pub fn take(self: &Arc<Self>, request: &Received) -> Reply {
        if !request.headers.iter().any(|(name, _)| name == "webhook-id") {
            return Reply::status(404);
        }
        let id = request.header("webhook-id").to_owned();
        let mut hasher = DefaultHasher::new();
        request.body.hash(&mut hasher);
        let number = payload::number_of(&request.body);
        let mut inner = self.lock();
        inner.requests += 1;
        let body = (number.unwrap_or(u64::MAX), hasher.finish());
        let same = *inner.bodies.entry(id.clone()).or_insert(body) == body;
        if number.is_none() || !same {
            inner.changed.push(id.clone());
        }
        let taken = !fails(&request.path, inner.requests);
        let noted = Request {
            life: inner.life,
            attempt: request.header("webhook-attempt").parse().unwrap(),
            taken,
        };
        if request.path == ORDERED {
            inner.ordered.push((body.0, taken));
        }
        let place = (request.path.clone(), id);
        let receipts = inner.receipts.entry(place.clone()).or_default();
        receipts.push(noted);
        if !taken {
            return Reply::status(500);
        }
        inner.last_taken.insert(place.0.clone(), request.at);
        match request.path.as_str() {
            "/steady" => {
                inner.taken_at_steady.insert(place.1);
            }
            "/rotated" => inner.last_rotated = Some(request.clone()),
            "/late" => {
                let others = inner.under_way.entry(place.clone()).or_default();
                *others += 1;
                if *others > 1 {
                    inner.overlaps.push(place.clone());
                }
                let receipts = Arc::clone(self);
                return Reply::Late(204, LATE, Arc::new(UnderWay { receipts, place }));
            }
            _ => {}
        }
        Reply::status(204)
    }

    /// When an endpoint last took something.
    pub fn last_taken(&self, path: &str) -> Option<Instant> {
        self.lock().last_taken.get(path).copied()
    }

    /// Events that were under way twice at once.
    pub fn overlaps(&self) -> Vec<Place> {
        self.lock().overlaps.clone()
    }

    /// How many events the steady endpoint took.
    pub fn taken_at_steady(&self) -> usize {
        self.lock().taken_at_steady.len()
    }

    /// The last request to the endpoint whose secret rotates.
    pub fn last_rotated(&self) -> Option<Received> {
        self.lock().last_rotated.clone()
    }

    /// How many requests came.
    pub fn requests(&self) -> u64 {
        self.lock().requests
    }

    /// Every endpoint's path with every event it took.
    pub fn taken(&self) -> HashSet<Place> {
        let inner = self.lock();
        let receipts = inner.receipts.iter();
        let taken = receipts.filter(|(_, requests)| requests.iter().any(|one| one.taken));
        taken.map(|(place, _)| place.clone()).collect()
    }

    /// The number in the payload of each event that came, by its id.
    pub fn numbers(&self) -> HashMap<String, u64> {
        let inner = self.lock();
        let numbers = inner.bodies.iter().map(|(id, (n, _))| (id.clone(), *n));
        numbers.collect()
    }

    /// The numbers of all requests to the ordered endpoint as they came, and
    /// whether it took them.
    pub fn ordered(&self) -> Vec<(u64, bool)> {
        self.lock().ordered.clone()
    }

    /// Events that came with other bytes than were published, or with other
    /// bytes than before.
    pub fn changed(&self) -> Vec<String> {
        self.lock().changed.clone()
    }

    /// What came more than once.
    pub fn repeats(&self) -> Repeats {
        let inner = self.lock();
        let mut repeats = Repeats::default();
        for ((path, id), requests) in &inner.receipts {
            for (at, later) in requests.iter().enumerate() {
                let mut earlier = requests[..at].iter().rev();
                let same = earlier.clone().find(|one| one.attempt == later.attempt);
                if let Some(same) = same.filter(|_| !path.starts_with("/churned")) {
                    *repeats.by_life.entry(same.life).or_default() += 1;
                }
                let again = |one: &Request| {
                    one.life == later.life && (one.taken || one.attempt == later.attempt)
                };
                if earlier.any(again) {
                    let attempt = later.attempt;
                    let one = format!("{path} {id} attempt {attempt} in life {}", later.life);
                    repeats.in_one_life.push(one);
                }
            }
        }
        repeats
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut inner = self.receipts.lock();
        if let Some(count) = inner.under_way.get_mut(&self.place) {
            *count -= 1;
        }
    }
}

fn fails(path: &str, request: u64) -> bool {
    match path {
        "/steady" => mix(request, 3).is_multiple_of(8),
        ORDERED => mix(request, 5).is_multiple_of(8),
        "/flaky" => mix(request, 3).is_multiple_of(2),
        _ => false,
    }
}
