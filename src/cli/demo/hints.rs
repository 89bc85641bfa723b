//! What to try next: grpcurl lines that work when they are pasted.

use std::{fmt::Write, net::SocketAddr};

use console::{measure_text_width, style};

use super::Outcome;

/// How a part of a command follows on the one before it.
#[derive(Clone, Copy)]
enum Joint {
    /// As another word.
    Word,
    /// Within a word that is quoted JSON.
    Json,
}

/// The lines, with the ids of this run, broken where they may be.
pub(super) fn hints(
    address: SocketAddr,
    subscription_id: &str,
    outcome: &Outcome,
    width: usize,
) -> String {
    let delivery_id = &outcome.retried_delivery_id;
    let calls: [(&str, &[&str], &str); 6] = [
        (
            "publish an event of your own",
            &[
                r#"{"event":{"type":"order.cancelled","#,
                r#""json":{"orderId":"ord_124"}}}"#,
            ],
            "postrider.v1.EventService/PublishEvent",
        ),
        (
            "watch attempts as they are made",
            &["{}"],
            "postrider.v1.DeliveryService/TailDeliveries",
        ),
        (
            "see every attempt of a delivery that was retried",
            &[
                r#"{"filter":"#,
                &format!(r#"{{"deliveryId":"{delivery_id}"}}}}"#),
            ],
            "postrider.v1.DeliveryService/ListAttempts",
        ),
        (
            "send it once more",
            &[&format!(r#"{{"id":"{delivery_id}"}}"#)],
            "postrider.v1.DeliveryService/RetryDelivery",
        ),
        (
            "look at the subscription",
            &[&format!(r#"{{"id":"{subscription_id}"}}"#)],
            "postrider.v1.SubscriptionService/GetSubscription",
        ),
        (
            "ask whether the server is ready",
            &[r#"{"service":"readiness"}"#],
            "grpc.health.v1.Health/Check",
        ),
    ];
    let address = address.to_string();
    let mut text = format!("\n  {}\n", style("Try next, in another terminal").bold());
    for (what, json, method) in calls {
        let what = style(format!("# {what}")).dim();
        let call = grpcurl(json, &address, method, width);
        write!(text, "\n  {what}\n{call}\n").expect("writing to a string cannot fail");
    }
    text
}

/// A call, whose JSON may be broken between its parts.
fn grpcurl(json: &[&str], address: &str, method: &str, width: usize) -> String {
    let mut parts = vec![(Joint::Word, "grpcurl -plaintext".to_owned())];
    for (n, part) in json.iter().enumerate() {
        let (joint, open) = if n == 0 {
            (Joint::Word, "-d '")
        } else {
            (Joint::Json, "")
        };
        let close = if n + 1 == json.len() { "'" } else { "" };
        parts.push((joint, format!("{open}{part}{close}")));
    }
    parts.push((Joint::Word, address.to_owned()));
    parts.push((Joint::Word, method.to_owned()));

    let mut lines = vec![" ".to_owned()];
    for (joint, part) in parts {
        let line = lines.last_mut().expect("there is a first line");
        let (gap, broken) = match joint {
            Joint::Word => (" ", r" \"),
            Joint::Json => ("", ""),
        };
        let length = measure_text_width(line) + gap.len() + measure_text_width(&part);
        // A line that is broken after this part ends in a backslash.
        if line.trim().is_empty() || length + r" \".len() <= width {
            *line += gap;
            *line += &part;
        } else {
            *line += broken;
            lines.push(format!("    {part}"));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(width: usize) -> String {
        console::set_colors_enabled(false);
        let outcome = Outcome {
            retried_delivery_id: "dlv_01kb6t3jzre5s9x6q0v9z40000".into(),
            ..Outcome::default()
        };
        let address = "127.0.0.1:50051".parse().unwrap();
        let text = hints(address, "sub_01kb6t3jzre5s9x6q0v9zabcde", &outcome, width);
        text.trim_start_matches('\n').to_owned()
    }

    #[test]
    fn the_lines_carry_the_ids_of_the_run() {
        insta::assert_snapshot!(shown(80), @r#"
          Try next, in another terminal

          # publish an event of your own
          grpcurl -plaintext -d '{"event":{"type":"order.cancelled",
            "json":{"orderId":"ord_124"}}}' 127.0.0.1:50051 \
            postrider.v1.EventService/PublishEvent

          # watch attempts as they are made
          grpcurl -plaintext -d '{}' 127.0.0.1:50051 \
            postrider.v1.DeliveryService/TailDeliveries

          # see every attempt of a delivery that was retried
          grpcurl -plaintext -d '{"filter":
            {"deliveryId":"dlv_01kb6t3jzre5s9x6q0v9z40000"}}' 127.0.0.1:50051 \
            postrider.v1.DeliveryService/ListAttempts

          # send it once more
          grpcurl -plaintext -d '{"id":"dlv_01kb6t3jzre5s9x6q0v9z40000"}' \
            127.0.0.1:50051 postrider.v1.DeliveryService/RetryDelivery

          # look at the subscription
          grpcurl -plaintext -d '{"id":"sub_01kb6t3jzre5s9x6q0v9zabcde"}' \
            127.0.0.1:50051 postrider.v1.SubscriptionService/GetSubscription

          # ask whether the server is ready
          grpcurl -plaintext -d '{"service":"readiness"}' 127.0.0.1:50051 \
            grpc.health.v1.Health/Check
        "#);
    }

    #[test]
    fn the_lines_fit_a_narrow_terminal() {
        for width in [60, 80] {
            for line in shown(width).lines() {
                assert!(measure_text_width(line) <= width, "{line}");
            }
        }
        insta::assert_snapshot!(shown(60), @r#"
          Try next, in another terminal

          # publish an event of your own
          grpcurl -plaintext \
            -d '{"event":{"type":"order.cancelled",
            "json":{"orderId":"ord_124"}}}' 127.0.0.1:50051 \
            postrider.v1.EventService/PublishEvent

          # watch attempts as they are made
          grpcurl -plaintext -d '{}' 127.0.0.1:50051 \
            postrider.v1.DeliveryService/TailDeliveries

          # see every attempt of a delivery that was retried
          grpcurl -plaintext -d '{"filter":
            {"deliveryId":"dlv_01kb6t3jzre5s9x6q0v9z40000"}}' \
            127.0.0.1:50051 \
            postrider.v1.DeliveryService/ListAttempts

          # send it once more
          grpcurl -plaintext \
            -d '{"id":"dlv_01kb6t3jzre5s9x6q0v9z40000"}' \
            127.0.0.1:50051 \
            postrider.v1.DeliveryService/RetryDelivery

          # look at the subscription
          grpcurl -plaintext \
            -d '{"id":"sub_01kb6t3jzre5s9x6q0v9zabcde"}' \
            127.0.0.1:50051 \
            postrider.v1.SubscriptionService/GetSubscription

          # ask whether the server is ready
          grpcurl -plaintext -d '{"service":"readiness"}' \
            127.0.0.1:50051 grpc.health.v1.Health/Check
        "#);
    }
}
