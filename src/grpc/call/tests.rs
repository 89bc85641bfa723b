use std::{
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{StreamExt, future::BoxFuture, stream};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tonic::{Code, Status, server::NamedService};
use tonic_types::StatusExt;

use super::*;

const LIMITS: Limits = Limits {
    calls: 2,
    streams: 2,
    request_bytes: 1_000,
    response_bytes: 1_000,
};

/// A service that goes wrong.
#[derive(Clone)]
struct Wrong;

impl NamedService for Wrong {
    const NAME: &str = "test.Wrong";
}

impl Service<Request<Body>> for Wrong {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match request.uri().path() {
            "/test.Wrong/PanicAtOnce" => panic!("at once"),
            "/test.Wrong/PanicLater" => Box::pin(async { panic!("later") }),
            _ => Box::pin(async move {
                if let Err(status) = request.into_body().collect().await {
                    return Ok(status.into_http());
                }
                std::future::pending().await
            }),
        }
    }
}

fn calls() -> Calls {
    Calls::new(Routes::new(Wrong), LIMITS, 1_000)
}

/// What a call of a method is told.
async fn told(calls: &Calls, method: &str, body: Full<Bytes>, timeout: &str) -> Status {
    told_by(calls, method, body, timeout, Shutdown::default()).await
}

async fn told_by(
    calls: &Calls,
    method: &str,
    body: Full<Bytes>,
    timeout: &str,
    ends: Shutdown,
) -> Status {
    let request = Request::post(format!("/test.Wrong/{method}"));
    let request = request.header("grpc-timeout", timeout).body(body).unwrap();
    let answer = calls.clone().answer(request, ends, calls.unsent()).await;
    let answer = answer.unwrap();
    Status::from_header_map(answer.headers()).expect("it is refused")
}

fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info().expect("errors have one");
    info.reason.clone()
}

#[tokio::test]
async fn a_panic_is_an_internal_error_of_its_call_alone() {
    let calls = calls();
    for method in ["PanicAtOnce", "PanicLater", "PanicAtOnce"] {
        let status = told(&calls, method, Full::default(), "1M").await;
        assert_eq!(status.code(), Code::Internal, "{method}: {status}");
        assert_eq!(reason(&status), "INTERNAL");
        assert!(!status.message().contains("once"), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_call() {
    let calls = calls();
    for timeout in ["0n", "1M"] {
        let status = told(&calls, "Hang", Full::default(), timeout).await;
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(reason(&status), "DEADLINE_EXCEEDED");
    }
    let status = told(&calls, "Hang", Full::default(), "soon").await;
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("grpc-timeout"), "{status}");
}

#[tokio::test(start_paused = true)]
async fn what_is_beyond_the_limits_is_refused_and_they_are_free_again() {
    let calls = calls();
    let too_large = Full::from("x".repeat(1_001));
    let status = told(&calls, "Hang", too_large, "1M").await;
    assert_eq!(reason(&status), "DEADLINE_EXCEEDED", "alone it is taken");
    let hang = |size: usize| {
        let calls = calls.clone();
        tokio::spawn(async move {
            let body = Full::from("x".repeat(size));
            told(&calls, "Hang", body, "1M").await
        })
    };
    let large = hang(900);
    tokio::task::yield_now().await;
    let status = hang(101).await.unwrap();
    assert_eq!(reason(&status), "OVERLOADED", "by its bytes");
    let small = hang(10);
    tokio::task::yield_now().await;
    let status = hang(0).await.unwrap();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(reason(&status), "OVERLOADED", "by its number");
    assert!(status.get_details_retry_info().is_some());
    for call in [large, small, hang(900)] {
        let status = call.await.unwrap();
        assert!(matches!(
            &*reason(&status),
            "DEADLINE_EXCEEDED" | "OVERLOADED"
        ));
    }
    let status = hang(1_000).await.unwrap();
    assert_eq!(reason(&status), "DEADLINE_EXCEEDED", "everything is free");
}

#[tokio::test]
async fn a_server_that_ends_refuses_calls_and_cuts_off_those_under_way() {
    let (calls, ends) = (calls(), Shutdown::default());
    let under_way = told_by(&calls, "Hang", Full::default(), "1M", ends.clone());
    let end = async {
        tokio::task::yield_now().await;
        ends.draining.cancel();
        let late = told_by(&calls, "Hang", Full::default(), "1M", ends.clone()).await;
        assert_eq!(reason(&late), "UNAVAILABLE");
        ends.cut_off.cancel();
    };
    let (status, ()) = tokio::join!(under_way, end);
    assert_eq!(reason(&status), "UNAVAILABLE");
}

/// The status that ends an answer.
async fn end(mut answer: Answer) -> Status {
    while let Some(frame) = answer.frame().await {
        if let Ok(trailers) = frame.unwrap().into_trailers() {
            assert!(answer.frame().await.is_none(), "nothing comes after");
            return Status::from_header_map(&trailers).unwrap();
        }
    }
    panic!("no status came")
}

fn answer(
    messages: impl stream::Stream<Item = &'static str> + Send + 'static,
    timeout: &'static str,
    ends: &Shutdown,
) -> Answer {
    let frames = messages.map(|text| Ok::<_, Status>(Frame::data(text.into())));
    let mut headers = http::HeaderMap::new();
    headers.insert("grpc-timeout", http::HeaderValue::from_static(timeout));
    let load = Load::new(LIMITS);
    let place = load.take_stream(Kind::Streaming).unwrap();
    let held = (place, load.take_share(&Whose::default()).unwrap());
    let deadline = Deadline::of(&headers).unwrap();
    Answer::new(
        Body::new(StreamBody::new(frames)),
        deadline,
        ends.clone(),
        held,
    )
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_streams_ends_at_its_deadline_even_if_there_is_always_more() {
    let ends = Shutdown::default();
    let silent = end(answer(stream::pending(), "5S", &ends)).await;
    assert_eq!(silent.code(), Code::DeadlineExceeded);
    let ticks = stream::repeat("more").then(|text| async move {
        tokio::time::sleep(Duration::from_millis(1)).await;
        text
    });
    let busy = end(answer(ticks, "5S", &ends)).await;
    assert_eq!(busy.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn an_answer_that_panics_ends_with_an_internal_error() {
    let panics = stream::iter(["first"]).chain(stream::poll_fn(|_| panic!("amid")));
    let status = end(answer(panics, "5S", &Shutdown::default())).await;
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(reason(&status), "INTERNAL");
}

#[tokio::test]
async fn an_answer_that_is_cut_off_says_so() {
    let ends = Shutdown::default();
    ends.cut_off.cancel();
    let status = end(answer(stream::repeat("more"), "5S", &ends)).await;
    assert_eq!(status.code(), Code::Unavailable);
}
