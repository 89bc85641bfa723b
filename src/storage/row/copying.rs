//! How far a copy into the store has come.

use crate::storage::{
    Copying, Cursor,
    bytes::{Read, Reader, Writer},
};

const VERSION: u8 = 1;

pub(in crate::storage) fn write_copying(copying: &Copying) -> Vec<u8> {
    let mut row = Writer::new(VERSION);
    row.text(&copying.source)
        .bytes(&copying.fingerprint)
        .number(copying.done);
    match &copying.after {
        None => row.byte(0),
        Some(Cursor(cursor)) => row.byte(1).bytes(cursor),
    };
    row.finish()
}

pub(in crate::storage) fn read_copying(row: &[u8]) -> Read<Copying> {
    let mut row = Reader::new(row, VERSION)?;
    let copying = Copying {
        source: row.text()?.to_owned(),
        fingerprint: row.bytes()?.to_vec(),
        done: row.long()?,
        after: if row.flag()? {
            Some(Cursor(row.bytes()?.to_vec()))
        } else {
            None
        },
    };
    row.finish().map(|()| copying)
}
