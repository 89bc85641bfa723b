//! Reads what `strace -f -ttt -xx` wrote: which system calls began and ended,
//! in the order in which they did.

use std::collections::HashMap;

/// Something that was traced.
#[derive(Debug)]
pub struct Step {
    /// When, in microseconds since 1970.
    pub micros: u64,
    /// The thread.
    pub thread: u32,
    /// What.
    pub what: What,
}

/// The beginning or the end of a system call.
#[derive(Debug)]
pub enum What {
    /// It began.
    Begins(Call),
    /// It ended and returned this; negative if it failed.
    Ends(i64),
}

/// A system call with its arguments as they stand in the trace.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its name.
    pub name: String,
    arguments: Vec<Argument>,
}

#[derive(Debug, Clone)]
enum Argument {
    Word(String),
    Bytes(Vec<u8>),
}

impl Call {
    /// An argument that is a number.
    pub fn number(&self, index: usize) -> i64 {
        let word = self.word(index);
        word.parse()
            .unwrap_or_else(|_| panic!("{}: {word:?} is no number", self.name))
    }

    /// An argument that is a word, such as flags.
    pub fn word(&self, index: usize) -> &str {
        match self.arguments.get(index) {
            Some(Argument::Word(word)) => word,
            _ => "",
        }
    }

    /// An argument that is bytes.
    pub fn bytes(&self, index: usize) -> &[u8] {
        match self.arguments.get(index) {
            Some(Argument::Bytes(bytes)) => bytes,
            other => panic!("{}: {other:?} is no text", self.name),
        }
    }

    /// An argument that is a path.
    pub fn path(&self, index: usize) -> &str {
        std::str::from_utf8(self.bytes(index)).expect("paths are UTF-8")
    }
}

/// The steps of a trace.
pub fn read(text: &str) -> Vec<Step> {
    let mut begun = HashMap::new();
    let mut steps = Vec::new();
    for line in text.lines() {
        let (thread, rest) = line.trim_start().split_once(' ').expect("a thread");
        let (time, rest) = rest.trim_start().split_once(' ').expect("a time");
        let thread = thread.parse().expect("a thread is a number");
        let (seconds, fraction) = time.split_once('.').expect("a time has a fraction");
        let micros = seconds.parse::<u64>().unwrap() * 1_000_000 + fraction.parse::<u64>().unwrap();
        let mut step = |what| {
            steps.push(Step {
                micros,
                thread,
                what,
            });
        };
        if rest.starts_with("+++") || rest.starts_with("---") {
            continue;
        }
        if let Some(call) = rest.strip_suffix("<unfinished ...>") {
            // Arguments are all printed when a call of those begins that write.
            begun.insert(thread, call.to_owned());
            step(What::Begins(parse(call)));
            continue;
        }
        let (_, returned) = rest.rsplit_once(" = ").expect("a call returns");
        if !rest.starts_with("<...") {
            step(What::Begins(parse(rest)));
        }
        step(What::Ends(value_of(returned)));
    }
    steps
}

/// `3`, `-1 ENOENT (No such file)`, `0x1 (flags FD_CLOEXEC)`, `?`.
fn value_of(returned: &str) -> i64 {
    let first = returned.split(' ').next().unwrap_or_default();
    let hex = first.strip_prefix("0x");
    hex.map_or_else(
        || first.parse().ok(),
        |hex| i64::from_str_radix(hex, 16).ok(),
    )
    .unwrap_or(-1)
}

fn parse(text: &str) -> Call {
    let (name, rest) = text.split_once('(').expect("a call has arguments");
    let mut arguments = Vec::new();
    let mut rest = rest.as_bytes();
    loop {
        while let [b' ' | b',', more @ ..] = rest {
            rest = more;
        }
        match rest {
            [] | [b')', ..] => break,
            [b'"', more @ ..] => {
                let (bytes, more) = unescape(more);
                assert!(!more.starts_with(b"..."), "the trace cut what was written");
                arguments.push(Argument::Bytes(bytes));
                rest = more;
            }
            _ => {
                let end = rest.iter().position(|byte| matches!(byte, b',' | b')'));
                let (word, more) = rest.split_at(end.unwrap_or(rest.len()));
                let word = String::from_utf8_lossy(word).trim().to_owned();
                arguments.push(Argument::Word(word));
                rest = more;
            }
        }
    }
    Call {
        name: name.to_owned(),
        arguments,
    }
}

/// Reads `\x41\x42"` up to the quote.
fn unescape(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let end = text
        .iter()
        .position(|byte| *byte == b'"')
        .expect("a text ends");
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a digit");
    let bytes = text[..end].chunks_exact(4).map(|escaped| {
        let value = digit(escaped[2]) << 4 | digit(escaped[3]);
        u8::try_from(value).expect("two digits are a byte")
    });
    (bytes.collect(), &text[end + 1..])
}
