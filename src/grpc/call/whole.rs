//! The body of a request, handed on a whole message at a time. A message says how
//! long it is before it comes, and the decoder takes memory for what is said: so
//! it hears of a message when all of it is there.
//!
//! What streams have sent of messages that come in pieces is bounded, too: more
//! of one is read when there is room for the rest of it, and it has so much time.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};
use tokio_util::sync::PollSemaphore;

use super::BoxError;
use crate::{control::Error, grpc::status::to_status};

/// Length of what comes before a message: whether it is compressed, and its
/// length (the gRPC protocol over HTTP/2).
const PREFIX: usize = 5;

/// How long a message may take that comes in pieces.
const PATIENCE: Duration = Duration::from_secs(30);

/// Room for messages that are not complete.
#[derive(Debug, Clone)]
pub(super) struct Room {
    free: Arc<Semaphore>,
    total: u32,
}

impl Room {
    pub(super) fn of(total: u32) -> Self {
        Self {
            free: Arc::new(Semaphore::new(total as usize)),
            total,
        }
    }

    fn waits(self) -> Waits {
        Waits {
            free: PollSemaphore::new(self.free),
            total: self.total,
            taken: None,
        }
    }
}

/// What a body has of the room.
struct Waits {
    free: PollSemaphore,
    total: u32,
    taken: Option<(OwnedSemaphorePermit, Pin<Box<Sleep>>)>,
}

impl Waits {
    /// Ready once there is room for a message of so many bytes; fails if it is
    /// not complete in time.
    fn poll(
        &mut self,
        bytes: impl FnOnce() -> usize,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), BoxError>> {
        if self.taken.is_none() {
            let bytes = u32::try_from(bytes()).unwrap_or(u32::MAX).min(self.total);
            let permit = ready!(self.free.poll_acquire_many(context, bytes));
            let permit = permit.expect("it is never closed");
            self.taken = Some((permit, Box::pin(sleep(PATIENCE))));
        }
        let patience = self.taken.as_mut().map(|(_, patience)| patience);
        match patience.map(|patience| patience.as_mut().poll(context)) {
            Some(Poll::Ready(())) => Poll::Ready(Err(to_status(Error::DeadlineExceeded).into())),
            _ => Poll::Ready(Ok(())),
        }
    }
}

/// A body whose messages are whole.
pub(super) struct Whole<B> {
    inner: B,
    /// The longest message that anybody decodes. A longer one is refused by its
    /// length, so its beginning is handed on.
    longest: usize,
    place: Place,
    /// Of a stream; other requests are counted where they come in.
    room: Option<Waits>,
    /// Of a message that is not complete.
    held: VecDeque<Bytes>,
    ready: VecDeque<Frame<Bytes>>,
    has_ended: bool,
}

/// Where in a message the body is.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// So many bytes of the prefix were read.
    Prefix([u8; PREFIX], usize),
    /// So many bytes are to come.
    Message(usize),
    /// In what is too long.
    Beyond,
}

const BEGIN: Place = Place::Prefix([0; PREFIX], 0);

impl<B> Whole<B> {
    pub(super) fn new(inner: B, longest: usize, room: Option<Room>) -> Self {
        Self {
            inner,
            longest,
            place: BEGIN,
            room: room.map(Room::waits),
            held: VecDeque::new(),
            ready: VecDeque::new(),
            has_ended: false,
        }
    }

    fn take_in(&mut self, mut data: Bytes) {
        let end = self.advance(&data);
        if end > 0 {
            self.release();
            self.ready.push_back(Frame::data(data.split_to(end)));
        }
        if !data.is_empty() {
            self.held.push_back(data);
        }
    }

    /// Hands on what was held.
    fn release(&mut self) {
        self.ready.extend(self.held.drain(..).map(Frame::data));
        if let Some(room) = &mut self.room {
            room.taken = None;
        }
    }

    /// Ready once more may be read.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match (&mut self.room, self.place) {
            (Some(room), Place::Message(left)) if !self.held.is_empty() => {
                let held = &self.held;
                let bytes = || held.iter().map(Bytes::len).sum::<usize>() + left;
                room.poll(bytes, context)
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Moves on over these bytes; returns where the last message ends in them, 0
    /// if none does.
    fn advance(&mut self, data: &[u8]) -> usize {
        let (mut at, mut end) = (0, 0);
        while at < data.len() {
            match &mut self.place {
                Place::Beyond => return data.len(),
                Place::Message(left) => {
                    let taken = (*left).min(data.len() - at);
                    (at, *left) = (at + taken, *left - taken);
                }
                Place::Prefix(prefix, read) => {
                    prefix[*read] = data[at];
                    (at, *read) = (at + 1, *read + 1);
                    if let ([_, length @ ..], PREFIX) = (*prefix, *read) {
                        let length = u32::from_be_bytes(length) as usize;
                        self.place = if length > self.longest {
                            Place::Beyond
                        } else {
                            Place::Message(length)
                        };
                    }
                }
            }
            if let Place::Message(0) = self.place {
                (end, self.place) = (at, BEGIN);
            }
        }
        match self.place {
            Place::Beyond => at,
            _ => end,
        }
    }
}

impl<B> Body for Whole<B>
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
            if let Some(frame) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(frame)));
            }
            if this.has_ended {
                return Poll::Ready(None);
            }
            if let Err(error) = ready!(this.poll_room(context)) {
                return Poll::Ready(Some(Err(error)));
            }
            match ready!(Pin::new(&mut this.inner).poll_frame(context)) {
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.take_in(data),
                    Err(trailers) => {
                        this.release();
                        this.ready.push_back(trailers);
                    }
                },
                None => {
                    // What is cut off is for the decoder to say.
                    this.release();
                    this.has_ended = true;
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ready.is_empty() && self.held.is_empty() && self.inner.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{FutureExt, StreamExt, stream};
    use http_body_util::{BodyExt, StreamBody};
    use proptest::prelude::*;

    use super::*;

    const LONGEST: usize = 20;

    fn message(length: usize) -> Vec<u8> {
        let prefix = u32::try_from(length).unwrap().to_be_bytes();
        [&[0][..], &prefix, &vec![7; length]].concat()
    }

    /// What is handed on of these pieces, and whether the body is at its end.
    async fn handed_on(pieces: Vec<Vec<u8>>, then_ends: bool) -> Vec<u8> {
        let frames = pieces.into_iter();
        let frames = frames.map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::from(piece))));
        let frames = stream::iter(frames.collect::<Vec<_>>());
        let mut handed_on = Vec::new();
        let mut take = |frame: Frame<Bytes>| handed_on.extend(frame.into_data().unwrap());
        if then_ends {
            let mut whole = Whole::new(StreamBody::new(frames), LONGEST, None);
            while let Some(frame) = whole.frame().await {
                take(frame.unwrap());
            }
        } else {
            let mut whole = Whole::new(
                StreamBody::new(frames.chain(stream::pending())),
                LONGEST,
                None,
            );
            while let Some(Some(frame)) = whole.frame().now_or_never() {
                take(frame.unwrap());
            }
        }
        handed_on
    }

    #[tokio::test]
    async fn a_message_is_handed_on_when_all_of_it_is_there() {
        let [first, second] = [message(3), message(9)];
        let all = [&first[..], &second].concat();
        for cut in 0..all.len() {
            let so_far = all[..cut].to_vec();
            let complete = if cut < first.len() { 0 } else { first.len() };
            assert_eq!(handed_on(vec![so_far], false).await, &all[..complete]);
        }
        assert_eq!(handed_on(vec![all.clone()], false).await, all);
        assert_eq!(handed_on(vec![all[..9].to_vec()], true).await, &all[..9]);
    }

    #[tokio::test]
    async fn the_beginning_of_what_is_too_long_is_handed_on() {
        let begins = [&message(2)[..], &message(LONGEST + 1)[..PREFIX]].concat();
        assert_eq!(handed_on(vec![begins.clone()], false).await, begins);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_in_pieces_waits_for_room_and_has_so_much_time() {
        let room = Room::of(20);
        let body = |pieces: &[&[u8]]| {
            let frames = pieces.iter().map(|piece| Bytes::copy_from_slice(piece));
            let frames = frames.map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
            let frames = stream::iter(frames.collect::<Vec<_>>()).chain(stream::pending());
            Whole::new(StreamBody::new(frames), LONGEST, Some(room.clone()))
        };
        let all = message(12);
        let mut stalled = body(&[&all[..8]]);
        assert!(stalled.frame().now_or_never().is_none());
        let mut second = body(&[&all[..8], &all[8..]]);
        assert!(second.frame().now_or_never().is_none(), "there is no room");
        let mut small = body(&[&message(3)]);
        assert!(small.frame().now_or_never().is_some(), "it needs none");
        let error = stalled.frame().await.unwrap().unwrap_err();
        let status = error.downcast_ref::<tonic::Status>().unwrap();
        assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
        drop(stalled);
        let first = second.frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), &all[..8]);
        assert!(body(&[&all[..8], &all[8..]]).frame().await.is_some());
    }

    proptest! {
        #[test]
        fn nothing_is_lost_added_or_moved(
            lengths in prop::collection::vec(0..=LONGEST + 2, 0..6),
            sizes in prop::collection::vec(1..40_usize, 1..40),
            ends in any::<bool>(),
        ) {
            let fits = lengths.iter().all(|length| *length <= LONGEST);
            let all: Vec<u8> = lengths.iter().flat_map(|length| message(*length)).collect();
            let mut rest = &all[..];
            let mut pieces = Vec::new();
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at((*size).min(rest.len()));
                pieces.push(piece.to_vec());
                rest = after;
            }
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let handed_on = runtime.block_on(handed_on(pieces, ends || !fits));
            prop_assert_eq!(handed_on, all);
        }
    }
}
