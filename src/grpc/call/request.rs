//! The body of a request on its way in: its bytes are counted, and its call is
//! admitted when all of it is there.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{
    BoxError,
    load::{Held, Load},
};
use crate::{control::Error, grpc::status::to_status};

/// The body of a request that is one message.
pub(super) struct Received<B> {
    inner: B,
    load: Arc<Load>,
    held: Held,
    admitted: bool,
}

impl<B> Received<B> {
    pub(super) fn new(inner: B, load: Arc<Load>, held: Held) -> Self {
        Self {
            inner,
            load,
            held,
            admitted: false,
        }
    }
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
        let fits = bytes == 0 || this.load.take_bytes(bytes, &this.held);
        if fits && is_complete && !this.admitted {
            this.admitted = this.load.take_call(&this.held);
        }
        if !fits || is_complete && !this.admitted {
            let refused = to_status(Error::Overloaded);
            return Poll::Ready(Some(Err(refused.into())));
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.admitted && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
