//! More calls than the server can answer: how many it still answers, how soon
//! it refuses the others, and what that costs it in memory.

use std::{fmt, sync::Arc, time::Duration};

use anyhow::bail;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::{task::JoinSet, time::Instant};
use tonic::{Status, transport::Channel};
use tonic_types::StatusExt;

use crate::{
    cli::{
        bench::{
            Args,
            events::Events,
            pace::{Pace, nanos},
            process::Memory,
            progress::Progress,
            report::micros,
            rig::Rig,
            scenario::Scenario,
        },
        duration::show,
        figure::{bytes, count},
        latency::{Latency, new_histogram, real},
    },
    proto::{PublishEventRequest, event_service_client::EventServiceClient},
};

/// How many times what it can answer the server is asked for.
const TIMES: f64 = 3.0;
/// Calls that wait for their answer at once while capacity is measured.
const AT_CAPACITY: usize = 512;
/// Calls that wait for their answer at once in overload, at most: the more of
/// them the server takes, the fewer are offered.
const IN_OVERLOAD: usize = 4_096;
/// Connections, so that none has more streams than the server allows.
const CONNECTIONS: usize = 64;

/// What came of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    scenario: String,
    duration_s: f64,
    pub(super) published: u64,
    capacity_per_s: f64,
    offered_per_s: f64,
    goodput_per_s: f64,
    goodput_percent: f64,
    refused: u64,
    failed: u64,
    answered_us: Latency,
    refused_us: Latency,
    memory_growth_bytes: Option<u64>,
}

/// Measures capacity by as many calls as are answered, then offers more.
pub(super) async fn measure(args: &Args, rig: &mut Rig) -> anyhow::Result<Report> {
    let progress = Progress::start();
    let load = Load {
        channels: rig.connect(args.connections().max(CONNECTIONS)).await?,
        events: Events::new(args.payload_size),
        over: args.duration(),
    };
    let load = Arc::new(load);
    // In the first phase the server grows to its size.
    progress.phase("warm-up");
    load.offer(None, AT_CAPACITY).await;
    progress.phase("capacity");
    let capacity = load.offer(None, AT_CAPACITY).await;
    progress.phase("overload");
    let rate = args.rate().unwrap_or(TIMES * capacity.answered_per_s());
    let mut memory = Memory::default();
    let overload = tokio::select! {
        answers = load.offer(Some(rate), IN_OVERLOAD) => answers,
        () = memory.watch(rig.server_pid()) => bail!("the server's memory is not known any more"),
    };
    Ok(Report {
        scenario: Scenario::Overload.name(),
        duration_s: load.over.as_secs_f64(),
        published: overload.answered.len(),
        refused: overload.refused.len(),
        failed: overload.failed,
        capacity_per_s: capacity.answered_per_s(),
        offered_per_s: overload.offered_per_s(),
        goodput_per_s: overload.answered_per_s(),
        goodput_percent: 100.0 * overload.answered_per_s() / capacity.answered_per_s(),
        answered_us: Latency::of_nanos(&overload.answered),
        refused_us: Latency::of_nanos(&overload.refused),
        memory_growth_bytes: memory.growth(),
    })
}

/// What is offered, and by which connections.
struct Load {
    channels: Vec<Channel>,
    events: Events,
    over: Duration,
}

impl Load {
    /// Publishes at a rate, or as fast as answers come, with so many calls that
    /// wait for their answer at most.
    async fn offer(self: &Arc<Self>, rate: Option<f64>, at_once: usize) -> Answers {
        let pace = Arc::new(Pace::start(self.over, rate, None));
        let answers = Arc::new(Mutex::new(Answers::new()));
        let began = Instant::now();
        let mut callers = JoinSet::new();
        for channel in self.channels.iter().cycle().take(at_once) {
            let client = EventServiceClient::new(channel.clone());
            let (load, pace, answers) = (self.clone(), pace.clone(), answers.clone());
            callers.spawn(async move { load.call(client, &pace, &answers).await });
        }
        callers.join_all().await;
        let answers = Arc::into_inner(answers).expect("the callers have ended");
        Answers {
            took: began.elapsed(),
            ..answers.into_inner()
        }
    }

    async fn call(
        &self,
        mut client: EventServiceClient<Channel>,
        pace: &Pace,
        answers: &Mutex<Answers>,
    ) {
        // What could not be sent in time is not made up for.
        let end = Instant::now() + self.over;
        while let Some(stamp) = pace.turn().await
            && Instant::now() < end
        {
            let event = Some(self.events.event(stamp));
            let sent = Instant::now();
            let answer = client.publish_event(PublishEventRequest { event }).await;
            let nanos = nanos(sent.elapsed());
            let mut answers = answers.lock();
            match answer {
                Ok(_) => answers.answered.saturating_record(nanos),
                Err(status) if is_shed(&status) => {
                    answers.refused.saturating_record(nanos);
                }
                Err(_) => answers.failed += 1,
            }
        }
    }
}

/// Whether the server said that it has too much to do.
fn is_shed(status: &Status) -> bool {
    let details = status.get_details_error_info();
    details.is_some_and(|details| details.reason == "OVERLOADED")
}

/// What the server said to all that it was offered.
struct Answers {
    answered: Histogram<u64>,
    refused: Histogram<u64>,
    failed: u64,
    took: Duration,
}

impl Answers {
    fn new() -> Self {
        Self {
            answered: new_histogram(),
            refused: new_histogram(),
            failed: 0,
            took: Duration::ZERO,
        }
    }

    fn answered_per_s(&self) -> f64 {
        real(self.answered.len()) / self.took.as_secs_f64()
    }

    fn offered_per_s(&self) -> f64 {
        let offered = self.answered.len() + self.refused.len() + self.failed;
        real(offered) / self.took.as_secs_f64()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let over = show(Duration::from_secs_f64(self.duration_s));
        writeln!(out, "{}, {over}\n", self.scenario)?;
        let mut line = |name, text: String| writeln!(out, "{name:<16}  {text}");
        line("capacity", format!("{:.0} events/s", self.capacity_per_s))?;
        line("offered", format!("{:.0} events/s", self.offered_per_s))?;
        let goodput = format!(
            "{:.0} events/s, {:.1} % of capacity",
            self.goodput_per_s, self.goodput_percent
        );
        line("goodput", goodput)?;
        line("answered in", quantiles(self.answered_us))?;
        line("refused in", quantiles(self.refused_us))?;
        let calls = format!(
            "{} answered, {} refused, {} failed",
            count(self.published),
            count(self.refused),
            count(self.failed)
        );
        line("calls", calls)?;
        let growth = self.memory_growth_bytes.map_or("unknown".to_owned(), bytes);
        line("memory growth", growth)
    }
}

fn quantiles(latency: Latency) -> String {
    format!(
        "{} p50, {} p99, {} max",
        micros(latency.p50),
        micros(latency.p99),
        micros(latency.max)
    )
}
