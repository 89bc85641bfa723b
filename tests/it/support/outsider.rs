//! One of tests/receivers, running.

use std::process::Stdio;

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use super::within;

/// A receiver in another language, with other people's packages.
pub struct Outsider {
    lines: Lines<BufReader<ChildStdout>>,
    /// Where it receives.
    pub url: String,
    _child: Child,
}

impl Outsider {
    /// Starts a script, which verifies with this secret.
    pub async fn start(program: &str, script: &str, secret: &str) -> Self {
        let mut child = Command::new(program)
            .arg(format!(
                "{}/tests/receivers/{script}",
                env!("CARGO_MANIFEST_DIR")
            ))
            .env("WEBHOOK_SECRET", secret)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .expect("Node and Python are there; tests/run says so if they are not");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = within(script, lines.next_line()).await.unwrap();
        let first = first.expect("its packages are there; tests/run installs them");
        let port = serde_json::from_str::<Value>(&first).unwrap()["port"].clone();
        Self {
            lines,
            url: format!("http://127.0.0.1:{port}/hooks"),
            _child: child,
        }
    }

    /// What it says of the next delivery.
    pub async fn next(&mut self) -> Value {
        let line = within("a delivery", self.lines.next_line()).await.unwrap();
        serde_json::from_str(&line.expect("it goes on")).unwrap()
    }
}
