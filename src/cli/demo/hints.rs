//! What to try next: grpcurl lines that work when they are pasted.

use std::{fmt::Write, net::SocketAddr};

use console::style;

use super::Outcome;

/// The lines, with the ids of this run.
pub(super) fn hints(address: SocketAddr, subscription_id: &str, outcome: &Outcome) -> String {
    let delivery_id = &outcome.retried_delivery_id;
    let publish = r#"{"event":{"type":"order.cancelled","json":{"orderId":"ord_124"}}}"#;
    let calls = [
        (
            "publish an event of your own",
            format!("-d '{publish}' \\\n    {address} postrider.v1.EventService/PublishEvent"),
        ),
        (
            "watch attempts as they are made",
            format!("-d '{{}}' {address} \\\n    postrider.v1.DeliveryService/TailDeliveries"),
        ),
        (
            "see every attempt of a delivery that was retried",
            format!(
                "-d '{{\"filter\":{{\"deliveryId\":\"{delivery_id}\"}}}}' \\\n    \
                 {address} postrider.v1.DeliveryService/ListAttempts"
            ),
        ),
        (
            "send it once more",
            format!(
                "-d '{{\"id\":\"{delivery_id}\"}}' \\\n    \
                 {address} postrider.v1.DeliveryService/RetryDelivery"
            ),
        ),
        (
            "look at the subscription",
            format!(
                "-d '{{\"id\":\"{subscription_id}\"}}' \\\n    \
                 {address} postrider.v1.SubscriptionService/GetSubscription"
            ),
        ),
        (
            "ask whether the server is ready",
            format!(
                "-d '{{\"service\":\"readiness\"}}' \\\n    \
                 {address} grpc.health.v1.Health/Check"
            ),
        ),
    ];
    let mut text = format!("\n  {}\n", style("Try next, in another terminal").bold());
    for (what, call) in calls {
        let what = style(format!("# {what}")).dim();
        write!(text, "\n  {what}\n  grpcurl -plaintext {call}\n")
            .expect("writing to a string cannot fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_carry_the_ids_of_the_run() {
        console::set_colors_enabled(false);
        let outcome = Outcome {
            retried_delivery_id: "dlv_01kb6t3jzre5s9x6q0v9z40000".into(),
            ..Outcome::default()
        };
        let address = "127.0.0.1:50051".parse().unwrap();
        let text = hints(address, "sub_01kb6t3jzre5s9x6q0v9zabcde", &outcome);
        insta::assert_snapshot!(text, @r#"
        Try next, in another terminal

        # publish an event of your own
        grpcurl -plaintext -d '{"event":{"type":"order.cancelled","json":{"orderId":"ord_124"}}}' \
          127.0.0.1:50051 postrider.v1.EventService/PublishEvent

        # watch attempts as they are made
        grpcurl -plaintext -d '{}' 127.0.0.1:50051 \
          postrider.v1.DeliveryService/TailDeliveries

        # see every attempt of a delivery that was retried
        grpcurl -plaintext -d '{"filter":{"deliveryId":"dlv_01kb6t3jzre5s9x6q0v9z40000"}}' \
          127.0.0.1:50051 postrider.v1.DeliveryService/ListAttempts

        # send it once more
        grpcurl -plaintext -d '{"id":"dlv_01kb6t3jzre5s9x6q0v9z40000"}' \
          127.0.0.1:50051 postrider.v1.DeliveryService/RetryDelivery

        # look at the subscription
        grpcurl -plaintext -d '{"id":"sub_01kb6t3jzre5s9x6q0v9zabcde"}' \
          127.0.0.1:50051 postrider.v1.SubscriptionService/GetSubscription

        # ask whether the server is ready
        grpcurl -plaintext -d '{"service":"readiness"}' \
          127.0.0.1:50051 grpc.health.v1.Health/Check
        "#);
    }
}
