//! The server: its services, and what they are served with.

use std::sync::Arc;

use tokio::{net::TcpListener, sync::watch};
use tonic::service::Routes;

use super::{
    access::Gate,
    api_key_service::ApiKeys,
    call::{Calls, Limits},
    delivery_service::Deliveries,
    event_service::Events,
    health::{Health, States},
    replay_service::Replays,
    server::{Connections, Places, Shutdown, Tls, accept},
    subscription_service::Subscriptions,
};
use crate::{
    control::Control,
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

/// Longest message of those who need no key, beside which each is tiny.
const OPEN_TO_ALL: usize = 4 * 1024;

/// Connections there may be at the port that answers health checks alone: of
/// them few from one address, so that nobody shuts it for the kubelet.
const HEALTH_PLACES: Places = Places {
    total: 256,
    per_address: 16,
};

/// What can be configured of the server.
#[derive(Clone)]
pub struct Settings {
    /// What connections are encrypted with, if they are.
    pub tls: Option<Arc<Tls>>,
    /// Connections there may be.
    pub places: Places,
    /// Calls that one connection may have open at once.
    pub max_concurrent_streams: u32,
    /// What may be under way in all connections together.
    pub limits: Limits,
}

/// Serves until the server drains, then takes nothing new and returns when the
/// calls that were open have ended, or were cut off: those are answered
/// UNAVAILABLE. `accepting` tells whether the system gives connections.
pub async fn serve(
    listener: TcpListener,
    control: Arc<Control>,
    states: States,
    accepting: watch::Sender<bool>,
    shutdown: Shutdown,
    settings: Settings,
) {
    let Settings {
        tls,
        places,
        max_concurrent_streams,
        limits,
    } = settings;
    let longest = longest_message(&control);
    let routes = routes(control, Health::new(states), longest);
    let calls = Calls::new(routes, limits, longest);
    let connections = Connections::new(calls, max_concurrent_streams, tls, shutdown);
    accept(listener, places, connections, accepting).await;
}

/// Answers health checks alone, in plaintext, until `shutdown`: for those who
/// cannot speak TLS, and while the store is not open yet.
pub async fn serve_health(listener: TcpListener, states: States, shutdown: Shutdown) {
    let health = Health::new(states).into_server();
    let routes = Routes::new(health.max_decoding_message_size(OPEN_TO_ALL));
    // For calls of methods that are not here, too.
    let limits = Limits {
        calls: 16,
        streams: 16,
        request_bytes: 1024 * 1024,
        response_bytes: 1024 * 1024,
    };
    let connections = Connections::new(Calls::new(routes, limits, OPEN_TO_ALL), 16, None, shutdown);
    let (accepting, _) = watch::channel(true);
    accept(listener, HEALTH_PLACES, connections, accepting).await;
}

/// Bytes of the longest message that is decoded: one with events.
fn longest_message(control: &Control) -> usize {
    let limits = control.limits();
    limits.max_batch_bytes.max(limits.max_payload_bytes) + DECODING_ROOM
}

fn routes(control: Arc<Control>, health: Health, longest: usize) -> Routes {
    let subscriptions = SubscriptionServiceServer::new(Subscriptions::new(control.clone()));
    let events = EventServiceServer::new(Events::new(control.clone()));
    let replays = ReplayServiceServer::new(Replays::new(control.clone()));
    let keys = ApiKeyServiceServer::new(ApiKeys(control.clone()));
    let gate = Gate(control.clone());
    let deliveries = DeliveryServiceServer::new(Deliveries::new(control));
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
    let v1 = reflection().build_v1().expect(valid);
    let v1alpha = reflection().build_v1alpha().expect(valid);
    let routes = Routes::new(subscriptions)
        .add_service(events.max_decoding_message_size(longest))
        .add_service(replays)
        .add_service(keys)
        .add_service(deliveries)
        .add_service(health.into_server().max_decoding_message_size(OPEN_TO_ALL))
        .add_service(v1.max_decoding_message_size(OPEN_TO_ALL))
        .add_service(v1alpha.max_decoding_message_size(OPEN_TO_ALL));
    routes.into_axum_router().layer(gate).into()
}
