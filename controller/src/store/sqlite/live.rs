//! What the writer remembers of unfinished operations, so that no append has to read the journal back.
//!
//! It only repeats what the database says: an entry may be dropped at any time and is read again when needed.

use super::body::{Entry, join};
use super::fault::{Fault, Result};
use curfew_types::OperationId;
use futures::TryStreamExt;
use prost::Message;
use sqlx::{Row, SqliteConnection};

/// An unfinished operation.
pub(super) struct Live {
    pub(super) task_count: u32,
    /// The number of its next rows in the journal.
    pub(super) seq: i64,
    finished: Vec<u64>,
    finished_count: u32,
}

impl Live {
    /// An operation that starts now.
    pub(super) fn new(task_count: u32) -> Live {
        let words = usize::try_from(task_count.div_ceil(u64::BITS)).unwrap_or(usize::MAX);
        Live { task_count, seq: 0, finished: vec![0; words], finished_count: 0 }
    }

    /// An unfinished operation as the database has it.
    ///
    /// # Errors
    /// When it is unknown, has ended, or cannot be read.
    pub(super) async fn read(connection: &mut SqliteConnection, id: OperationId) -> Result<Live> {
        let row: Option<(bool, u32)> =
            sqlx::query_as("SELECT ended_at IS NULL, task_count FROM operations WHERE id = ?")
                .bind(id.number().cast_signed())
                .fetch_optional(&mut *connection)
                .await?;
        let mut live = match row {
            Some((true, task_count)) => Live::new(task_count),
            Some(_) => return Err(Fault::Refused(format!("{id} has ended"))),
            None => return Err(Fault::Refused(format!("{id} is unknown"))),
        };
        let mut rows = sqlx::query("SELECT chunk, seq, body FROM journal WHERE operation = ?")
            .bind(id.number().cast_signed())
            .fetch(connection);
        while let Some(row) = rows.try_next().await? {
            live.seq = live.seq.max(row.get::<i64, _>(1) + 1);
            let chunk: u32 = row.get(0);
            let entry = Entry::decode(row.get::<&[u8], _>(2))?;
            for place in entry.places_finished()? {
                live.finish(join(chunk, place));
            }
        }
        Ok(live)
    }

    /// Whether the task has its outcome.
    pub(super) fn is_finished(&self, index: u32) -> bool {
        let (word, bit) = at(index);
        self.finished.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// The task has its outcome from now on.
    pub(super) fn finish(&mut self, index: u32) {
        let (word, bit) = at(index);
        if let Some(bits) = self.finished.get_mut(word)
            && *bits & bit == 0
        {
            *bits |= bit;
            self.finished_count += 1;
        }
    }

    /// How many tasks have no outcome.
    pub(super) fn unfinished(&self) -> u32 {
        self.task_count - self.finished_count
    }
}

fn at(index: u32) -> (usize, u64) {
    let word = usize::try_from(index / u64::BITS).unwrap_or(usize::MAX);
    (word, 1 << (index % u64::BITS))
}
