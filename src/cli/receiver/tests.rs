use clap::Parser;
use reqwest::Client;

use super::*;
use crate::cli::{clock, stamp::Stamp};

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Serves on a free port for as long as `body` runs.
async fn with_receiver(options: &[&str], body: impl AsyncFnOnce(Client, String)) {
    let options = ["receiver", "--secret", SECRET].iter().chain(options);
    let args = Command::parse_from(options).args;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let endpoint = Rc::new(Endpoint::new(&args).unwrap());
    let client = Client::builder().no_proxy().build().unwrap();
    let served = async {
        tokio::select! {
            result = accept(&listener, endpoint) => result.unwrap(),
            () = body(client, base) => {}
        }
    };
    LocalSet::new().run_until(served).await;
}

async fn deliver(client: &Client, url: &str, id: &str, body: &[u8], signed: &[u8]) -> u16 {
    let timestamp = clock::unix_seconds().to_string();
    let signature = Key::new(SECRET)
        .unwrap()
        .sign_standard(id, &timestamp, signed);
    let request = client
        .post(url)
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", signature)
        .body(body.to_vec());
    request.send().await.unwrap().status().as_u16()
}

async fn stats(client: &Client, base: &str) -> Stats {
    let answer = client.get(format!("{base}/stats")).send().await.unwrap();
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

fn payload(sequence: u64) -> Vec<u8> {
    let mut body = Vec::new();
    let sent_nanos = clock::monotonic_nanos();
    Stamp {
        sequence,
        sent_nanos,
    }
    .write_payload(100, &mut body);
    body
}

#[tokio::test]
async fn deliveries_are_counted_once_each_until_a_reset() {
    with_receiver(&[], async |client, base| {
        let body = payload(3);
        for path in ["/hooks/0", "/hooks/0", "/hooks/1"] {
            let url = format!("{base}{path}");
            assert_eq!(deliver(&client, &url, "evt_1", &body, &body).await, 200);
        }
        let seen = stats(&client, &base).await;
        assert_eq!((seen.received, seen.unique, seen.duplicates), (3, 2, 1));
        let bits = client
            .get(format!("{base}/arrived/1"))
            .send()
            .await
            .unwrap();
        assert_eq!(bits.bytes().await.unwrap().as_ref(), 8_u64.to_le_bytes());

        let reset = client.post(format!("{base}/reset")).send().await.unwrap();
        assert_eq!(reset.status(), 204);
        assert_eq!(stats(&client, &base).await, Stats::default());
    })
    .await;
}

#[tokio::test]
async fn a_delivery_that_does_not_verify_gets_401() {
    with_receiver(&[], async |client, base| {
        let status = deliver(&client, &base, "evt_1", b"{}", b"{ }").await;
        assert_eq!(status, 401);
        let seen = stats(&client, &base).await;
        assert_eq!((seen.received, seen.bad_signatures), (1, 1));
    })
    .await;
}

#[tokio::test]
async fn the_first_attempts_of_a_type_fail() {
    let options = ["--fail-first", "2", "--fail-type", "a.b", "--status", "202"];
    with_receiver(&options, async |client, base| {
        let failing = br#"{"type":"a.b"}"#;
        for expected in [500, 500, 202] {
            let status = deliver(&client, &base, "evt_1", failing, failing).await;
            assert_eq!(status, expected);
        }
        let other = br#"{"type":"a.c"}"#;
        assert_eq!(deliver(&client, &base, "evt_2", other, other).await, 202);
    })
    .await;
}

#[tokio::test]
async fn arrivals_are_followed() {
    with_receiver(&[], async |client, base| {
        let url = format!("{base}/arrivals");
        let mut lines = client.get(url).send().await.unwrap();
        assert_eq!(lines.chunk().await.unwrap().unwrap().as_ref(), b"0\n");
        let body = payload(0);
        deliver(&client, &base, "evt_1", &body, &body).await;
        assert_eq!(lines.chunk().await.unwrap().unwrap().as_ref(), b"1\n");
    })
    .await;
}

#[tokio::test]
async fn the_status_is_changed_from_outside() {
    with_receiver(&[], async |client, base| {
        let body = payload(0);
        for status in [503, 204] {
            let change = client.post(format!("{base}/status/{status}"));
            assert_eq!(change.send().await.unwrap().status(), 204);
            assert_eq!(deliver(&client, &base, "evt_1", &body, &body).await, status);
        }
        let seen = stats(&client, &base).await;
        assert_eq!((seen.received, seen.failed, seen.unique), (2, 1, 1));
        let wrong = client.post(format!("{base}/status/7")).send().await;
        assert_eq!(wrong.unwrap().status(), 400);
    })
    .await;
}

#[tokio::test]
async fn a_receiver_in_trouble_drips_or_never_ends_or_never_answers() {
    with_receiver(&[], async |client, base| {
        let post = |path| client.post(format!("{base}{path}")).send();
        let mut dripping = post("/drip/1").await.unwrap();
        for _ in 0..2 {
            assert_eq!(dripping.chunk().await.unwrap().unwrap().as_ref(), b"x");
        }
        let mut endless = post("/endless/1").await.unwrap();
        let mut read = 0;
        while read < 8 << 20 {
            read += endless.chunk().await.unwrap().unwrap().len();
        }
        let hanging = post("/hang/1");
        let answer = tokio::time::timeout(Duration::from_millis(100), hanging).await;
        assert!(answer.is_err());
        let seen = stats(&client, &base).await;
        assert_eq!((seen.received, seen.unique), (3, 0));
    })
    .await;
}
