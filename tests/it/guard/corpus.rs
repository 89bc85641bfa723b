//! The URLs of tests/data/ssrf-urls.tsv, each with its verdict, and the names
//! that it tells the answers for.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex},
};

use url::Url;

use crate::support::{Answer, Dns};

const CORPUS: &str = include_str!("../../data/ssrf-urls.tsv");

/// One URL.
#[derive(Debug, Clone)]
pub struct Row {
    pub url: &'static str,
    /// Whether it may be called.
    pub is_allowed: bool,
    pub why: &'static str,
    zone: Option<&'static str>,
}

impl Row {
    /// Whether its name answers something harmless first.
    pub fn is_rebinding(&self) -> bool {
        self.zone.is_some_and(|zone| zone.contains(";then="))
    }
}

/// The whole corpus.
pub fn rows() -> Vec<Row> {
    let rows: Vec<_> = CORPUS
        .lines()
        .filter(|line| !line.is_empty())
        .map(row)
        .collect();
    assert!(rows.len() > 150, "the corpus is whole");
    rows
}

fn row(line: &'static str) -> Row {
    let mut fields = line.split('\t');
    let mut next = || {
        fields
            .next()
            .expect("a line has a URL, a verdict and a reason")
    };
    let (url, verdict, why) = (next(), next(), next());
    let zone = why
        .split_once("dns[")
        .and_then(|(_, rest)| rest.split_once(']'));
    Row {
        url,
        is_allowed: match verdict {
            "allow" => true,
            "deny" => false,
            other => panic!("{other} is no verdict"),
        },
        why,
        zone: zone.map(|(zone, _)| zone),
    }
}

/// A nameserver that answers for the names of the corpus as it says.
pub fn nameserver() -> Dns {
    let rows = rows().into_iter();
    let zones: HashMap<_, _> = rows
        .filter_map(|row| {
            let name = Url::parse(row.url).ok()?.domain()?.to_owned();
            Some((name, row.zone?))
        })
        .collect();
    let asked = Arc::new(Mutex::new(HashMap::<String, usize>::new()));
    Dns::start(move |name| {
        let Some(zone) = zones.get(name) else {
            return Answer::NoName;
        };
        let mut asked = asked.lock().unwrap();
        let times = asked.entry(name.to_owned()).or_default();
        *times += 1;
        // Each time a name is resolved, two questions are asked.
        reply(zone, (*times - 1) / 2)
    })
}

/// Reads `A=1.1.1.1,1.0.0.1 AAAA=::1`, `CNAME=localhost` or `A=1.1.1.1;then=10.0.0.1`.
fn reply(zone: &str, times: usize) -> Answer {
    let mut addresses = Vec::new();
    for records in zone.split(' ') {
        let (kind, values) = records.split_once('=').expect("a type and its values");
        if kind == "CNAME" {
            return Answer::Alias(values.to_owned());
        }
        let values = match values.split_once(";then=") {
            Some((first, _)) if times == 0 => first,
            Some((_, then)) => then,
            None => values,
        };
        let values = values.split(',').filter(|value| !value.is_empty());
        addresses.extend(values.map(|value| value.parse::<IpAddr>().unwrap()));
    }
    Answer::Addresses(addresses)
}
