//! Answers of nameservers that lie, or were damaged on the way.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hickory_resolver::proto::{
    op::{Message, OpCode, Query},
    rr::{Name, RData, Record, RecordType, rdata},
};
use proptest::prelude::*;
use url::Url;

use crate::domain::{Guard, Refused, Target, damaged::damaged};

const HOST: &str = "receiver.example.com.";

/// Messages with two addresses behind an alias: public ones, and one that is not.
fn answers() -> Vec<Vec<u8>> {
    let host: Name = HOST.parse().unwrap();
    let alias: Name = "alias.example.com.".parse().unwrap();
    let v4 = |ip: [u8; 4]| RData::A(rdata::A(Ipv4Addr::from(ip)));
    let v6 = |text: &str| RData::AAAA(rdata::AAAA(text.parse::<Ipv6Addr>().unwrap()));
    let message = |kind, addresses: [RData; 2]| {
        let mut message = Message::response(7, OpCode::Query);
        message.add_query(Query::query(host.clone(), kind));
        let cname = RData::CNAME(rdata::CNAME(alias.clone()));
        message.add_answer(Record::from_rdata(host.clone(), 60, cname));
        for address in addresses {
            message.add_answer(Record::from_rdata(alias.clone(), 60, address));
        }
        message.to_vec().unwrap()
    };
    vec![
        message(RecordType::A, [v4([93, 184, 215, 14]), v4([8, 8, 8, 8])]),
        message(
            RecordType::A,
            [v4([93, 184, 215, 14]), v4([169, 254, 169, 254])],
        ),
        message(
            RecordType::AAAA,
            [v6("2606:4700::1111"), v6("2001:4860:4860::8888")],
        ),
        message(
            RecordType::AAAA,
            [v6("2606:4700::1111"), v6("::ffff:10.0.0.1")],
        ),
    ]
}

fn addresses(answer: &[u8]) -> Vec<IpAddr> {
    let records = Message::from_vec(answer).map(|message| message.answers);
    let records = records.unwrap_or_default().into_iter();
    let addresses = records.filter_map(|record| record.data.ip_addr());
    addresses.collect()
}

/// What the guard lets through of an answer for the host.
fn judged(answered: &[IpAddr]) -> Result<Vec<SocketAddr>, Refused> {
    let guard = Guard::default();
    let url = Url::parse(&format!("https://{HOST}/hooks")).unwrap();
    let Ok(Target::Name(name)) = guard.judge_url(&url) else {
        panic!("it is the name of a host");
    };
    guard.judge_answer(&name, answered.iter().copied())
}

/// What the standard library knows of addresses that are not public.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified()
        }
        IpAddr::V6(v6) => {
            let is_local = v6.is_unique_local() || v6.is_unicast_link_local();
            is_local || v6.is_loopback() || v6.is_unspecified()
        }
    }
}

#[test]
fn one_address_that_may_not_be_called_refuses_the_answer() {
    let told = answers().into_iter().map(|answer| {
        let answered = addresses(&answer);
        assert_eq!(answered.len(), 2);
        judged(&answered).is_ok()
    });
    assert_eq!(told.collect::<Vec<_>>(), [true, false, true, false]);
}

proptest! {
    #[test]
    fn whatever_a_nameserver_answers_leads_nowhere_but_to_public_addresses(
        answer in damaged(answers()),
    ) {
        let answered = addresses(&answer);
        if let Ok(addresses) = judged(&answered) {
            prop_assert_eq!(addresses.len(), answered.len());
            let private = answered.iter().find(|address| is_private(**address));
            prop_assert_eq!(private, None);
        }
    }
}
