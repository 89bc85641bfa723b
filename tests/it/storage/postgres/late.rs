//! What comes back after its event was erased.

use postrider::domain::Erasure;

use super::{
    super::{build::*, fixture::Fixture},
    InPostgres,
};
use crate::support::cluster::connect;

/// Refuses the rows of attempts that say what `failed` puts into them.
const REFUSE: &str = "
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'it says what was erased'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON postrider.attempt FOR EACH ROW
        WHEN (position('status 500'::bytea IN NEW.content) > 0) EXECUTE FUNCTION refuse();";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_an_erased_event_is_at_no_time_in_the_database() {
    let store = InPostgres::new().await;
    let engine = &**store.engine();
    subscribe(engine, 1).await;
    let erased = deliver(engine, event(1, NOON), &[1]).await;
    let other = deliver(engine, event(2, NOON), &[1]).await;
    let erasure = Erasure::Event(erased.event_id());
    engine.erase(tenant(), erasure, after(5)).await.unwrap();
    let database = connect(&store.text_url).await;
    database.batch_execute(REFUSE).await.unwrap();

    let record = |id| engine.record_attempts(vec![failed(id, 1, after(60))]);
    record(erased).await.unwrap();
    record(other).await.unwrap_err();
}
