//! Late news: the only records that may be about operations which have ended, or are not known any more.

use super::batch::{LateRef, OperationChange};
use super::body::join;
use super::fault::Result;
use super::targets::{HostTargets, unpack_targets};
use super::transaction::Transaction;
use curfew_types::OperationId;
use sqlx::SqliteConnection;

/// Leaves out of `change`, with a warning, late news of an unknown operation or of a task that is not its host's, and
/// counts the rest.
///
/// # Errors
/// When the targets cannot be read.
pub(super) async fn keep_known(
    to: &mut Transaction<'_>,
    operation: OperationId,
    change: &mut OperationChange<'_>,
) -> Result<()> {
    for (chunk, change_of_chunk) in &mut change.chunks {
        if change_of_chunk.late.is_empty() {
            continue;
        }
        let body: Option<Vec<u8>> = sqlx::query_scalar(
            "SELECT targets.body FROM targets JOIN operations ON operations.id = targets.operation \
             WHERE targets.operation = ? AND targets.chunk = ? AND operations.state <> ?",
        )
        .bind(operation.number().cast_signed())
        .bind(*chunk)
        .bind(super::STATE_REMOVING)
        .fetch_optional(to.reading().await?)
        .await?;
        let targets = match &body {
            Some(body) => unpack_targets(body)?,
            None => Vec::new(),
        };
        change_of_chunk.late.retain(|late| match why_not(&targets, late) {
            None => true,
            Some(why) => {
                let (index, host) = (join(*chunk, late.place), late.host.as_str());
                tracing::warn!(%operation, index, host, why, "late news is left out of the store");
                false
            }
        });
        change.counts.late += i64::try_from(change_of_chunk.late.len()).unwrap_or(i64::MAX);
    }
    Ok(())
}

/// Why the news cannot be kept.
fn why_not(targets: &[HostTargets], late: &LateRef<'_>) -> Option<&'static str> {
    let mut first = 0;
    for target in targets {
        let Some(guest) = target.guests.get(usize::from(late.place) - first) else {
            first += target.guests.len();
            continue;
        };
        if target.host != *late.host {
            return Some("the task is another host's");
        }
        return (guest.id != *late.guest).then_some("the task is another guest's");
    }
    Some("the task is not known")
}

/// The number of the next row of an operation that is not remembered any more.
///
/// # Errors
/// When the journal cannot be read.
pub(super) async fn next_seq(
    connection: &mut SqliteConnection,
    operation: OperationId,
    chunk: u32,
) -> Result<i64> {
    let next = sqlx::query_scalar(
        "SELECT COALESCE(MAX(seq), -1) + 1 FROM journal WHERE operation = ? AND chunk = ?",
    )
    .bind(operation.number().cast_signed())
    .bind(chunk)
    .fetch_one(connection)
    .await?;
    Ok(next)
}
