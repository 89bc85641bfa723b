//! Which methods stream, as the descriptors say.

use std::collections::HashSet;

use prost::Message;
use prost_types::FileDescriptorSet;

use crate::{
    domain::Scope,
    grpc::scopes::{Need, need},
    proto::DESCRIPTOR_SET,
};

const HEALTH: &str = "/grpc.health.v1.Health/";
const REFLECTION: &str = "/grpc.reflection.";

/// Methods that wait for an endpoint or a nameserver.
const WAITING: [&str; 3] = [
    "/postrider.v1.SubscriptionService/CreateSubscription",
    "/postrider.v1.SubscriptionService/UpdateSubscription",
    "/postrider.v1.SubscriptionService/TestSubscription",
];

/// What a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whether the server is well, which has to be told whatever else it does.
    Health,
    /// One request, one answer, and nothing changes.
    Read,
    /// One request, one answer.
    Write,
    /// The same, and it waits for what is not ours: an endpoint or a nameserver.
    Waiting,
    /// Many of one or both.
    Streaming,
    /// Streams that need no key.
    Open,
}

/// The methods that stream.
#[derive(Debug)]
pub(super) struct Methods(HashSet<String>);

impl Methods {
    pub(super) fn new() -> Self {
        let described = FileDescriptorSet::decode(DESCRIPTOR_SET)
            .expect("the descriptor set was compiled with the program");
        let services = described.file.iter().flat_map(|file| {
            let services = file.service.iter();
            services.map(move |service| (file.package(), service))
        });
        let streaming = services.flat_map(|(package, service)| {
            let methods = service.method.iter();
            let streaming =
                methods.filter(|method| method.client_streaming() || method.server_streaming());
            streaming.map(move |method| format!("/{package}.{}/{}", service.name(), method.name()))
        });
        Self(streaming.collect())
    }

    /// What the method of this path is. Those that do not exist are refused
    /// like any that take one request.
    pub(super) fn kind(&self, path: &str) -> Kind {
        if path.starts_with(HEALTH) {
            Kind::Health
        } else if path.starts_with(REFLECTION) {
            Kind::Open
        } else if self.0.contains(path) {
            Kind::Streaming
        } else if WAITING.contains(&path) {
            Kind::Waiting
        } else if need(path) == Some(Need::Scope(Scope::Read)) {
            Kind::Read
        } else {
            Kind::Write
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_descriptors_say_what_streams() {
        let methods = Methods::new();
        let mut streaming: Vec<_> = methods.0.iter().collect();
        streaming.sort();
        insta::assert_debug_snapshot!(streaming, @r#"
        [
            "/postrider.v1.DeliveryService/TailDeliveries",
            "/postrider.v1.EventService/StreamPublishEvents",
            "/postrider.v1.ReplayService/WatchReplay",
        ]
        "#);
        let publish = "/postrider.v1.EventService/PublishEvent";
        assert_eq!(methods.kind(publish), Kind::Write);
        let list = "/postrider.v1.EventService/ListEvents";
        assert_eq!(methods.kind(list), Kind::Read);
        for waiting in WAITING {
            assert!(need(waiting).is_some(), "{waiting} is a method");
            assert_eq!(methods.kind(waiting), Kind::Waiting);
        }
        assert_eq!(methods.kind("/grpc.health.v1.Health/Check"), Kind::Health);
    }
}
