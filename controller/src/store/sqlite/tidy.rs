//! Packs the journal of operations that have ended: one row for each chunk, instead of one for each turn that brought
//! something. What the rows say stays the same.

use super::body::{Entry, HandedBody, VerdictBody, pack, unpack, verdict_at};
use super::fault::Result;
use super::finished::{FinishedRef, pack_finished};
use prost::Message;
use sqlx::SqliteConnection;
use std::collections::BTreeMap;

/// Rows packed in one transaction, a chunk more or less: no append waits longer than for a large turn.
const ROWS: usize = 512;

/// Packs some chunks of an operation that has ended. Tells whether there was one.
///
/// # Errors
/// When the database refuses, or cannot be understood.
pub(super) async fn pack_some(to: &mut SqliteConnection) -> Result<bool> {
    // By an index that has the few to be packed only: the others would be looked at one by one at each step.
    let ended: Option<(i64, i64)> = sqlx::query_as(
        "SELECT id, packed FROM operations INDEXED BY operations_to_pack \
         WHERE state = 3 AND packed IS NOT NULL ORDER BY id LIMIT 1",
    )
    .fetch_optional(&mut *to)
    .await?;
    let Some((id, mut chunk)) = ended else { return Ok(false) };
    let mut rows = 0;
    while rows < ROWS {
        let next: Option<i64> =
            sqlx::query_scalar("SELECT MIN(chunk) FROM journal WHERE operation = ? AND chunk >= ?")
                .bind(id)
                .bind(chunk)
                .fetch_one(&mut *to)
                .await?;
        let Some(next) = next else {
            sqlx::query("UPDATE operations SET packed = NULL WHERE id = ?").bind(id).execute(to).await?;
            return Ok(true);
        };
        rows += pack_chunk(to, id, next).await?;
        chunk = next + 1;
    }
    sqlx::query("UPDATE operations SET packed = ? WHERE id = ?").bind(chunk).bind(id).execute(to).await?;
    Ok(true)
}

/// Makes one row of a chunk's; tells how many they were.
async fn pack_chunk(to: &mut SqliteConnection, id: i64, chunk: i64) -> Result<usize> {
    let rows: Vec<(i64, i64, Vec<u8>)> = sqlx::query_as(
        "SELECT seq, outcomes, body FROM journal WHERE operation = ? AND chunk = ? ORDER BY seq",
    )
    .bind(id)
    .bind(chunk)
    .fetch_all(&mut *to)
    .await?;
    if let [_, .., (seq, _, _)] = rows.as_slice() {
        let (outcomes, entry) = merge(&rows)?;
        sqlx::query("DELETE FROM journal WHERE operation = ? AND chunk = ?")
            .bind(id)
            .bind(chunk)
            .execute(&mut *to)
            .await?;
        // The number of the last: late news are numbered from there on.
        sqlx::query("INSERT INTO journal (operation, chunk, seq, outcomes, body) VALUES (?, ?, ?, ?, ?)")
            .bind(id)
            .bind(chunk)
            .bind(*seq)
            .bind(outcomes)
            .bind(entry.encode_to_vec())
            .execute(to)
            .await?;
    }
    Ok(rows.len())
}

/// What the rows say together, in their order.
fn merge(rows: &[(i64, i64, Vec<u8>)]) -> Result<(i64, Entry)> {
    let mut whole = Entry::default();
    let (mut outcomes, mut finished) = (0, Vec::new());
    let mut handed: BTreeMap<i64, Vec<u8>> = BTreeMap::new();
    for (_, some, body) in rows {
        outcomes |= some;
        let mut entry = Entry::decode(body.as_slice())?;
        let verdicts = entry.take_verdicts()?;
        finished.extend(entry.take_finished(&verdicts)?);
        for HandedBody { until, runs } in entry.handed {
            handed.entry(until).or_default().extend(unpack(&runs));
        }
        whole.cancels.extend(entry.cancels);
        for mut late in entry.late {
            let verdict = verdict_at(&verdicts, late.verdict)?;
            late.verdict = u32::try_from(whole.verdicts.len()).unwrap_or(u32::MAX);
            whole.verdicts.push(VerdictBody::from(verdict));
            whole.late.push(late);
        }
    }
    let mut tasks: Vec<FinishedRef<'_>> = finished
        .iter()
        .map(|task| FinishedRef { at: task.at, place: task.place, verdict: &task.verdict })
        .collect();
    (whole.shapes, whole.columns) = pack_finished(&mut tasks);
    let handed = handed.into_iter();
    whole.handed = handed.map(|(until, mut places)| HandedBody { until, runs: pack(&mut places) }).collect();
    Ok((outcomes, whole))
}
