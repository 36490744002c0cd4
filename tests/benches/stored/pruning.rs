//! Whether forgetting what is old holds the writer up: the longest append beside it, and without it.

use super::ROW;
use super::past::{self, Past};
use crate::report::{Bound, Figure, Unit};
use anyhow::ensure;
use curfew_controller::store::{SqliteStore, Store};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Outcomes of one turn, ten of each host.
const TURN: u32 = 300;
/// Pause between turns, as reports keep coming in.
const PAUSE: Duration = Duration::from_millis(5);
/// Turns without pruning.
const QUIET: u32 = 300;
/// Milliseconds by which pruning may lengthen an append.
const AT_MOST: f64 = 50.0;

/// Forgets half of the past while outcomes are appended.
///
/// # Errors
/// When the store refuses, or forgets something else.
pub(super) async fn measure(file: &Path, past: &Past, operations: u32) -> anyhow::Result<Vec<Figure>> {
    let store = Arc::new(SqliteStore::open(file).await?);
    let half = operations / 2;
    let mut turns = Turns { store: Arc::clone(&store), past, next: operations };
    let mut without = Duration::ZERO;
    for _ in 0..QUIET {
        without = without.max(turns.turn().await?);
    }
    let pruning = tokio::spawn(async move { store.prune(past::began(half)).await });
    let (mut during, mut rounds) = (Duration::ZERO, 0);
    while !pruning.is_finished() {
        during = during.max(turns.turn().await?);
        rounds += 1;
    }
    let pruned = pruning.await??;
    ensure!(pruned.operations == u64::from(half), "{} operations were forgotten", pruned.operations);
    turns.store.close().await;
    let (without, during) = (without.as_secs_f64() * 1000.0, during.as_secs_f64() * 1000.0);
    let figure = |what: String, curfew, bound, rounds| Figure {
        row: ROW,
        what,
        unit: Unit::Milliseconds,
        floor: None,
        curfew,
        bound,
        rounds,
    };
    let tasks = pruned.tasks;
    Ok(vec![
        figure(format!("longest append of {TURN} outcomes"), without, Bound::None, QUIET as usize),
        figure(format!("the same while {tasks} outcomes are forgotten"), during, Bound::None, rounds),
        figure(
            "by which pruning holds the writer up".into(),
            (during - without).max(0.0),
            Bound::AtMost(AT_MOST),
            rounds,
        ),
    ])
}

/// Turns of operations that are of today.
struct Turns<'a> {
    store: Arc<SqliteStore>,
    past: &'a Past,
    next: u32,
}

impl Turns<'_> {
    /// How long it takes to append a turn of outcomes.
    async fn turn(&mut self) -> anyhow::Result<Duration> {
        let started = self.past.operation_of(self.next, TURN)?;
        self.next += 1;
        self.store.append(&past::start(&started)).await?;
        tokio::time::sleep(PAUSE).await;
        let at = started.created.plus(1000);
        let mut records = Vec::new();
        for (host, target) in (0_u32..).zip(&*started.hosts) {
            let tasks: Vec<u32> = (target.first..).take(target.guests.len()).collect();
            records.extend(past::finish(&started, host, &tasks, at));
        }
        records.push(past::end(&started, at));
        let began = Instant::now();
        self.store.append(&records).await?;
        let took = began.elapsed();
        tokio::time::sleep(PAUSE).await;
        Ok(took)
    }
}
