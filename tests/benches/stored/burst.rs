//! How fast outcomes of a whole fleet become durable when they come all at once, beside a bare table.

use super::past::{self, GUESTS, Past};
use super::{ROW, Shape};
use crate::report::{Bound, Figure, Unit, median};
use anyhow::{Context as _, ensure};
use curfew_controller::store::{SqliteStore, Store};
use curfew_controller_core::record::{Record, Started};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, QueryBuilder};
use std::path::Path;
use std::time::{Duration, Instant};

/// Reports that the driver takes in one turn.
const REPORTS: usize = 2048;
/// Bytes of a host's ledger mark: its incarnation, its counter, and what is acknowledged.
const MARK: usize = 24;
/// Rows that one statement appends to the bare table.
const ROWS: usize = 64;

/// Appends the outcomes of an operation on every host, round after round, to the store and to a bare table.
///
/// # Errors
/// When the store refuses, or says something else afterwards.
pub(super) async fn measure(shape: &Shape) -> anyhow::Result<Figure> {
    let directory = tempfile::Builder::new().prefix("curfew-burst-").tempdir().context("a directory")?;
    let file = directory.path().join("store.db");
    let store = SqliteStore::open(&file).await?;
    let past = Past::new(shape.hosts, shape.hosts * GUESTS);
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..shape.rounds {
        let started = past.operation(round)?;
        store.append(&past::start(&started)).await?;
        ours.push(burst(&store, &started).await?.as_secs_f64());
        let rows = bodies(&file, &started).await?;
        bare.push(
            append_bare(&directory.path().join(format!("bare-{round}.db")), &rows).await?.as_secs_f64(),
        );
    }
    store.close().await;
    Ok(Figure {
        row: ROW,
        what: format!(
            "burst of {} outcomes made durable, in turns of {REPORTS} reports",
            shape.hosts * GUESTS
        ),
        unit: Unit::Seconds,
        floor: Some(median(bare)),
        curfew: median(ours),
        bound: Bound::None,
        rounds: shape.rounds as usize,
    })
}

/// One report of each host with all of its outcomes, hosts as they happen to come. Tells how long the appends took.
async fn burst(store: &SqliteStore, started: &Started) -> anyhow::Result<Duration> {
    let mut order: Vec<usize> = (0..started.hosts.len()).collect();
    order.sort_unstable_by_key(|host| past::dice(&[started.seed, *host as u64]));
    let mut spent = Duration::ZERO;
    for (turn, hosts) in (1_u64..).zip(order.chunks(REPORTS)) {
        let at = started.created.plus(turn * 20);
        let mut records: Vec<Record> = Vec::with_capacity(2 * REPORTS);
        for host in hosts {
            let target = &started.hosts[*host];
            let tasks: Vec<u32> = (target.first..).take(target.guests.len()).collect();
            records.extend(past::finish(started, u32::try_from(*host)?, &tasks, at));
        }
        let began = Instant::now();
        store.append(&records).await?;
        spent += began.elapsed();
    }
    let known = store.operation(started.id).await?.context("the operation")?;
    ensure!(known.finished() == u64::from(started.task_count()), "{} outcomes", known.finished());
    Ok(spent)
}

/// What the store wrote of an operation's outcomes, turn by turn: as many rows of as many bytes, ledger marks included.
async fn bodies(file: &Path, started: &Started) -> anyhow::Result<Vec<Vec<Vec<u8>>>> {
    let mut connection = SqliteConnectOptions::new().filename(file).read_only(true).connect().await?;
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT seq, body FROM journal WHERE operation = ? AND outcomes <> 0 ORDER BY seq, chunk",
    )
    .bind(started.id.number().cast_signed())
    .fetch_all(&mut connection)
    .await?;
    connection.close().await?;
    let turns = rows.chunk_by(|(one, _), (other, _)| one == other);
    let mut turns: Vec<Vec<Vec<u8>>> =
        turns.map(|turn| turn.iter().map(|(_, body)| body.clone()).collect()).collect();
    for turn in &mut turns {
        turn.push(vec![7; REPORTS.min(started.hosts.len()) * MARK]);
    }
    Ok(turns)
}

/// How long it takes to append the rows to a bare table, a transaction each turn.
async fn append_bare(file: &Path, turns: &[Vec<Vec<u8>>]) -> anyhow::Result<Duration> {
    let mut connection = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .connect()
        .await?;
    sqlx::query("CREATE TABLE bare (body BLOB NOT NULL)").execute(&mut connection).await?;
    let began = Instant::now();
    for turn in turns {
        let mut transaction = connection.begin().await?;
        for rows in turn.chunks(ROWS) {
            let mut statement = QueryBuilder::new("INSERT INTO bare (body) ");
            statement.push_values(rows, |mut row, body| {
                row.push_bind(body.as_slice());
            });
            statement.build().execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
    }
    let took = began.elapsed();
    connection.close().await?;
    Ok(took)
}
