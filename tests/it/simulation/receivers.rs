//! The network of the simulation: hosts in changing moods that note what they get.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use postrider::{
    dispatch::{Failure, Received, Request, Response, Transport},
    domain::{Clock, ErrorKind, Timestamp},
};

use super::{
    dice::Dice,
    history::{self, Answer},
    plan::Plan,
    planted::Planted,
    scene::Scene,
};

/// How a host answers for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    Flaky,
    Down,
    Slow,
    Hanging,
    Busy,
    Gone,
}

/// The moods of all hosts.
pub struct Moods {
    dice: Dice,
    hosts: BTreeMap<String, (Mood, u64)>,
    /// Set once every host is well for good.
    pub healed: bool,
    faults: bool,
}

impl Moods {
    pub fn new(plan: &Plan) -> Self {
        Self {
            dice: Dice::new(plan.seed, "receivers"),
            hosts: BTreeMap::new(),
            healed: false,
            faults: plan.faults,
        }
    }

    fn of(&mut self, host: &str, truth: u64) -> Mood {
        if self.healed || !self.faults {
            return Mood::Well;
        }
        if let Some((mood, until)) = self.hosts.get(host)
            && truth < *until
        {
            return *mood;
        }
        let mood = match self.dice.below(100) {
            0..35 => Mood::Well,
            35..55 => Mood::Flaky,
            55..75 => Mood::Down,
            75..83 => Mood::Slow,
            83..88 => Mood::Hanging,
            88..98 => Mood::Busy,
            _ => Mood::Gone,
        };
        let lasts = self.dice.between(5, 60) * 1_000_000;
        self.hosts.insert(host.to_owned(), (mood, truth + lasts));
        mood
    }

    /// How long a host takes, in milliseconds, and what it answers; a time to come
    /// back for those who are told to.
    fn answer(&mut self, host: &str, truth: u64) -> (u64, Choice) {
        let mood = self.of(host, truth);
        let dice = &mut self.dice;
        let quick = dice.between(1, 40);
        let well = Choice::Status(*dice.pick(&[200, 200, 201, 204]));
        match mood {
            Mood::Well => (quick, well),
            Mood::Flaky if dice.chance(50) => (quick, well),
            Mood::Flaky | Mood::Down => (quick, trouble(dice)),
            Mood::Slow => (dice.between(500, 20_000), well),
            Mood::Hanging => (u64::MAX, well),
            Mood::Busy => (quick, later(dice)),
            Mood::Gone => (quick, Choice::Status(410)),
        }
    }
}

/// What a host has decided to answer.
#[derive(Debug, Clone, Copy)]
enum Choice {
    Status(u16),
    /// To come back after so many seconds, said as such or as a date.
    After(u16, u64, bool),
    Failure(ErrorKind),
}

fn trouble(dice: &mut Dice) -> Choice {
    let kinds = [
        ErrorKind::Dns,
        ErrorKind::Connect,
        ErrorKind::Tls,
        ErrorKind::Reset,
        ErrorKind::ResponseTooLarge,
        ErrorKind::Protocol,
    ];
    match dice.below(10) {
        0..7 => Choice::Status(*dice.pick(&[500, 502, 503, 404, 301, 302, 429])),
        _ => Choice::Failure(*dice.pick(&kinds)),
    }
}

fn later(dice: &mut Dice) -> Choice {
    let status = *dice.pick(&[429, 503]);
    let seconds = match dice.below(20) {
        0 => 200_000,
        _ => dice.between(0, 40),
    };
    Choice::After(status, seconds, dice.chance(50))
}

/// Sends requests to the hosts.
pub struct Network {
    scene: Arc<Scene>,
    planted: Planted,
}

impl Network {
    pub fn new(scene: Arc<Scene>) -> Self {
        Self {
            planted: Planted::new(scene.plan.bug),
            scene,
        }
    }

    async fn deliver(&self, request: &Request) -> Received {
        let begin = self.scene.clocks.moment();
        let text = |name: &str| {
            request
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let id = text("webhook-id").or(text("x-webhook-id"));
        let noted = history::Request {
            url: request.url.to_string(),
            event: id.unwrap().parse().unwrap(),
            number: text("webhook-attempt").unwrap().parse().unwrap(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            begin,
            answered: None,
        };
        let place = {
            let mut history = self.scene.history.lock();
            history.requests.push(noted);
            history.requests.len() - 1
        };
        let host = request.url.host_str().unwrap();
        let (takes, choice) = self.scene.moods.lock().answer(host, begin.truth);
        let takes = Duration::from_millis(takes);
        let (received, answer) = if takes < request.timeout {
            tokio::time::sleep(takes).await;
            received(choice, self.scene.clocks.now())
        } else {
            tokio::time::sleep(request.timeout).await;
            failed(ErrorKind::Timeout)
        };
        let ended = self.scene.clocks.moment();
        self.scene.history.lock().requests[place].answered = Some((ended, answer));
        received
    }
}

#[async_trait]
impl Transport for Network {
    async fn send(&self, request: Request) -> Received {
        if self.planted.sends_twice() {
            self.deliver(&request).await;
        }
        self.deliver(&request).await
    }
}

fn received(choice: Choice, now: Timestamp) -> (Received, Answer) {
    let mut headers = HeaderMap::new();
    let (status, answer) = match choice {
        Choice::Failure(kind) => return failed(kind),
        Choice::Status(status) => (status, Answer::Status(status)),
        Choice::After(status, seconds, as_date) => {
            let delay = Duration::from_secs(seconds);
            // A date has no fractions of a second.
            let date = Timestamp::from_secs(now.as_secs()).after(delay);
            let (value, time) = if as_date {
                let since = Duration::from_secs(date.as_secs());
                let text = httpdate::fmt_http_date(std::time::UNIX_EPOCH + since);
                (HeaderValue::from_str(&text).unwrap(), date)
            } else {
                (HeaderValue::from(seconds), now.after(delay))
            };
            headers.insert(http::header::RETRY_AFTER, value);
            // Nobody waits for longer than a day.
            let most = now.after(Duration::from_hours(24));
            (status, Answer::Later(status, time.min(most)))
        }
    };
    let response = Response {
        status,
        headers,
        body: Bytes::from_static(b"heard"),
        truncated: false,
        peer: None,
    };
    let received = Received {
        response: Some(response),
        ..Received::default()
    };
    (received, answer)
}

fn failed(kind: ErrorKind) -> (Received, Answer) {
    let failure = Failure {
        kind,
        message: "simulated".to_owned(),
    };
    (Received::failed(failure), Answer::Failure(kind))
}
