//! HTTP/2 by hand, to send what no library would.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;

/// A frame of a stream.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The block of headers of a call, as literals that nothing has to remember.
pub fn block_of(path: &str) -> Vec<u8> {
    let headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// The block of headers of a publish.
pub fn block() -> Vec<u8> {
    block_of("/postrider.v1.EventService/PublishEvent")
}

/// The headers of a call on a stream.
pub fn headers_of(path: &str, stream: u32, flags: u8) -> Vec<u8> {
    frame(HEADERS, flags | END_HEADERS, stream, &block_of(path))
}

/// The headers of a publish on a stream.
pub fn headers(stream: u32, flags: u8) -> Vec<u8> {
    frame(HEADERS, flags | END_HEADERS, stream, &block())
}

/// A connection to the server.
pub struct Raw {
    pub read: OwnedReadHalf,
    pub write: OwnedWriteHalf,
}

impl Raw {
    /// A connection that nothing was sent on.
    pub async fn silent(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (read, write) = stream.into_split();
        Self { read, write }
    }

    /// A connection that began as it should.
    pub async fn open(address: &str) -> Self {
        let mut raw = Self::silent(address).await;
        let begin = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        raw.write.write_all(&begin).await.unwrap();
        raw
    }

    /// Reads and forgets what comes, until the server closes the connection.
    pub async fn closed(&mut self) {
        let mut buffer = vec![0; 64 * 1024];
        while self.read.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    }

    /// Sends pieces for as long as the server takes them, and reads meanwhile.
    /// False if it still does after so long.
    pub async fn flood(
        mut self,
        longest: Duration,
        pieces: impl FnMut(u32) -> Vec<u8> + Send,
    ) -> bool {
        let write = &mut self.write;
        let send = async {
            let mut pieces = (0..).map(pieces);
            loop {
                let some: Vec<u8> = pieces.by_ref().take(64).flatten().collect();
                if let Err(error) = write.write_all(&some).await {
                    return is_closed(&error);
                }
            }
        };
        let mut buffer = vec![0; 64 * 1024];
        let read = &mut self.read;
        let receive = async {
            while read.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
            true
        };
        tokio::select! {
            closed = send => closed,
            closed = receive => closed,
            () = tokio::time::sleep(longest) => false,
        }
    }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}
