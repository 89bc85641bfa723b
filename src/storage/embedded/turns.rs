//! The committer's turns: it takes the next write, makes what that asks for, and
//! waits for another one, on a thread of its own or in a task.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::mpsc;

use super::{
    committer::{Committer, respond},
    write::Write,
};
use crate::storage::Error;

impl Committer {
    /// Writes until nobody can ask for more.
    pub(super) fn run(mut self, mut writes: mpsc::Receiver<Write>) {
        let mut held = None;
        while let Some(first) = held.take().or_else(|| writes.blocking_recv()) {
            self.turn(first, &mut writes, &mut held);
        }
        self.end();
    }

    /// The same in a task, whose thread it keeps while it writes.
    pub(super) async fn run_in_task(mut self, mut writes: mpsc::Receiver<Write>) {
        let mut held = None;
        loop {
            let first = match held.take() {
                None => writes.recv().await,
                first => first,
            };
            let Some(first) = first else { break };
            self.turn(first, &mut writes, &mut held);
        }
        self.end();
    }

    fn turn(&mut self, first: Write, writes: &mut mpsc::Receiver<Write>, held: &mut Option<Write>) {
        // Whoever waits for one that is gone waits for ever.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.take(first, writes, held)));
        if outcome.is_err() {
            self.fail(&Error::Closed("committer panicked".to_owned()));
        }
    }

    fn end(self) {
        self.note_witnesses();
        let Self {
            state,
            catalog,
            rewrite,
            ended,
            dir,
            ..
        } = self;
        state.days.close();
        state.catalog.lock().take();
        drop((state, catalog, rewrite, dir));
        ended.send_replace(true);
    }

    fn take(&mut self, first: Write, writes: &mut mpsc::Receiver<Write>, held: &mut Option<Write>) {
        match first {
            Write::Catalog(change, reply) => {
                let answer = self.change_catalog(change);
                respond(reply, answer);
            }
            Write::CancelPending(call, reply) => {
                let answer = self.cancel_pending(&call);
                respond(reply, answer);
            }
            Write::Remove(before, reply) => {
                let answer = self.remove_expired(before);
                respond(reply, answer);
            }
            Write::Erase(call, reply) => {
                let answer = self.erase(&call);
                respond(reply, answer);
            }
            Write::Forget(call, reply) => {
                let answer = self.forget_events(&call);
                respond(reply, answer);
            }
            Write::Rewrite(reply) => {
                let answer = self.rewrite();
                respond(reply, answer);
            }
            Write::Replay(write, reply) => {
                let answer = self.write_replay(write);
                respond(reply, answer);
            }
            Write::Key(write, reply) => {
                let answer = self.write_key(write);
                respond(reply, answer);
            }
            Write::Import(records, reply) => {
                let answer = self.import(records);
                respond(reply, answer);
            }
            Write::NoteCopy(copy, reply) => {
                let answer = self.note_copy(copy);
                respond(reply, answer);
            }
            first => self.gather(first, writes, held),
        }
    }
}
