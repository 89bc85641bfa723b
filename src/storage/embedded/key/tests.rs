use super::*;
use crate::domain::StatsKey;

fn text(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}

#[test]
fn keys_keep_their_bytes() {
    let tenant = TenantId::default();
    let id = *b"0123456789abcdef";
    let place = DueKey {
        due: Timestamp::from_micros(0x0102),
        delivery_id: DeliveryId::from_bytes(id),
    };
    let sub = SubscriptionId::from_bytes(*b"ABCDEFGHIJKLMNOP");
    let counted = StatsKey {
        subscription_id: sub,
        start: Timestamp::from_secs(300),
        event_type: "order.shipped".parse().unwrap(),
    };
    let cases = [
        (
            event(&tenant, EventId::from_bytes(id)),
            r"Edefault\x000123456789abcdef",
        ),
        (body(EventId::from_bytes(id)), "B0123456789abcdef"),
        (
            delivery(sub, DeliveryId::from_bytes(id)),
            "DABCDEFGHIJKLMNOP0123456789abcdef",
        ),
        (
            due(sub, place),
            r"QABCDEFGHIJKLMNOP\x00\x00\x00\x00\x00\x00\x01\x020123456789abcdef",
        ),
        (
            order(sub, "key", DeliveryId::from_bytes(id)),
            r"OABCDEFGHIJKLMNOP\x00\x03key0123456789abcdef",
        ),
        (
            attempt(LogPosition(0x0304)),
            r"A\x00\x00\x00\x00\x00\x00\x03\x04",
        ),
        (idempotency(&tenant, "key"), r"Idefault\x00key"),
        (piece(b"Bx", 2), r"PBx\x00\x00\x00\x02"),
        (tally(), "N"),
        (commits(), "K"),
        (
            stats(&tenant, &counted),
            r"Tdefault\x00ABCDEFGHIJKLMNOP\x00\x00\x00\x00\x11\xe1\xa3\x00order.shipped",
        ),
        (subscription(&tenant, sub), r"Sdefault\x00ABCDEFGHIJKLMNOP"),
        (request(&tenant, "id"), r"Rdefault\x00id"),
        (
            replay(&tenant, ReplayId::from_bytes(id)),
            r"Ydefault\x000123456789abcdef",
        ),
        (api_key(ApiKeyId::from_bytes(id)), "L0123456789abcdef"),
        (first_day(), "F"),
        (gone(), "G"),
        (
            resting(Day::from_number(0x4d21)),
            r"Z\x00\x00\x00\x00\x00\x00M!",
        ),
        (
            witness(Day::from_number(0x4d21)),
            r"W\x00\x00\x00\x00\x00\x00M!",
        ),
        (untimed(), "U"),
        (copying(), "C"),
    ];
    for (key, expected) in cases {
        assert_eq!(text(&key), expected);
    }
    assert_eq!(place_of(&due(sub, place)), Some((sub, place)));
    let id = DeliveryId::from_bytes(id);
    assert_eq!(ordered_of(&order(sub, "key", id)), Some((sub, "key", id)));
    assert_eq!(piece_of(&piece(b"Bx", 2)), Some((b"Bx".as_slice(), 2)));
    let of_stats = stats(&tenant, &counted);
    assert_eq!(stats_key_of(&of_stats), Some((tenant.clone(), counted)));
    let key = idempotency(&tenant, "a\0b");
    assert_eq!(named_of(&key), Some((tenant, b"a\0b".as_slice())));
}
