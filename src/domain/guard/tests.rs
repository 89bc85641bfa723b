//! The guard against tables that were written apart from its own: plain ranges
//! of what may be called.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::domain::{EndpointUrl, damaged::damaged_text};

const URLS: [&str; 10] = [
    "https://client.example:8443/hooks?a=b",
    "http://93.184.215.14/hook",
    "http://127.0.0.1:80/",
    "http://0x7f.1/",
    "http://2130706433/",
    "http://0177.0.0.01/",
    "http://[2606:4700:4700::1111]:443/",
    "http://[::ffff:10.0.0.1]/",
    "https://a.b@169.254.169.254#c",
    "https://m\u{fc}nchen.de./hook",
];

/// First and last address of everything public in IPv4, written from the gaps
/// between the special blocks rather than from the blocks.
const PUBLIC_V4: [(&str, &str); 14] = [
    ("1.0.0.0", "9.255.255.255"),
    ("11.0.0.0", "100.63.255.255"),
    ("100.128.0.0", "126.255.255.255"),
    ("128.0.0.0", "168.63.129.15"),
    ("168.63.129.17", "169.253.255.255"),
    ("169.255.0.0", "172.15.255.255"),
    ("172.32.0.0", "191.255.255.255"),
    ("192.0.1.0", "192.0.1.255"),
    ("192.0.3.0", "192.88.98.255"),
    ("192.88.100.0", "192.167.255.255"),
    ("192.169.0.0", "198.17.255.255"),
    ("198.20.0.0", "198.51.99.255"),
    ("198.51.101.0", "203.0.112.255"),
    ("203.0.114.0", "223.255.255.255"),
];

const PUBLIC_V6: [(&str, &str); 5] = [
    ("2000::", "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:200::", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:db9::", "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2003::", "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("3fff:1000::", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
];

/// Everything that a cloud trusts its machines with, and IPv4 in disguise.
const NEVER: [&str; 27] = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "169.254.0.23",
    "169.254.42.42",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "::ffff:169.254.169.254",
    "::ffff:100.100.100.200",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "fd00:42::42",
    "::169.254.169.254",
    "::7f00:1",
    "::ffff:0:a9fe:a9fe",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::808:808",
    "64:ff9b:1::7f00:1",
    "2002:a9fe:a9fe::1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "2001::1",
    "2a00:1450::5efe:a00:1",
    "2a00:1450::200:5efe:a00:1",
    "fd12::200:5efe:a9fe:a9fe",
];

fn v4_ranges() -> Vec<(u32, u32)> {
    let bits = |text: &str| text.parse::<Ipv4Addr>().unwrap().to_bits();
    PUBLIC_V4
        .map(|(first, last)| (bits(first), bits(last)))
        .into()
}

fn v6_ranges() -> Vec<(u128, u128)> {
    let bits = |text: &str| text.parse::<Ipv6Addr>().unwrap().to_bits();
    PUBLIC_V6
        .map(|(first, last)| (bits(first), bits(last)))
        .into()
}

fn is_within<T: PartialOrd>(ranges: &[(T, T)], value: &T) -> bool {
    ranges
        .iter()
        .any(|(first, last)| first <= value && value <= last)
}

fn is_isatap(bits: u128) -> bool {
    let id = (bits >> 32) & 0xffff_ffff;
    id == 0x0000_5efe || id == 0x0200_5efe
}

fn may_call(guard: &Guard, address: IpAddr) -> bool {
    guard.judge(SocketAddr::new(address, 443)).is_ok()
}

fn check_v4(ranges: &[(u32, u32)], bits: u32) {
    let address = Ipv4Addr::from_bits(bits);
    let expected = is_within(ranges, &bits);
    assert_eq!(
        may_call(&Guard::default(), address.into()),
        expected,
        "{address}"
    );
}

fn check_v6(ranges: &[(u128, u128)], bits: u128) {
    let address = Ipv6Addr::from_bits(bits);
    if address.to_ipv4_mapped().is_some() {
        return;
    }
    let expected = is_within(ranges, &bits) && !is_isatap(bits);
    assert_eq!(
        may_call(&Guard::default(), address.into()),
        expected,
        "{address}"
    );
}

#[test]
fn every_24th_prefix_of_ipv4_is_judged_as_the_ranges_say() {
    let ranges = v4_ranges();
    for high in 0..1_u32 << 24 {
        check_v4(&ranges, high << 8);
    }
}

#[test]
fn both_sides_of_every_boundary_are_judged_as_the_ranges_say() {
    let ranges = v4_ranges();
    for (first, last) in ranges.iter().copied() {
        for edge in [first, last] {
            for bits in edge.saturating_sub(2)..=edge.saturating_add(2) {
                check_v4(&ranges, bits);
            }
        }
    }
    let ranges = v6_ranges();
    for (first, last) in ranges.iter().copied() {
        for edge in [first, last] {
            for bits in edge.saturating_sub(2)..=edge.saturating_add(2) {
                check_v6(&ranges, bits);
            }
        }
    }
}

/// Every prefix of up to 16 bits, from its first to its last address.
#[test]
fn every_16th_prefix_of_ipv6_is_judged_as_the_ranges_say() {
    let ranges = v6_ranges();
    for high in 0..=u128::from(u16::MAX) {
        let first = high << 112;
        let last = first | (u128::MAX >> 16);
        for bits in [first, first + 1, last - 1, last] {
            check_v6(&ranges, bits);
        }
    }
}

proptest! {
    #[test]
    fn any_ipv4_address_is_judged_as_the_ranges_say(bits: u32) {
        check_v4(&v4_ranges(), bits);
        let mapped = Ipv4Addr::from_bits(bits).to_ipv6_mapped();
        let expected = may_call(&Guard::default(), Ipv4Addr::from_bits(bits).into());
        prop_assert_eq!(may_call(&Guard::default(), mapped.into()), expected);
    }

    #[test]
    fn any_ipv6_address_is_judged_as_the_ranges_say(
        bits: u128, shift in 0_u32..128, place in 0_usize..5, offset in -3_i128..3,
    ) {
        let ranges = v6_ranges();
        check_v6(&ranges, bits);
        check_v6(&ranges, bits >> shift);
        check_v6(&ranges, ranges[place].0 | (bits >> 16));
        check_v6(&ranges, ranges[place].1.wrapping_add_signed(offset));
    }

    /// Names that only look like addresses are resolved, and judged by that.
    #[test]
    fn whatever_url_is_taken_leads_to_a_name_or_a_public_address(text in damaged_text(&URLS)) {
        let Ok(url) = text.parse::<EndpointUrl>() else {
            return Ok(());
        };
        prop_assert_eq!(EndpointUrl::from_canonical(url.as_str()), Some(url.clone()));
        match Guard::default().judge_url(url.as_url()) {
            Ok(Target::Address(address)) => match address.ip() {
                IpAddr::V4(v4) => prop_assert!(is_within(&v4_ranges(), &v4.to_bits()), "{}", text),
                IpAddr::V6(v6) => prop_assert!(is_within(&v6_ranges(), &v6.to_bits()), "{}", text),
            },
            Ok(Target::Name(name)) => {
                prop_assert!(name.host.parse::<IpAddr>().is_err(), "{}", text);
            }
            Err(refused) => prop_assert!(!refused.to_string().is_empty()),
        }
    }

    /// No list of exceptions opens the way to a metadata service.
    #[test]
    fn no_exception_covers_what_is_never_called(which in 0..NEVER.len(), prefix in 0_u8..=128) {
        let address: IpAddr = NEVER[which].parse().unwrap();
        let prefix = prefix.min(if address.is_ipv4() { 32 } else { 128 });
        let net = ipnet::IpNet::new(address, prefix).unwrap().trunc();
        let guard = Guard::new(["0.0.0.0/0", "::/0", &net.to_string()]
            .map(|text| text.parse().unwrap())
            .to_vec());
        let judged = guard.judge(SocketAddr::new(address, 80));
        prop_assert!(matches!(judged, Err(Refused::Never { .. })), "{:?}", judged);
    }
}

fn guard(exceptions: &[&str]) -> Guard {
    Guard::new(
        exceptions
            .iter()
            .map(|text| text.parse().unwrap())
            .collect(),
    )
}

fn judge(guard: &Guard, url: &str) -> Result<Target, Refused> {
    guard.judge_url(&Url::parse(url).unwrap())
}

fn name(url: &str) -> Name {
    match judge(&guard(&["127.0.0.0/8"]), url).unwrap() {
        Target::Name(name) => name,
        Target::Address(address) => panic!("{address} is no name"),
    }
}

#[test]
fn an_exception_opens_its_network_at_its_port() {
    let guard = guard(&["127.0.0.0/8", "10.1.0.0/16:8080"]);
    for (url, expected) in [
        ("http://127.0.0.1:9/", true),
        ("http://10.1.2.3:8080/", true),
        ("http://10.1.2.3/", false),
        ("http://10.2.2.3:8080/", false),
        ("http://[::1]/", false),
        ("http://[::ffff:127.0.0.1]/", true),
    ] {
        assert_eq!(judge(&guard, url).is_ok(), expected, "{url}");
    }
}

#[test]
fn one_bad_address_refuses_the_whole_answer() {
    let name = name("https://client.example/");
    let answer = |addresses: &[&str]| {
        let addresses = addresses.iter().map(|text| text.parse().unwrap());
        Guard::default().judge_answer(&name, addresses)
    };
    let good = ["93.184.215.14", "::ffff:1.1.1.1", "2606:4700:4700::1111"];
    let judged: Vec<_> = answer(&good)
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        judged,
        [
            "93.184.215.14:443",
            "1.1.1.1:443",
            "[2606:4700:4700::1111]:443"
        ]
    );
    for bad in ["10.0.0.1", "::1", "::ffff:127.0.0.1", "fd00:ec2::254"] {
        for place in 0..=good.len() {
            let mut mixed = good.to_vec();
            mixed.insert(place, bad);
            assert!(answer(&mixed).is_err(), "{mixed:?}");
        }
    }
}

#[test]
fn an_internal_name_leads_only_to_what_is_excepted() {
    for url in [
        "http://localhost/",
        "http://orders.default.svc.cluster.local./",
    ] {
        let refused = judge(&Guard::default(), url);
        assert!(matches!(refused, Err(Refused::InternalName(_))), "{url}");
    }
    let name = name("http://orders.default.svc.cluster.local./");
    assert_eq!(name.host, "orders.default.svc.cluster.local");
    let guard = guard(&["10.0.0.0/8"]);
    let answer = |address: &str| guard.judge_answer(&name, [address.parse().unwrap()]);
    assert!(answer("10.3.2.1").is_ok());
    assert_eq!(
        answer("8.8.8.8").unwrap_err().to_string(),
        "orders.default.svc.cluster.local is not a public name, and 8.8.8.8 is not in delivery.allow"
    );
    assert!(answer("127.0.0.1").is_err());
}

#[test]
fn ports_of_other_protocols_are_for_exceptions_only() {
    let guard = guard(&["127.0.0.1/32"]);
    for (url, expected) in [
        ("http://client.example:25/", false),
        ("http://8.8.8.8:6000/", false),
        ("http://8.8.8.8:6001/", true),
        ("http://127.0.0.1:25/", true),
    ] {
        assert_eq!(judge(&guard, url).is_ok(), expected, "{url}");
    }
}

#[test]
fn it_is_said_what_an_address_is() {
    let said = |url: &str| judge(&Guard::default(), url).unwrap_err().to_string();
    assert_eq!(
        said("http://127.0.0.1/"),
        "127.0.0.1 is a loopback address (127.0.0.0/8); the operator can allow it (delivery.allow)"
    );
    assert_eq!(
        said("http://169.254.169.254/"),
        "169.254.169.254 is a metadata service of a cloud, which is never called"
    );
    assert_eq!(
        said("http://kubernetes/"),
        "kubernetes is not a public name; the operator can allow internal addresses (delivery.allow)"
    );
}
