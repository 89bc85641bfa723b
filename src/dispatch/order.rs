//! What an ordered subscription holds back: deliveries behind an earlier one of
//! the same ordering key that is not settled yet.
//!
//! The store says who is ahead, at every attempt, so nothing here decides that
//! something is sent. It only spares asking again for each delivery that waits:
//! when the one ahead is settled the next goes, and the rest waits behind that.
//! Whatever was not heard of, the next of every group goes and asks from time
//! to time.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    time::Duration,
};

use crate::{
    domain::{DeliveryId, Timestamp},
    storage::DueKey,
};

/// How often the next of a group asks whether it still has to wait.
const LOOK: Duration = Duration::from_secs(30);
/// How often a queue that was read to its end is read anew because what others added may stand behind
/// what is held back.
const READ: Duration = Duration::from_secs(1);
/// Settled deliveries that are remembered, for those who asked before.
const SETTLED: usize = 1_024;

#[derive(Debug)]
pub(super) struct Order {
    /// Deliveries held back. If there are more, only those they wait for go on.
    pub(super) most: usize,
    /// By the delivery that is ahead.
    groups: HashMap<DeliveryId, Group>,
    looks: BTreeSet<(Timestamp, DeliveryId)>,
    waiting: HashSet<DeliveryId>,
    settled: VecDeque<(Timestamp, DeliveryId)>,
    /// When the queue may be read anew.
    next_read: Timestamp,
}

/// Deliveries behind one.
#[derive(Debug)]
struct Group {
    /// When the one ahead is due.
    due: Timestamp,
    look: Timestamp,
    waiting: BTreeMap<DeliveryId, DueKey>,
}

impl Order {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            groups: HashMap::new(),
            looks: BTreeSet::new(),
            waiting: HashSet::new(),
            settled: VecDeque::new(),
            next_read: Timestamp::MIN,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.most
    }

    /// Whether it is held back.
    pub(super) fn holds(&self, id: DeliveryId) -> bool {
        self.waiting.contains(&id)
    }

    /// Whether the queue has to be read anew, since a delivery at its front is
    /// held back and nobody sees past it.
    pub(super) fn hides(&mut self, front: DeliveryId, now: Timestamp) -> bool {
        let hides = self.holds(front) && self.next_read <= now;
        if hides {
            self.next_read = now.after(READ);
        }
        hides
    }

    /// Whether a delivery was settled at this time or since, so that who asked
    /// then may have to ask again.
    pub(super) fn was_settled(&self, id: DeliveryId, since: Timestamp) -> bool {
        let recent = self.settled.iter().rev();
        let mut recent = recent.take_while(|(time, _)| *time >= since);
        recent.any(|(_, settled)| *settled == id)
    }

    /// Holds a delivery back until the one ahead is settled.
    pub(super) fn hold(&mut self, key: DueKey, ahead: DueKey, now: Timestamp) {
        self.waiting.insert(key.delivery_id);
        let group = BTreeMap::from([(key.delivery_id, key)]);
        self.put(ahead, group, now);
    }

    /// Takes in that a delivery is settled; returns the one that goes next.
    pub(super) fn settled(&mut self, id: DeliveryId, now: Timestamp) -> Option<DueKey> {
        self.settled.push_back((now, id));
        if self.settled.len() > SETTLED {
            self.settled.pop_front();
        }
        self.next_of(id, now)
    }

    /// Takes in when a delivery is due.
    pub(super) fn moved(&mut self, id: DeliveryId, due: Timestamp) {
        if let Some(group) = self.groups.get_mut(&id) {
            group.due = due;
        }
    }

    /// Takes a delivery out of those that are held back.
    pub(super) fn remove(&mut self, id: DeliveryId) {
        if self.waiting.remove(&id) {
            let mut groups = self.groups.values_mut();
            groups.find_map(|group| group.waiting.remove(&id));
        }
    }

    /// When the next one has to ask.
    pub(super) fn next_look(&self) -> Option<Timestamp> {
        self.looks.first().map(|(time, _)| *time)
    }

    /// The next one that has to ask by now. Where the one ahead is held back
    /// itself there is nothing to ask.
    pub(super) fn look(&mut self, now: Timestamp) -> Option<DueKey> {
        while let Some((time, ahead)) = self.looks.first().copied()
            && time <= now
        {
            let next = if self.holds(ahead) {
                self.put_off(ahead, now);
                None
            } else {
                self.next_of(ahead, now)
            };
            if next.is_some() {
                return next;
            }
        }
        None
    }

    fn put_off(&mut self, ahead: DeliveryId, now: Timestamp) {
        self.looks.pop_first();
        if let Some(group) = self.groups.get_mut(&ahead) {
            group.look = now.after(LOOK);
            self.looks.insert((group.look, ahead));
        }
    }

    /// Those that others wait for, unless they are held back themselves.
    pub(super) fn heads(&self) -> impl Iterator<Item = DueKey> {
        let heads = self.groups.iter().filter(|(id, _)| !self.holds(**id));
        heads.map(|(id, group)| DueKey {
            due: group.due,
            delivery_id: *id,
        })
    }

    pub(super) fn forget(&mut self) {
        *self = Self::new(self.most);
    }

    /// Lets the first of a group go. The rest waits behind it.
    fn next_of(&mut self, ahead: DeliveryId, now: Timestamp) -> Option<DueKey> {
        let mut group = self.groups.remove(&ahead)?;
        self.looks.remove(&(group.look, ahead));
        let (id, next) = group.waiting.pop_first()?;
        self.waiting.remove(&id);
        if !group.waiting.is_empty() {
            self.put(next, group.waiting, now);
        }
        Some(next)
    }

    fn put(&mut self, ahead: DueKey, mut waiting: BTreeMap<DeliveryId, DueKey>, now: Timestamp) {
        let id = ahead.delivery_id;
        let group = self.groups.entry(id).or_insert_with(|| {
            let look = now.after(LOOK);
            self.looks.insert((look, id));
            Group {
                due: ahead.due,
                look,
                waiting: BTreeMap::new(),
            }
        });
        group.due = ahead.due;
        group.waiting.append(&mut waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::EventId;

    fn key(n: u128) -> DueKey {
        let event = EventId::new(Timestamp::MIN, n << 16);
        DueKey {
            due: at(0),
            delivery_id: DeliveryId::new(event, 0),
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(1_000 + seconds)
    }

    #[test]
    fn one_after_the_other_goes_when_the_one_ahead_is_settled() {
        let mut order = Order::new(9);
        for n in [4, 2, 3] {
            order.hold(key(n), key(1), at(0));
        }
        assert_eq!(order.len(), 3);
        for n in 1..4 {
            assert_eq!(order.settled(key(n).delivery_id, at(1)), Some(key(n + 1)));
        }
        assert_eq!((order.len(), order.next_look()), (0, None));
    }

    #[test]
    fn only_who_asked_before_the_one_ahead_was_settled_asks_again() {
        let mut order = Order::new(9);
        let id = key(1).delivery_id;
        assert_eq!(order.settled(id, at(1)), None);
        assert!(order.was_settled(id, at(0)));
        // It was retried by hand, and the hint of that was lost.
        assert!(!order.was_settled(id, at(2)));
    }

    #[test]
    fn the_next_asks_from_time_to_time_for_the_whole_group() {
        let mut order = Order::new(9);
        for n in [2, 3] {
            order.hold(key(n), key(1), at(0));
        }
        assert_eq!(order.look(at(29)), None);
        assert_eq!(order.look(at(30)), Some(key(2)));
        assert_eq!(order.look(at(30)), None);
        // It has to wait on, and the other one behind it.
        order.hold(key(2), key(1), at(30));
        assert_eq!(order.settled(key(1).delivery_id, at(31)), Some(key(2)));
        assert_eq!(order.settled(key(2).delivery_id, at(31)), Some(key(3)));
    }

    #[test]
    fn what_was_taken_out_does_not_go() {
        let mut order = Order::new(9);
        for n in [2, 3] {
            order.hold(key(n), key(1), at(0));
        }
        order.remove(key(2).delivery_id);
        assert_eq!(order.settled(key(1).delivery_id, at(1)), Some(key(3)));
    }

    #[test]
    fn those_that_others_wait_for_are_known_by_when_they_are_due() {
        let mut order = Order::new(9);
        order.hold(key(3), key(1), at(0));
        order.hold(key(4), key(2), at(0));
        order.moved(key(1).delivery_id, at(60));
        // One that is held back itself is none of them.
        order.hold(key(5), key(4), at(0));
        let moved = DueKey {
            due: at(60),
            ..key(1)
        };
        let heads: BTreeSet<_> = order.heads().collect();
        assert_eq!(heads, BTreeSet::from([moved, key(2)]));
    }
}
