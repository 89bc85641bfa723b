//! `grpc.health.v1.Health` with the services `startup` (the store is open),
//! `liveness` (the process turns), `readiness` (it takes writes) and `""`, which
//! is readiness.

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_server,
};

use super::status::unknown_service;

/// What the services tell of.
#[derive(Debug, Clone)]
pub struct States {
    /// Whether the store is open and calls are taken.
    pub started: watch::Receiver<bool>,
    /// Whether calls that write are taken.
    pub ready: watch::Receiver<bool>,
    /// Cancelled when the server is about to end.
    pub draining: CancellationToken,
}

/// The health service.
#[derive(Clone)]
pub(super) struct Health(States);

enum Service {
    Startup,
    Liveness,
    Readiness,
}

impl Health {
    pub(super) fn new(states: States) -> Self {
        Self(states)
    }

    pub(super) fn into_server(self) -> health_server::HealthServer<Self> {
        health_server::HealthServer::new(self)
    }
}

fn service(name: &str) -> Option<Service> {
    match name {
        "startup" => Some(Service::Startup),
        "liveness" => Some(Service::Liveness),
        "" | "readiness" => Some(Service::Readiness),
        _ => None,
    }
}

fn serving(is_serving: bool) -> ServingStatus {
    if is_serving {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    }
}

fn to_response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

#[tonic::async_trait]
impl health_server::Health for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let name = &request.get_ref().service;
        let status = match service(name) {
            Some(Service::Liveness) => ServingStatus::Serving,
            Some(Service::Startup) => serving(*self.0.started.borrow()),
            Some(Service::Readiness) => serving(*self.0.ready.borrow()),
            None => return Err(unknown_service(name)),
        };
        Ok(Response::new(to_response(status)))
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    /// Tells the status and each change of it. Ends with the server: its last
    /// word on readiness is that there is none.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let lasting = |status| stream::once(async move { status }).chain(stream::pending());
        let (statuses, last) = match service(&request.get_ref().service) {
            Some(Service::Liveness) => (lasting(ServingStatus::Serving).boxed(), None),
            Some(Service::Startup) => {
                let statuses = WatchStream::new(self.0.started.clone()).map(serving);
                (statuses.boxed(), None)
            }
            Some(Service::Readiness) => {
                let statuses = WatchStream::new(self.0.ready.clone()).map(serving);
                (statuses.boxed(), Some(ServingStatus::NotServing))
            }
            // The protocol wants an answer here, as the service may come yet.
            None => (lasting(ServingStatus::ServiceUnknown).boxed(), None),
        };
        let statuses = statuses
            .take_until(self.0.draining.clone().cancelled_owned())
            .chain(stream::iter(last));
        Ok(Response::new(
            statuses.map(|status| Ok(to_response(status))).boxed(),
        ))
    }
}
