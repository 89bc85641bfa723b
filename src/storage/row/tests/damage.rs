//! Rows that something happened to are read or refused.

use super::*;
use crate::{domain::damaged::damaged, storage::bytes::Malformed};

/// A row of every kind, with whatever it may have.
fn rows() -> Vec<Vec<u8>> {
    let mut ordered = delivery();
    ordered.delivery.ordering_key = Some("order-1".to_owned());
    let mut counts = crate::domain::Counts::default();
    counts.add(40, 1);
    counts.add(41, 200);
    let copying = Copying {
        source: "sled:/a".to_owned(),
        fingerprint: vec![7, 8],
        after: Some(Cursor(vec![1, 2])),
        done: 300,
    };
    let mut keyed = subscription();
    keyed.spec.filter = Some("event.data.total > 1".parse().unwrap());
    let key = SigningKey::from_private([2; 32]);
    keyed.signing_keys = Some(LiveKeys::from_parts(key, vec![]));
    vec![
        EventRow::write(&event(), &[sub()]),
        EventRow::write(&event().erased(TIME), &[sub()]),
        delivery().write(),
        ordered.write(),
        write_attempt(&attempt()),
        write_recorded(&attempt(), TIME),
        write_counts(&counts),
        write_copying(&copying),
        IdempotencyRow::of(&event(), 1).write(),
        write_subscription(&keyed, &keyring()),
        write_request(&keyed, &keyring()),
        unhex(FIRST_SUBSCRIPTION),
        unhex(FIRST_EVENT),
    ]
}

proptest! {
    #[test]
    fn whatever_a_row_holds_is_read_or_refused(row in damaged(rows())) {
        let tenant = TenantId::default;
        let _ = EventRow::read(tenant(), event().id, &row);
        let _ = DeliveryRow::read(sub(), delivery().delivery.id, &row);
        let _ = IdempotencyRow::read(&row);
        let _ = (read_attempt(&row), read_recorded(&row));
        let _ = (read_copying(&row), read_counts(&row));
        let _ = read_replay(tenant(), ReplayId::new(TIME, 0), &row);
        let _ = (read_request(tenant(), &row, &keyring()), read_subscription(tenant(), sub(), &row, &keyring()));
    }
}

#[test]
fn a_payload_that_stands_apart_is_checked() {
    let long = Event {
        payload: Payload {
            data: vec![b'1'; INLINE + 1].into(),
            content_type: ContentType::default(),
        },
        ..event()
    };
    let row = EventRow::write(&long, &[sub()]);
    let read = EventRow::read(TenantId::default(), long.id, &row).unwrap();
    assert_eq!(read.to_bytes(), row);
    let mut changed = long.payload.data.to_vec();
    changed[INLINE] = b'2';
    assert_eq!(read.clone().whole(None), Err(Malformed));
    assert_eq!(read.clone().whole(Some(changed.into())), Err(Malformed));
    assert_eq!(read.whole(Some(long.payload.data.clone())), Ok(long));
}
