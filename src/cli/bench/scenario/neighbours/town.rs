//! The subscriptions of the run, the good and those in trouble. Each wants an
//! event type of its own.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::Context;
use tokio::net::TcpSocket;

use super::Trouble;
use crate::{
    cli::bench::{
        rig::{Rig, subscription_to},
        scenario::receiver_of,
        witness::Witness,
    },
    proto::{DeliveryFilter, ErrorKind, ListAttemptsRequest, Subscription},
};

/// Deadline of attempts in trouble, so that a phase can be left.
pub(super) const TIMEOUT: Duration = Duration::from_secs(3);

const GOOD: &str = "bench.good";
const BAD: &str = "bench.bad";
/// Entries asked for at once.
const PAGE: i32 = 1_000;

pub(super) struct Town {
    good: u32,
    /// Whose those in trouble are.
    tenant: Option<&'static str>,
    bad: Vec<String>,
    pub(super) witness: Witness,
    _dead: DeadPort,
}

impl Town {
    /// Subscribes everybody.
    pub(super) async fn build(
        rig: &mut Rig,
        trouble: Trouble,
        good: u32,
        bad: u32,
    ) -> anyhow::Result<Self> {
        let receiver = receiver_of(rig);
        let witness = Witness::new(receiver)?;
        let base = receiver.url();
        let dead = DeadPort::take()?;
        let well = (0..good).map(|number| Subscription {
            url: format!("{base}/{number}"),
            ..subscription_to(&format!("{GOOD}.{number}"))
        });
        let well = well.collect();
        let ill = (0..bad).map(|number| Subscription {
            url: match trouble {
                Trouble::Dead => dead.url(),
                Trouble::Hanging => format!("{base}/hang/{number}"),
                Trouble::Slow => format!("{base}/drip/{number}"),
                Trouble::Endless => format!("{base}/endless/{number}"),
                Trouble::Noisy => format!("{base}/noise/{number}"),
            },
            timeout: Some(TIMEOUT.try_into().expect("it is a few seconds")),
            ..subscription_to(&format!("{BAD}.{number}"))
        });
        let ill = ill.collect();
        rig.create(well).await?;
        Ok(Self {
            good,
            tenant: trouble.tenant(),
            bad: rig.create_for(trouble.tenant(), ill).await?,
            witness,
            _dead: dead,
        })
    }

    pub(super) fn good_types(&self) -> Vec<String> {
        let numbers = 0..self.good;
        numbers.map(|number| format!("{GOOD}.{number}")).collect()
    }

    pub(super) fn bad_types(&self) -> Vec<String> {
        let numbers = 0..self.bad.len();
        numbers.map(|number| format!("{BAD}.{number}")).collect()
    }

    /// Lets those in trouble take part, or not.
    pub(super) async fn trouble(&self, rig: &Rig, on: bool) -> anyhow::Result<()> {
        rig.switch(self.tenant, &self.bad, on).await
    }

    /// How long after its deadline the last attempt ended that had to, in
    /// microseconds; none if none had to.
    pub(super) async fn overrun(&self, rig: &Rig) -> anyhow::Result<Option<f64>> {
        let mut client = rig.deliveries().await?;
        let mut longest: Option<Duration> = None;
        let mut page_token = String::new();
        loop {
            let request = ListAttemptsRequest {
                page_size: PAGE,
                page_token,
                filter: Some(DeliveryFilter {
                    event_types: vec![format!("{BAD}.*")],
                    error_kinds: vec![ErrorKind::Timeout.into()],
                    ..DeliveryFilter::default()
                }),
            };
            let page = client.list_attempts(request).await?.into_inner();
            let durations = page.attempts.into_iter().filter_map(|a| a.duration);
            for duration in durations {
                longest = longest.max(Some(duration.try_into().context("a bad duration")?));
            }
            if page.next_page_token.is_empty() {
                break;
            }
            page_token = page.next_page_token;
        }
        let overrun = longest.map(|longest| longest.saturating_sub(TIMEOUT));
        Ok(overrun.map(|overrun| overrun.as_secs_f64() * 1e6))
    }
}

/// A port at which nothing listens, and that nothing else gets meanwhile.
struct DeadPort {
    _socket: TcpSocket,
    address: SocketAddr,
}

impl DeadPort {
    fn take() -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        Ok(Self {
            address: socket.local_addr()?,
            _socket: socket,
        })
    }

    fn url(&self) -> String {
        format!("http://{}/dead", self.address)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn a_dead_port_refuses_connections() {
        let dead = DeadPort::take().unwrap();
        let error = TcpStream::connect(dead.address).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    }
}
