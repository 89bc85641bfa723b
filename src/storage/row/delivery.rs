//! A delivery, with the places of its attempts in the log.

use super::code;
use crate::{
    domain::{Delivery, DeliveryId, LastOutcome, SubscriptionId, TenantId},
    storage::{
        LogPosition,
        bytes::{Read, Reader, Writer},
    },
};

/// Without the ordering key.
const FIRST: u8 = 1;
const VERSION: u8 = 2;

/// A delivery as it is stored under its subscription and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::storage) struct DeliveryRow {
    /// Whose delivery.
    pub(in crate::storage) tenant: TenantId,
    /// The delivery.
    pub(in crate::storage) delivery: Delivery,
    /// Its attempts, in order.
    pub(in crate::storage) attempts: Vec<LogPosition>,
}

impl DeliveryRow {
    pub(in crate::storage) fn write(&self) -> Vec<u8> {
        let delivery = &self.delivery;
        let created = delivery.create_time;
        let mut row = Writer::new(VERSION);
        row.byte(code::from_state(delivery.state))
            .byte(code::from_trigger(delivery.trigger))
            .number(delivery.attempt_count)
            .number(delivery.chain_start)
            .number(delivery.revision)
            .time(created)
            .time_near(created, delivery.update_time)
            .time_near(created, delivery.chain_time)
            .maybe_time_near(created, delivery.due);
        match delivery.last_outcome {
            None => row.byte(0),
            Some(last) => row
                .byte(1)
                .byte(code::from_maybe_error(last.error_kind))
                .maybe_number(last.response_status.map(u64::from)),
        };
        row.text(self.tenant.as_str())
            .text(delivery.event_type.as_str())
            .maybe_text(delivery.ordering_key.as_deref());
        let mut before = 0;
        for position in &self.attempts {
            row.number(position.0 - before);
            before = position.0;
        }
        row.finish()
    }

    pub(in crate::storage) fn read(
        subscription_id: SubscriptionId,
        id: DeliveryId,
        row: &[u8],
    ) -> Read<Self> {
        let (layout, mut row) = Reader::any_of(row, &[FIRST, VERSION])?;
        let state = code::to_state(row.byte()?)?;
        let trigger = code::to_trigger(row.byte()?)?;
        let attempt_count = row.number()?;
        let chain_start = row.number()?;
        let revision = row.number()?;
        let create_time = row.time()?;
        let update_time = row.time_near(create_time)?;
        let chain_time = row.time_near(create_time)?;
        let due = row.maybe_time_near(create_time)?;
        let last_outcome = if row.flag()? {
            Some(LastOutcome {
                error_kind: code::to_maybe_error(row.byte()?)?,
                response_status: row.maybe_number()?,
            })
        } else {
            None
        };
        let tenant = row.parsed()?;
        let event_type = row.parsed()?;
        let ordering_key = if layout > FIRST {
            row.maybe_text()?.map(str::to_owned)
        } else {
            None
        };
        let mut attempts = Vec::new();
        let mut before = 0_u64;
        while !row.is_empty() {
            before = before.wrapping_add(row.long()?);
            attempts.push(LogPosition(before));
        }
        Ok(Self {
            tenant,
            delivery: Delivery {
                id,
                subscription_id,
                event_type,
                ordering_key,
                state,
                trigger,
                attempt_count,
                chain_start,
                chain_time,
                due,
                last_outcome,
                revision,
                create_time,
                update_time,
            },
            attempts,
        })
    }
}
