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

#[cfg(test)]
mod tests {
    use tokio::sync::watch;
    use tokio_util::sync::CancellationToken;
    use tonic::transport::Channel;
    use tonic_health::pb::{
        HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
    };

    use super::*;

    #[tokio::test]
    async fn startup_liveness_and_readiness_are_three_things() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let (started, has_started) = watch::channel(false);
        let (ready, is_ready) = watch::channel(false);
        let states = States {
            started: has_started,
            ready: is_ready,
            draining: CancellationToken::new(),
        };
        let port = HealthPort::open(Some(address), states).await.unwrap();
        let channel = Channel::from_shared(format!("http://{address}")).unwrap();
        let client = HealthClient::new(channel.connect().await.unwrap());
        let serving = async || {
            let mut serving = Vec::new();
            for service in ["startup", "liveness", "readiness"] {
                let service = service.to_owned();
                let reply = client.clone().check(HealthCheckRequest { service }).await;
                serving.push(reply.unwrap().into_inner().status() == ServingStatus::Serving);
            }
            serving
        };
        assert_eq!(
            serving().await,
            [false, true, false],
            "the store is being opened"
        );
        started.send_replace(true);
        ready.send_replace(true);
        assert_eq!(serving().await, [true, true, true]);
        ready.send_replace(false);
        assert_eq!(
            serving().await,
            [true, true, false],
            "the disk is full, say"
        );
        drop(client);
        port.close().await;
    }
}
