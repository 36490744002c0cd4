//! Writes the past into a store, turn by turn, as a controller with many operations at once would.

use super::ROW;
use super::past::{self, Past};
use crate::report::{Bound, Figure, Unit};
use anyhow::ensure;
use curfew_controller::store::{SqliteStore, Store};
use curfew_controller_core::record::{Record, Started};
use curfew_types::WallTime;
use std::path::Path;
use std::time::{Duration, Instant};

/// Operations that run at a time: they share turns, which saves syncs and no row.
const AT_ONCE: u32 = 50;
/// Operations of a day, after which the controller tidies up.
const A_DAY: u32 = 500;
/// Turns over which the outcomes of an operation come in: the guests of two seconds in turns of 50 ms.
const TURNS: u32 = 40;
/// From one turn to the next, in milliseconds.
const TURN_MS: u64 = 50;

/// Fills a new store at `file` with `operations` operations that have ended. Tells how long the appends took.
///
/// # Errors
/// When the store refuses, or says something else afterwards.
pub(super) async fn fill(file: &Path, past: &Past, operations: u32) -> anyhow::Result<Figure> {
    let store = SqliteStore::open(file).await?;
    let mut spent = Duration::ZERO;
    let mut outcomes = 0;
    for first in (0..operations).step_by(AT_ONCE as usize) {
        if first % A_DAY == 0 {
            // As every day: what has ended is packed. Nothing is too old yet.
            store.prune(WallTime(0)).await?;
        }
        let group: Vec<Started> = (first..operations.min(first + AT_ONCE))
            .map(|number| past.operation(number))
            .collect::<anyhow::Result<_>>()?;
        outcomes += group.iter().map(|started| u64::from(started.task_count())).sum::<u64>();
        for records in turns(&group) {
            let began = Instant::now();
            store.append(&records).await?;
            spent += began.elapsed();
        }
    }
    let last = past.operation(operations - 1)?;
    let summary = store.operation(last.id).await?;
    ensure!(
        summary
            .is_some_and(|known| known.ended.is_some() && known.finished() == u64::from(last.task_count())),
        "the last operation is not as it was written"
    );
    store.close().await;
    Ok(Figure {
        row: ROW,
        what: format!("appending {outcomes} outcomes, {AT_ONCE} operations at a time"),
        unit: Unit::Seconds,
        floor: None,
        curfew: spent.as_secs_f64(),
        bound: Bound::None,
        rounds: 1,
    })
}

/// What the core writes of these operations when they run at the same time.
fn turns(group: &[Started]) -> Vec<Vec<Record>> {
    let mut turns = vec![group.iter().flat_map(past::start).collect::<Vec<_>>()];
    turns.resize_with(1 + TURNS as usize, Vec::new);
    for started in group {
        let mut open = vec![Vec::new(); TURNS as usize];
        for (host, target) in (0_u32..).zip(&*started.hosts) {
            for task in (target.first..).take(target.guests.len()) {
                let turn = past::dice(&[started.digest, u64::from(task)]) % u64::from(TURNS);
                open[turn as usize].push((host, task));
            }
        }
        for (turn, tasks) in (1_usize..).zip(open) {
            let at = started.created.plus(turn as u64 * TURN_MS);
            for of_host in tasks.chunk_by(|(one, _), (other, _)| one == other) {
                let indices: Vec<u32> = of_host.iter().map(|(_, task)| *task).collect();
                turns[turn].extend(past::finish(started, of_host[0].0, &indices, at));
            }
        }
        turns[TURNS as usize].push(past::end(started, started.created.plus(u64::from(TURNS) * TURN_MS)));
    }
    turns
}
