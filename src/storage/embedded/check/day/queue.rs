//! What is due: each place in a queue, and in an order, is that of a delivery
//! which is due there.

use super::{DayAudit, Unreadable};
use crate::storage::embedded::key;

impl DayAudit<'_> {
    pub(super) fn place(&mut self, key: &[u8], row: &[u8]) -> Option<()> {
        self.totals().due += 1;
        let (subscription, place) = key::place_of(key)?;
        if !row.is_empty() {
            return None;
        }
        let (id, due) = (place.delivery_id, place.due);
        if self.notes.resting.contains_key(&self.day) {
            self.find(format!("delivery {id} is due on a day at rest"));
        }
        match self.delivery_row(subscription, id) {
            Ok(None) => self.find(format!("the queue has delivery {id}, which is missing")),
            Ok(Some(row)) if row.delivery.due != Some(due) => self.find(format!(
                "the queue has delivery {id} at {due}, when it is not due"
            )),
            Ok(Some(_)) | Err(Unreadable) => {}
        }
        Some(())
    }

    pub(super) fn order(&mut self, key: &[u8], row: &[u8]) -> Option<()> {
        let (subscription, ordering_key, id) = key::ordered_of(key)?;
        if !row.is_empty() || key::order(subscription, ordering_key, id) != key {
            return None;
        }
        match self.delivery_row(subscription, id) {
            Ok(Some(row))
                if row.delivery.due.is_some()
                    && row.delivery.ordering_key.as_deref() == Some(ordering_key) => {}
            Ok(_) => self.find(format!("the order has delivery {id}, which is not due")),
            Err(Unreadable) => {}
        }
        Some(())
    }
}
