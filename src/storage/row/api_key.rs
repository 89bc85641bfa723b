//! An API key.

use crate::{
    domain::{ApiKey, ApiKeyId, ApiKeySpec, Holder, KeyHash, Scopes},
    storage::bytes::{Malformed, Read, Reader, Writer},
};

const VERSION: u8 = 1;

pub(in crate::storage) fn write_api_key(key: &ApiKey) -> Vec<u8> {
    let spec = &key.spec;
    let mut row = Writer::new(VERSION);
    let tenant = match &spec.holder {
        Holder::Tenant(tenant) => Some(tenant.as_str()),
        Holder::Operator => None,
    };
    row.maybe_text(tenant)
        .byte(spec.scopes.bits())
        .text(&spec.description)
        .raw(&key.hash.to_bytes())
        .time(key.create_time)
        .maybe_time_near(key.create_time, spec.expire_time)
        .maybe_time_near(key.create_time, key.revoke_time);
    row.finish()
}

pub(in crate::storage) fn read_api_key(id: ApiKeyId, row: &[u8]) -> Read<ApiKey> {
    let mut row = Reader::new(row, VERSION)?;
    let holder = match row.maybe_text()? {
        Some(tenant) => Holder::Tenant(tenant.parse().map_err(|_| Malformed)?),
        None => Holder::Operator,
    };
    let scopes = Scopes::from_bits(row.byte()?).ok_or(Malformed)?;
    let description = row.text()?.to_owned();
    let hash = KeyHash::from_bytes(row.array()?);
    let create_time = row.time()?;
    let key = ApiKey {
        id,
        spec: ApiKeySpec {
            holder,
            scopes,
            description,
            expire_time: row.maybe_time_near(create_time)?,
        },
        hash,
        create_time,
        revoke_time: row.maybe_time_near(create_time)?,
    };
    row.finish().map(|()| key)
}
