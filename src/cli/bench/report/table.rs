//! The report for people: 80 columns, aligned.

use std::{fmt::Write, time::Duration};

use super::Report;
use crate::cli::{duration::show, figure::count, latency::Latency};

/// The report as lines of text.
pub(in crate::cli::bench) fn to_table(report: &Report) -> String {
    let mut lines = vec![heading(report), String::new()];
    lines.extend(rates(report));
    lines.push(String::new());
    lines.extend(outcomes(report));
    lines.extend(costs(report));
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

fn heading(report: &Report) -> String {
    let setup = &report.setup;
    let mut text = format!(
        "{}, {} at once, {} B, fan-out {}, {}",
        setup.mode,
        setup.concurrency,
        setup.payload_size,
        setup.fan_out,
        show(setup.duration)
    );
    if let Some(rate) = setup.rate {
        write!(text, ", {rate} events/s").expect("writing to a string cannot fail");
    }
    if let Some(in_flight) = setup.in_flight {
        write!(text, ", {in_flight} in flight").expect("writing to a string cannot fail");
    }
    text
}

fn rates(report: &Report) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<16}{:>12}{:>12}{:>12}{:>12}{:>12}",
        "", "per second", "p50", "p99", "p99.9", "max"
    )];
    let mut add = |name, rate, latency: Latency| {
        lines.push(format!(
            "{name:<16}{:>12}{:>12}{:>12}{:>12}{:>12}",
            thousands(rate),
            micros(latency.p50),
            micros(latency.p99),
            micros(latency.p999),
            micros(latency.max)
        ));
    };
    add("publish", report.publish_rate(), report.publish.latency);
    if let (Some(delivery), Some(rate)) = (&report.delivery, report.delivery_rate()) {
        add("end to end", rate, delivery.latency);
    }
    if let Some(limit) = &report.limit {
        add("bare limit", limit.per_second, limit.latency);
    }
    if let Some(ratio) = report.ratio_to_limit() {
        lines.push(format!("{:<16}{ratio:>12.2}", "ratio to limit"));
    }
    lines
}

fn outcomes(report: &Report) -> Vec<String> {
    let publish = &report.publish;
    let mut lines = vec![line(
        "events",
        &format!(
            "{} acknowledged, {} refused",
            count(publish.acknowledged),
            count(publish.refused)
        ),
    )];
    if let Some(refusal) = &publish.first_refusal {
        lines.push(line("first refusal", refusal));
    }
    if let Some(delivery) = &report.delivery {
        let text = format!(
            "{} arrived, {} lost, {} duplicates, {} bad signatures",
            count(delivery.unique),
            count(delivery.lost),
            count(delivery.duplicates),
            count(delivery.bad_signatures)
        );
        lines.push(line("deliveries", &text));
    }
    lines
}

fn costs(report: &Report) -> Vec<String> {
    let per_event = |time| match report.cpu_per_event(time) {
        Some(cpu) => format!("{cpu:.0} µs"),
        None => "unknown".to_owned(),
    };
    let cpu = format!(
        "server {}, client {}, receiver {}",
        per_event(report.cpu.server),
        per_event(report.cpu.client),
        per_event(report.cpu.receiver)
    );
    let mut lines = vec![line("cpu per event", &cpu)];
    if let Some(memory) = &report.memory {
        let text = format!(
            "{} at start, {} halfway, {} at end, {} peak",
            bytes(memory.start),
            bytes(memory.halfway),
            bytes(memory.end),
            bytes(memory.peak)
        );
        lines.push(line("server memory", &text));
    }
    if let (Some(disk), Some(per_event)) = (&report.disk, report.disk_per_event()) {
        let text = format!(
            "{} B per event, {} in all",
            thousands(per_event),
            bytes(disk.after)
        );
        lines.push(line("disk", &text));
    }
    if let Some(time) = report.fdatasync {
        lines.push(line("fdatasync", &format!("{} median", show(time))));
    }
    lines
}

fn line(name: &str, text: &str) -> String {
    format!("{name:<16}  {text}")
}

/// A number of microseconds as people read it.
pub(in crate::cli::bench) fn micros(micros: f64) -> String {
    show(Duration::from_secs_f64(micros / 1e6))
}

fn bytes(bytes: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    format!("{} MiB", count(bytes.div_ceil(MIB)))
}

fn thousands(value: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rates are positive and far below 2^53"
    )]
    count(value.round() as u64)
}
