//! Typed ids: a prefix and 26 characters of a time-ordered UUIDv7 (RFC 9562).
//!
//! An event's id tells its time to a quarter of a microsecond (method 3 of the
//! RFC, section 6.2), so that ids sort in the order of publishing.
//!
//! A delivery's id is its event's id with the last 16 bits, zero in every event
//! id, replaced by the delivery's number within the event. So the deliveries of
//! an event, and the event of a delivery, are known without an index.

use std::{fmt, str::FromStr, time::Duration};

use super::{Invalid, Timestamp, base32};

/// The random bits in the lower half of an id, below its variant.
const RANDOM: u128 = (1 << 62) - 1;
/// The bits above those.
const FRACTION: u128 = 0xfff << 64;

/// Lays out a UUIDv7: 48 bits of milliseconds, version, variant, and random
/// bits elsewhere.
fn uuid_v7(time: Timestamp, random: u128) -> u128 {
    const VERSION: u128 = 0x7 << 76;
    const VARIANT: u128 = 0b10 << 62;
    (u128::from(time.as_millis()) << 80) | VERSION | VARIANT | (random & (FRACTION | RANDOM))
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// What the text of an id begins with.
            pub const PREFIX: &'static str = $prefix;

            /// The bytes of the id, which sort by time.
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.to_be_bytes()
            }

            /// The id of these bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(u128::from_be_bytes(bytes))
            }

            /// The time in the id, in whole milliseconds.
            pub fn time(self) -> Timestamp {
                Timestamp::from_millis((self.0 >> 80) as u64)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($prefix)?;
                let text = base32::encode(self.0);
                f.write_str(std::str::from_utf8(&text).expect("base32 is ASCII"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                text.strip_prefix($prefix)
                    .and_then(|digits| base32::decode(digits.as_bytes()))
                    .map(Self)
                    .ok_or_else(|| {
                        Invalid::new(concat!(
                            "must be an id of the form ",
                            $prefix,
                            "<26 characters of 0-9 and a-z>"
                        ))
                    })
            }
        }
    };
}

id!(
    /// Identifies a subscription.
    SubscriptionId,
    "sub_"
);
id!(
    /// Identifies an event.
    EventId,
    "evt_"
);
id!(
    /// Identifies a delivery.
    DeliveryId,
    "dlv_"
);
id!(
    /// Identifies an attempt.
    AttemptId,
    "att_"
);

id!(
    /// Identifies a replay.
    ReplayId,
    "rpl_"
);

id!(
    /// Identifies an API key.
    ApiKeyId,
    "key_"
);

/// The bits that number a delivery within its event.
const ORDINAL: u128 = 0xffff;

impl SubscriptionId {
    /// A new id.
    pub fn new(time: Timestamp, random: u128) -> Self {
        Self(uuid_v7(time, random))
    }
}

impl EventId {
    /// A new id.
    pub fn new(time: Timestamp, random: u128) -> Self {
        let fraction = u128::from(time.as_micros() % 1_000) * 4_096 / 1_000;
        let random = (fraction << 64) | (random & RANDOM & !ORDINAL);
        Self(uuid_v7(time, random))
    }

    /// The id of an event that is accepted after this one: greater, also where
    /// the clock stands or was set back.
    #[must_use]
    pub fn next(self, time: Timestamp, random: u128) -> Self {
        let fresh = Self::new(time, random);
        if fresh.0 >> 64 > self.0 >> 64 {
            return fresh;
        }
        let step = (random & ORDINAL) + 1;
        let random = (self.0 & RANDOM) + step * (ORDINAL + 1);
        if random <= RANDOM {
            return Self(self.0 & !RANDOM | random);
        }
        Self::new(self.time().after(Duration::from_millis(1)), 0)
    }

    /// The ids of the event's deliveries to these subscriptions, in order.
    pub fn deliveries(
        self,
        subscriptions: &[SubscriptionId],
    ) -> impl Iterator<Item = (DeliveryId, SubscriptionId)> {
        (0..=u16::MAX)
            .zip(subscriptions)
            .map(move |(ordinal, subscription)| (DeliveryId::new(self, ordinal), *subscription))
    }
}

impl DeliveryId {
    /// Most deliveries an event can have.
    pub const MAX_PER_EVENT: usize = ORDINAL as usize + 1;

    /// The id of the event's delivery with this number, counted from 0.
    pub fn new(event: EventId, ordinal: u16) -> Self {
        Self(event.0 & !ORDINAL | u128::from(ordinal))
    }

    /// The event that is delivered.
    pub fn event_id(self) -> EventId {
        EventId(self.0 & !ORDINAL)
    }

    /// The delivery's number within its event.
    pub fn ordinal(self) -> u16 {
        (self.0 & ORDINAL) as u16
    }
}

impl ReplayId {
    /// A new id.
    pub fn new(time: Timestamp, random: u128) -> Self {
        Self(uuid_v7(time, random))
    }
}

impl ApiKeyId {
    /// A new id.
    pub fn new(time: Timestamp, random: u128) -> Self {
        Self(uuid_v7(time, random))
    }
}

impl AttemptId {
    /// A new id.
    pub fn new(time: Timestamp, random: u128) -> Self {
        Self(uuid_v7(time, random))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_reads_back_from_its_text_and_sorts_like_it(a: u128, b: u128) {
            let (a, b) = (SubscriptionId(a), SubscriptionId(b));
            prop_assert_eq!(a.to_string().parse(), Ok(a));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn ids_of_events_ascend_whatever_the_clock_says(
            readings in proptest::collection::vec((0..5_000_u64, any::<u128>()), 1..50),
        ) {
            let mut last = EventId::new(Timestamp::MIN, 0);
            for (micros, random) in readings {
                let next = last.next(Timestamp::from_micros(micros), random);
                prop_assert!(next > last);
                prop_assert_eq!(next, DeliveryId::new(next, 7).event_id());
                prop_assert!(next.time().as_millis() <= 5);
                last = next;
            }
        }

        #[test]
        fn a_delivery_knows_its_event(millis in 0..1_u64 << 48, random: u128, ordinal: u16) {
            let event = EventId::new(Timestamp::from_millis(millis), random);
            let delivery = DeliveryId::new(event, ordinal);
            prop_assert_eq!(delivery.event_id(), event);
            prop_assert_eq!(delivery.ordinal(), ordinal);
            prop_assert_eq!(delivery.time(), Timestamp::from_millis(millis));
        }

        #[test]
        fn any_other_text_is_refused(text in "\\PC{0,40}") {
            if let Ok(id) = text.parse::<EventId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn an_id_is_a_uuid_of_version_7() {
        let time = Timestamp::from_micros(1_645_557_742_000_999);
        let first = EventId::new(time, u128::MAX);
        for id in [first, first.next(time, u128::MAX)] {
            let uuid = uuid::Uuid::from_bytes(id.to_bytes());
            assert_eq!(uuid.get_version_num(), 7);
            assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
        }
    }

    #[test]
    fn ids_of_events_sort_within_a_millisecond() {
        let id = |micros, random| EventId::new(Timestamp::from_micros(micros), random);
        assert!(id(1_001, 0) > id(1_000, u128::MAX));
    }
}
