//! Random sequences of calls to a store and to a model of one, which must
//! agree. `PROPTEST_CASES` says how many.

mod check;
mod operation;
mod reference;

use std::env;

use futures_util::future::BoxFuture;
use proptest::{
    collection::vec,
    test_runner::{Config, TestRunner},
};
use tokio::runtime::Runtime;

use super::fixture::Fixture;
use operation::{Operation, operation};
use reference::Reference;

/// Few, since each opens stores and syncs.
const CASES: u32 = 12;
const LONGEST: usize = 40;

/// Runs the same random calls on new stores and on the model.
pub fn agrees(new_store: impl Fn() -> BoxFuture<'static, Box<dyn Fixture>>) {
    let runtime = Runtime::new().unwrap();
    let cases = env::var("PROPTEST_CASES").map_or(CASES, |cases| cases.parse().unwrap());
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&vec(operation(), 1..LONGEST), |operations| {
        runtime.block_on(async {
            let mut store = new_store().await;
            run(&mut *store, operations).await;
            store.engine().close().await;
        });
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

async fn run(store: &mut dyn Fixture, operations: Vec<Operation>) {
    let mut model = Reference::default();
    for operation in operations {
        let ends = matches!(operation, Operation::Reopen | Operation::Crash);
        operation.run(store, &mut model).await;
        if ends {
            check::everything(&**store.engine(), &model).await;
        }
    }
    check::everything(&**store.engine(), &model).await;
}
