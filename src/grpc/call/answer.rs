//! The answer of a call that streams, on its way out: ends with a status when
//! its deadline passes, when the server cuts it off, or when it panics.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Sleep, sleep_until},
};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::{Status, body::Body};

use super::{deadline::Deadline, shares::Share};
use crate::{
    control::Error,
    grpc::{server::Shutdown, status::to_status},
};

/// The messages of an answer.
pub(super) struct Answer {
    /// None once it has ended.
    inner: Option<Body>,
    end: End,
    _held: Place,
}

/// What a stream has until it ends.
pub(super) type Place = (OwnedSemaphorePermit, Share);

impl Answer {
    pub(super) fn new(inner: Body, deadline: Deadline, ends: Shutdown, held: Place) -> Self {
        Self {
            inner: Some(inner),
            end: End {
                deadline: deadline.time().map(|time| Box::pin(sleep_until(time))),
                cut_off: Box::pin(ends.cut_off.cancelled_owned()),
            },
            _held: held,
        }
    }
}

/// What ends an answer from outside.
struct End {
    deadline: Option<Pin<Box<Sleep>>>,
    cut_off: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl End {
    /// Why the answer has to end now, if it has to.
    fn poll(&mut self, context: &mut Context<'_>) -> Option<Error> {
        let deadline = self.deadline.as_mut();
        if deadline.is_some_and(|deadline| deadline.as_mut().poll(context).is_ready()) {
            return Some(Error::DeadlineExceeded);
        }
        let is_cut_off = self.cut_off.as_mut().poll(context).is_ready();
        is_cut_off.then_some(Error::Unavailable)
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        // The end first, as there may always be another message.
        let error = match this.end.poll(context) {
            Some(error) => error,
            None => match catch_unwind(AssertUnwindSafe(|| Pin::new(inner).poll_frame(context))) {
                Ok(polled) => return polled,
                Err(_) => Error::Internal("an answer panicked".into()),
            },
        };
        this.inner = None;
        let mut trailers = HeaderMap::new();
        // Text that fits no header came from none.
        let _ = to_status(error).add_header(&mut trailers);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }
}
