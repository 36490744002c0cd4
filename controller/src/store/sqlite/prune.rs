//! Forgets operations that ended long ago and packs those that ended since, in steps so small that no append waits long
//! for one.

use super::checkpoint::Checkpoints;
use super::fault::Result;
use super::tidy;
use super::write::Writer;
use crate::store::Pruned;
use curfew_types::WallTime;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::Mutex;

/// Chunks forgotten in one transaction: 8,192 tasks, about 100 pages of targets.
const CHUNKS: i64 = 32;
/// Operations marked in one transaction.
const OPERATIONS: i64 = 256;

/// Forgets what ended before `before`, and packs what else has ended. Appends go on between its steps.
pub(super) async fn prune(
    writer: &Mutex<Writer>,
    checkpoints: &Checkpoints,
    before: WallTime,
) -> Result<Pruned> {
    let mut pruned = Pruned::default();
    let mut work = Work::Forget;
    loop {
        let step = step(writer, before, work).await?;
        checkpoints.committed();
        match step {
            Step::Marked | Step::Shortened | Step::Packed => {}
            Step::Removed { tasks } => {
                pruned.operations += 1;
                pruned.tasks += tasks;
            }
            Step::Nothing => match work {
                Work::Forget => work = Work::Pack,
                Work::Pack => return Ok(pruned),
            },
        }
    }
}

/// What is done until there is nothing left of it.
#[derive(Clone, Copy)]
enum Work {
    Forget,
    Pack,
}

/// What one transaction did.
enum Step {
    /// Operations are out of sight now, and can be removed piece by piece.
    Marked,
    /// An operation has fewer chunks.
    Shortened,
    /// An operation is gone.
    Removed { tasks: u64 },
    /// An operation that has ended takes less room.
    Packed,
    /// There was nothing to do.
    Nothing,
}

async fn step(writer: &Mutex<Writer>, before: WallTime, work: Work) -> Result<Step> {
    let mut writer = writer.lock().await;
    let mut connection = writer.take().await?;
    let done = match work {
        Work::Forget => forget(&mut connection, before).await,
        Work::Pack => pack(&mut connection).await,
    };
    match done {
        Ok(step) => {
            writer.put_back(connection);
            Ok(step)
        }
        Err(fault) => {
            connection.close().await.ok();
            Err(fault)
        }
    }
}

async fn forget(connection: &mut SqliteConnection, before: WallTime) -> Result<Step> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let to = &mut *transaction;
    let marked: Option<(i64, i64)> =
        sqlx::query_as("SELECT id, task_count FROM operations WHERE state = ? ORDER BY id LIMIT 1")
            .bind(super::STATE_REMOVING)
            .fetch_optional(&mut *to)
            .await?;
    let step = match marked {
        Some((id, tasks)) => remove(to, id, tasks.cast_unsigned()).await?,
        None => mark(to, before).await?,
    };
    transaction.commit().await?;
    Ok(step)
}

async fn pack(connection: &mut SqliteConnection) -> Result<Step> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let is_packed = tidy::pack_some(&mut transaction).await?;
    transaction.commit().await?;
    Ok(if is_packed { Step::Packed } else { Step::Nothing })
}

async fn mark(to: &mut SqliteConnection, before: WallTime) -> Result<Step> {
    let marked = sqlx::query(
        "UPDATE operations SET state = ? WHERE id IN \
         (SELECT id FROM operations WHERE state = ? AND ended_at < ? ORDER BY id LIMIT ?)",
    )
    .bind(super::STATE_REMOVING)
    .bind(super::STATE_ENDED)
    .bind(before.0)
    .bind(OPERATIONS)
    .execute(to)
    .await?;
    Ok(if marked.rows_affected() > 0 { Step::Marked } else { Step::Nothing })
}

/// Removes the last chunks of an operation, and the operation once none is left.
async fn remove(to: &mut SqliteConnection, id: i64, tasks: u64) -> Result<Step> {
    let last: Option<i64> = sqlx::query_scalar("SELECT MAX(chunk) FROM targets WHERE operation = ?")
        .bind(id)
        .fetch_one(&mut *to)
        .await?;
    let from = last.map_or(0, |last| (last + 1 - CHUNKS).max(0));
    for statement in [
        "DELETE FROM journal WHERE operation = ? AND chunk >= ?",
        "DELETE FROM targets WHERE operation = ? AND chunk >= ?",
    ] {
        sqlx::query(statement).bind(id).bind(from).execute(&mut *to).await?;
    }
    if from > 0 {
        return Ok(Step::Shortened);
    }
    for statement in [
        "DELETE FROM operation_events WHERE operation = ?",
        "DELETE FROM operation_reasons WHERE operation = ?",
        "DELETE FROM specs WHERE operation = ?",
    ] {
        sqlx::query(statement).bind(id).execute(&mut *to).await?;
    }
    sqlx::query("DELETE FROM operations WHERE id = ?").bind(id).execute(to).await?;
    Ok(Step::Removed { tasks })
}
