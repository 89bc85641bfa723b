//! Whose turn it is: tenants one after the other, and of each its lanes one
//! after the other, as long as there are permits. Neither a tenant nor a lane
//! can take all permits there are, so those who come find some.

use std::collections::{HashMap, VecDeque};

use crate::domain::{SubscriptionId, TenantId};

pub(super) struct Turns {
    max_in_flight: usize,
    in_flight: usize,
    tenants: HashMap<TenantId, Tenant>,
    order: VecDeque<TenantId>,
}

#[derive(Default)]
struct Tenant {
    ready: VecDeque<SubscriptionId>,
    in_flight: usize,
    /// Whether it stands in the order.
    listed: bool,
}

impl Turns {
    pub(super) fn new(max_in_flight: usize) -> Self {
        Self {
            max_in_flight,
            in_flight: 0,
            tenants: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Attempts under way.
    #[cfg(test)]
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Lines a lane up.
    pub(super) fn push(&mut self, tenant: &TenantId, lane: SubscriptionId) {
        let entry = self.tenants.entry(tenant.clone()).or_default();
        entry.ready.push_back(lane);
        if !std::mem::replace(&mut entry.listed, true) {
            self.order.push_back(tenant.clone());
        }
    }

    /// Takes the lane whose turn it is, with how many attempts it may have
    /// under way; `None` if nobody may start one.
    pub(super) fn pop(&mut self) -> Option<(SubscriptionId, usize)> {
        while self.in_flight < self.max_in_flight {
            let id = self.order.pop_front()?;
            let Some(tenant) = self.tenants.get_mut(&id) else {
                continue;
            };
            tenant.listed = false;
            let others = self.in_flight - tenant.in_flight;
            let left = tenant_share(self.max_in_flight - others).saturating_sub(tenant.in_flight);
            // One that has its share comes back when one of its attempts ends.
            if left == 0 {
                continue;
            }
            let lane = tenant.ready.pop_front();
            self.list(&id);
            if let Some(lane) = lane {
                return Some((lane, lane_share(left)));
            }
        }
        None
    }

    /// Takes a permit.
    pub(super) fn started(&mut self, tenant: &TenantId) {
        self.in_flight += 1;
        self.tenants.entry(tenant.clone()).or_default().in_flight += 1;
    }

    /// Gives a permit back.
    pub(super) fn ended(&mut self, tenant: &TenantId) {
        self.in_flight -= 1;
        if let Some(entry) = self.tenants.get_mut(tenant) {
            entry.in_flight -= 1;
        }
        self.list(tenant);
    }

    /// Puts a tenant in the order if something of it is ready, and forgets it
    /// if nothing of it is left.
    fn list(&mut self, id: &TenantId) {
        let Some(tenant) = self.tenants.get_mut(id) else {
            return;
        };
        if tenant.ready.is_empty() {
            if tenant.in_flight == 0 && !tenant.listed {
                self.tenants.remove(id);
            }
        } else if !std::mem::replace(&mut tenant.listed, true) {
            self.order.push_back(id.clone());
        }
    }
}

/// How many attempts a tenant may have under way of what the others leave: not
/// the last eighth.
fn tenant_share(left: usize) -> usize {
    (left - left / 8).max(1)
}

/// How many attempts a lane may have under way: two thirds of what its tenant
/// may start, so that hanging ones cannot take all there is.
fn lane_share(left: usize) -> usize {
    (left * 2 / 3).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    fn tenant(n: usize) -> TenantId {
        format!("tenant-{n}").parse().unwrap()
    }

    fn lane(n: u128) -> SubscriptionId {
        SubscriptionId::new(Timestamp::MIN, n)
    }

    /// Starts an attempt of the next lane, which stays ready.
    fn start(turns: &mut Turns, of: impl Fn(SubscriptionId) -> usize) -> Option<usize> {
        let (lane, _) = turns.pop()?;
        let owner = of(lane);
        turns.started(&tenant(owner));
        turns.push(&tenant(owner), lane);
        Some(owner)
    }

    #[test]
    fn a_tenant_with_many_lanes_gets_no_more_turns_than_one_with_one() {
        let mut turns = Turns::new(1_000);
        for n in 0..100 {
            turns.push(&tenant(0), lane(n));
        }
        turns.push(&tenant(1), lane(100));
        let of = |id| usize::from(id == lane(100));
        let starts: Vec<_> = (0..100).filter_map(|_| start(&mut turns, of)).collect();
        assert_eq!(starts.iter().filter(|owner| **owner == 1).count(), 50);
    }

    #[test]
    fn tenants_that_hang_leave_permits_to_one_that_comes() {
        let mut turns = Turns::new(1_024);
        for hanging in 0..3 {
            turns.push(&tenant(hanging), lane(hanging as u128));
        }
        let of = |id| (0..4).find(|n| id == lane(*n as u128)).unwrap();
        while start(&mut turns, of).is_some() {}
        let left = 1_024 - turns.in_flight();
        assert!(left >= 40, "{left}");
        turns.push(&tenant(3), lane(3));
        assert_eq!(start(&mut turns, of), Some(3));
    }

    #[test]
    fn a_tenant_that_has_its_share_goes_on_when_an_attempt_of_it_ends() {
        let mut turns = Turns::new(8);
        turns.push(&tenant(0), lane(0));
        while start(&mut turns, |_| 0).is_some() {}
        assert_eq!(turns.in_flight(), 7);
        turns.ended(&tenant(0));
        assert_eq!(start(&mut turns, |_| 0), Some(0));
        assert_eq!(start(&mut turns, |_| 0), None);
    }

    #[test]
    fn nothing_is_kept_of_a_tenant_that_has_nothing_to_send() {
        let mut turns = Turns::new(8);
        turns.push(&tenant(0), lane(0));
        turns.pop();
        turns.started(&tenant(0));
        turns.ended(&tenant(0));
        assert!(turns.tenants.is_empty() && turns.order.is_empty());
    }
}
