//! What judging a URL costs: a literal address, a name, and a long answer of
//! addresses, with and without exceptions.
//!
//!     cargo bench --bench guard

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::{Duration, Instant},
};

use postrider::domain::{EndpointUrl, Guard, Target};

/// Promised for a literal.
const MOST: Duration = Duration::from_micros(5);
const TURNS: u32 = 200_000;

fn main() {
    let strict = Guard::default();
    let open = Guard::new(exceptions());
    println!("{:<40} {:>12} {:>12}", "", "strict", "64 exceptions");
    for text in [
        "http://8.8.8.8/hooks",
        "http://10.1.2.3:8080/hooks",
        "https://[2606:4700:4700::1111]/hooks",
        "https://[fd12:3456::1]/hooks",
        "https://client.example/hooks",
    ] {
        let url: EndpointUrl = text.parse().expect("the URL is valid");
        let [strict, open] = [&strict, &open].map(|guard| {
            each(|| {
                // Whether it may be called is no matter here.
                let _judged = black_box(guard.judge_url(black_box(url.as_url())));
            })
        });
        println!("{text:<40} {strict:>12?} {open:>12?}");
        assert!(
            strict < MOST && open < MOST,
            "{text} takes more than {MOST:?}"
        );
    }
    let url: EndpointUrl = "https://client.example/".parse().expect("the URL is valid");
    let Ok(Target::Name(name)) = strict.judge_url(url.as_url()) else {
        unreachable!("it is a public name");
    };
    let answer: Vec<IpAddr> = (1..=16).flat_map(both).collect();
    let taken = each(|| {
        let judged = strict.judge_answer(&name, black_box(&answer).iter().copied());
        black_box(judged).expect("all of them are public");
    });
    println!("{:<40} {taken:>12?}", "an answer of 32 addresses");
}

/// Networks that none of the URLs is in, so that all are looked at.
fn exceptions() -> Vec<postrider::domain::Exception> {
    let exceptions = (0..64).map(|n| format!("192.168.{n}.0/24:8080"));
    exceptions
        .map(|text| text.parse().expect("it is a network and a port"))
        .collect()
}

/// An address of either kind.
fn both(n: u8) -> [IpAddr; 2] {
    let v6 = Ipv6Addr::new(0x2606, 0x4700, 0, 0, 0, 0, 0, u16::from(n));
    [Ipv4Addr::new(1, 1, 1, n).into(), v6.into()]
}

/// How long one turn takes, of many.
fn each(mut turn: impl FnMut()) -> Duration {
    let began = Instant::now();
    for _ in 0..TURNS {
        turn();
    }
    began.elapsed() / TURNS
}
