//! Deliveries that were found damaged: their queue goes on without them, and
//! they are looked at again after a while.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::domain::DeliveryId;

/// How long a delivery is left out.
const PAUSE: Duration = Duration::from_mins(10);
/// Most that are remembered.
const MOST: usize = 10_000;

/// What is left out, and since when.
#[derive(Debug, Default)]
pub(super) struct LeftOut(Mutex<HashMap<DeliveryId, Instant>>);

impl LeftOut {
    pub(super) fn add(&self, id: DeliveryId) {
        let mut known = self.0.lock();
        if known.len() < MOST {
            known.insert(id, Instant::now());
        }
    }

    pub(super) fn ids(&self) -> Vec<DeliveryId> {
        let mut known = self.0.lock();
        known.retain(|_, since| since.elapsed() < PAUSE);
        known.keys().copied().collect()
    }
}
