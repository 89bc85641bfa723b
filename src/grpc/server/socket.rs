//! The byte stream under HTTP/2. Ends with an error when the client does not
//! begin in time, sends what no honest one would, or reads nothing.

use std::{
    io::{self, ErrorKind},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::frames::Frames;

/// From the connection, or its TLS handshake, to the first frame.
const OPENING: Duration = Duration::from_secs(5);
/// Longest that nothing of what was written is taken. Flow control holds back
/// what a slow reader gets, so its system always takes some.
const STALL: Duration = Duration::from_secs(20);

/// A stream under watch.
pub(super) struct Socket<T> {
    inner: T,
    frames: Frames,
    /// Ends the opening first, a stalled write later.
    timer: Pin<Box<Sleep>>,
    stalled: bool,
}

impl<T> Socket<T> {
    pub(super) fn new(inner: T) -> Self {
        Self {
            inner,
            frames: Frames::new(Instant::now()),
            timer: Box::pin(sleep(OPENING)),
            stalled: false,
        }
    }

    /// Passes a write's progress on, or ends one that makes none.
    fn written<R>(
        &mut self,
        context: &mut Context<'_>,
        progress: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if progress.is_ready() {
            self.stalled = false;
            return progress;
        }
        // Until it has opened, the shorter time for that counts.
        if self.frames.opened() && !self.stalled {
            self.stalled = true;
            self.timer.as_mut().reset(Instant::now() + STALL);
        }
        match self.timer.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(timed_out("client reads nothing"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Socket<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.inner).poll_read(context, buffer);
        let bytes = &buffer.filled()[before..];
        if !bytes.is_empty() && !this.frames.take_in(bytes, Instant::now()) {
            return Poll::Ready(Err(io::Error::new(
                ErrorKind::ConnectionAborted,
                "client floods the connection",
            )));
        }
        if read.is_pending()
            && !this.frames.opened()
            && this.timer.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(timed_out("client does not begin")));
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Socket<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let progress = Pin::new(&mut this.inner).poll_write(context, bytes);
        this.written(context, progress)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let progress = Pin::new(&mut this.inner).poll_write_vectored(context, slices);
        this.written(context, progress)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let progress = Pin::new(&mut this.inner).poll_flush(context);
        this.written(context, progress)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let progress = Pin::new(&mut this.inner).poll_shutdown(context);
        this.written(context, progress)
    }
}

fn timed_out(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::TimedOut, what)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_is_given_up() {
        let (_client, server) = duplex(64);
        let mut socket = Socket::new(server);
        let began = Instant::now();
        let error = socket.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), OPENING.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_began_may_be_silent_but_has_to_read() {
        let (mut client, server) = duplex(64);
        let mut socket = Socket::new(server);
        client.write_all(&[0; 33]).await.unwrap();
        socket.read_exact(&mut [0; 33]).await.unwrap();
        let silence = tokio::time::timeout(Duration::from_mins(10), socket.read_u8());
        assert!(silence.await.is_err());

        socket.write_all(&[0; 64]).await.unwrap();
        let began = Instant::now();
        let error = socket.write_all(&[0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), STALL.as_secs());
    }
}
