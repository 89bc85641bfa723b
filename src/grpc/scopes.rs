//! The one table from methods to what a caller needs. A method that is not in it
//! cannot be called.

use crate::domain::Scope;

/// What a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: probes have no key, and clients ask which methods there are
    /// before they call one.
    Nothing,
    /// A caller with this scope.
    Scope(Scope),
}

/// What a call of this path needs; none if there is no such method.
pub(super) fn need(path: &str) -> Option<Need> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let scope = match service {
        "grpc.health.v1.Health"
        | "grpc.reflection.v1.ServerReflection"
        | "grpc.reflection.v1alpha.ServerReflection" => return Some(Need::Nothing),
        "postrider.v1.EventService" => match method {
            "PublishEvent" | "BatchPublishEvents" | "StreamPublishEvents" => Scope::Publish,
            "GetEvent" | "ListEvents" | "ExplainEvent" => Scope::Read,
            "EraseEvents" => Scope::Manage,
            _ => return None,
        },
        "postrider.v1.SubscriptionService" => match method {
            "GetSubscription" | "ListSubscriptions" | "TestFilter" => Scope::Read,
            "CreateSubscription"
            | "UpdateSubscription"
            | "DeleteSubscription"
            | "EnableSubscription"
            | "DisableSubscription"
            | "RotateSubscriptionSecret"
            | "TestSubscription" => Scope::Manage,
            _ => return None,
        },
        "postrider.v1.DeliveryService" => match method {
            "GetDelivery" | "ListDeliveries" | "ListAttempts" | "GetDeliveryStats"
            | "TailDeliveries" => Scope::Read,
            "RetryDelivery" | "CancelDelivery" => Scope::Manage,
            _ => return None,
        },
        "postrider.v1.ReplayService" => match method {
            "GetReplay" | "ListReplays" | "WatchReplay" => Scope::Read,
            "CreateReplay" | "CancelReplay" => Scope::Manage,
            _ => return None,
        },
        "postrider.v1.ApiKeyService" => match method {
            "CreateApiKey" | "ListApiKeys" | "RevokeApiKey" => Scope::Admin,
            _ => return None,
        },
        _ => return None,
    };
    Some(Need::Scope(scope))
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn every_method_has_a_row_and_nothing_else_has() {
        let set = FileDescriptorSet::decode(crate::proto::DESCRIPTOR_SET).unwrap();
        let mut methods = 0;
        for file in set.file {
            for service in &file.service {
                for method in &service.method {
                    let (package, service) = (file.package(), service.name());
                    let path = format!("/{package}.{service}/{}", method.name());
                    assert!(need(&path).is_some(), "{path} has no row");
                    assert_eq!(need(&format!("{path}x")), None);
                    methods += 1;
                }
            }
        }
        assert!(methods > 30, "{methods}");
        assert_eq!(need("/postrider.v1.NoService/GetEvent"), None);
        assert_eq!(need("postrider.v1.EventService/GetEvent"), None);
    }
}
