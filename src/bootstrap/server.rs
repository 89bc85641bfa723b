//! The running server, from opening the store to letting go of it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::timeout};
use tokio_util::task::AbortOnDropHandle;

use super::{
    SystemClock, SystemRandom, access,
    descriptors::Files,
    health::HealthPort,
    lifecycle::{Deadline, Signals},
    quotas, reach,
    readiness::Readiness,
    retention, store,
};
use crate::{
    config::{self, ClientAuth, Config},
    control::{self, Control},
    dispatch::{self, Dispatcher},
    domain::DisableAfter,
    grpc::{self, Shutdown, States, Tls, TlsFiles},
    storage::{Engine, Health},
    telemetry,
};

/// What is kept of the deadline to close the store when all else is cut off.
const CLOSING: Duration = Duration::from_secs(1);

/// Serves until a signal comes, then drains.
///
/// Fails if the server cannot start, or if the store can no longer acknowledge
/// writes.
pub async fn serve(config: Config) -> Result<()> {
    telemetry::start(&config.log)?;
    let mut signals = Signals::listen().context("cannot listen to signals")?;
    let mut server = Server::start(&config).await?;
    let failure = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "draining");
            None
        }
        reason = server.failed() => {
            tracing::error!(reason, "failed");
            Some(reason)
        }
    };
    tokio::select! {
        () = server.stop(config.shutdown.deadline) => {}
        signal = signals.next() => tracing::warn!(signal, "cut off by a second signal"),
    }
    match failure {
        Some(reason) => bail!("{reason}"),
        None => Ok(()),
    }
}

/// A server that takes calls and delivers.
pub struct Server {
    address: SocketAddr,
    store: Arc<dyn Engine>,
    dispatcher: Dispatcher,
    shutdown: Shutdown,
    grpc: JoinHandle<()>,
    health: HealthPort,
    /// Whether the server has started; held for those who ask for it.
    _started: watch::Sender<bool>,
    certificates: Option<AbortOnDropHandle<()>>,
    readiness: JoinHandle<()>,
    retention: JoinHandle<()>,
    replays: JoinHandle<()>,
    telling: JoinHandle<()>,
}

impl Server {
    /// Opens the store and begins to serve.
    pub async fn start(config: &Config) -> Result<Self> {
        let files = Files::raise(config.delivery.max_in_flight, config.server.max_connections);
        let clock = Arc::new(SystemClock);
        let random = Arc::new(SystemRandom);
        let keys = access::configured(config)?;
        let tls = encryption(&config.tls)?;
        let shutdown = Shutdown::default();
        let draining = shutdown.draining.clone();
        let (started, has_started) = watch::channel(false);
        let (ready, is_ready) = watch::channel(false);
        let states = States {
            started: has_started,
            ready: is_ready,
            draining: draining.clone(),
        };
        let health = HealthPort::open(config.server.health_listen, states.clone()).await?;
        let (store, place) = store::open(&config.storage, keys.keyring(), clock.clone()).await?;
        let listener = TcpListener::bind(config.server.listen)
            .await
            .with_context(|| {
                format!("cannot listen on {} (server.listen)", config.server.listen)
            })?;
        let address = listener.local_addr()?;

        let resolver = reach::resolver(&config.delivery)?;
        let transport = reach::transport(&config.delivery, &resolver)?;
        let transport = Arc::new(transport.with_files_below(files.receivers));

        let limits = crate::control::Limits {
            max_payload_bytes: config.limits.max_payload_size,
            max_batch_bytes: config.limits.max_batch_size,
            max_batch_events: config.limits.max_batch_events,
        };
        let control = Arc::new(Control::new(
            store.clone(),
            clock.clone(),
            random.clone(),
            resolver,
            limits,
            access::settings(config, keys),
            quotas::settings(&config.quotas),
        ));
        access::begin(config, &control).await?;
        let dispatcher = dispatch::start(
            store.clone(),
            transport,
            clock.clone(),
            random,
            dispatch::Settings {
                max_in_flight: config.delivery.max_in_flight,
                disable_after: DisableAfter::new(config.delivery.disable_after),
                ..Default::default()
            },
        );
        let retention = tokio::spawn(retention::keep(
            store.clone(),
            clock.clone(),
            config.storage.retention,
            config.storage.tenant_retention.clone(),
            draining.clone(),
        ));
        let replays = control::replay(store.clone(), clock, draining.clone());
        let replays = tokio::spawn(replays);
        let telling = control::tell(control.clone(), dispatcher.breakers(), draining.clone());
        let telling = tokio::spawn(telling);

        let (accepting, is_accepting) = watch::channel(true);
        let readiness = Readiness {
            store: store.health(),
            accepting: is_accepting,
            heartbeat: dispatcher.heartbeat(),
            draining,
        };
        let readiness = tokio::spawn(readiness.follow(ready));
        let grpc = tokio::spawn(grpc::serve(
            listener,
            control,
            states,
            accepting,
            shutdown.clone(),
            settings(&config.server, files, tls.clone()),
        ));
        let certificates = tls.map(|tls| AbortOnDropHandle::new(tokio::spawn(tls.follow())));
        started.send_replace(true);
        tracing::info!(%address, store = %place, "listening");
        Ok(Self {
            address,
            store,
            dispatcher,
            shutdown,
            grpc,
            health,
            _started: started,
            certificates,
            readiness,
            retention,
            replays,
            telling,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the server cannot go on, and says why.
    pub async fn failed(&mut self) -> String {
        let mut health = self.store.health();
        let failed = health.wait_for(|health| matches!(health, Health::Failed(_)));
        // The store comes first: it may be why the others ended.
        tokio::select! {
            biased;
            health = failed => match health.as_deref() {
                Ok(Health::Failed(reason)) => format!("the store failed: {reason}"),
                _ => "the store is gone".to_owned(),
            },
            ended = &mut self.grpc => match ended {
                Ok(()) => "the gRPC server ended".to_owned(),
                Err(error) => format!("the gRPC server failed: {error}"),
            },
            () = self.dispatcher.stopped() => "the dispatcher ended".to_owned(),
        }
    }

    /// Turns not ready, takes nothing new, lets what is under way finish until
    /// shortly before the deadline, and closes the store.
    pub async fn stop(self, deadline: Duration) {
        let deadline = Deadline::within(deadline);
        self.shutdown.draining.cancel();
        self.store.hand_over();
        let left = deadline.left().saturating_sub(CLOSING);
        let mut calls = self.grpc;
        let finish_calls = async {
            // It has ended already if its end is the reason to stop.
            if !calls.is_finished() && timeout(left, &mut calls).await.is_err() {
                tracing::warn!("calls were cut off at the deadline");
                self.shutdown.cut_off.cancel();
                if timeout(CLOSING, &mut calls).await.is_err() {
                    calls.abort();
                }
            }
        };
        tokio::join!(finish_calls, self.dispatcher.drain(left));
        self.readiness.abort();
        // They write, so they end before the store does.
        for (name, writing) in [
            ("retention", self.retention),
            ("replays", self.replays),
            ("telling", self.telling),
        ] {
            if timeout(deadline.left(), writing).await.is_err() {
                tracing::warn!(name, "did not end in time");
            }
        }
        drop(self.certificates);
        let close = timeout(deadline.left().max(CLOSING), self.store.close());
        let (closed, ()) = tokio::join!(close, self.health.close());
        if closed.is_err() {
            tracing::warn!("the store was not closed in time; it is recovered at the next start");
        }
        tracing::info!("stopped");
    }
}

fn settings(config: &config::Server, files: Files, tls: Option<Arc<Tls>>) -> grpc::Settings {
    // Where there are few, one address still leaves half of them to others.
    let per_address = if files.callers < config.max_connections {
        files.callers.div_ceil(2)
    } else {
        usize::MAX
    };
    grpc::Settings {
        tls,
        places: grpc::Places {
            total: files.callers,
            per_address: config.max_connections_per_address.min(per_address),
        },
        max_concurrent_streams: config.max_concurrent_streams,
        limits: grpc::Limits {
            calls: config.max_calls,
            streams: config.max_streams,
            request_bytes: config.max_request_memory,
            response_bytes: config.max_response_memory,
        },
    }
}

/// What connections are encrypted with, if they are.
fn encryption(config: &config::Tls) -> Result<Option<Arc<Tls>>> {
    let (Some(certificate), Some(key)) = (&config.cert_file, &config.key_file) else {
        return Ok(None);
    };
    let tls = Tls::load(TlsFiles {
        certificate: certificate.clone(),
        key: key.clone(),
        client_authorities: config.client_ca_file.clone(),
        clients_need_certificates: config.client_auth == ClientAuth::Required,
    });
    Ok(Some(Arc::new(
        tls.context("[tls] of the configuration cannot be used")?,
    )))
}
