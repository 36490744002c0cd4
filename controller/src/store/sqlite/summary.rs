//! Reads operations as a whole: by id, by request id, and page by page.

use super::body::BodyError;
use super::fault::Result;
use super::steering::{read_reasons, read_standing, state, state_number};
use crate::store::{Cancelled, Ended, OperationQuery, OperationSummary, Page};
use curfew_types::{OperationId, OperationSpec, Outcome, WallTime};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};

/// Every query selects the same columns, so that one function reads them.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, state, requester, created_at, deadline_at, digest, task_count, host_count, succeeded, \
             nothing_to_do, refused, failed, timed_out, unreachable, unknown, cancelled, skipped, ended_well, \
             late_findings, cancelled_by, cancel_reason, cancelled_at, ended_at, revision, seed, standing, \
             wave_sizes, slowest, spec, (SELECT json_group_array(json_array(outcome, reason, tasks)) \
             FROM operation_reasons WHERE operation = id) AS reasons \
             FROM operations JOIN specs ON specs.operation = operations.id ",
            $rest
        )
    };
}

/// The counters' columns, at [`Outcome::place`].
const COUNTERS: [&str; Outcome::ALL.len()] = [
    "succeeded",
    "nothing_to_do",
    "refused",
    "failed",
    "timed_out",
    "unreachable",
    "unknown",
    "cancelled",
    "skipped",
];

pub(super) async fn by_id(readers: &SqlitePool, id: OperationId) -> Result<Option<OperationSummary>> {
    let row = sqlx::query(select!("WHERE id = ? AND state <> ?"))
        .bind(id.number().cast_signed())
        .bind(super::STATE_REMOVING)
        .fetch_optional(readers)
        .await?;
    row.as_ref().map(read).transpose()
}

pub(super) async fn by_request_id(
    readers: &SqlitePool,
    requester: &str,
    request_id: &str,
) -> Result<Option<OperationSummary>> {
    let row = sqlx::query(select!(
        "WHERE request_id = ? AND requester = ? AND state <> ? ORDER BY id DESC LIMIT 1"
    ))
    .bind(request_id)
    .bind(requester)
    .bind(super::STATE_REMOVING)
    .fetch_optional(readers)
    .await?;
    row.as_ref().map(read).transpose()
}

pub(super) async fn page(readers: &SqlitePool, query: &OperationQuery) -> Result<Page<OperationSummary>> {
    let before = query.before.map_or(i64::MAX, |id| id.number().cast_signed());
    // One more than asked for tells whether more follow.
    let limit = i64::from(query.limit) + 1;
    let statement = match query.state {
        Some(state) => sqlx::query(select!("WHERE state = ? AND id < ? ORDER BY id DESC LIMIT ?"))
            .bind(state_number(state)),
        None => sqlx::query(select!("WHERE state <> ? AND id < ? ORDER BY id DESC LIMIT ?"))
            .bind(super::STATE_REMOVING),
    };
    let rows = statement.bind(before).bind(limit).fetch_all(readers).await?;
    let shown = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let items = rows.iter().take(shown).map(read).collect::<Result<_, _>>()?;
    Ok(Page { items, more: rows.len() > shown })
}

fn read(row: &SqliteRow) -> Result<OperationSummary> {
    let mut outcomes = [0; Outcome::ALL.len()];
    for (count, column) in outcomes.iter_mut().zip(COUNTERS) {
        *count = row.try_get::<i64, _>(column)?.cast_unsigned();
    }
    let number: i64 = row.try_get("id")?;
    let spec: OperationSpec = serde_json::from_str(row.try_get("spec")?)?;
    let task_count: u32 = row.try_get("task_count")?;
    Ok(OperationSummary {
        id: OperationId::from_number(number.cast_unsigned())
            .ok_or_else(|| BodyError::Unknown(format!("operation number {number}")))?,
        requester: row.try_get("requester")?,
        created: WallTime(row.try_get("created_at")?),
        deadline: WallTime(row.try_get("deadline_at")?),
        digest: row.try_get::<i64, _>("digest")?.cast_unsigned(),
        host_count: row.try_get("host_count")?,
        task_count,
        state: state(row.try_get("state")?)?,
        standing: read_standing(row, &spec)?,
        seed: row.try_get::<i64, _>("seed")?.cast_unsigned(),
        spec,
        reasons: read_reasons(row)?,
        slowest: serde_json::from_str(row.try_get("slowest")?)?,
        wave_sizes: wave_sizes(row, task_count)?,
        outcomes,
        ended_well: row.try_get::<i64, _>("ended_well")?.cast_unsigned(),
        late_findings: row.try_get::<i64, _>("late_findings")?.cast_unsigned(),
        cancelled: cancelled(row)?,
        ended: ended(row)?,
    })
}

fn wave_sizes(row: &SqliteRow, task_count: u32) -> Result<Vec<u64>> {
    match row.try_get::<Option<&str>, _>("wave_sizes")? {
        Some(text) => Ok(serde_json::from_str(text)?),
        // As the operation would be written today.
        None if task_count == 0 => Ok(Vec::new()),
        None => Ok(vec![u64::from(task_count)]),
    }
}

fn cancelled(row: &SqliteRow) -> Result<Option<Cancelled>> {
    let Some(by) = row.try_get("cancelled_by")? else { return Ok(None) };
    let at = WallTime(row.try_get("cancelled_at")?);
    Ok(Some(Cancelled { by, reason: row.try_get("cancel_reason")?, at }))
}

fn ended(row: &SqliteRow) -> Result<Option<Ended>> {
    let Some(at) = row.try_get("ended_at")? else { return Ok(None) };
    Ok(Some(Ended { at: WallTime(at), revision: row.try_get::<i64, _>("revision")?.cast_unsigned() }))
}
