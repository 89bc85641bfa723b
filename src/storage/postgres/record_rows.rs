//! Results of attempts, column by column.

use std::collections::HashSet;

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{
    row::{from_count, from_delivery, from_time},
    stats::from_slot,
};
use crate::{
    domain::{Counts, StatsKey, Timestamp},
    storage::{
        AttemptRecord,
        row::{code, read_attempt, write_attempt},
    },
};

/// Columns of the results to be written.
#[derive(Default)]
pub(super) struct Rows {
    delivery: Vec<Uuid>,
    revision: Vec<i32>,
    was: Vec<i64>,
    state: Vec<i16>,
    due: Vec<Option<i64>>,
    error: Vec<Option<i16>>,
    status: Vec<Option<i32>>,
    now: Vec<i64>,
    id: Vec<Uuid>,
    content: Vec<Vec<u8>>,
    /// What they are counted under and in.
    start: Vec<i64>,
    took: Vec<i16>,
    lasted: Vec<Option<i16>>,
    recorded: i64,
    writer: i16,
}

impl Rows {
    /// The results, recorded at a time by one of the writers.
    pub(super) fn of(records: &[&AttemptRecord], recorded: Timestamp, writer: i16) -> Self {
        let mut rows = Self {
            recorded: from_time(recorded),
            writer,
            ..Self::default()
        };
        for record in records {
            rows.add(record);
        }
        rows
    }

    fn add(&mut self, record: &AttemptRecord) {
        let attempt = &record.attempt;
        let (state, due) = record.next.place();
        self.delivery.push(from_delivery(attempt.delivery_id));
        self.revision.push(from_count(record.revision));
        self.was.push(from_time(record.due));
        self.state.push(i16::from(code::from_state(state)));
        self.due.push(due.map(from_time));
        let error = attempt.error_kind.map(code::from_error);
        self.error.push(error.map(i16::from));
        self.status.push(attempt.response_status.map(i32::from));
        self.now.push(from_time(record.now));
        self.id.push(Uuid::from_bytes(attempt.id.to_bytes()));
        self.content.push(write_attempt(attempt));
        let (took, lasted) = Counts::slots(attempt);
        self.start.push(from_time(StatsKey::of(attempt).start));
        self.took.push(from_slot(took));
        self.lasted.push(lasted.map(from_slot));
    }

    /// The deliveries that were attempted.
    pub(super) fn deliveries(&self) -> &[Uuid] {
        &self.delivery
    }

    /// Those of the results that stand there, counted from 1.
    pub(super) fn only(&self, places: &[i64]) -> Self {
        Self {
            delivery: pick(&self.delivery, places),
            revision: pick(&self.revision, places),
            was: pick(&self.was, places),
            state: pick(&self.state, places),
            due: pick(&self.due, places),
            error: pick(&self.error, places),
            status: pick(&self.status, places),
            now: pick(&self.now, places),
            id: pick(&self.id, places),
            content: pick(&self.content, places),
            start: pick(&self.start, places),
            took: pick(&self.took, places),
            lasted: pick(&self.lasted, places),
            recorded: self.recorded,
            writer: self.writer,
        }
    }

    /// Takes out of attempts at these deliveries what an erasure takes.
    pub(super) fn erase(&mut self, deliveries: &HashSet<Uuid>) {
        for (delivery, content) in self.delivery.iter().zip(&mut self.content) {
            if deliveries.contains(delivery) {
                let attempt = read_attempt(content).expect("it was written here");
                *content = write_attempt(&attempt.erased());
            }
        }
    }

    /// The parameters of the statement that writes them.
    pub(super) fn params<'a>(
        &'a self,
        member: &'a Uuid,
        repeated: &'a bool,
        late: &'a bool,
    ) -> [&'a (dyn ToSql + Sync); 18] {
        [
            member,
            repeated,
            &self.delivery,
            &self.revision,
            &self.was,
            &self.state,
            &self.due,
            &self.error,
            &self.status,
            &self.now,
            &self.id,
            &self.content,
            &self.recorded,
            &self.writer,
            &self.start,
            &self.took,
            &self.lasted,
            late,
        ]
    }
}

fn pick<T: Clone>(column: &[T], places: &[i64]) -> Vec<T> {
    let places = places
        .iter()
        .filter_map(|place| usize::try_from(place - 1).ok());
    places
        .filter_map(|place| column.get(place).cloned())
        .collect()
}
