//! Runs the commands as people do: the program itself, on real sockets.

use std::{process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

const BOUND: Duration = Duration::from_mins(1);

struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    seen: Vec<String>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_postrider"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let stdout = child.stdout.take().expect("it is piped");
        Self {
            child,
            lines: BufReader::new(stdout).lines(),
            seen: Vec::new(),
        }
    }

    /// Reads lines until one contains `text`, or all if there is none.
    async fn read_until(&mut self, text: &str) -> &[String] {
        let read = async {
            while let Some(line) = self.lines.next_line().await.expect("it is text") {
                let found = line.contains(text);
                self.seen.push(line);
                if found {
                    break;
                }
            }
        };
        timeout(BOUND, read).await.expect("it writes in time");
        &self.seen
    }

    fn interrupt(&self) {
        let id = self.child.id().expect("it runs").cast_signed();
        let pid = Pid::from_raw(id).expect("ids are not zero");
        kill_process(pid, Signal::INT).expect("it runs");
    }

    async fn succeeded(mut self) -> bool {
        let status = timeout(BOUND, self.child.wait()).await;
        status.expect("it ends in time").expect("it ran").success()
    }
}

#[tokio::test]
async fn the_demo_delivers_every_event_and_ends_cleanly_on_ctrl_c() {
    let mut demo = Running::start(&["demo", "--listen", "127.0.0.1:0"]);
    let seen = demo.read_until("serving until Ctrl-C").await.join("\n");
    assert!(
        seen.contains("5 of 5 events delivered in 9 attempts"),
        "{seen}"
    );
    demo.interrupt();
    assert!(demo.succeeded().await);
}

#[tokio::test]
async fn a_bench_counts_what_it_published() {
    for mode in ["unary", "stream"] {
        let mut bench = Running::start(&[
            "bench",
            "--json",
            "--mode",
            mode,
            "--duration",
            "1s",
            "--rate",
            "300",
            "--fan-out",
            "2",
            "--skip-limit",
        ]);
        let report = bench.read_until("no such line").await.join("\n");
        assert!(bench.succeeded().await, "{report}");
        let report: serde_json::Value = serde_json::from_str(&report).expect("it is JSON");
        let number = |name: &str| report[name].as_u64().expect(name);
        assert!(number("published") >= 250, "{report}");
        assert_eq!(number("delivered"), 2 * number("published"), "{report}");
        for name in ["refused", "lost", "duplicates", "bad_signatures"] {
            assert_eq!(number(name), 0, "{name} in {report}");
        }
    }
}

/// What a scenario tells programs.
async fn scenario(name: &str, options: &[&str]) -> serde_json::Value {
    let arguments = [&["bench", "--json", "--scenario", name], options].concat();
    let mut bench = Running::start(&arguments);
    let report = bench.read_until("no such line").await.join("\n");
    assert!(bench.succeeded().await, "{report}");
    let report: serde_json::Value = serde_json::from_str(&report).expect("it is JSON");
    assert_eq!(report["scenario"], name);
    if name != "overload" {
        assert_eq!(report["refused"].as_u64().unwrap_or(0), 0, "{report}");
    }
    report
}

#[tokio::test]
async fn a_bench_of_overload_tells_what_was_answered_and_what_refused() {
    let report = scenario("overload", &["--duration", "2s"]).await;
    assert_eq!(report["failed"], 0, "{report}");
    for positive in ["published", "refused", "capacity_per_s", "goodput_percent"] {
        assert!(
            report[positive].as_f64() > Some(0.0),
            "{positive}: {report}"
        );
    }
    assert!(report["refused_us"]["p50"].as_f64() > Some(0.0), "{report}");
    let growth = report["memory_growth_bytes"].as_u64();
    assert!(growth < Some(256 * 1024 * 1024), "{report}");
}

#[tokio::test]
async fn a_bench_of_neighbours_tells_what_the_good_ones_noticed() {
    for (name, troubled, held) in [("dead-endpoints", 1, false), ("slow-receivers", 3, true)] {
        let options = ["--subscriptions", "10", "--pairs", "1"];
        let load = ["--duration", "1s", "--rate", "100"];
        let backlog: &[&str] = if held { &[] } else { &["--backlog", "50"] };
        let report = scenario(name, &[&options[..], &load, backlog].concat()).await;
        assert_eq!(report["troubled"], troubled, "{report}");
        let phases = report["phases"].as_array().expect("it is a list");
        let order: Vec<_> = phases.iter().map(|phase| &phase["troubled"]).collect();
        assert_eq!(order, [false, true], "{report}");
        for phase in phases {
            assert!(phase["published"].as_u64() > Some(80), "{report}");
            assert_eq!(phase["delivered"], phase["published"], "{report}");
        }
        assert!(report["p99_ratio"].as_f64() > Some(0.0), "{report}");
        assert_eq!(report["overrun_us"].is_number(), held, "{report}");
    }
}

#[tokio::test]
async fn no_timer_of_a_bench_is_early() {
    let options = ["--events", "200", "--duration", "1s", "--fan-out", "2"];
    let report = scenario("timers", &options).await;
    assert_eq!(report["published"], 200, "{report}");
    assert_eq!(report["delivered"], 400, "{report}");
    assert_eq!(report["early"], 0, "{report}");
    assert!(report["late_us"]["max"].as_f64() > Some(0.0), "{report}");
}

#[tokio::test]
async fn a_bench_of_recovery_watches_the_rate_rise() {
    let options = ["--events", "400", "--rate-limit", "100"];
    let report = scenario("recovery", &options).await;
    assert_eq!(report["published"], 400, "{report}");
    assert!(report["failed_attempts"].as_u64() > Some(0), "{report}");
    let ramp = report["ramp_per_s"].as_array().expect("it is a list");
    assert_eq!(ramp.len(), 8, "{report}");
    let mut arrived = 0;
    for (seconds, count) in (1..).zip(ramp) {
        let count = count.as_u64().expect("it is a count");
        arrived += count;
        assert!(count <= 102 && arrived <= 100 * seconds + 2, "{report}");
    }
    assert!(report["delivered"].as_u64() > Some(200), "{report}");
}

#[tokio::test]
async fn problems_of_a_configuration_stand_in_the_order_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("postrider.toml");
    let text = "[shutdown]\ndeadline = '2w'\n[limits]\nmax_payload_size = 'x'\ncolour = 1\n";
    std::fs::write(&file, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_postrider"))
        .args(["config", "show", "--config"])
        .arg(&file)
        .output();
    let output = timeout(BOUND, output).await.expect("it ends in time");
    let told = String::from_utf8(output.expect("it ran").stderr).expect("it is text");
    let (head, problems) = told.split_once('\n').expect("there are several lines");
    assert_eq!(head, "postrider: configuration has 3 problems:");
    let places = problems.lines().zip([2, 4, 5]);
    for (problem, line) in places {
        let place = format!("  file {}:{line}: ", file.display());
        assert!(problem.starts_with(&place), "{told}");
    }
    assert_eq!(problems.lines().count(), 3, "{told}");
}
