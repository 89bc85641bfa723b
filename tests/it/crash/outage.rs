//! The database goes and comes back while the servers are under load.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{Scene, fleet::Fleet, load, say};
use crate::support::{Process, eventually};

/// Longest that a publish is left without an answer while the database is gone.
const REFUSED: Duration = Duration::from_secs(1);
/// Longest until work goes on once it is back.
const RESUMED: Duration = Duration::from_secs(2);
/// What a machine may add that has as much to do as this one: two servers, a
/// database and those that load them.
const BUSY: Duration = Duration::from_millis(300);

/// What the outages took at most.
#[derive(Debug, Default)]
pub struct Longest {
    gone: Duration,
    unready: Duration,
    ready: Duration,
    accepted: Duration,
    delivered: Duration,
}

/// Stops the database under load, sees what the servers make of it, and starts
/// it again.
pub async fn once(scene: &Arc<Scene>, fleet: &Fleet, longest: &mut Longest) {
    let mut dice = scene.dice(u64::from(u32::MAX) - 1);
    let busy = scene.ledger.acknowledged() + 50 + usize::try_from(dice.below(300)).unwrap();
    eventually("the servers to be busy", async || {
        (scene.ledger.acknowledged() >= busy).then_some(())
    })
    .await;
    let began = Instant::now();
    scene.home.stop_database().await;
    scene.refusals.gone();
    for server in fleet.servers() {
        refuses(scene, &server).await;
        turns(&server, ServingStatus::NotServing).await;
        longest.unready = longest.unready.max(began.elapsed());
    }
    // So many refusals take up to some seconds, longer than a lease.
    let enough = scene.refusals.seen().0 + dice.below(1_000);
    eventually("publishers to be refused", async || {
        for server in fleet.servers() {
            refuses(scene, &server).await;
        }
        (scene.refusals.seen().0 >= enough).then_some(())
    })
    .await;

    scene.home.start_database().await;
    longest.gone = longest.gone.max(began.elapsed());
    let back = Instant::now();
    for server in fleet.servers() {
        turns(&server, ServingStatus::Serving).await;
        longest.ready = longest.ready.max(back.elapsed());
        eventually("events to be accepted", async || {
            let n = scene.ledger.sends(true);
            let accepted = load::publish(scene, &mut server.events(), n, true).await;
            accepted.ok()
        })
        .await;
        longest.accepted = longest.accepted.max(back.elapsed());
    }
    for (path, ..) in scene.lasting() {
        let taken = eventually("deliveries", async || {
            let taken = scene.receipts.last_taken(path)?;
            (taken > back).then_some(taken)
        });
        longest.delivered = longest.delivered.max(taken.await - back);
    }
    scene.next_life();
}

/// Sees that figures are as promised.
pub fn assert_short(scene: &Scene, longest: &Longest) {
    let (refusals, refused) = scene.refusals.seen();
    say(&format!(
        "{refusals} publishes refused, the slowest after {refused:?}; at most: database gone \
         {:?}, not ready after {:?}; once it was back ready after {:?}, accepting after {:?}, \
         delivering after {:?}",
        longest.gone, longest.unready, longest.ready, longest.accepted, longest.delivered
    ));
    assert!(refused < REFUSED + BUSY, "refused after {refused:?}");
    for resumed in [longest.ready, longest.accepted, longest.delivered] {
        assert!(resumed < RESUMED + BUSY, "{longest:?}");
    }
}

/// A publish is refused; how soon and with what is seen where it is sent.
async fn refuses(scene: &Scene, server: &Process) {
    let n = scene.ledger.sends(false);
    let refused = load::publish(scene, &mut server.events(), n, false).await;
    assert!(refused.is_err(), "accepted without a database");
}

/// Waits until the server says so of its readiness.
async fn turns(server: &Process, to: ServingStatus) {
    eventually("readiness to turn", async || {
        let request = HealthCheckRequest {
            service: "readiness".to_owned(),
        };
        let reply = HealthClient::new(server.channel()).check(request).await;
        (reply.unwrap().into_inner().status() == to).then_some(())
    })
    .await;
}
