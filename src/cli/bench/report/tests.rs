use serde_json::Value;

use super::*;

fn full() -> Report {
    let latency = Latency {
        p50: 850.0,
        p99: 3_140.04,
        p999: 12_000.0,
        max: 1_200_000.0,
    };
    Report {
        setup: Setup {
            mode: "stream",
            concurrency: 128,
            in_flight: Some(128),
            rate: None,
            payload_size: 512,
            fan_out: 1,
            duration: Duration::from_secs(10),
        },
        publish: Publish {
            acknowledged: 152_340,
            refused: 0,
            first_refusal: None,
            elapsed: Duration::from_secs(10),
            latency,
        },
        delivery: Some(Delivery {
            unique: 152_340,
            elapsed: Duration::from_secs(12),
            latency,
            ..Delivery::default()
        }),
        limit: Some(Limit {
            per_second: 25_390.0,
            latency,
        }),
        cpu: Cpu {
            server: Some(Duration::from_secs(9)),
            client: Some(Duration::from_secs(6)),
            receiver: None,
        },
        memory: Some(Memory {
            start: 20 << 20,
            halfway: 90 << 20,
            end: 91 << 20,
            max: 92 << 20,
            peak: 93 << 20,
        }),
        disk: Some(Disk {
            before: 1_000_000,
            after: 188_983_400,
        }),
        fdatasync: Some(Duration::from_micros(1100)),
    }
}

#[test]
fn people_read_an_aligned_table() {
    insta::assert_snapshot!(to_table(&full()), @r"
    stream, 128 at once, 512 B, fan-out 1, 10.0 s, 128 in flight

                      per second         p50         p99       p99.9         max
    publish               15,234      850 µs      3.1 ms     12.0 ms       1.2 s
    end to end            12,695      850 µs      3.1 ms     12.0 ms       1.2 s
    bare limit            25,390      850 µs      3.1 ms     12.0 ms       1.2 s
    ratio to limit          0.50

    events            152,340 acknowledged, 0 refused
    deliveries        152,340 arrived, 0 lost, 0 duplicates, 0 bad signatures
    cpu per event     server 59 µs, client 39 µs, receiver unknown
    server memory     20 MiB at start, 90 MiB halfway, 91 MiB at end, 93 MiB peak
    disk              1,234 B per event, 181 MiB in all
    fdatasync         1.1 ms median
    ");
}

#[test]
fn what_was_not_measured_is_not_in_the_table() {
    let report = Report {
        publish: Publish {
            refused: 1,
            first_refusal: Some("Unavailable: draining".into()),
            ..Publish::default()
        },
        ..Report::default()
    };
    insta::assert_snapshot!(to_table(&report), @r"
    , 0 at once, 0 B, fan-out 0, 0 µs

                      per second         p50         p99       p99.9         max
    publish                    0        0 µs        0 µs        0 µs        0 µs

    events            0 acknowledged, 1 refused
    first refusal     Unavailable: draining
    cpu per event     server unknown, client unknown, receiver unknown
    ");
}

#[test]
fn programs_read_one_flat_object() {
    let json = serde_json::to_string_pretty(&to_json(&full())).unwrap();
    insta::assert_snapshot!(json, @r#"
    {
      "bad_signatures": 0,
      "client_cpu_us_per_event": 39.4,
      "concurrency": 128,
      "delivered": 152340,
      "delivery_rate_per_s": 12695.0,
      "disk_after_bytes": 188983400,
      "disk_before_bytes": 1000000,
      "disk_bytes_per_event": 1234.0,
      "duplicates": 0,
      "duration_s": 10.0,
      "end_to_end_latency_max_us": 1200000.0,
      "end_to_end_latency_p50_us": 850.0,
      "end_to_end_latency_p999_us": 12000.0,
      "end_to_end_latency_p99_us": 3140.0,
      "fan_out": 1,
      "fdatasync_p50_us": 1100.0,
      "first_refusal": null,
      "in_flight": 128,
      "limit_latency_max_us": 1200000.0,
      "limit_latency_p50_us": 850.0,
      "limit_latency_p999_us": 12000.0,
      "limit_latency_p99_us": 3140.0,
      "limit_rate_per_s": 25390.0,
      "lost": 0,
      "memory_end_bytes": 95420416,
      "memory_halfway_bytes": 94371840,
      "memory_max_bytes": 96468992,
      "memory_peak_bytes": 97517568,
      "memory_start_bytes": 20971520,
      "mode": "stream",
      "payload_bytes": 512,
      "publish_latency_max_us": 1200000.0,
      "publish_latency_p50_us": 850.0,
      "publish_latency_p999_us": 12000.0,
      "publish_latency_p99_us": 3140.0,
      "publish_rate_per_s": 15234.0,
      "published": 152340,
      "rate_per_s": null,
      "ratio_to_limit": 0.5,
      "receiver_cpu_us_per_event": null,
      "refused": 0,
      "server_cpu_us_per_event": 59.1,
      "version": "0.1.0"
    }
    "#);
}

#[test]
fn every_name_is_documented() {
    let Value::Object(object) = to_json(&full()) else {
        panic!("the report is an object");
    };
    for name in object.keys() {
        let grouped = ["p50", "p99", "p999", "max", "start", "halfway", "end"]
            .iter()
            .find_map(|part| Some(name.split_once(&format!("_{part}_"))?.0));
        let documented = match grouped {
            Some(start) => NAMES.contains(&format!("{start}_{{")) || NAMES.contains(name),
            None => NAMES.contains(name),
        };
        assert!(documented, "{name}");
    }
}

#[test]
fn an_empty_run_has_rates_of_zero() {
    let report = Report::default();
    assert!(report.publish_rate().abs() < f64::EPSILON);
    assert_eq!(report.ratio_to_limit(), None);
}
