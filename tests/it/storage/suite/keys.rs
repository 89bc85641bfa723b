//! API keys: who sees them, and how they end.

use std::time::Duration;

use postrider::{
    domain::{ApiKey, ApiKeyId, ApiKeySpec, Holder, KeyHash, Scope},
    storage::{Engine, Error, Resource},
};

use super::{
    super::{build::*, fixture::Fixture},
    transfer::copied,
};

fn own() -> Holder {
    Holder::Tenant(tenant().clone())
}

/// A key whose bytes all differ.
pub(in super::super) fn key(number: u128, holder: Holder) -> ApiKey {
    let created = after(u64::try_from(number).unwrap());
    ApiKey {
        id: ApiKeyId::new(created, number),
        spec: ApiKeySpec {
            holder,
            scopes: [Scope::Admin, Scope::Read].into_iter().collect(),
            description: format!("key {number}"),
            expire_time: number
                .is_multiple_of(2)
                .then(|| created.after(Duration::from_mins(1))),
        },
        hash: KeyHash::from_bytes([u8::try_from(number).unwrap(); 32]),
        create_time: created,
        revoke_time: None,
    }
}

async fn create(engine: &dyn Engine, keys: &[ApiKey]) {
    for key in keys {
        engine.create_key(key.clone()).await.unwrap();
    }
}

pub async fn a_key_reads_back_after_a_restart(store: &mut dyn Fixture) {
    let keys = [key(1, own()), key(2, Holder::Operator)];
    create(&**store.engine(), &keys).await;
    for _ in 0..2 {
        for key in &keys {
            let found = store.engine().find_key(key.id).await.unwrap();
            assert_eq!(found.as_ref(), Some(key));
        }
        let unknown = key(3, own()).id;
        assert_eq!(store.engine().find_key(unknown).await.unwrap(), None);
        store.crash().await;
    }
}

pub async fn keys_list_newest_first_for_their_holder_alone(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    let other = Holder::Tenant("other".parse().unwrap());
    let holders = [own(), Holder::Operator, other];
    let keys: Vec<_> = (0..12)
        .zip(holders.iter().cycle())
        .map(|(number, holder)| key(number, holder.clone()))
        .collect();
    create(engine, &keys).await;
    for holder in &holders {
        let expected = keys.iter().rev().filter(|key| key.spec.holder == *holder);
        let expected: Vec<_> = expected.cloned().collect();
        for size in [1, 2, 4, 9] {
            let listed = every_page(size, |page| engine.list_keys(holder, page)).await;
            assert_eq!(listed, expected);
        }
    }
    let nobody = Holder::Tenant("nobody".parse().unwrap());
    let listed = every_page(2, |page| engine.list_keys(&nobody, page)).await;
    assert_eq!(listed, []);
}

pub async fn a_key_is_revoked_once_and_by_its_holder_alone(store: &mut dyn Fixture) {
    let engine = &**store.engine();
    let key = key(1, own());
    create(engine, std::slice::from_ref(&key)).await;
    let other = Holder::Tenant("other".parse().unwrap());
    for holder in [&other, &Holder::Operator] {
        let refused = engine.revoke_key(holder, key.id, after(5)).await;
        let Err(Error::NotFound(what)) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(what, Resource::ApiKey(key.id));
    }
    let expected = key.revoked(after(6));
    for now in [after(6), after(7)] {
        let revoked = engine.revoke_key(&own(), key.id, now).await.unwrap();
        assert_eq!(revoked, expected);
    }
    store.crash().await;
    let found = store.engine().find_key(key.id).await.unwrap();
    assert_eq!(found, Some(expected));
}

pub async fn a_copy_has_the_same_keys(store: &mut dyn Fixture) {
    let source = store.another().await;
    let keys = [key(1, own()), key(2, Holder::Operator)];
    create(&*source, &keys).await;
    source
        .revoke_key(&own(), keys[0].id, after(9))
        .await
        .unwrap();
    copied(&*source, &**store.engine()).await.unwrap();
    let engine = &**store.engine();
    let listed = every_page(9, |page| engine.list_keys(&Holder::Operator, page)).await;
    assert_eq!(listed, &keys[1..]);
    let own = own();
    let listed = every_page(9, |page| engine.list_keys(&own, page)).await;
    assert_eq!(listed, [keys[0].revoked(after(9))]);
    let totals = engine.counts().await.unwrap().totals;
    assert_eq!((totals.api_keys, totals.revoked_api_keys), (2, 1));
}
