//! Where the servers of a run keep everything: a directory that is one
//! server's at a time, or a database that they share.

use std::{path::Path, sync::Arc};

use tempfile::TempDir;

use super::plan::Plan;
use crate::support::{Cluster, Fsync, assert_sound};

/// How long a server that was killed keeps its queues from the others.
const LEASE: &str = "3s";

/// Where everything is kept.
pub struct Home {
    dir: TempDir,
    cluster: Option<Arc<Cluster>>,
    variables: Vec<(&'static str, String)>,
}

impl Home {
    /// An empty one, of the engine that is planned.
    pub async fn new(plan: &Plan) -> Self {
        let mut variables = Vec::new();
        if let Some(engine) = &plan.engine {
            variables.push(("POSTRIDER_STORAGE_ENGINE", engine.clone()));
        }
        let mut cluster = None;
        if plan.is_shared() {
            let started = Arc::new(Cluster::start(Fsync::On));
            let (_, url) = started.bare_database().await;
            variables.push(("POSTRIDER_STORAGE_URL", url));
            variables.push(("POSTRIDER_STORAGE_LEASE", LEASE.to_owned()));
            cluster = Some(started);
        }
        Self {
            dir: tempfile::tempdir().unwrap(),
            cluster,
            variables,
        }
    }

    /// The directory of an embedded store.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Environment variables of the servers.
    pub fn variables(&self) -> Vec<(&str, &str)> {
        let variables = self.variables.iter();
        variables
            .map(|(name, value)| (*name, value.as_str()))
            .collect()
    }

    /// Stops the database as a crash would.
    pub async fn stop_database(&self) {
        let cluster = self.cluster();
        tokio::task::spawn_blocking(move || cluster.crash())
            .await
            .unwrap();
    }

    /// Starts it again, and returns once it takes connections.
    pub async fn start_database(&self) {
        let cluster = self.cluster();
        tokio::task::spawn_blocking(move || cluster.start_again())
            .await
            .unwrap();
    }

    /// Sees that all there is in an embedded store agrees with itself.
    pub async fn assert_sound(&self, plan: &Plan) {
        if self.cluster.is_none() {
            assert_sound(plan.adapter(), self.dir()).await;
        }
    }

    fn cluster(&self) -> Arc<Cluster> {
        self.cluster.clone().expect("there is a database")
    }
}
