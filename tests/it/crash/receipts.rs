//! What the receivers got, and what they answer.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, MutexGuard},
};

use super::{payload, plan::mix};
use crate::support::{Received, Reply};

/// One event at one endpoint.
#[derive(Debug, Default)]
pub struct Receipt {
    /// The life of the server in which each of its requests was answered 2xx.
    pub taken: Vec<u32>,
}

#[derive(Debug, Default)]
struct Inner {
    life: u32,
    receipts: HashMap<(String, String), Receipt>,
    /// By event id, the number in the payload and the hash of the body.
    bodies: HashMap<String, (u64, u64)>,
    taken_at_steady: HashSet<String>,
    changed: Vec<String>,
    requests: u64,
    last_rotated: Option<Received>,
}

/// Everything that was received.
#[derive(Debug, Default)]
pub struct Receipts(Mutex<Inner>);

impl Receipts {
    /// Everything that comes from now on comes from the next life.
    pub fn next_life(&self) {
        self.lock().life += 1;
    }

    /// Notes a request, and answers as its endpoint does.
    pub fn take(&self, request: &Received) -> Reply {
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
        if fails(&request.path, inner.requests) {
            return Reply::status(500);
        }
        let life = inner.life;
        if request.path == "/steady" {
            inner.taken_at_steady.insert(id.clone());
        }
        if request.path == "/rotated" {
            inner.last_rotated = Some(request.clone());
        }
        let key = (request.path.clone(), id);
        inner.receipts.entry(key).or_default().taken.push(life);
        Reply::status(204)
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
    pub fn taken(&self) -> HashSet<(String, String)> {
        self.lock().receipts.keys().cloned().collect()
    }

    /// The number in the payload of each event that came, by its id.
    pub fn numbers(&self) -> HashMap<String, u64> {
        let inner = self.lock();
        let numbers = inner.bodies.iter().map(|(id, (n, _))| (id.clone(), *n));
        numbers.collect()
    }

    /// Events that came with other bytes than were published, or with other
    /// bytes than before.
    pub fn changed(&self) -> Vec<String> {
        self.lock().changed.clone()
    }

    /// How often a lasting endpoint took an event again, by the life in which it
    /// had taken it before; and what any endpoint took twice in one life.
    pub fn duplicates(&self) -> (HashMap<u32, usize>, Vec<String>) {
        let inner = self.lock();
        let mut by_life = HashMap::new();
        let mut in_one_life = Vec::new();
        for ((path, id), receipt) in &inner.receipts {
            for pair in receipt.taken.windows(2) {
                if !path.starts_with("/churned") {
                    *by_life.entry(pair[0]).or_default() += 1;
                }
                if pair[0] == pair[1] {
                    in_one_life.push(format!("{path} {id}"));
                }
            }
        }
        (by_life, in_one_life)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }
}

fn fails(path: &str, request: u64) -> bool {
    match path {
        "/steady" => mix(request, 3).is_multiple_of(8),
        "/flaky" => mix(request, 3).is_multiple_of(2),
        _ => false,
    }
}
