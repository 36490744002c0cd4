//! The store in SQLite: one writing connection, a pool of readers beside it, write-ahead log, every commit synced.
//!
//! What happens to tasks is appended, packed one row for 256 tasks and a transaction; see `migrations/`.

mod batch;
mod body;
mod checkpoint;
mod columns;
mod expected;
mod fault;
mod finished;
mod fleet;
mod guests;
mod late;
mod live;
mod marks;
mod operation;
mod prune;
mod recover;
mod rows;
mod safeguards;
mod schema;
mod snapshot;
mod steering;
mod summary;
mod targets;
mod tasks;
#[cfg(test)]
mod tests;
mod tidy;
mod transaction;
mod write;

pub use snapshot::{restore, snapshot};

use super::{Error, OperationQuery, OperationSummary, Page, Pruned, Store, StoredTask, TaskQuery};
use async_trait::async_trait;
use checkpoint::{Checkpoints, LOG_PAGES_MAX};
use curfew_controller_core::record::{Record, Recovered, TargetHost};
use curfew_types::operation::OperationEvent;
use curfew_types::{OperationId, WallTime};
use expected::Expected;
use fault::Fault;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use write::Writer;

/// The states of an operation as they are stored; [`STATE_REMOVING`] is seen by nobody but the pruning. A number is never
/// used again, and their order says nothing: unfinished is what has no `ended_at`.
const STATE_RUNNING: i64 = 1;
const STATE_CANCELLING: i64 = 2;
const STATE_ENDED: i64 = 3;
const STATE_REMOVING: i64 = 4;
const STATE_AWAITING_APPROVAL: i64 = 5;
const STATE_PAUSED: i64 = 6;
const STATE_HALTED: i64 = 7;

/// Readers at a time: pages take about a millisecond, so a few serve thousands a second.
const READERS: u32 = 4;

/// The store in one SQLite database.
pub struct SqliteStore {
    writer: Mutex<Writer>,
    expected: Arc<Expected>,
    checkpoints: Checkpoints,
    readers: SqlitePool,
    /// Held for as long as the store is open.
    _lock: File,
}

impl SqliteStore {
    /// Opens the database at `file`, creating it if there is none. Its directory must exist.
    ///
    /// # Errors
    /// When another controller has it open, a newer version has written it, or it cannot be opened or understood.
    pub async fn open(file: &Path) -> Result<SqliteStore, Error> {
        let lock = lock(file)?;
        let options = writing(file);
        let prepare = async || -> fault::Result<SqliteConnection> {
            private(file)?;
            let mut connection = options.connect().await?;
            schema::ensure(&mut connection).await?;
            Ok(connection)
        };
        let connection = prepare().await.map_err(|fault| fault.during("open the database"))?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(Duration::from_secs(5))
            .test_before_acquire(false)
            .connect_lazy_with(common(file).read_only(true));
        let checkpoints = Checkpoints::of(options.clone());
        let expected = Arc::new(Expected::default());
        let writer = Mutex::new(Writer::new(options, connection, Arc::clone(&expected)));
        Ok(SqliteStore { writer, expected, checkpoints, readers, _lock: lock })
    }

    /// Closes the database, so that no log of it is left beside it. Without it nothing is lost.
    pub async fn close(&self) {
        self.checkpoints.stop().await;
        self.readers.close().await;
        let mut writer = self.writer.lock().await;
        if let Ok(connection) = writer.take().await {
            connection.close().await.ok();
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn load(&self) -> Result<Recovered, Error> {
        recover::load(&self.readers).await.map_err(|fault| fault.during("load the store"))
    }

    fn expect_targets(&self, hosts: &Arc<[TargetHost]>) {
        self.expected.begin(hosts);
    }

    async fn append(&self, records: &[Record]) -> Result<(), Error> {
        let stored = self.writer.lock().await.append(records).await;
        self.checkpoints.committed();
        stored.map_err(|fault| fault.during("append to the store"))
    }

    async fn operation(&self, id: OperationId) -> Result<Option<OperationSummary>, Error> {
        summary::by_id(&self.readers, id).await.map_err(|fault| fault.during("read an operation"))
    }

    async fn operations(&self, query: &OperationQuery) -> Result<Page<OperationSummary>, Error> {
        summary::page(&self.readers, query).await.map_err(|fault| fault.during("list operations"))
    }

    async fn operation_by_request_id(
        &self,
        requester: &str,
        request_id: &str,
    ) -> Result<Option<OperationSummary>, Error> {
        summary::by_request_id(&self.readers, requester, request_id)
            .await
            .map_err(|fault| fault.during("look a request up"))
    }

    async fn tasks(&self, operation: OperationId, query: &TaskQuery) -> Result<Page<StoredTask>, Error> {
        tasks::page(&self.readers, operation, query).await.map_err(|fault| fault.during("list tasks"))
    }

    async fn tasks_at(&self, operation: OperationId, indices: &[u32]) -> Result<Vec<StoredTask>, Error> {
        tasks::chosen(&self.readers, operation, indices).await.map_err(|fault| fault.during("read tasks"))
    }

    async fn events(&self, operation: OperationId) -> Result<Vec<OperationEvent>, Error> {
        steering::events(&self.readers, operation)
            .await
            .map_err(|fault| fault.during("read an operation's history"))
    }

    async fn prune(&self, before: WallTime) -> Result<Pruned, Error> {
        prune::prune(&self.writer, &self.checkpoints, before)
            .await
            .map_err(|fault| fault.during("prune the store"))
    }
}

/// Takes the lock that keeps a second controller away; let go when the file is closed.
fn lock(file: &Path) -> Result<File, Error> {
    let away = |error| Fault::Io(error).during("lock the database");
    let mut path = file.as_os_str().to_owned();
    path.push(".lock");
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(PathBuf::from(path))
        .map_err(away)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { path: file.to_owned() }),
        Err(TryLockError::Error(error)) => Err(away(error)),
    }
}

/// Makes the file readable by its owner alone, creating it if there is none; its log files take after it.
fn private(file: &Path) -> std::io::Result<()> {
    let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(file)?;
    open.set_permissions(Permissions::from_mode(0o600))
}

fn common(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .busy_timeout(Duration::from_secs(5))
        .thread_name(|number| format!("store-{number}"))
        .disable_statement_logging()
}

fn writing(file: &Path) -> SqliteConnectOptions {
    common(file)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        // Room for the pages of a large turn, in KiB, so that they reach the log once.
        .pragma("cache_size", "-32768")
        .pragma("wal_autocheckpoint", LOG_PAGES_MAX)
        // What a statement of many rows would need to be taken back by itself is kept in memory, not in a file.
        .pragma("temp_store", "MEMORY")
        // A log that grew during a backup shrinks again.
        .pragma("journal_size_limit", "67108864")
}
