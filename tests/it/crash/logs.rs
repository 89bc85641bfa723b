//! What the servers said that bears on the comparison.

use std::sync::Mutex;

/// What the logs say of results that were not recorded.
const LATE: &str = "attempt came too late, its queue has another owner";
/// The only error that a database which goes is worth.
const GONE: &str = "database cannot be reached";

#[derive(Debug, Default)]
struct Seen {
    late: usize,
    errors: Vec<String>,
}

/// What was found in the logs of servers that have ended.
#[derive(Debug, Default)]
pub struct Logs(Mutex<Seen>);

impl Logs {
    /// Looks through the log of a server.
    pub fn note(&self, lines: &[String]) {
        let mut seen = self.0.lock().unwrap();
        for line in lines {
            // The last line of one that was killed may be half of one.
            let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else {
                continue;
            };
            seen.late += usize::from(line["message"] == LATE);
            if line["level"] == "ERROR" && line["message"] != GONE {
                seen.errors.push(line.to_string());
            }
        }
    }

    /// How many attempts were sent whose results were not recorded, since
    /// another server had their queue by then.
    pub fn late(&self) -> usize {
        self.0.lock().unwrap().late
    }

    /// Other errors than that the database is gone.
    pub fn errors(&self) -> Vec<String> {
        self.0.lock().unwrap().errors.clone()
    }
}
