//! The bytes of rows: what was once written must be read for ever.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::domain::{
    ApiKey, ApiKeyId, ApiKeySpec, Attempt, AttemptId, ContentType, CustomHeaders, Delivery,
    DeliveryId, DeliveryState, ErrorKind, Event, EventId, EventPatterns, Holder, KeyHash, Keyring,
    LastOutcome, LiveKeys, LiveSecrets, NewEvent, Payload, PayloadFormat, Phases, RateLimit,
    Replay, ReplayId, ReplayMode, ReplaySpec, RootKey, Scope, Secret, SigningKey, Subscription,
    SubscriptionId, SubscriptionSpec, TenantId, TimeRange, Timestamp, Trigger,
};
use crate::storage::{Copying, Cursor, LogPosition};

mod damage;

const TIME: Timestamp = Timestamp::from_micros(1_705_312_800_123_456);

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).unwrap());
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

fn event() -> Event {
    let new = NewEvent {
        event_type: "order.shipped".parse().unwrap(),
        payload: Payload {
            data: Bytes::from_static(b"{}"),
            content_type: ContentType::default(),
        },
        idempotency_key: Some("key".to_owned()),
        ordering_key: None,
        attributes: crate::domain::Attributes::default(),
        deliver_after: Some(TIME.after(Duration::from_secs(1))),
    };
    new.accept(EventId::new(TIME, 0), TenantId::default(), TIME)
}

fn keyring() -> Keyring {
    Keyring::new(&RootKey::generate([7; 32]), &[])
}

fn sub() -> SubscriptionId {
    SubscriptionId::from_bytes([0x11; 16])
}

fn delivery() -> DeliveryRow {
    let new = Delivery::new(&event(), 0, sub(), Trigger::Event);
    DeliveryRow {
        tenant: TenantId::default(),
        delivery: Delivery {
            state: DeliveryState::Retrying,
            attempt_count: 2,
            revision: 3,
            last_outcome: Some(LastOutcome {
                error_kind: Some(ErrorKind::Status),
                response_status: Some(500),
            }),
            ..new
        },
        attempts: vec![LogPosition(1_000), LogPosition(1_300)],
    }
}

fn attempt() -> Attempt {
    Attempt {
        id: AttemptId::from_bytes([0x22; 16]),
        tenant: TenantId::default(),
        delivery_id: DeliveryId::from_bytes([0x33; 16]),
        subscription_id: sub(),
        event_type: "order.shipped".parse().unwrap(),
        trigger: Trigger::Manual,
        number: 3,
        start_time: TIME,
        duration: Duration::from_millis(2),
        phases: Phases {
            dns: None,
            connect: Some(Duration::ZERO),
            tls: None,
            first_byte: Some(Duration::from_micros(1)),
        },
        error_kind: Some(ErrorKind::Timeout),
        error_message: "late".to_owned(),
        response_status: None,
        response_headers: vec![("server".to_owned(), "x".to_owned())],
        response_body: Bytes::from_static(b"no"),
        response_body_truncated: true,
        peer_address: Some(SocketAddr::from(([127, 0, 0, 1], 443))),
        request_headers: vec![("x-own".to_owned(), String::new())],
        next_attempt_time: Some(TIME),
    }
}

#[test]
fn an_event_keeps_its_bytes() {
    let row = EventRow::write(&event(), &[sub()]);
    insta::assert_snapshot!(hex(&row), @"02c0d4ba9d91df83030180897a0d6f726465722e736869707065640001036b657900000111111111111111111111111111111111017b7d599d1480");
    let read = EventRow::read(TenantId::default(), event().id, &row).unwrap();
    assert_eq!(read.subscriptions, [sub()]);
    assert_eq!(read.whole(None), Ok(event()));
    let first = EventRow::read(TenantId::default(), event().id, &unhex(FIRST_EVENT)).unwrap();
    assert_eq!(first.whole(None), Ok(event()));
}

#[test]
fn a_delivery_keeps_its_bytes() {
    let mut ordered = delivery();
    ordered.delivery.ordering_key = Some("order-1".to_owned());
    let row = ordered.write();
    insta::assert_snapshot!(hex(&row), @"020301020003c0d4ba9d91df83030080897a0180897a0101f5030764656661756c740d6f726465722e7368697070656401076f726465722d31e807ac02");
    let read = DeliveryRow::read(sub(), ordered.delivery.id, &row);
    assert_eq!(read.unwrap(), ordered);
}

#[test]
fn a_delivery_of_before_ordering_keys_is_read() {
    let row = unhex(
        "010301020003c0d4ba9d91df83030080897a0180897a0101f503\
         0764656661756c740d6f726465722e73686970706564e807ac02",
    );
    let read = DeliveryRow::read(sub(), delivery().delivery.id, &row);
    assert_eq!(read.unwrap(), delivery());
}

#[test]
fn an_attempt_keeps_its_bytes() {
    let row = write_attempt(&attempt());
    insta::assert_snapshot!(hex(&row), @"012222222222222222222222222222222233333333333333333333333333333333111111111111111111111111111111110764656661756c740d6f726465722e736869707065640203c0d4ba9d91df830380897a000100e90707046c61746500010f0178026e6f01047f000001bb03010005782d6f776e000100");
    assert_eq!(read_attempt(&row).unwrap(), attempt());
}

#[test]
fn an_attempt_that_tells_its_time_keeps_its_bytes() {
    let row = write_recorded(&attempt(), TIME);
    let plain = write_attempt(&attempt());
    let (begin, rest) = row.split_at(row.len() - (plain.len() - 1));
    insta::assert_snapshot!(hex(begin), @"02c0d4ba9d91df8303");
    assert_eq!(rest, &plain[1..]);
    assert_eq!(read_attempt(&row).unwrap(), attempt());
    assert_eq!(read_recorded(&row).unwrap(), Some(TIME));
    assert_eq!(read_recorded(&plain).unwrap(), None);
}

#[test]
fn a_copy_keeps_its_bytes() {
    let mut copying = Copying {
        source: "sled:/a".to_owned(),
        fingerprint: vec![7, 8],
        after: None,
        done: 300,
    };
    let row = write_copying(&copying);
    insta::assert_snapshot!(hex(&row), @"0107736c65643a2f61020708ac0200");
    assert_eq!(read_copying(&row).unwrap(), copying);
    copying.after = Some(Cursor(vec![1, 2]));
    let row = write_copying(&copying);
    insta::assert_snapshot!(hex(&row), @"0107736c65643a2f61020708ac0201020102");
    assert_eq!(read_copying(&row).unwrap(), copying);
}

#[test]
fn an_idempotency_key_keeps_its_bytes() {
    let row = IdempotencyRow::of(&event(), 1);
    insta::assert_snapshot!(hex(&row.write()), @"01018d0c904d7b774b8000000000000000070f6f77876d2e4f424894229aaae60d01");
    assert_eq!(IdempotencyRow::read(&row.write()).unwrap(), row);
    let row = IdempotencyRow::of(&event().erased(TIME), 1);
    insta::assert_snapshot!(hex(&row.write()), @"02018d0c904d7b774b800000000000000001");
    assert_eq!(IdempotencyRow::read(&row.write()).unwrap(), row);
}

#[test]
fn a_replay_keeps_its_bytes() {
    let spec = ReplaySpec {
        subscription_id: sub(),
        event_types: vec!["order.*".parse().unwrap()],
        accepted: TimeRange {
            start: TIME,
            end: Timestamp::MAX,
        },
        mode: ReplayMode::Missing,
        rate_limit: ReplaySpec::DEFAULT_RATE,
    };
    let id = ReplayId::new(TIME, 0);
    let replay = Replay::new(id, TenantId::default(), spec, TIME);
    let after = Some(event().id);
    let replay = replay.advanced(3, after, TIME.after(Duration::from_secs(1)));
    let row = write_replay(&replay);
    insta::assert_snapshot!(hex(&row), @"011111111111111111111111111111111101076f726465722e2ac0d4ba9d91df8303ffffffffffffffffff01026401000300000001018d0c904d7b774b800000000000000000c0d4ba9d91df830380897a");
    assert_eq!(read_replay(TenantId::default(), id, &row).unwrap(), replay);
}

#[test]
fn an_api_key_keeps_its_bytes() {
    let spec = ApiKeySpec {
        holder: Holder::Tenant(TenantId::default()),
        scopes: [Scope::Publish, Scope::Read].into_iter().collect(),
        description: "shop".to_owned(),
        expire_time: Some(TIME.after(Duration::from_secs(1))),
    };
    let key = ApiKey {
        id: ApiKeyId::new(TIME, 0),
        spec,
        hash: KeyHash::from_bytes([0x22; 32]),
        create_time: TIME,
        revoke_time: None,
    };
    let row = write_api_key(&key);
    insta::assert_snapshot!(hex(&row), @"01010764656661756c74030473686f702222222222222222222222222222222222222222222222222222222222222222c0d4ba9d91df83030180897a00");
    assert_eq!(read_api_key(key.id, &row).unwrap(), key);
    let mut operators = key.revoked(TIME);
    operators.spec.holder = Holder::Operator;
    let row = write_api_key(&operators);
    insta::assert_snapshot!(hex(&row), @"0100030473686f702222222222222222222222222222222222222222222222222222222222222222c0d4ba9d91df83030180897a0100");
    assert_eq!(read_api_key(key.id, &row).unwrap(), operators);
}

#[test]
fn an_erased_event_keeps_its_bytes() {
    let erased = event().erased(TIME);
    let row = EventRow::write(&erased, &[sub()]);
    insta::assert_snapshot!(hex(&row), @"02c0d4ba9d91df83030180897a0d6f726465722e736869707065640001036b65790000011111111111111111111111111111111102c0d4ba9d91df83035fb4ae64");
    let read = EventRow::read(TenantId::default(), erased.id, &row).unwrap();
    assert_eq!((read.event, read.apart), (erased, false));
}

/// An event as the first version wrote it.
const FIRST_EVENT: &str = "01c0d4ba9d91df83030180897a0d6f726465722e736869707065640001036b657900000111111111111111111111111111111111017b7d";

/// A subscription as the first version wrote it.
const FIRST_SUBSCRIPTION: &str = "0101c0d4ba9d91df830300010100003277687365635f414141414141414141414141414141414141414141414141414141414141414141414141414141414141413d001768747470733a2f2f636c69656e742e6578616d706c652f01076f726465722e2a000000010e80e497d01280b09dc2df0180f092cbdd0880a0f1c2b1348080c58bc6d10180c0ec9cef8b048080d9b9de97088080e3d0eaba0b8080b2f3bcaf108080bc8ac9d2138080bc8ac9d2138080bc8ac9d2138080bc8ac9d2138080bc8ac9d2133fb999999999999a0080acc7f0374001020102";

fn subscription() -> Subscription {
    let events = EventPatterns::new(vec!["order.*".parse().unwrap()]).unwrap();
    let spec = SubscriptionSpec::new("https://client.example/".parse().unwrap(), events);
    let secrets = LiveSecrets::new(Secret::generate([0; 32]));
    Subscription::new(sub(), TenantId::default(), spec, secrets, TIME)
}

/// One that has what the first version did not know.
fn full_subscription() -> Subscription {
    let mut full = subscription();
    full.spec.rate_limit = Some(RateLimit::new(2.5, None).unwrap());
    full.spec.ordered = true;
    full.spec.payload_format = PayloadFormat::CloudEventsBinary;
    full.spec.filter = Some("event.data.total > 1".parse().unwrap());
    full
}

fn headers() -> CustomHeaders {
    let header = (
        "authorization".to_owned(),
        "Bearer of credentials".to_owned(),
    );
    CustomHeaders::new([header]).unwrap()
}

#[test]
fn a_subscription_keeps_its_bytes() {
    let mut subscription = full_subscription();
    subscription.spec.headers = headers();
    let row = write_subscription(&subscription, &keyring());
    insta::assert_snapshot!(hex(&row), @"042db4ed2ce2b2e1dc01c0d4ba9d91df830300010100001768747470733a2f2f636c69656e742e6578616d706c652f01076f726465722e2a0000010e80e497d01280b09dc2df0180f092cbdd0880a0f1c2b1348080c58bc6d10180c0ec9cef8b048080d9b9de97088080e3d0eaba0b8080b2f3bcaf108080bc8ac9d2138080bc8ac9d2138080bc8ac9d2138080bc8ac9d2138080bc8ac9d2133fb999999999999a0080acc7f0374003020102014004000000000000030101146576656e742e646174612e746f74616c203e2031820116290e6100e19504e21c8e7344f77dd42eed9587fdde06d725ca5209333be97e27d550b1b09c49b1f37d6da7038ea6d4e495dc83a25f1544b904664dc6f402d3e45afb097a94ad636ee3e984c5eddca7c47500d6df155483a3e638a76ad26bb5613e4c4d810c6bcbefcb51a7af85a5a0f0e1b9f39fc6a1d2290cb3a1f22bb8c8de51");
    let read = read_subscription(TenantId::default(), sub(), &row, &keyring()).unwrap();
    assert_eq!(read, subscription);
    let request = write_request(&subscription, &keyring());
    let read = read_request(TenantId::default(), &request, &keyring()).unwrap();
    assert_eq!(read, (TIME, subscription));
}

#[test]
fn a_subscription_with_signing_keys_keeps_its_bytes() {
    let mut subscription = subscription();
    let key = |n| SigningKey::from_private([n; 32]);
    let expires = TIME.after(Duration::from_secs(1));
    subscription.signing_keys = Some(LiveKeys::from_parts(key(2), vec![(key(1), expires)]));
    let row = write_subscription(&subscription, &keyring());
    insta::assert_snapshot!(hex(&row), @"042db4ed2ce2b2e1dc01c0d4ba9d91df830300010100001768747470733a2f2f636c69656e742e6578616d706c652f01076f726465722e2a0000010e80e497d01280b09dc2df0180f092cbdd0880a0f1c2b1348080c58bc6d10180c0ec9cef8b048080d9b9de97088080e3d0eaba0b8080b2f3bcaf108080bc8ac9d2138080bc8ac9d2138080bc8ac9d2138080bc8ac9d2138080bc8ac9d2133fb999999999999a0080acc7f0374001020102000000a1011f7ef6a829e9642b1d6a27ca51502adaab31a5e03d4821c66cbd4889da6686eeaa46a83c1943a443495cfe05751cfe76d501c16b4eba59b0f1b926865a8e3b7d32f398c56ef10b394541f1cf39b0d56aab49829a41a485d17667db1a8491e4a95134a107745d5e8b542e801037677029b8ddd9f7e8cd8b379ae5d7bb332d177b2b7359e76fa4cafb608a54399bd4bd48f7dc18be0bec3f7fc677b19ee090adfd84");
    let read = read_subscription(TenantId::default(), sub(), &row, &keyring()).unwrap();
    assert_eq!(read, subscription);
}

/// As the second version wrote it, with its signing keys.
const SECOND_SUBSCRIPTION: &str = "0201c0d4ba9d91df830300010100003277687365635f414141414141414141414141414141414141414141414141414141414141414141414141414141414141413d001768747470733a2f2f636c69656e742e6578616d706c652f01076f726465722e2a000000010e80e497d01280b09dc2df0180f092cbdd0880a0f1c2b1348080c58bc6d10180c0ec9cef8b048080d9b9de97088080e3d0eaba0b8080b2f3bcaf108080bc8ac9d2138080bc8ac9d2138080bc8ac9d2138080bc8ac9d2138080bc8ac9d2133fb999999999999a0080acc7f0374003020102014004000000000000030101146576656e742e646174612e746f74616c203e2031020202020202020202020202020202020202020202020202020202020202020202010101010101010101010101010101010101010101010101010101010101010180897a";

#[test]
fn a_subscription_of_the_second_version_reads_as_ever() {
    let mut expected = full_subscription();
    let key = |n| SigningKey::from_private([n; 32]);
    let expires = TIME.after(Duration::from_secs(1));
    expected.signing_keys = Some(LiveKeys::from_parts(key(2), vec![(key(1), expires)]));
    let row = unhex(SECOND_SUBSCRIPTION);
    let read = read_subscription(TenantId::default(), sub(), &row, &keyring());
    assert_eq!(read.unwrap(), expected);
}

/// As the third version wrote it.
const THIRD_SUBSCRIPTION: &str = "032db4ed2ce2b2e1dc01c0d4ba9d91df830300010100001768747470733a2f2f636c69656e742e6578616d706c652f01076f726465722e2a000000010e80e497d01280b09dc2df0180f092cbdd0880a0f1c2b1348080c58bc6d10180c0ec9cef8b048080d9b9de97088080e3d0eaba0b8080b2f3bcaf108080bc8ac9d2138080bc8ac9d2138080bc8ac9d2138080bc8ac9d2138080bc8ac9d2133fb999999999999a0080acc7f0374003020102014004000000000000030101146576656e742e646174612e746f74616c203e20315dbbea00f3fa08064f4565855a55d90c9cb6d4b59e5f2821b3414c4842cee2ed4b5f50ad7cf3e95e4f96e8b14ec646d4ee96ad06e06451a57c204ab0c0cb77cab3fb6ee02bff75a0421efd8251f383b26fab50f17c3dbf828e284857293d";

#[test]
fn a_subscription_of_the_third_version_reads_as_ever() {
    let expected = full_subscription();
    let row = unhex(THIRD_SUBSCRIPTION);
    let read = read_subscription(TenantId::default(), sub(), &row, &keyring());
    assert_eq!(read.unwrap(), expected);
}

#[test]
fn secrets_are_sealed_for_their_subscription_alone() {
    let mut sealed = subscription();
    sealed.spec.headers = headers();
    let row = write_subscription(&sealed, &keyring());
    let other = SubscriptionId::from_bytes([0x12; 16]);
    let read = |id, ring: &Keyring| read_subscription(TenantId::default(), id, &row, ring);
    assert_eq!(read(other, &keyring()), Err(Unreadable::Malformed));
    let ring = Keyring::new(&RootKey::generate([8; 32]), &[]);
    let key = keyring().sealing();
    assert_eq!(read(sub(), &ring), Err(Unreadable::Sealed(key)));
    for secret in [sealed.secrets.newest().expose(), "Bearer of credentials"] {
        let mut parts = secret.as_bytes().windows(8);
        assert!(!parts.any(|part| row.windows(8).any(|bytes| bytes == part)));
    }
}

#[test]
fn a_subscription_of_the_first_version_reads_as_ever() {
    let read = read_subscription(
        TenantId::default(),
        sub(),
        &unhex(FIRST_SUBSCRIPTION),
        &keyring(),
    );
    assert_eq!(read.unwrap(), subscription());
}

proptest! {
    #[test]
    fn other_bytes_are_refused_without_a_panic(bytes: Vec<u8>, version in 0..5_u8) {
        let mut row = vec![version];
        row.extend(bytes);
        let tenant = TenantId::default;
        let _ = EventRow::read(tenant(), event().id, &row);
        let _ = DeliveryRow::read(sub(), delivery().delivery.id, &row);
        let _ = IdempotencyRow::read(&row);
        let _ = read_attempt(&row);
        let _ = read_copying(&row);
        let _ = read_api_key(ApiKeyId::new(TIME, 0), &row);
        let _ = read_replay(tenant(), ReplayId::new(TIME, 0), &row);
        let _ = read_request(tenant(), &row, &keyring());
        prop_assert!(read_subscription(tenant(), sub(), &row, &keyring()).is_err());
    }

    #[test]
    fn a_row_that_was_cut_is_refused(cut in 1..20_usize) {
        let row = write_attempt(&attempt());
        prop_assert!(read_attempt(&row[..row.len() - cut]).is_err());
    }
}

#[test]
fn counts_keep_their_bytes() {
    let mut counts = crate::domain::Counts::default();
    counts.add(40, 1);
    counts.add(41, 200);
    counts.add(600, 3);
    let row = write_counts(&counts);
    assert_eq!(hex(&row), "01280101c801af0403");
    assert_eq!(read_counts(&row), Ok(counts));
    assert!(read_counts(&row[..row.len() - 1]).is_err());
    assert!(read_counts(&unhex("01ffff0301ffff0301")).is_err());
}
