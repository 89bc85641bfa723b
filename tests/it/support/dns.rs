//! A nameserver of the tests' own, over UDP and TCP, that answers as it is told
//! to: right, wrong, cut off or not at all.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{Arc, LazyLock},
    thread,
};

/// Question types and the class of the internet.
const A: u16 = 1;
const CNAME: u16 = 5;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const IN: u16 = 1;

/// Flags of an answer by a server that recurses, without and with "cut off".
const ANSWER: u16 = 0x8180;
const TRUNCATED: u16 = 0x0200;

const SERVER_FAILURE: u16 = 2;
const NO_NAME: u16 = 3;

/// What is said of a name.
#[derive(Debug, Clone)]
pub enum Reply {
    /// These addresses, which may be none.
    Addresses(Vec<IpAddr>),
    /// These addresses, and nothing where another kind of them was asked for.
    Half(Vec<IpAddr>),
    /// Another name.
    Alias(String),
    /// The name does not exist.
    NoName,
    /// The server failed.
    Failure,
    /// A text where addresses were asked for.
    Text(&'static str),
    /// Bytes that are no answer.
    Garbage(Vec<u8>),
    /// Over UDP only that the answer is too long; over TCP the addresses.
    TooLong(Vec<IpAddr>),
    /// Nothing.
    Silence,
}

/// A running nameserver.
pub struct Dns {
    /// Where it answers.
    pub address: SocketAddr,
}

impl Dns {
    /// One for all tests that knows no names.
    pub fn of_nobody() -> &'static Self {
        static NOBODY: LazyLock<Dns> = LazyLock::new(|| Dns::start(|_| Reply::NoName));
        &NOBODY
    }

    /// Starts one that answers for names in lower case, without the root's dot,
    /// as long as the process lives.
    pub fn start(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let reply = Arc::new(reply);
        let (udp, tcp) = sockets();
        let address = udp.local_addr().unwrap();
        let over_udp = Arc::clone(&reply);
        thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = udp.recv_from(&mut query) {
                if let Some(answer) = answer(&query[..length], &*over_udp, Over::Udp) {
                    // Whoever has gone wants no answer.
                    let _sent = udp.send_to(&answer, from);
                }
            }
        });
        thread::spawn(move || {
            for stream in tcp.incoming().flatten() {
                let reply = Arc::clone(&reply);
                thread::spawn(move || serve(stream, &*reply));
            }
        });
        Self { address }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    Udp,
    Tcp,
}

/// Both on one port.
fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
}

fn serve(mut stream: TcpStream, reply: &impl Fn(&str) -> Reply) -> Option<()> {
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length).ok()?;
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut query).ok()?;
        let answer = answer(&query, reply, Over::Tcp)?;
        let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
        stream.write_all(&[&length[..], &answer].concat()).ok()?;
    }
}

/// The answer to a query with one question, which it repeats.
fn answer(query: &[u8], reply: &impl Fn(&str) -> Reply, over: Over) -> Option<Vec<u8>> {
    let (name, end) = read_name(query, 12)?;
    let question = query.get(12..end + 4)?;
    let kind = u16::from_be_bytes([query[end], query[end + 1]]);
    let (mut flags, mut records) = (ANSWER, Vec::new());
    let reply = reply(&name);
    let is_half = matches!(reply, Reply::Half(_));
    match reply {
        Reply::TooLong(_) if over == Over::Udp => flags |= TRUNCATED,
        Reply::Addresses(addresses) | Reply::TooLong(addresses) | Reply::Half(addresses) => {
            for address in addresses {
                match address {
                    IpAddr::V4(v4) if kind == A => records.push((A, v4.octets().to_vec())),
                    IpAddr::V6(v6) if kind == AAAA => records.push((AAAA, v6.octets().to_vec())),
                    _ => {}
                }
            }
        }
        Reply::Alias(alias) => records.push((CNAME, write_name(&alias))),
        Reply::NoName => flags |= NO_NAME,
        Reply::Failure => flags |= SERVER_FAILURE,
        Reply::Text(text) => {
            let length = u8::try_from(text.len()).unwrap();
            records.push((TXT, [&[length], text.as_bytes()].concat()));
        }
        Reply::Garbage(bytes) => return Some(bytes),
        Reply::Silence => return None,
    }
    if is_half && records.is_empty() {
        return None;
    }
    let count = u16::try_from(records.len()).unwrap();
    let mut answer = query[..2].to_vec();
    for number in [flags, 1, count, 0, 0] {
        answer.extend(number.to_be_bytes());
    }
    answer.extend(question);
    for (kind, data) in records {
        // The name of the question, and how long it holds: not at all.
        answer.extend([0xc0, 12]);
        answer.extend(kind.to_be_bytes());
        answer.extend(IN.to_be_bytes());
        answer.extend(0_u32.to_be_bytes());
        answer.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        answer.extend(data);
    }
    Some(answer)
}

/// The name that begins at a byte, and where it ends.
fn read_name(query: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        let label = query.get(at..at + length)?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        at += length;
    }
}

fn write_name(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}
