//! An attempt. Names of headers that every attempt has are written as numbers.
//!
//! Version 2 begins with the time at which the attempt was recorded, since its
//! position in the log, by an engine that numbers them otherwise, does not tell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use bytes::Bytes;

use super::code;
use crate::{
    domain::{Attempt, AttemptId, DeliveryId, Headers, Phases, SubscriptionId, Timestamp},
    storage::bytes::{Malformed, Read, Reader, Writer},
};

const VERSION: u8 = 1;
const RECORDED: u8 = 2;

/// Header names by their numbers, counted from 1. Only ever appended to.
const NAMES: [&str; 24] = [
    "content-type",
    "content-length",
    "user-agent",
    "host",
    "accept",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "webhook-attempt",
    "x-webhook-id",
    "x-webhook-timestamp",
    "x-webhook-signature",
    "traceparent",
    "date",
    "server",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "vary",
    "cache-control",
    "etag",
    "set-cookie",
    "retry-after",
    "x-request-id",
];

pub(in crate::storage) fn write_attempt(attempt: &Attempt) -> Vec<u8> {
    let row = Writer::new(VERSION);
    write(row, attempt)
}

/// An attempt whose position does not tell when it was recorded.
pub(in crate::storage) fn write_recorded(attempt: &Attempt, recorded: Timestamp) -> Vec<u8> {
    let mut row = Writer::new(RECORDED);
    row.time(recorded);
    write(row, attempt)
}

/// Reads either.
pub(in crate::storage) fn read_attempt(row: &[u8]) -> Read<Attempt> {
    read(open(row)?.1)
}

/// When an attempt was recorded; `None` if its position tells.
pub(in crate::storage) fn read_recorded(row: &[u8]) -> Read<Option<Timestamp>> {
    Ok(open(row)?.0)
}

fn open(row: &[u8]) -> Read<(Option<Timestamp>, Reader<'_>)> {
    if row.first() == Some(&RECORDED) {
        let mut row = Reader::new(row, RECORDED)?;
        Ok((Some(row.time()?), row))
    } else {
        Ok((None, Reader::new(row, VERSION)?))
    }
}

fn write(mut row: Writer, attempt: &Attempt) -> Vec<u8> {
    let began = attempt.start_time;
    row.raw(&attempt.id.to_bytes())
        .raw(&attempt.delivery_id.to_bytes())
        .raw(&attempt.subscription_id.to_bytes())
        .text(attempt.tenant.as_str())
        .text(attempt.event_type.as_str())
        .byte(code::from_trigger(attempt.trigger))
        .number(attempt.number)
        .time(began)
        .duration(attempt.duration);
    let phases = &attempt.phases;
    for phase in [phases.dns, phases.connect, phases.tls, phases.first_byte] {
        row.maybe_duration(phase);
    }
    row.byte(code::from_maybe_error(attempt.error_kind))
        .text(&attempt.error_message)
        .maybe_number(attempt.response_status.map(u64::from));
    write_headers(&mut row, &attempt.response_headers);
    row.bytes(&attempt.response_body)
        .byte(u8::from(attempt.response_body_truncated));
    write_peer(&mut row, attempt.peer_address);
    write_headers(&mut row, &attempt.request_headers);
    row.maybe_time_near(began, attempt.next_attempt_time);
    row.finish()
}

fn read(mut row: Reader<'_>) -> Read<Attempt> {
    let id = AttemptId::from_bytes(row.array()?);
    let delivery_id = DeliveryId::from_bytes(row.array()?);
    let subscription_id = SubscriptionId::from_bytes(row.array()?);
    let tenant = row.parsed()?;
    let event_type = row.parsed()?;
    let trigger = code::to_trigger(row.byte()?)?;
    let number = row.number()?;
    let start_time = row.time()?;
    let attempt = Attempt {
        id,
        tenant,
        delivery_id,
        subscription_id,
        event_type,
        trigger,
        number,
        start_time,
        duration: row.duration()?,
        phases: Phases {
            dns: row.maybe_duration()?,
            connect: row.maybe_duration()?,
            tls: row.maybe_duration()?,
            first_byte: row.maybe_duration()?,
        },
        error_kind: code::to_maybe_error(row.byte()?)?,
        error_message: row.text()?.to_owned(),
        response_status: row.maybe_number()?,
        response_headers: read_headers(&mut row)?,
        response_body: Bytes::copy_from_slice(row.bytes()?),
        response_body_truncated: row.flag()?,
        peer_address: read_peer(&mut row)?,
        request_headers: read_headers(&mut row)?,
        next_attempt_time: row.maybe_time_near(start_time)?,
    };
    row.finish().map(|()| attempt)
}

fn write_headers(row: &mut Writer, headers: &Headers) {
    row.number(headers.len() as u64);
    for (name, value) in headers {
        let known = (1_u8..)
            .zip(NAMES)
            .find_map(|(number, known)| (known == name).then_some(number));
        match known {
            Some(number) => row.byte(number),
            None => row.byte(0).text(name),
        };
        row.text(value);
    }
}

fn read_headers(row: &mut Reader<'_>) -> Read<Headers> {
    let mut headers = Headers::new();
    for _ in 0..row.long()? {
        let name = match row.byte()? {
            0 => row.text()?,
            number => NAMES.get(usize::from(number) - 1).ok_or(Malformed)?,
        };
        headers.push((name.to_owned(), row.text()?.to_owned()));
    }
    Ok(headers)
}

fn write_peer(row: &mut Writer, peer: Option<SocketAddr>) {
    match peer {
        None => row.byte(0),
        Some(SocketAddr::V4(peer)) => row.byte(4).raw(&peer.ip().octets()).number(peer.port()),
        Some(SocketAddr::V6(peer)) => row
            .byte(6)
            .raw(&peer.ip().octets())
            .number(peer.port())
            .number(peer.flowinfo())
            .number(peer.scope_id()),
    };
}

fn read_peer(row: &mut Reader<'_>) -> Read<Option<SocketAddr>> {
    match row.byte()? {
        0 => Ok(None),
        4 => {
            let ip = IpAddr::V4(Ipv4Addr::from(row.array::<4>()?));
            Ok(Some(SocketAddr::new(ip, row.number()?)))
        }
        6 => {
            let ip = Ipv6Addr::from(row.array::<16>()?);
            let peer = SocketAddrV6::new(ip, row.number()?, row.number()?, row.number()?);
            Ok(Some(SocketAddr::V6(peer)))
        }
        _ => Err(Malformed),
    }
}
