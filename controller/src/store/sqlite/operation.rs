//! Writes the rows of operations: their start, and what changes about the whole of them.

use super::batch::{Counts, OperationChange};
use super::body::CHUNK;
use super::fault::{Fault, Result};
use super::guests::{GuestBody, TargetHostBody, TargetsBody};
use super::rows::Rows;
use curfew_controller_core::record::{Started, TargetHost};
use curfew_types::OperationId;
use prost::Message;
use sqlx::SqliteConnection;

static TARGETS: Rows = Rows::new("INSERT INTO targets (operation, chunk, body) VALUES", 3, "");

/// Writes an operation that starts.
///
/// # Errors
/// When there is one with its id, or its tasks are not numbered without gaps.
pub(super) async fn insert(connection: &mut SqliteConnection, started: &Started) -> Result<()> {
    let id = started.id.number().cast_signed();
    if exists(connection, id).await? {
        return Err(Fault::Refused(format!("{} is there already", started.id)));
    }
    let spec = serde_json::to_string(&started.spec)?;
    sqlx::query(
        "INSERT INTO operations (id, state, requester, request_id, created_at, deadline_at, digest, task_count, \
         host_count) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(id)
    .bind(super::STATE_RUNNING)
    .bind(&started.requester)
    .bind(&started.spec.request_id)
    .bind(started.created.0)
    .bind(started.deadline.0)
    .bind(started.digest.cast_signed())
    .bind(started.task_count())
    .bind(u32::try_from(started.hosts.len()).unwrap_or(u32::MAX))
    .execute(&mut *connection)
    .await?;
    sqlx::query("INSERT INTO specs (operation, spec) VALUES (?, ?)")
        .bind(id)
        .bind(spec)
        .execute(&mut *connection)
        .await?;
    let chunks = pack_targets(&started.hosts).ok_or_else(|| {
        Fault::Refused(format!("the tasks of {} are not numbered without gaps", started.id))
    })?;
    TARGETS
        .execute(
            connection,
            chunks.into_iter().zip(0_u32..).collect::<Vec<_>>(),
            |statement, (body, chunk)| statement.bind(id).bind(chunk).bind(body),
        )
        .await?;
    Ok(())
}

async fn exists(connection: &mut SqliteConnection, id: i64) -> Result<bool> {
    let known: Option<i64> = sqlx::query_scalar("SELECT id FROM operations WHERE id = ?")
        .bind(id)
        .fetch_optional(connection)
        .await?;
    Ok(known.is_some())
}

/// The targets' bodies, chunk after chunk. `None` if the indices have gaps.
fn pack_targets(hosts: &[TargetHost]) -> Option<Vec<Vec<u8>>> {
    let room = usize::try_from(CHUNK).ok()?;
    let mut chunks = Vec::new();
    let mut body = TargetsBody::default();
    let mut index = 0_usize;
    for host in hosts {
        if usize::try_from(host.first).ok()? != index {
            return None;
        }
        let mut guests = host.guests.as_slice();
        // A host without guests is kept too: it has its place.
        loop {
            let (here, rest) = guests.split_at(guests.len().min(room - index % room));
            body.hosts.push(TargetHostBody {
                host: host.host.as_str().to_owned(),
                guests: here.iter().map(|guest| GuestBody::target(&host.host, guest)).collect(),
            });
            guests = rest;
            index += here.len();
            if index.is_multiple_of(room) && !here.is_empty() {
                chunks.push(std::mem::take(&mut body).encode_to_vec());
            }
            if guests.is_empty() {
                break;
            }
        }
    }
    if !body.hosts.is_empty() {
        chunks.push(body.encode_to_vec());
    }
    Some(chunks)
}

/// Writes what changes about the whole of an operation.
///
/// # Errors
/// When the database refuses.
pub(super) async fn update(
    connection: &mut SqliteConnection,
    id: OperationId,
    change: &OperationChange<'_>,
) -> Result<()> {
    update_rows(connection, id.number().cast_signed(), change).await
}

async fn update_rows(connection: &mut SqliteConnection, id: i64, change: &OperationChange<'_>) -> Result<()> {
    if change.counts != Counts::default() {
        let statement = sqlx::query(
            "UPDATE operations SET succeeded = succeeded + ?, nothing_to_do = nothing_to_do + ?, \
             refused = refused + ?, failed = failed + ?, timed_out = timed_out + ?, \
             unreachable = unreachable + ?, unknown = unknown + ?, cancelled = cancelled + ?, \
             skipped = skipped + ?, ended_well = ended_well + ?, late_findings = late_findings + ? \
             WHERE id = ?",
        );
        let Counts { outcomes, ended_well, late } = change.counts;
        let statement = outcomes.into_iter().fold(statement, sqlx::query::Query::bind);
        statement.bind(ended_well).bind(late).bind(id).execute(&mut *connection).await?;
    }
    if let Some(cancel) = change.cancelled {
        sqlx::query(
            "UPDATE operations SET state = ?, cancelled_by = ?, cancel_reason = ?, cancelled_at = ? \
             WHERE id = ? AND cancelled_by IS NULL",
        )
        .bind(super::STATE_CANCELLING)
        .bind(cancel.by)
        .bind(cancel.reason)
        .bind(cancel.at.0)
        .bind(id)
        .execute(&mut *connection)
        .await?;
    }
    if let Some((at, revision)) = change.ended {
        sqlx::query("UPDATE operations SET state = ?, ended_at = ?, revision = ? WHERE id = ?")
            .bind(super::STATE_ENDED)
            .bind(at.0)
            .bind(revision.cast_signed())
            .bind(id)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
