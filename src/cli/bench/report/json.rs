//! The report for programs: one flat JSON object. Names end in their unit;
//! names.txt, which `postrider bench --help` shows, says what each means.

use serde_json::{Map, Value, json};

use super::Report;
use crate::cli::latency::Latency;

/// The report as one JSON object.
pub(in crate::cli::bench) fn to_json(report: &Report) -> Value {
    let setup = &report.setup;
    let publish = &report.publish;
    let delivery = report.delivery.as_ref();
    let limit = report.limit.as_ref();
    let memory = report.memory.as_ref();
    let disk = report.disk.as_ref();
    let cpu = |time| report.cpu_per_event(time).map(rounded);
    let mut object = Map::new();
    let mut add = |name: &str, value: Value| {
        object.insert(name.to_owned(), value);
    };

    add("version", json!(env!("CARGO_PKG_VERSION")));
    add("mode", json!(setup.mode));
    add("concurrency", json!(setup.concurrency));
    add("in_flight", json!(setup.in_flight));
    add("rate_per_s", json!(setup.rate));
    add("payload_bytes", json!(setup.payload_size));
    add("fan_out", json!(setup.fan_out));
    add("duration_s", json!(setup.duration.as_secs_f64()));

    add("published", json!(publish.acknowledged));
    add("refused", json!(publish.refused));
    add("first_refusal", json!(publish.first_refusal));
    add("publish_rate_per_s", json!(rounded(report.publish_rate())));
    add_latency(&mut add, "publish", Some(publish.latency));

    add("delivered", json!(delivery.map(|d| d.unique)));
    add("lost", json!(delivery.map(|d| d.lost)));
    add("duplicates", json!(delivery.map(|d| d.duplicates)));
    add("bad_signatures", json!(delivery.map(|d| d.bad_signatures)));
    let rate = report.delivery_rate().map(rounded);
    add("delivery_rate_per_s", json!(rate));
    add_latency(&mut add, "end_to_end", delivery.map(|d| d.latency));

    let rate = limit.map(|l| rounded(l.per_second));
    add("limit_rate_per_s", json!(rate));
    add_latency(&mut add, "limit", limit.map(|l| l.latency));
    let ratio = report.ratio_to_limit().map(|r| (r * 1e3).round() / 1e3);
    add("ratio_to_limit", json!(ratio));

    add("server_cpu_us_per_event", json!(cpu(report.cpu.server)));
    add("client_cpu_us_per_event", json!(cpu(report.cpu.client)));
    add("receiver_cpu_us_per_event", json!(cpu(report.cpu.receiver)));

    add("memory_start_bytes", json!(memory.map(|m| m.start)));
    add("memory_halfway_bytes", json!(memory.map(|m| m.halfway)));
    add("memory_end_bytes", json!(memory.map(|m| m.end)));
    add("memory_max_bytes", json!(memory.map(|m| m.max)));
    add("memory_peak_bytes", json!(memory.map(|m| m.peak)));

    add("disk_before_bytes", json!(disk.map(|d| d.before)));
    add("disk_after_bytes", json!(disk.map(|d| d.after)));
    let per_event = report.disk_per_event().map(rounded);
    add("disk_bytes_per_event", json!(per_event));
    let sync = report
        .fdatasync
        .map(|time| rounded(time.as_secs_f64() * 1e6));
    add("fdatasync_p50_us", json!(sync));
    Value::Object(object)
}

fn add_latency(add: &mut impl FnMut(&str, Value), of: &str, latency: Option<Latency>) {
    for (name, value) in [
        ("p50", latency.map(|l| l.p50)),
        ("p99", latency.map(|l| l.p99)),
        ("p999", latency.map(|l| l.p999)),
        ("max", latency.map(|l| l.max)),
    ] {
        add(
            &format!("{of}_latency_{name}_us"),
            json!(value.map(rounded)),
        );
    }
}

/// One digit behind the point, which is more than is certain.
fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
