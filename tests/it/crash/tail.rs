//! One reader of the log of attempts, which goes on over every restart.

use std::sync::Mutex;

use postrider::proto::{
    TailDeliveriesRequest, tail_deliveries_request::Start, tail_deliveries_response,
};
use tonic::Status;

use crate::support::Process;

/// What the reader has seen.
#[derive(Debug, Default)]
pub struct Tail(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    token: String,
    attempts: Vec<String>,
}

impl Tail {
    /// Reads on from where it was, until the server is gone.
    pub async fn go_on(&self, server: &Process) -> Result<(), Status> {
        let token = self.0.lock().unwrap().token.clone();
        let start = if token.is_empty() {
            Start::StartTime(prost_types::Timestamp::default())
        } else {
            Start::ResumeToken(token)
        };
        let request = TailDeliveriesRequest {
            start: Some(start),
            ..Default::default()
        };
        let mut stream = server
            .deliveries()
            .tail_deliveries(request)
            .await?
            .into_inner();
        while let Some(next) = stream.message().await? {
            let mut seen = self.0.lock().unwrap();
            match next.event.expect("it tells something") {
                tail_deliveries_response::Event::Attempt(attempt) => seen.attempts.push(attempt.id),
                tail_deliveries_response::Event::Skipped(skipped) => panic!("{skipped:?}"),
                _ => {}
            }
            seen.token = next.resume_token;
        }
        Ok(())
    }

    /// The attempts in the order they came.
    pub fn attempts(&self) -> Vec<String> {
        self.0.lock().unwrap().attempts.clone()
    }

    /// How many came.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap().attempts.len()
    }
}
