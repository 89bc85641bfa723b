//! What decides which receivers can be reached: exceptions and nameservers.

use std::net::{IpAddr, SocketAddr};

use super::list::Item;
use crate::domain::Exception;

const DNS_PORT: u16 = 53;

/// Addresses that may be called though they are not public.
pub(super) struct Excepted;

impl Item for Excepted {
    type Value = Exception;

    const EXPECTED: &'static str = "networks as CIDR, each with a port if not all are meant, such as \"127.0.0.0/8, \
         10.1.2.3/32:8080, fd12::/48\"";

    fn parse(text: &str) -> Option<Exception> {
        text.parse().ok()
    }

    fn write(value: &Exception) -> String {
        value.to_string()
    }
}

/// An address of a nameserver, with a port if it is not 53.
pub(super) struct Nameserver;

impl Item for Nameserver {
    type Value = SocketAddr;

    const EXPECTED: &'static str =
        "IP addresses, each with a port if that is not 53, such as \"10.0.0.2, [::1]:5353\"";

    fn parse(text: &str) -> Option<SocketAddr> {
        let bare = || {
            text.parse()
                .ok()
                .map(|ip: IpAddr| SocketAddr::new(ip, DNS_PORT))
        };
        text.parse().ok().or_else(bare)
    }

    fn write(value: &SocketAddr) -> String {
        if value.port() == DNS_PORT {
            return value.ip().to_string();
        }
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{format::Format, list::List};

    #[test]
    fn lists_are_written_as_they_are_read() {
        for text in ["", "127.0.0.0/8", "10.1.0.0/16:8080, fd12::/48"] {
            let value = List::<Excepted>::parse(text).unwrap();
            assert_eq!(List::<Excepted>::write(&value), format!("\"{text}\""));
        }
        for text in ["", "10.0.0.2", "10.0.0.2, ::1, [::1]:5353, 10.0.0.2:54"] {
            let value = List::<Nameserver>::parse(text).unwrap();
            assert_eq!(List::<Nameserver>::write(&value), format!("\"{text}\""));
        }
    }

    #[test]
    fn one_wrong_item_is_enough() {
        for text in ["127.0.0.1", "127.0.0.0/8,", "127.0.0.0/8 10.0.0.0/8", "all"] {
            assert_eq!(List::<Excepted>::parse(text), None, "{text}");
        }
        for text in ["ns.example", "10.0.0.2;10.0.0.3", "10.0.0.2:99999"] {
            assert_eq!(List::<Nameserver>::parse(text), None, "{text}");
        }
    }
}
