//! The port that answers health checks alone: from before the store is opened
//! until after everything else has ended.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::grpc::{self, Shutdown, States};

/// The open port, if there is one.
pub(super) struct HealthPort {
    shutdown: Shutdown,
    served: Option<JoinHandle<()>>,
}

impl HealthPort {
    /// Answers at this address, or nowhere.
    pub(super) async fn open(address: Option<SocketAddr>, states: States) -> Result<Self> {
        let shutdown = Shutdown::default();
        let Some(address) = address else {
            return Ok(Self {
                shutdown,
                served: None,
            });
        };
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address} (server.health_listen)"))?;
        let served = grpc::serve_health(listener, states, shutdown.clone());
        Ok(Self {
            shutdown,
            served: Some(tokio::spawn(served)),
        })
    }

    /// Answers no more. Connections of clients that do not end them are cut.
    pub(super) async fn close(self) {
        self.shutdown.draining.cancel();
        self.shutdown.cut_off.cancel();
        if let Some(served) = self.served {
            // It ends on its own once its connections have had their last words.
            let _ = served.await;
        }
    }
}
