//! Reads back everything that is not history: the epoch, the fleet, and the operations that have not ended.

use super::body::{BodyError, Entry, join, unpack};
use super::fault::Result;
use super::fleet::{clock, epoch_before};
use super::guests::InventoryBody;
use super::marks;
use super::safeguards;
use super::steering::read_standing;
use super::targets::unpack_targets;
use curfew_controller_core::record::{Recovered, RecoveredHost, RecoveredOperation, Started, TargetHost};
use curfew_types::agent::LedgerMark;
use curfew_types::{GuestId, HostName, OperationId, OperationSpec, Verdict, WallTime};
use futures::TryStreamExt;
use prost::Message;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Row, SqliteConnection, SqlitePool};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Reads all of it as of one moment.
///
/// # Errors
/// When the store is away or cannot be understood.
pub(super) async fn load(readers: &SqlitePool) -> Result<Recovered> {
    let mut connection = readers.acquire().await?;
    let mut transaction = connection.begin().await?;
    let from = &mut *transaction;
    let mut recovered = Recovered {
        epoch: epoch_before(from).await?,
        clock: clock(from).await?,
        hosts: hosts(from).await?,
        guest_labels: guest_labels(from).await?,
        operations: operations(from).await?,
        ..Recovered::default()
    };
    safeguards::load(from, &mut recovered).await?;
    transaction.rollback().await?;
    Ok(recovered)
}

async fn hosts(from: &mut SqliteConnection) -> Result<Vec<RecoveredHost>> {
    let mut rows = sqlx::query(
        "SELECT name, labels, ledger_incarnation, ledger_counter, acknowledged, seen_at, version, digest, body \
         FROM hosts LEFT JOIN inventories ON inventories.host = hosts.name ORDER BY name",
    )
    .fetch(&mut *from);
    let mut hosts = Vec::new();
    while let Some(row) = rows.try_next().await? {
        hosts.push(host(&row)?);
    }
    drop(rows);
    marks::lay_over(from, &mut hosts).await?;
    Ok(hosts)
}

fn host(row: &SqliteRow) -> Result<RecoveredHost> {
    let name: HostName = row.try_get::<&str, _>("name")?.parse()?;
    let incarnation: Option<i64> = row.try_get("ledger_incarnation")?;
    let counter: Option<i64> = row.try_get("ledger_counter")?;
    let ledger = incarnation.zip(counter).map(|(incarnation, counter)| LedgerMark {
        incarnation: incarnation.cast_unsigned(),
        counter: counter.cast_unsigned(),
    });
    let inventory = row.try_get::<Option<&[u8]>, _>("body")?.unwrap_or_default();
    let guests = InventoryBody::decode(inventory)?.guests;
    Ok(RecoveredHost {
        labels: serde_json::from_str(row.try_get("labels")?)?,
        ledger,
        acknowledged: row.try_get::<i64, _>("acknowledged")?.cast_unsigned(),
        seen: row.try_get::<Option<i64>, _>("seen_at")?.map(WallTime),
        version: row.try_get("version")?,
        inventory_digest: row.try_get::<Option<i64>, _>("digest")?.unwrap_or(0).cast_unsigned(),
        guests: guests.into_iter().map(|guest| guest.into_guest(&name)).collect::<Result<_, _>>()?,
        name,
    })
}

async fn guest_labels(from: &mut SqliteConnection) -> Result<Vec<(GuestId, curfew_types::label::Labels)>> {
    let mut rows = sqlx::query("SELECT guest, labels FROM guest_labels ORDER BY guest").fetch(from);
    let mut labels = Vec::new();
    while let Some(row) = rows.try_next().await? {
        let guest = row.try_get::<&str, _>(0)?.parse()?;
        labels.push((guest, serde_json::from_str(row.try_get(1)?)?));
    }
    Ok(labels)
}

async fn operations(from: &mut SqliteConnection) -> Result<Vec<RecoveredOperation>> {
    let rows = sqlx::query(
        "SELECT id, requester, created_at, deadline_at, digest, late_findings, cancelled_by, seed, standing, \
         spec FROM operations JOIN specs ON specs.operation = operations.id WHERE ended_at IS NULL ORDER BY id",
    )
    .fetch_all(&mut *from)
    .await?;
    let mut operations = Vec::with_capacity(rows.len());
    for row in rows {
        operations.push(operation(from, &row).await?);
    }
    Ok(operations)
}

async fn operation(from: &mut SqliteConnection, row: &SqliteRow) -> Result<RecoveredOperation> {
    let number: i64 = row.try_get("id")?;
    let id = OperationId::from_number(number.cast_unsigned())
        .ok_or_else(|| BodyError::Unknown(format!("operation number {number}")))?;
    let history = history(from, number).await?;
    let spec: OperationSpec = serde_json::from_str(row.try_get("spec")?)?;
    Ok(RecoveredOperation {
        started: Started {
            id,
            standing: read_standing(row, &spec)?,
            seed: row.try_get::<i64, _>("seed")?.cast_unsigned(),
            spec,
            requester: row.try_get("requester")?,
            created: WallTime(row.try_get("created_at")?),
            deadline: WallTime(row.try_get("deadline_at")?),
            digest: row.try_get::<i64, _>("digest")?.cast_unsigned(),
            hosts: targets(from, number).await?,
        },
        handed: history.handed.into_iter().collect(),
        finished: history.finished,
        cancelled_by: row.try_get("cancelled_by")?,
        cancelled_tasks: history.cancelled.into_iter().collect(),
        late_findings: row.try_get::<i64, _>("late_findings")?.cast_unsigned(),
    })
}

async fn targets(from: &mut SqliteConnection, id: i64) -> Result<Arc<[TargetHost]>> {
    let mut rows =
        sqlx::query("SELECT body FROM targets WHERE operation = ? ORDER BY chunk").bind(id).fetch(from);
    let mut hosts: Vec<TargetHost> = Vec::new();
    let mut first = 0;
    while let Some(row) = rows.try_next().await? {
        for here in unpack_targets(row.try_get(0)?)? {
            let index = first;
            first += u32::try_from(here.guests.len()).unwrap_or(u32::MAX);
            match hosts.last_mut().filter(|last| last.host == here.host) {
                // It goes on from the chunk before.
                Some(last) => last.guests.extend(here.guests),
                None => hosts.push(TargetHost { host: here.host, first: index, guests: here.guests }),
            }
        }
    }
    Ok(hosts.into())
}

/// What the journal says of an operation.
#[derive(Default)]
struct History {
    handed: BTreeMap<u32, WallTime>,
    finished: Vec<(u32, Verdict)>,
    cancelled: BTreeSet<u32>,
}

async fn history(from: &mut SqliteConnection, id: i64) -> Result<History> {
    let mut rows = sqlx::query("SELECT chunk, body FROM journal WHERE operation = ? ORDER BY chunk, seq")
        .bind(id)
        .fetch(from);
    let mut history = History::default();
    while let Some(row) = rows.try_next().await? {
        let entry = Entry::decode(row.try_get::<&[u8], _>(1)?)?;
        history.add(row.try_get(0)?, entry)?;
    }
    history.finished.sort_unstable_by_key(|(index, _)| *index);
    Ok(history)
}

impl History {
    fn add(&mut self, chunk: u32, mut entry: Entry) -> Result<()> {
        for handed in &entry.handed {
            let until = WallTime(handed.until);
            self.handed.extend(unpack(&handed.runs).map(|place| (join(chunk, place), until)));
        }
        let verdicts = entry.take_verdicts()?;
        let finished = entry.take_finished(&verdicts)?.into_iter();
        self.finished.extend(finished.map(|task| (join(chunk, task.place), task.verdict)));
        for cancel in entry.cancels {
            let place = u8::try_from(cancel.place)
                .map_err(|_| BodyError::Unknown(format!("task at place {}", cancel.place)))?;
            self.cancelled.insert(join(chunk, place));
        }
        Ok(())
    }
}
