//! Reads an operation's tasks: only the chunks that a page is in, or that can match its filter, or that chosen ones are in.

use super::batch::{NOT_WELL, outcome_bit};
use super::body::{BodyError, CHUNK, Entry, join, unpack, verdict_at};
use super::fault::Result;
use super::targets::{HostTargets, unpack_targets};
use crate::store::{Cancelled, Page, StoredTask, TaskQuery};
use curfew_types::{OperationId, Outcome, WallTime};
use prost::Message;
use sqlx::{SqliteConnection, SqlitePool};
use std::collections::BTreeSet;

/// How many chunks are looked up at a time.
const CHUNKS: u32 = 16;

pub(super) async fn page(
    readers: &SqlitePool,
    operation: OperationId,
    query: &TaskQuery,
) -> Result<Page<StoredTask>> {
    let connection = &mut *readers.acquire().await?;
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let mut page = Page { items: Vec::new(), more: false };
    let mut from = query.from / CHUNK;
    loop {
        let chunks = chunks(connection, operation, query, from).await?;
        let Some(last) = chunks.last() else { return Ok(page) };
        from = last + 1;
        for chunk in chunks {
            let tasks = read(connection, operation, chunk).await?;
            for task in tasks.into_iter().filter(|task| matches(query, task)) {
                if page.items.len() == limit {
                    page.more = true;
                    return Ok(page);
                }
                page.items.push(task);
            }
        }
    }
}

/// The tasks with these indices, in their order.
pub(super) async fn chosen(
    readers: &SqlitePool,
    operation: OperationId,
    indices: &[u32],
) -> Result<Vec<StoredTask>> {
    let wanted: BTreeSet<u32> = indices.iter().copied().collect();
    let chunks: BTreeSet<u32> = wanted.iter().map(|index| index / CHUNK).collect();
    let connection = &mut *readers.acquire().await?;
    let mut tasks = Vec::with_capacity(wanted.len());
    for chunk in chunks {
        let read = read(connection, operation, chunk).await?;
        tasks.extend(read.into_iter().filter(|task| wanted.contains(&task.index)));
    }
    Ok(tasks)
}

fn matches(query: &TaskQuery, task: &StoredTask) -> bool {
    if task.index < query.from {
        return false;
    }
    match &task.verdict {
        Some((verdict, _)) => {
            (query.outcomes.is_empty() || query.outcomes.contains(&verdict.outcome))
                && !(query.only_not_well && verdict.ended_well())
        }
        None => query.outcomes.is_empty() && !query.only_not_well,
    }
}

/// The next chunks that may hold tasks of the page, in order.
async fn chunks(
    connection: &mut SqliteConnection,
    operation: OperationId,
    query: &TaskQuery,
    from: u32,
) -> Result<Vec<u32>, sqlx::Error> {
    let id = operation.number().cast_signed();
    if query.outcomes.is_empty() && !query.only_not_well {
        return sqlx::query_scalar(
            "SELECT chunk FROM targets WHERE operation = ? AND chunk >= ? ORDER BY chunk LIMIT ?",
        )
        .bind(id)
        .bind(from)
        .bind(CHUNKS)
        .fetch_all(connection)
        .await;
    }
    let wanted = if query.outcomes.is_empty() { &Outcome::ALL[..] } else { &query.outcomes };
    let outcomes = wanted.iter().fold(0, |mask, outcome| mask | outcome_bit(*outcome));
    sqlx::query_scalar(
        "SELECT DISTINCT chunk FROM journal \
         WHERE operation = ? AND chunk >= ? AND (outcomes & ?) <> 0 AND (outcomes & ?) = ? \
         ORDER BY chunk LIMIT ?",
    )
    .bind(id)
    .bind(from)
    .bind(outcomes)
    .bind(if query.only_not_well { NOT_WELL } else { 0 })
    .bind(if query.only_not_well { NOT_WELL } else { 0 })
    .bind(CHUNKS)
    .fetch_all(connection)
    .await
}

/// All tasks of a chunk; none if its operation is pruned or being removed.
async fn read(
    connection: &mut SqliteConnection,
    operation: OperationId,
    chunk: u32,
) -> Result<Vec<StoredTask>> {
    let id = operation.number().cast_signed();
    let targets: Option<Vec<u8>> = sqlx::query_scalar(
        "SELECT body FROM targets JOIN operations ON operations.id = targets.operation \
         WHERE operation = ? AND chunk = ? AND state <> ?",
    )
    .bind(id)
    .bind(chunk)
    .bind(super::STATE_REMOVING)
    .fetch_optional(&mut *connection)
    .await?;
    let entries: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT body FROM journal WHERE operation = ? AND chunk = ? ORDER BY seq")
            .bind(id)
            .bind(chunk)
            .fetch_all(connection)
            .await?;
    let Some(targets) = targets else { return Ok(Vec::new()) };
    Ok(assemble(chunk, &targets, &entries)?)
}

fn assemble(chunk: u32, targets: &[u8], entries: &[Vec<u8>]) -> Result<Vec<StoredTask>, BodyError> {
    let mut tasks = Vec::new();
    for HostTargets { host, guests } in unpack_targets(targets)? {
        for target in guests {
            tasks.push(StoredTask {
                index: join(chunk, 0) + u32::try_from(tasks.len()).unwrap_or(u32::MAX),
                guest: target.id,
                name: target.name.as_ref().into(),
                host: host.clone(),
                wave: target.wave,
                handed: false,
                cancelled: None,
                verdict: None,
                late: Vec::new(),
            });
        }
    }
    for entry in entries {
        apply(&mut tasks, Entry::decode(entry.as_slice())?)?;
    }
    Ok(tasks)
}

fn apply(tasks: &mut [StoredTask], mut entry: Entry) -> Result<(), BodyError> {
    let verdicts = entry.take_verdicts()?;
    for place in entry.handed.iter().flat_map(|handed| unpack(&handed.runs)) {
        at(tasks, u32::from(place))?.handed = true;
    }
    for finished in entry.take_finished(&verdicts)? {
        at(tasks, u32::from(finished.place))?.verdict = Some((finished.verdict, finished.at));
    }
    for cancel in entry.cancels {
        let by = Cancelled { by: cancel.by, reason: cancel.reason, at: WallTime(cancel.at) };
        at(tasks, cancel.place)?.cancelled.get_or_insert(by);
    }
    for late in entry.late {
        let verdict = verdict_at(&verdicts, late.verdict)?.clone();
        at(tasks, late.place)?.late.push((verdict, WallTime(late.at)));
    }
    Ok(())
}

fn at(tasks: &mut [StoredTask], place: u32) -> Result<&mut StoredTask, BodyError> {
    usize::try_from(place)
        .ok()
        .and_then(|place| tasks.get_mut(place))
        .ok_or_else(|| BodyError::Unknown(format!("task at place {place}")))
}
