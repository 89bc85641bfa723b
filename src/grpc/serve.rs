//! The server: its services, its bounds, and its end.

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Status,
    body::Body,
    service::interceptor::InterceptedService,
    transport::{Server, server::TcpIncoming},
};
use tower::util::{MapFutureLayer, MapResponseLayer};

use super::{
    access::{Call, Gate},
    api_key_service::ApiKeys,
    codec_errors::explained,
    delivery_service::Deliveries,
    event_service::Events,
    health::Health,
    replay_service::Replays,
    status::to_status,
    subscription_service::Subscriptions,
};
use crate::{
    control::{Control, Error},
    proto::{
        DESCRIPTOR_SET, api_key_service_server::ApiKeyServiceServer,
        delivery_service_server::DeliveryServiceServer, event_service_server::EventServiceServer,
        replay_service_server::ReplayServiceServer,
        subscription_service_server::SubscriptionServiceServer,
    },
};

/// Room for everything of a request beside its payloads, so that the product
/// and not the codec answers what is too large.
const DECODING_ROOM: usize = 4 * 1024 * 1024;

/// Bounds of a connection (docs/adr and the HTTP/2 attacks of 2023 to 2025).
const MAX_HEADER_LIST: u32 = 16 * 1024;
const MAX_LOCAL_RESETS: usize = 64;
const MAX_PENDING_RESETS: usize = 20;
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// What can be configured of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Calls that one connection may have open at once.
    pub max_concurrent_streams: u32,
}

/// Serves until `draining`, then takes nothing new and returns when the calls
/// that were open have ended. The caller bounds the time that may take by
/// dropping the future; what is still open is then answered UNAVAILABLE.
pub async fn serve(
    listener: TcpListener,
    control: Arc<Control>,
    ready: watch::Receiver<bool>,
    draining: CancellationToken,
    settings: Settings,
) -> Result<(), tonic::transport::Error> {
    // Connections are tasks of their own and outlive this future by a little.
    let cut_off = CancellationToken::new();
    let _cuts_off = cut_off.clone().drop_guard();
    let limits = control.limits();
    let decoding = limits.max_batch_bytes.max(limits.max_payload_bytes) + DECODING_ROOM;
    let admit = Admit(draining.clone());
    let subscriptions = SubscriptionServiceServer::new(Subscriptions::new(control.clone()));
    let events = EventServiceServer::new(Events::new(control.clone(), draining.clone()))
        .max_decoding_message_size(decoding);
    let replays = ReplayServiceServer::new(Replays::new(control.clone(), draining.clone()));
    let keys = ApiKeyServiceServer::new(ApiKeys(control.clone()));
    let gate = Gate(control.clone());
    let deliveries = DeliveryServiceServer::new(Deliveries::new(control, draining.clone()));
    let health = Health::new(ready, draining.clone()).into_server();
    let reflection = || {
        let described = [
            DESCRIPTOR_SET,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
            // So that clients can show the details of errors.
            tonic_types::pb::FILE_DESCRIPTOR_SET,
        ];
        described.into_iter().fold(
            tonic_reflection::server::Builder::configure().include_reflection_service(false),
            tonic_reflection::server::Builder::register_encoded_file_descriptor_set,
        )
    };
    let valid = "the descriptor sets were compiled with the program";

    Server::builder()
        .max_concurrent_streams(settings.max_concurrent_streams)
        .http2_max_header_list_size(MAX_HEADER_LIST)
        .http2_max_local_error_reset_streams(Some(MAX_LOCAL_RESETS))
        .http2_max_pending_accept_reset_streams(Some(MAX_PENDING_RESETS))
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .layer(MapResponseLayer::new(explained))
        .layer(MapFutureLayer::new(move |call: Call| {
            answered(call, cut_off.clone())
        }))
        .layer(gate)
        .add_service(InterceptedService::new(subscriptions, admit.clone()))
        .add_service(InterceptedService::new(events, admit.clone()))
        .add_service(InterceptedService::new(replays, admit.clone()))
        .add_service(InterceptedService::new(keys, admit.clone()))
        .add_service(InterceptedService::new(deliveries, admit))
        .add_service(health)
        .add_service(reflection().build_v1().expect(valid))
        .add_service(reflection().build_v1alpha().expect(valid))
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            draining.cancelled_owned(),
        )
        .await
}

/// The answer to a call, or that there will be none.
async fn answered(
    call: Call,
    cut_off: CancellationToken,
) -> Result<http::Response<Body>, Infallible> {
    tokio::select! {
        biased;
        answer = call => answer,
        () = cut_off.cancelled() => Ok(to_status(Error::Unavailable).into_http()),
    }
}

/// Refuses calls that come while the server drains.
#[derive(Clone)]
struct Admit(CancellationToken);

impl tonic::service::Interceptor for Admit {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        if self.0.is_cancelled() {
            return Err(to_status(Error::Unavailable));
        }
        Ok(request)
    }
}
