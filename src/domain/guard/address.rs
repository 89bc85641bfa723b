//! What an address is: public, special, or one that is never called.
//!
//! The tables follow the registries of special-purpose addresses (RFC 6890 and
//! its updates). IPv6 is a list of what is allowed, since most of it is not
//! given out yet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// What an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Anybody's.
    Public,
    /// Not public, for this reason; the operator may except it.
    Special(&'static str),
    /// Never called, for this reason.
    Never(&'static str),
}

const METADATA: &str = "a metadata service of a cloud";
const TRANSLATED: &str = "an IPv4 address that is wrapped for translation or a tunnel";

/// Reached from inside a cloud's machines and trusted with their credentials:
/// link-local services, at 169.254.169.254 in most of them, and those
/// of Azure, Alibaba and Oracle that stand elsewhere.
const NEVER_V4: [Ipv4Net; 4] = [
    v4(168, 63, 129, 16, 32),
    v4(100, 100, 100, 200, 32),
    v4(192, 0, 0, 192, 32),
    v4(169, 254, 0, 0, 16),
];

/// Amazon's services beside its IPv6 metadata, Google's and Scaleway's metadata.
const NEVER_V6: [Ipv6Net; 3] = [
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 32),
    v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128),
    v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42], 128),
];

const SPECIAL_V4: [(Ipv4Net, &str); 15] = [
    (v4(0, 0, 0, 0, 8), "this host or network (0.0.0.0/8)"),
    (v4(10, 0, 0, 0, 8), "a private address (10.0.0.0/8)"),
    (v4(100, 64, 0, 0, 10), "a carrier's address (100.64.0.0/10)"),
    (v4(127, 0, 0, 0, 8), "a loopback address (127.0.0.0/8)"),
    (v4(172, 16, 0, 0, 12), "a private address (172.16.0.0/12)"),
    (v4(192, 0, 0, 0, 24), "a protocol's address (192.0.0.0/24)"),
    (v4(192, 0, 2, 0, 24), "for documentation (192.0.2.0/24)"),
    (v4(192, 88, 99, 0, 24), "a 6to4 relay (192.88.99.0/24)"),
    (v4(192, 168, 0, 0, 16), "a private address (192.168.0.0/16)"),
    (v4(198, 18, 0, 0, 15), "for benchmarks (198.18.0.0/15)"),
    (
        v4(198, 51, 100, 0, 24),
        "for documentation (198.51.100.0/24)",
    ),
    (v4(203, 0, 113, 0, 24), "for documentation (203.0.113.0/24)"),
    (v4(224, 0, 0, 0, 4), "a multicast address (224.0.0.0/4)"),
    (v4(255, 255, 255, 255, 32), "the broadcast address"),
    (v4(240, 0, 0, 0, 4), "a reserved address (240.0.0.0/4)"),
];

/// Where the registries give out addresses to anybody.
const PUBLIC_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// What is not anybody's within that. Teredo stands in `2001::/23`, too, and is
/// looked for before.
const SPECIAL_V6: [(Ipv6Net, &str); 3] = [
    (
        v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
        "a protocol's address (2001::/23)",
    ),
    (
        v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
        "for documentation (2001:db8::/32)",
    ),
    (
        v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
        "for documentation (3fff::/20)",
    ),
];

/// Wrapped IPv4: NAT64, also of local use, 6to4, Teredo, and SIIT. Whoever
/// unwraps it may reach anything, so excepting it would except metadata.
const TRANSLATED_V6: [Ipv6Net; 5] = [
    v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96),
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48),
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32),
    v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96),
];

/// The old IPv4-compatible form.
const COMPATIBLE_V6: Ipv6Net = v6([0; 8], 96);

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(segments: [u16; 8], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from_segments(segments), prefix)
}

/// What an address is, given in its canonical form.
pub(super) fn standing(address: IpAddr) -> Standing {
    match address {
        IpAddr::V4(address) => standing_v4(address),
        IpAddr::V6(address) => standing_v6(address),
    }
}

fn standing_v4(address: Ipv4Addr) -> Standing {
    if NEVER_V4.iter().any(|net| net.contains(&address)) {
        return Standing::Never(METADATA);
    }
    let special = SPECIAL_V4.iter().find(|(net, _)| net.contains(&address));
    special.map_or(Standing::Public, |(_, what)| Standing::Special(what))
}

fn standing_v6(address: Ipv6Addr) -> Standing {
    if NEVER_V6.iter().any(|net| net.contains(&address)) {
        return Standing::Never(METADATA);
    }
    match address {
        Ipv6Addr::LOCALHOST => return Standing::Special("the loopback address (::1)"),
        Ipv6Addr::UNSPECIFIED => return Standing::Special("no address (::)"),
        _ => {}
    }
    if is_translated(address) {
        return Standing::Never(TRANSLATED);
    }
    if !PUBLIC_V6.contains(&address) {
        return Standing::Special("not a public address (2000::/3)");
    }
    let special = SPECIAL_V6.iter().find(|(net, _)| net.contains(&address));
    special.map_or(Standing::Public, |(_, what)| Standing::Special(what))
}

fn is_translated(address: Ipv6Addr) -> bool {
    let within = |net: &Ipv6Net| net.contains(&address);
    TRANSLATED_V6.iter().any(within) || within(&COMPATIBLE_V6) || is_isatap(address)
}

/// Whether the interface's id is one of ISATAP (RFC 5214): `0:5efe` and an IPv4
/// address, where one bit tells whether that is said to be unique.
fn is_isatap(address: Ipv6Addr) -> bool {
    let [.., high, low, _, _] = address.segments();
    high & !0x0200 == 0 && low == 0x5efe
}
