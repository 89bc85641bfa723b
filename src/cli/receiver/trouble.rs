//! Answers that hurt who waits for them: one that never begins, one that drips,
//! one that never ends.

use std::{future, time::Duration};

use bytes::Bytes;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use hyper::body::Frame;

/// Frames of an answer's body.
pub(super) type Frames = BoxStream<'static, hyper::Result<Frame<Bytes>>>;

/// From one byte to the next.
const DRIP_EVERY: Duration = Duration::from_millis(200);

/// What is wrong with an endpoint, by the first part of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// `/hang`: never answers.
    Hang,
    /// `/drip`: answers a byte at a time, without end.
    Drip,
    /// `/endless`: answers as much as is read.
    Endless,
    /// `/noise`: answers at once, and what arrives is not counted.
    Noise,
}

impl Trouble {
    /// The trouble that a path stands for, if any.
    pub(super) fn of(path: &str) -> Option<Self> {
        match path.split('/').nth(1)? {
            "hang" => Some(Self::Hang),
            "drip" => Some(Self::Drip),
            "endless" => Some(Self::Endless),
            "noise" => Some(Self::Noise),
            _ => None,
        }
    }

    /// The body of the answer, once there is an answer.
    pub(super) async fn body(self) -> Frames {
        match self {
            Self::Hang => future::pending().await,
            Self::Drip => stream::repeat(()).then(|()| drip()).map(Ok).boxed(),
            Self::Noise => stream::empty().boxed(),
            Self::Endless => stream::repeat_with(|| frame(&[b'x'; 4096])).map(Ok).boxed(),
        }
    }
}

async fn drip() -> Frame<Bytes> {
    tokio::time::sleep(DRIP_EVERY).await;
    frame(b"x")
}

fn frame(bytes: &'static [u8]) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(bytes))
}
