//! Notifications of other processes. They carry nothing: they only make this
//! one look early.

use std::{future::poll_fn, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio_postgres::AsyncMessage;

use super::{error::from_pg, state::State};
use crate::storage::Result;

/// Pause before the database is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// Somebody wrote what others have to see.
pub(super) const WORK: &str = "postrider_work";
/// Shards are free.
pub(super) const SHARDS_FREE: &str = "postrider_shards";

/// Listens until the store closes.
pub(super) async fn listen(state: Arc<State>) {
    let heard = async {
        loop {
            // What an error says is told by the watch, which meets the same.
            let _ = hear(&state).await;
            tokio::time::sleep(PAUSE).await;
        }
    };
    state.closing.run_until_cancelled(heard).await;
}

/// Listens until the connection ends.
async fn hear(state: &State) -> Result<()> {
    let (client, mut connection) = state.connections.lone().await?;
    let mut messages = std::pin::pin!(
        async {
            loop {
                match poll_fn(|context| connection.poll_message(context)).await {
                    Some(Ok(AsyncMessage::Notification(heard))) => match heard.channel() {
                        WORK => state.nudge.hear(),
                        SHARDS_FREE => state.nudge.shards.notify_one(),
                        _ => {}
                    },
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(from_pg(error)),
                    None => return Ok(()),
                }
            }
        }
        .fuse()
    );
    let statement = format!("LISTEN {WORK}; LISTEN {SHARDS_FREE}");
    tokio::select! {
        ended = &mut messages => return ended,
        listening = client.batch_execute(&statement) => listening.map_err(from_pg)?,
    }
    // What was told before anybody listened.
    state.nudge.hear();
    messages.await
}
