//! How many connections there may be, in all and from one address.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use parking_lot::Mutex;

/// Most connections, in all and from one address; of IPv6, from one /64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// In all.
    pub total: usize,
    /// From one address.
    pub per_address: usize,
}

/// The places that are taken.
#[derive(Debug)]
pub(super) struct Taken {
    places: Places,
    by_address: Mutex<ByAddress>,
}

#[derive(Debug, Default)]
struct ByAddress {
    total: usize,
    counts: HashMap<IpAddr, usize>,
}

impl Taken {
    pub(super) fn new(places: Places) -> Arc<Self> {
        Arc::new(Self {
            places,
            by_address: Mutex::default(),
        })
    }

    /// Takes a place for a connection from this address, if one is left.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = neighbourhood(address);
        let mut taken = self.by_address.lock();
        let here = taken.counts.get(&address).copied().unwrap_or_default();
        if taken.total >= self.places.total || here >= self.places.per_address {
            return None;
        }
        taken.total += 1;
        taken.counts.insert(address, here + 1);
        Some(Place {
            taken: self.clone(),
            address,
        })
    }
}

/// A place for one connection, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    taken: Arc<Taken>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.by_address.lock();
        taken.total -= 1;
        if let Entry::Occupied(mut count) = taken.counts.entry(self.address) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// Whoever has one address of an IPv6 network has all of its last 64 bits.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            Ipv6Addr::from(network).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_cannot_take_every_place() {
        let taken = Taken::new(Places {
            total: 3,
            per_address: 2,
        });
        let first = taken.take(address("10.0.0.1"));
        let second = taken.take(address("::ffff:10.0.0.1"));
        assert!(first.is_some() && second.is_some());
        assert!(taken.take(address("10.0.0.1")).is_none());
        let third = taken.take(address("10.0.0.2"));
        assert!(third.is_some());
        assert!(taken.take(address("10.0.0.3")).is_none());
        drop(first);
        assert!(taken.take(address("10.0.0.3")).is_some());
        drop((second, third));
        assert!(taken.by_address.lock().counts.is_empty());
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let taken = Taken::new(Places {
            total: 9,
            per_address: 1,
        });
        let _first = taken.take(address("2001:db8::1")).unwrap();
        assert!(taken.take(address("2001:db8::ffff:1")).is_none());
        assert!(taken.take(address("2001:db8:0:1::1")).is_some());
    }
}
