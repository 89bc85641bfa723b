//! What it costs to know a caller: a key that is kept, checked and found good,
//! and one that is refused by its checksum.
//!
//! `cargo bench --bench access`

#![expect(clippy::unwrap_used, reason = "in a benchmark, a panic is the report")]
#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::{
    future::Future,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use postrider::{
    bootstrap::{SystemClock, SystemRandom},
    control::{AccessSettings, Control, Limits, QuotaSettings},
    domain::{ApiKeySpec, Guard, Holder, KeyHasher, RootKey, RootKeys, Scope, Scopes, TenantId},
    resolve::{self, Resolver},
    storage::embedded::{Disk, Threads, open_in_memory},
};

const ROUNDS: u32 = 200_000;

#[tokio::main]
async fn main() {
    let store = open_in_memory(&Disk::default(), Threads::Own, Arc::new(SystemClock)).await;
    let access = AccessSettings {
        keys_needed: true,
        hasher: KeyHasher::new(&RootKeys {
            newest: RootKey::generate([7; 32]),
            older: Vec::new(),
        }),
        admin: None,
        certificates: Vec::new(),
    };
    let control = Control::new(
        store.unwrap(),
        Arc::new(SystemClock),
        Arc::new(SystemRandom),
        Resolver::new(Guard::default(), &resolve::Settings::default()).unwrap(),
        Limits::default(),
        access,
        QuotaSettings::default(),
    );
    let spec = ApiKeySpec {
        holder: Holder::Tenant(TenantId::default()),
        scopes: Scopes::ALL,
        description: String::new(),
        expire_time: None,
    };
    let (_, key) = control.create_key(spec).await.unwrap();
    let key = key.expose();
    let good = time(async || {
        let identity = control.identify(Some(key), None).await.unwrap();
        identity.call(None, Scope::Publish).is_ok()
    });
    let mistyped = key.replace('_', "-");
    let bad = time(async || control.identify(Some(&mistyped), None).await.is_err());
    println!("{:>10.2?} a good key", good.await);
    println!("{:>10.2?} a mistyped one", bad.await);
}

async fn time<F: Future<Output = bool>>(ask: impl Fn() -> F) -> Duration {
    let begin = Instant::now();
    for _ in 0..ROUNDS {
        assert!(black_box(ask().await));
    }
    begin.elapsed() / ROUNDS
}
