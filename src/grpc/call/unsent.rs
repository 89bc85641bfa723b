//! Answers that were made and are not sent yet. A client that takes them slowly,
//! or not at all, leaves them in memory: so they are counted, who has many of
//! them reads no more for a while, and where they hardly move the connection ends.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep};
use tonic::{Status, body::Body};

use super::shares::{Share, Shares, Whose};

/// Bytes of an answer that go out at once.
const PIECE: usize = 16 * 1024;
/// What one connection may have of all that may be unsent: of so many parts one.
const SHARE: usize = 8;
/// Longest that of a connection's answers too little is taken: of so many parts
/// one. What is there is gone after ten minutes.
const STALL: Duration = Duration::from_secs(30);
const PARTS: usize = 20;
const LOOK: Duration = Duration::from_secs(5);

/// What all connections together have not sent.
#[derive(Debug)]
pub(super) struct AllUnsent {
    bytes: AtomicUsize,
    limit: usize,
    tenants: Arc<Shares>,
}

impl AllUnsent {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        let bytes = AtomicUsize::new(0);
        let tenants = Shares::of(limit);
        Arc::new(Self {
            bytes,
            limit,
            tenants,
        })
    }
}

/// What one connection has not sent.
#[derive(Debug)]
pub(in crate::grpc) struct Unsent {
    bytes: AtomicUsize,
    /// How often some of it was taken.
    moves: AtomicU64,
    all: Arc<AllUnsent>,
}

impl Unsent {
    pub(super) fn new(all: Arc<AllUnsent>) -> Arc<Self> {
        Arc::new(Self {
            bytes: AtomicUsize::new(0),
            moves: AtomicU64::new(0),
            all,
        })
    }

    /// Whether it is so much, here, of the tenant or of all, that nothing more
    /// should be read.
    pub(super) fn is_full(&self, whose: &Whose) -> bool {
        let AllUnsent {
            bytes,
            limit,
            tenants,
        } = &*self.all;
        bytes.load(Relaxed) >= *limit
            || self.bytes.load(Relaxed) >= limit / SHARE
            || tenants.is_full(whose)
    }

    /// Resolves when there is something, and too little of it has moved for long.
    pub(in crate::grpc) async fn stalled(&self) {
        let (mut before, mut since) = (0, Instant::now());
        while since.elapsed() < STALL {
            sleep(LOOK).await;
            let bytes = self.bytes.load(Relaxed);
            let moves = self.moves.load(Relaxed);
            let enough = 1 + (bytes / (PIECE * PARTS)) as u64;
            if bytes == 0 || moves - before >= enough {
                (before, since) = (moves, Instant::now());
            }
        }
    }

    /// Makes the whole of an answer and counts it until it is sent.
    pub(super) async fn count(
        self: &Arc<Self>,
        answer: Response<Body>,
        whose: &Whose,
    ) -> Result<Response<Body>, Status> {
        let (head, body) = answer.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().cloned();
        let made = Made::new(body.to_bytes(), self.clone(), whose);
        let body = Body::new(Outgoing {
            rest: Bytes::from_owner(made),
            trailers,
            unsent: self.clone(),
        });
        Ok(Response::from_parts(head, body))
    }
}

/// Bytes that count for as long as anyone has them.
struct Made {
    bytes: Bytes,
    unsent: Arc<Unsent>,
    _share: Share,
}

impl Made {
    fn new(bytes: Bytes, unsent: Arc<Unsent>, whose: &Whose) -> Self {
        unsent.bytes.fetch_add(bytes.len(), Relaxed);
        unsent.all.bytes.fetch_add(bytes.len(), Relaxed);
        Self {
            _share: unsent.all.tenants.take(whose, bytes.len()),
            bytes,
            unsent,
        }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let (bytes, unsent) = (self.bytes.len(), &self.unsent);
        unsent.bytes.fetch_sub(bytes, Relaxed);
        unsent.all.bytes.fetch_sub(bytes, Relaxed);
        unsent.moves.fetch_add(1, Relaxed);
    }
}

impl AsRef<[u8]> for Made {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// An answer on its way out, a piece whenever there is room for one.
struct Outgoing {
    rest: Bytes,
    trailers: Option<HeaderMap>,
    unsent: Arc<Unsent>,
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            return Poll::Ready(this.trailers.take().map(|last| Ok(Frame::trailers(last))));
        }
        this.unsent.moves.fetch_add(1, Relaxed);
        let piece = this.rest.split_to(this.rest.len().min(PIECE));
        if this.rest.is_empty() {
            // It would be one more that has the bytes.
            this.rest = Bytes::new();
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use tokio::time::advance;

    use super::*;

    async fn made(unsent: &Arc<Unsent>, bytes: usize, whose: &Whose) -> Body {
        let all = Full::from(vec![0; bytes]).map_err(|never| match never {});
        let answer = Response::new(Body::new(all));
        unsent.count(answer, whose).await.unwrap().into_body()
    }

    #[tokio::test]
    async fn an_answer_counts_until_the_last_of_it_is_gone() {
        let all = AllUnsent::new(80 * PIECE);
        let (unsent, other) = (Unsent::new(all.clone()), Unsent::new(all.clone()));
        let nobody = Whose::default();
        let mut body = made(&unsent, 10 * PIECE, &nobody).await;
        let is_full = |unsent: &Unsent| unsent.is_full(&nobody);
        assert!(is_full(&unsent) && !is_full(&other), "it has its share");
        let mut pieces = Vec::new();
        while let Some(piece) = body.frame().await {
            pieces.push(piece.unwrap().into_data().unwrap());
        }
        assert_eq!(pieces.len(), 10);
        drop((body, pieces.split_off(1)));
        assert!(is_full(&unsent), "one piece has all of the bytes");
        drop(pieces);
        assert!(!is_full(&unsent));
    }

    #[tokio::test]
    async fn a_tenant_has_half_of_what_all_may_have() {
        let all = AllUnsent::new(80 * PIECE);
        let [one, other] = ["one", "other"].map(Whose::of);
        let unsent = Unsent::new(all.clone());
        let mut bodies = Vec::new();
        for _ in 0..5 {
            bodies.push(made(&Unsent::new(all.clone()), 9 * PIECE, &one).await);
        }
        assert!(unsent.is_full(&one) && !unsent.is_full(&other));
        for _ in 0..4 {
            bodies.push(made(&Unsent::new(all.clone()), 9 * PIECE, &other).await);
        }
        assert!(unsent.is_full(&Whose::default()), "together they have all");
        bodies.clear();
        assert!(!unsent.is_full(&one));
    }

    #[tokio::test(start_paused = true)]
    async fn answers_stall_when_none_of_them_moves() {
        let unsent = Unsent::new(AllUnsent::new(100));
        let watched = unsent.clone();
        let watch = tokio::spawn(async move { watched.stalled().await });
        advance(STALL * 10).await;
        let mut slow = made(&unsent, 4 * PIECE, &Whose::default()).await;
        for _ in 0..4 {
            advance(STALL * 9 / 10).await;
            slow.frame().await.unwrap().unwrap();
        }
        assert!(!watch.is_finished());
        let left = Instant::now();
        let _left = made(&unsent, 1, &Whose::default()).await;
        watch.await.unwrap();
        assert!(left.elapsed() <= STALL + 2 * LOOK);
    }

    #[tokio::test(start_paused = true)]
    async fn much_that_is_taken_in_crumbs_stalls() {
        for (each, stalls) in [(1, true), (10, false)] {
            let unsent = Unsent::new(AllUnsent::new(100));
            let mut body = made(&unsent, 100 * PIECE, &Whose::default()).await;
            let watched = unsent.clone();
            let watch = tokio::spawn(async move { watched.stalled().await });
            for _ in 0..9 {
                sleep(STALL * 2 / 3).await;
                for _ in 0..each {
                    body.frame().await.unwrap().unwrap();
                }
            }
            assert_eq!(watch.is_finished(), stalls, "{each}");
        }
    }
}
