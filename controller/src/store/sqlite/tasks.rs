//! Reads an operation's tasks page by page: only the chunks that a page is in, or that can match its filter.

use super::batch::{NOT_WELL, outcome_bit};
use super::body::{BodyError, CHUNK, Entry, join, unpack};
use super::fault::Result;
use super::guests::TargetsBody;
use crate::store::{Cancelled, Page, StoredTask, TaskQuery};
use curfew_types::{HostName, OperationId, Outcome, Verdict, WallTime};
use prost::Message;
use sqlx::{SqliteConnection, SqlitePool};

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
            "SELECT chunk FROM targets JOIN operations ON operations.id = targets.operation \
             WHERE operation = ? AND chunk >= ? AND state <> ? ORDER BY chunk LIMIT ?",
        )
        .bind(id)
        .bind(from)
        .bind(super::STATE_REMOVING)
        .bind(CHUNKS)
        .fetch_all(connection)
        .await;
    }
    let wanted = if query.outcomes.is_empty() { &Outcome::ALL[..] } else { &query.outcomes };
    let outcomes = wanted.iter().fold(0, |mask, outcome| mask | outcome_bit(*outcome));
    sqlx::query_scalar(
        "SELECT DISTINCT chunk FROM journal JOIN operations ON operations.id = journal.operation \
         WHERE operation = ? AND chunk >= ? AND state <> ? AND (outcomes & ?) <> 0 AND (outcomes & ?) = ? \
         ORDER BY chunk LIMIT ?",
    )
    .bind(id)
    .bind(from)
    .bind(super::STATE_REMOVING)
    .bind(outcomes)
    .bind(if query.only_not_well { NOT_WELL } else { 0 })
    .bind(if query.only_not_well { NOT_WELL } else { 0 })
    .bind(CHUNKS)
    .fetch_all(connection)
    .await
}

/// All tasks of a chunk; none if it has been pruned meanwhile.
async fn read(
    connection: &mut SqliteConnection,
    operation: OperationId,
    chunk: u32,
) -> Result<Vec<StoredTask>> {
    let id = operation.number().cast_signed();
    let targets: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT body FROM targets WHERE operation = ? AND chunk = ?")
            .bind(id)
            .bind(chunk)
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
    for host in TargetsBody::decode(targets)?.hosts {
        let name: HostName = host.host.parse()?;
        for guest in host.guests {
            let target = guest.into_target(&name)?;
            tasks.push(StoredTask {
                index: join(chunk, 0) + u32::try_from(tasks.len()).unwrap_or(u32::MAX),
                guest: target.id,
                name: target.name,
                host: name.clone(),
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

fn apply(tasks: &mut [StoredTask], entry: Entry) -> Result<(), BodyError> {
    let verdicts: Vec<Verdict> =
        entry.verdicts.into_iter().map(Verdict::try_from).collect::<Result<_, _>>()?;
    let verdict = |place: u32| {
        let verdict = usize::try_from(place).ok().and_then(|place| verdicts.get(place));
        verdict.cloned().ok_or_else(|| BodyError::Unknown(format!("verdict {place}")))
    };
    for place in entry.handed.iter().flat_map(|handed| unpack(&handed.runs)) {
        at(tasks, u32::from(place))?.handed = true;
    }
    for cancel in entry.cancels {
        let by = Cancelled { by: cancel.by, reason: cancel.reason, at: WallTime(cancel.at) };
        at(tasks, cancel.place)?.cancelled.get_or_insert(by);
    }
    for finished in &entry.finished {
        for place in unpack(&finished.runs) {
            at(tasks, u32::from(place))?.verdict = Some((verdict(finished.verdict)?, WallTime(finished.at)));
        }
    }
    for late in entry.late {
        at(tasks, late.place)?.late.push((verdict(late.verdict)?, WallTime(late.at)));
    }
    Ok(())
}

fn at(tasks: &mut [StoredTask], place: u32) -> Result<&mut StoredTask, BodyError> {
    usize::try_from(place)
        .ok()
        .and_then(|place| tasks.get_mut(place))
        .ok_or_else(|| BodyError::Unknown(format!("task at place {place}")))
}
