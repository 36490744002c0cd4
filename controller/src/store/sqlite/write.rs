//! The one writer: turns a turn's records into one transaction, and refuses what contradicts what is stored.

use super::batch::{Batch, OperationChange};
use super::expected::Expected;
use super::fault::{Fault, Result};
use super::live::Live;
use super::marks::Marks;
use super::rows::Rows;
use super::transaction::Transaction;
use super::{fleet, late, operation, safeguards};
use curfew_controller_core::record::Record;
use curfew_types::OperationId;
use prost::Message;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection as _, SqliteConnection};
use std::collections::HashMap;
use std::sync::Arc;

static JOURNAL: Rows = Rows::new("journal", &["operation", "chunk", "seq", "outcomes", "body"], "");

/// The writing connection, and what is remembered of unfinished operations.
pub(super) struct Writer {
    pub(super) options: SqliteConnectOptions,
    /// Absent while it is in use and after a use that went wrong: a connection with an unknown past is closed.
    connection: Option<SqliteConnection>,
    live: HashMap<OperationId, Live>,
    expected: Arc<Expected>,
    /// The ledger marks that are not among the hosts yet; absent until it is needed, and after an append that went wrong.
    pub(super) marks: Option<Marks>,
    /// From the beginning of an append to its end, whichever it is: still set when the next one begins, the last one
    /// was dropped half-way, and what is remembered may not be so.
    unsettled: bool,
}

/// A row of the journal.
struct JournalRow {
    operation: OperationId,
    chunk: u32,
    seq: i64,
    mask: i64,
    body: Vec<u8>,
}

/// What is to be remembered of an operation once the transaction is durable.
struct Settled {
    operation: OperationId,
    finished: Vec<u32>,
    ended: bool,
}

impl Writer {
    pub(super) fn new(
        options: SqliteConnectOptions,
        connection: SqliteConnection,
        expected: Arc<Expected>,
    ) -> Writer {
        let (connection, live) = (Some(connection), HashMap::new());
        Writer { options, connection, live, expected, marks: None, unsettled: false }
    }

    /// Appends the records in one transaction.
    ///
    /// # Errors
    /// See [`crate::store::Store::append`].
    pub(super) async fn append(&mut self, records: &[Record]) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        if self.unsettled {
            self.live.clear();
            self.marks = None;
        }
        self.unsettled = true;
        let result = self.append_settling(Batch::fold(records)).await;
        self.unsettled = false;
        result
    }

    async fn append_settling(&mut self, batch: Batch<'_>) -> Result<()> {
        let planned: Vec<OperationId> = batch.planned().collect();
        let mut connection = self.take().await?;
        match self.transact(&mut connection, batch).await {
            Ok(settled) => {
                self.connection = Some(connection);
                self.remember(settled);
                Ok(())
            }
            Err(error) => {
                // SQLite may have rolled back by itself. Closing ends the transaction in every case.
                connection.close().await.ok();
                for operation in &planned {
                    self.live.remove(operation);
                }
                self.marks = None;
                Err(error.of_planned(&planned))
            }
        }
    }

    /// The connection, opened again if the last use went wrong. Whoever takes it puts it back after success.
    pub(super) async fn take(&mut self) -> Result<SqliteConnection> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => Ok(self.options.connect().await?),
        }
    }

    /// Puts the connection back after a use that went well.
    pub(super) fn put_back(&mut self, connection: SqliteConnection) {
        self.connection = Some(connection);
    }

    async fn transact(
        &mut self,
        connection: &mut SqliteConnection,
        batch: Batch<'_>,
    ) -> Result<Vec<Settled>> {
        let mut transaction = Transaction::on(connection);
        let to = &mut transaction;
        fleet::write(to, &batch).await?;
        fleet::write_marks(to, &batch, &mut self.marks).await?;
        safeguards::write(to, &batch.safeguards).await?;
        let mut rows = Vec::new();
        let mut settled = Vec::new();
        for (id, mut change) in batch.operations {
            if let Some(started) = change.started {
                operation::insert(to, started, &self.expected).await?;
                self.live.insert(id, Live::new(started.task_count()));
            }
            if let Some(replanned) = change.replanned {
                operation::replan(to, replanned, &self.expected).await?;
                self.live.insert(id, Live::new(replanned.with.task_count()));
            }
            late::keep_known(to, id, &mut change).await?;
            settled.push(self.check(to, id, &change).await?);
            operation::update(to, id, &change).await?;
            self.collect_rows(to, id, change, &mut rows).await?;
        }
        JOURNAL
            .insert(to, rows, |values, row| {
                values.bind(row.operation.number().cast_signed()).bind(row.chunk);
                values.bind(row.seq).bind(row.mask).bind(row.body);
            })
            .await?;
        transaction.commit().await?;
        Ok(settled)
    }

    /// Refuses what contradicts what is stored.
    async fn check(
        &mut self,
        to: &mut Transaction<'_>,
        id: OperationId,
        change: &OperationChange<'_>,
    ) -> Result<Settled> {
        let mut finished: Vec<u32> = change.finished().collect();
        let settled = |finished| Settled { operation: id, finished, ended: change.ended.is_some() };
        if change.is_only_late() {
            return Ok(settled(finished));
        }
        let live = match self.live.entry(id) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(Live::read(to.reading().await?, id).await?)
            }
        };
        if let Some(index) = change.indices().find(|index| *index >= live.task_count) {
            return Err(Fault::Refused(format!("{id} has no task {index}")));
        }
        finished.sort_unstable();
        let twice = finished.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        if let Some(index) = twice.or_else(|| finished.iter().copied().find(|index| live.is_finished(*index)))
        {
            return Err(Fault::Refused(format!("task {id}/{index} has its outcome already")));
        }
        let unfinished = usize::try_from(live.unfinished()).unwrap_or(usize::MAX) - finished.len();
        if change.ended.is_some() && unfinished > 0 {
            return Err(Fault::Refused(format!("{id} cannot end while {unfinished} tasks have no outcome")));
        }
        Ok(settled(finished))
    }

    async fn collect_rows(
        &self,
        to: &mut Transaction<'_>,
        id: OperationId,
        change: OperationChange<'_>,
        rows: &mut Vec<JournalRow>,
    ) -> Result<()> {
        let live = self.live.get(&id).map(|live| live.seq);
        for (chunk, change) in change.chunks {
            let Some((mask, entry)) = change.into_row() else { continue };
            let seq = match live {
                Some(seq) => seq,
                None => late::next_seq(to.reading().await?, id, chunk).await?,
            };
            rows.push(JournalRow { operation: id, chunk, seq, mask, body: entry.encode_to_vec() });
        }
        Ok(())
    }

    /// Notes what is durable now.
    fn remember(&mut self, settled: Vec<Settled>) {
        for Settled { operation, finished, ended } in settled {
            if ended {
                self.live.remove(&operation);
            } else if let Some(live) = self.live.get_mut(&operation) {
                live.seq += 1;
                for index in finished {
                    live.finish(index);
                }
            }
        }
    }
}
