//! The body of a request on its way in: its bytes are counted, and its call is
//! admitted when all of it is there.
//!
//! What is refused is read to its end and forgotten. An answer that comes before
//! makes HTTP/2 reset the stream, and what still comes in on streams that were
//! reset is taken for an attack, after a while.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::{sync::OwnedSemaphorePermit, time::timeout};
use tokio_util::sync::PollSemaphore;

use super::{
    BoxError,
    load::{Held, Load},
    method::Kind,
    shares::Whose,
    unsent::Unsent,
};
use crate::{control::Error, grpc::status::to_status};

/// Longest that a refusal waits for the rest of its request.
const PATIENCE: Duration = Duration::from_millis(10);

/// The body of a request that is one message.
pub(super) struct Received<B> {
    inner: B,
    admission: Admission,
    /// The last frame of a read that waits.
    last: Option<Frame<Bytes>>,
    readers: PollSemaphore,
    state: State,
}

/// What a call is admitted by.
pub(super) struct Admission {
    pub(super) kind: Kind,
    pub(super) load: Arc<Load>,
    pub(super) unsent: Arc<Unsent>,
    pub(super) whose: Whose,
    pub(super) held: Held,
}

impl Admission {
    /// Takes what a frame needs, and the place of the call with the last one.
    fn take_in(&self, bytes: usize, is_complete: bool) -> State {
        let fits = bytes == 0 || self.load.take_bytes(bytes, &self.held);
        if !fits {
            self.held.release();
            State::Refused
        } else if !is_complete {
            State::Coming
        } else if !self.load.take_call(self.kind, &self.whose, &self.held) {
            State::Refused
        } else if self.kind == Kind::Read {
            State::Waiting
        } else {
            State::Admitted
        }
    }

    /// Begins a read, unless too much of what was read before is not sent.
    fn begin(&self, permit: OwnedSemaphorePermit) -> State {
        self.held.reads(permit);
        if self.unsent.is_full(&self.whose) {
            State::Refused
        } else {
            State::Admitted
        }
    }
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Coming,
    /// For its turn to read.
    Waiting,
    Admitted,
    Refused,
}

impl<B> Received<B> {
    pub(super) fn new(inner: B, admission: Admission) -> Self {
        Self {
            inner,
            readers: admission.load.readers(),
            admission,
            last: None,
            state: State::Coming,
        }
    }
}

/// Reads a body that is not wanted, for as long as it comes without pause.
pub(super) async fn forget<B>(mut body: B)
where
    B: Body<Data = Bytes> + Unpin,
{
    let read = async { while let Some(Ok(_)) = body.frame().await {} };
    // What does not come by then is not waited for.
    let _ = timeout(PATIENCE, read).await;
}

fn refused() -> BoxError {
    to_status(Error::Overloaded).into()
}

impl<B> Body for Received<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        loop {
            if this.state == State::Waiting {
                let permit = ready!(this.readers.poll_acquire(context));
                this.state = this.admission.begin(permit.expect("it is never closed"));
                return Poll::Ready(match this.state {
                    State::Refused => Some(Err(refused())),
                    _ => this.last.take().map(Ok),
                });
            }
            let frame = match ready!(Pin::new(&mut this.inner).poll_frame(context)) {
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                Some(Ok(frame)) => Some(frame),
                None => None,
            };
            let bytes = frame
                .as_ref()
                .and_then(Frame::data_ref)
                .map_or(0, Bytes::len);
            let is_complete = frame.is_none() || this.inner.is_end_stream();
            if this.state == State::Coming {
                this.state = this.admission.take_in(bytes, is_complete);
            }
            match this.state {
                State::Refused if is_complete => return Poll::Ready(Some(Err(refused()))),
                State::Refused => {}
                State::Waiting => this.last = frame,
                State::Coming | State::Admitted => return Poll::Ready(frame.map(Ok)),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.state == State::Admitted && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
