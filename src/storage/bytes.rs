//! How numbers, texts and times are written into rows and read back.

use std::time::Duration;

use crate::domain::Timestamp;

/// Bytes that no writer of this format wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("row is malformed")]
pub(super) struct Malformed;

/// Result of reading a row.
pub(super) type Read<T> = Result<T, Malformed>;

/// Appends to a row.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    /// A row that begins with its version.
    pub(super) fn new(version: u8) -> Self {
        let mut row = Vec::with_capacity(128);
        row.push(version);
        Self(row)
    }

    pub(super) fn byte(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    /// LEB128.
    pub(super) fn number(&mut self, number: impl Into<u64>) -> &mut Self {
        let mut rest = number.into();
        while rest >= 0x80 {
            self.0.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push((rest & 0x7f) as u8);
        self
    }

    /// Zero for none, else the number plus one.
    pub(super) fn maybe_number(&mut self, number: Option<u64>) -> &mut Self {
        self.number(number.map_or(0, |number| number + 1))
    }

    pub(super) fn flag(&mut self, flag: bool) -> &mut Self {
        self.byte(u8::from(flag))
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The length, then the bytes.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64).raw(bytes)
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    pub(super) fn maybe_text(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.byte(1).text(text),
            None => self.byte(0),
        }
    }

    pub(super) fn time(&mut self, time: Timestamp) -> &mut Self {
        self.number(time.as_micros())
    }

    /// A time near another one: short, and exact on either side of it.
    pub(super) fn time_near(&mut self, base: Timestamp, time: Timestamp) -> &mut Self {
        let apart = time
            .as_micros()
            .wrapping_sub(base.as_micros())
            .cast_signed();
        self.number(((apart << 1) ^ (apart >> 63)).cast_unsigned())
    }

    pub(super) fn maybe_time_near(
        &mut self,
        base: Timestamp,
        time: Option<Timestamp>,
    ) -> &mut Self {
        match time {
            Some(time) => self.byte(1).time_near(base, time),
            None => self.byte(0),
        }
    }

    /// Nanoseconds; what is longer than 584 years is cut to that.
    pub(super) fn duration(&mut self, duration: Duration) -> &mut Self {
        self.number(nanos(duration))
    }

    pub(super) fn maybe_duration(&mut self, duration: Option<Duration>) -> &mut Self {
        self.maybe_number(duration.map(|duration| nanos(duration).min(u64::MAX - 1)))
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }

    /// The row with its checksum behind it, which [`checked`] takes off. It is
    /// good in this place only.
    pub(super) fn finish_with_checksum(mut self, place: &[&[u8]]) -> Vec<u8> {
        let sum = checksum(&self.0, place);
        self.raw(&sum);
        self.0
    }
}

/// The CRC-32 of ISO 3309 over all of them, most significant byte first.
pub(super) fn checksum(bytes: &[u8], place: &[&[u8]]) -> [u8; 4] {
    let mut sum = crc32fast::Hasher::new();
    sum.update(bytes);
    for part in place {
        sum.update(part);
    }
    sum.finalize().to_be_bytes()
}

/// What stands before a checksum that is right in this place.
pub(super) fn checked<'a>(row: &'a [u8], place: &[&[u8]]) -> Read<&'a [u8]> {
    let (row, sum) = row.split_last_chunk().ok_or(Malformed)?;
    if checksum(row, place) == *sum {
        Ok(row)
    } else {
        Err(Malformed)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Takes a row apart, in the order in which it was written.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Checks the version.
    pub(super) fn new(row: &'a [u8], version: u8) -> Read<Self> {
        match row.split_first() {
            Some((&found, rest)) if found == version => Ok(Self(rest)),
            _ => Err(Malformed),
        }
    }

    /// Takes one of several versions, oldest first, and tells which.
    pub(super) fn any_of(row: &'a [u8], versions: &[u8]) -> Read<(u8, Self)> {
        match row.split_first() {
            Some((&found, rest)) if versions.contains(&found) => Ok((found, Self(rest))),
            _ => Err(Malformed),
        }
    }

    /// Bytes without a version.
    pub(super) fn bare(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn byte(&mut self) -> Read<u8> {
        let (&byte, rest) = self.0.split_first().ok_or(Malformed)?;
        self.0 = rest;
        Ok(byte)
    }

    pub(super) fn long(&mut self) -> Read<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let digit = u64::from(byte & 0x7f);
            if shift == 63 && digit > 1 {
                return Err(Malformed);
            }
            number |= digit << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    pub(super) fn number<T: TryFrom<u64>>(&mut self) -> Read<T> {
        T::try_from(self.long()?).map_err(|_| Malformed)
    }

    pub(super) fn maybe_number<T: TryFrom<u64>>(&mut self) -> Read<Option<T>> {
        match self.long()? {
            0 => Ok(None),
            n => T::try_from(n - 1).map(Some).map_err(|_| Malformed),
        }
    }

    pub(super) fn raw(&mut self, length: usize) -> Read<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let bytes = self.raw(N)?;
        bytes.try_into().map_err(|_| Malformed)
    }

    pub(super) fn bytes(&mut self) -> Read<&'a [u8]> {
        let length = self.number()?;
        self.raw(length)
    }

    pub(super) fn text(&mut self) -> Read<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    /// A text that the domain parses.
    pub(super) fn parsed<T: std::str::FromStr>(&mut self) -> Read<T> {
        self.text()?.parse().map_err(|_| Malformed)
    }

    pub(super) fn maybe_text(&mut self) -> Read<Option<&'a str>> {
        if self.flag()? {
            self.text().map(Some)
        } else {
            Ok(None)
        }
    }

    pub(super) fn flag(&mut self) -> Read<bool> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    pub(super) fn time(&mut self) -> Read<Timestamp> {
        self.long().map(Timestamp::from_micros)
    }

    pub(super) fn time_near(&mut self, base: Timestamp) -> Read<Timestamp> {
        let zigzag = self.long()?;
        let apart = (zigzag >> 1) ^ (zigzag & 1).wrapping_neg();
        Ok(Timestamp::from_micros(base.as_micros().wrapping_add(apart)))
    }

    pub(super) fn maybe_time_near(&mut self, base: Timestamp) -> Read<Option<Timestamp>> {
        if self.flag()? {
            self.time_near(base).map(Some)
        } else {
            Ok(None)
        }
    }

    pub(super) fn duration(&mut self) -> Read<Duration> {
        self.long().map(Duration::from_nanos)
    }

    pub(super) fn maybe_duration(&mut self) -> Read<Option<Duration>> {
        Ok(self.maybe_number()?.map(Duration::from_nanos))
    }

    /// What was not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks that everything was read.
    pub(super) fn finish(self) -> Read<()> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            number: u64,
            maybe in proptest::option::of(0..u64::MAX),
            text: Option<String>,
            base: u64,
            time: u64,
        ) {
            let (base, time) = (Timestamp::from_micros(base), Timestamp::from_micros(time));
            let mut row = Writer::new(7);
            row.number(number).maybe_number(maybe).maybe_text(text.as_deref());
            row.time_near(base, time).maybe_time_near(base, Some(time));
            let row = row.finish();

            let mut read = Reader::new(&row, 7).unwrap();
            prop_assert_eq!(read.long().unwrap(), number);
            prop_assert_eq!(read.maybe_number().unwrap(), maybe);
            prop_assert_eq!(read.maybe_text().unwrap(), text.as_deref());
            prop_assert_eq!(read.time_near(base).unwrap(), time);
            prop_assert_eq!(read.maybe_time_near(base).unwrap(), Some(time));
            prop_assert_eq!(read.finish(), Ok(()));
        }
    }
}
