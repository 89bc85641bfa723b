//! What was sent and what was acknowledged.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use postrider::proto::PublishEventResponse;

/// An event that was sent.
#[derive(Debug, Clone, Default)]
pub struct Sent {
    /// Whether it has an idempotency key.
    pub keyed: bool,
    /// The first number of its batch, if it was published in one.
    pub batch: Option<u64>,
    /// Its id and how many deliveries it got, once that was acknowledged.
    pub acknowledged: Option<(String, u32)>,
    /// When it was published first, and when it was acknowledged, by a count of what
    /// happened.
    pub published_at: u64,
    pub acknowledged_at: Option<u64>,
    /// Whether a reply said that it was new.
    fresh: bool,
}

/// Everything that was sent, by its number.
#[derive(Debug, Default)]
pub struct Ledger {
    all: Mutex<BTreeMap<u64, Sent>>,
    acknowledged: AtomicUsize,
    moment: AtomicU64,
}

impl Ledger {
    /// Notes an event that is about to be sent and returns its number.
    pub fn sends(&self, keyed: bool) -> u64 {
        self.sends_batch(keyed, 1)[0]
    }

    /// Notes a batch that is about to be sent.
    pub fn sends_batch(&self, keyed: bool, count: u64) -> Vec<u64> {
        let mut all = self.all.lock().unwrap();
        let first = all.last_key_value().map_or(0, |(n, _)| n + 1);
        let batch = (count > 1).then_some(first);
        let numbers = first..first + count;
        for n in numbers.clone() {
            let sent = Sent {
                keyed,
                batch,
                published_at: self.moment(),
                ..Sent::default()
            };
            all.insert(n, sent);
        }
        numbers.collect()
    }

    /// Notes an acknowledgement. One event has one id and is new once, however
    /// often it is asked for, and in whatever order the replies come.
    pub fn acknowledge(&self, n: u64, reply: PublishEventResponse) {
        let mut all = self.all.lock().unwrap();
        let sent = all.get_mut(&n).expect("it was sent");
        if !reply.duplicate {
            assert!(!sent.fresh, "{n} was accepted twice");
            sent.fresh = true;
        }
        match &sent.acknowledged {
            None => {
                sent.acknowledged = Some((reply.event_id, reply.delivery_count));
                sent.acknowledged_at = Some(self.moment());
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Some((id, _)) => assert_eq!(*id, reply.event_id, "{n} has two ids"),
        }
    }

    /// The events with keys whose replies were cut.
    pub fn cut(&self) -> Vec<u64> {
        let all = self.all.lock().unwrap();
        let cut = all
            .iter()
            .filter(|(_, sent)| sent.keyed && sent.acknowledged.is_none());
        cut.map(|(n, _)| *n).collect()
    }

    /// An event with a key that was acknowledged, if the one at or after this
    /// number is.
    pub fn acknowledged_key_near(&self, n: u64) -> Option<u64> {
        let all = self.all.lock().unwrap();
        let (n, sent) = all.range(n % (all.len() as u64 + 1)..).next()?;
        (sent.keyed && sent.acknowledged.is_some()).then_some(*n)
    }

    fn moment(&self) -> u64 {
        self.moment.fetch_add(1, Ordering::Relaxed)
    }

    /// How many were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Everything.
    pub fn all(&self) -> BTreeMap<u64, Sent> {
        self.all.lock().unwrap().clone()
    }
}
