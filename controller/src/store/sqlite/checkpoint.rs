//! Moves what the write-ahead log holds into the database, beside the writer. Left to itself SQLite does so within a
//! commit, every four megabytes, and whoever waits for that commit waits for two more syncs.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;

/// How long after a commit what it wrote is moved, with all that came meanwhile. Moving costs as much as some commits
/// (two syncs, and most of what they wrote is the same few pages), so small ones share it.
const AFTER: Duration = Duration::from_secs(10);
/// After how many commits it is moved at once: a second's or two where reports pour in, some megabytes.
const COMMITS: u32 = 64;
/// Pages, of four kilobytes, in the log above which a commit moves them all the same: the log stays bounded where the
/// task here does not keep up.
pub(super) const LOG_PAGES_MAX: &str = "16384";

/// What the writer tells of its commits.
#[derive(Default)]
struct Committed {
    count: AtomicU32,
    one: Notify,
    many: Notify,
}

/// The task that does it.
pub(super) struct Checkpoints {
    committed: Arc<Committed>,
    stop: Arc<Notify>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Checkpoints {
    /// Begins to wait for commits.
    pub(super) fn of(options: SqliteConnectOptions) -> Checkpoints {
        let (committed, stop) = (Arc::new(Committed::default()), Arc::new(Notify::new()));
        let task = tokio::spawn(run(options, Arc::clone(&committed), Arc::clone(&stop)));
        Checkpoints { committed, stop, task: Mutex::new(Some(task)) }
    }

    /// Tells of a commit.
    pub(super) fn committed(&self) {
        let before = self.committed.count.fetch_add(1, Ordering::Relaxed);
        if before % COMMITS == COMMITS - 1 {
            self.committed.many.notify_one();
        }
        self.committed.one.notify_one();
    }

    /// Ends it; its connection is closed then.
    pub(super) async fn stop(&self) {
        self.stop.notify_one();
        if let Some(task) = self.task.lock().await.take() {
            task.await.ok();
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut() {
            task.abort();
        }
    }
}

async fn run(options: SqliteConnectOptions, committed: Arc<Committed>, stop: Arc<Notify>) {
    let mut connection = None;
    loop {
        tokio::select! {
            // May be cancelled: whoever stops it has no use for the commit.
            () = committed.one.notified() => {}
            // May be cancelled: a stop that was told stays told.
            () = stop.notified() => break,
        }
        tokio::select! {
            // May be cancelled: it only waits.
            () = tokio::time::sleep(AFTER) => {}
            // May be cancelled: the commits stay in the log.
            () = committed.many.notified() => {}
            // May be cancelled: a stop that was told stays told.
            () = stop.notified() => break,
        }
        if let Err(error) = checkpoint(&options, &mut connection).await {
            // Nothing is lost: the log has it all, and the next commit asks again.
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the log could not be moved into the database"
            );
            connection = None;
        }
    }
    if let Some(connection) = connection {
        connection.close().await.ok();
    }
}

async fn checkpoint(
    options: &SqliteConnectOptions,
    connection: &mut Option<SqliteConnection>,
) -> Result<(), sqlx::Error> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(options.connect().await?),
    };
    // Passive: it waits for nobody and nobody waits for it; what a reader still needs is moved the next time.
    sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(connection).await?;
    Ok(())
}
