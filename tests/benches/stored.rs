//! What a long past costs: pages of a store with millions of outcomes, its size, pruning beside the writer, and ingest.
//!
//! Everything goes through the controller's own store on a real disk; pages are asked for over mutual TLS.

mod burst;
mod fill;
mod past;
mod pruning;
mod reads;
mod served;

use crate::report::{Bound, Figure, Unit};
use anyhow::Context as _;
use curfew_controller::data_dir::DataDir;
use past::Past;
use std::path::Path;

/// The row of the table that all of these belong to.
const ROW: &str = "a long past";
/// Bytes of the store that an outcome may take: 1 GiB for ten million.
const BYTES_EACH: f64 = 107.374_182_4;
/// 1024 * 1024.
const MIB: f64 = 1_048_576.0;

/// How much of a past, and how often it is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Operations that have ended.
    pub(crate) operations: u32,
    /// Tasks of each.
    pub(crate) tasks: u32,
    /// Calls behind each percentile.
    pub(crate) calls: u32,
    /// Hosts of the fleet, each with ten guests.
    pub(crate) hosts: u32,
    /// Rounds of the burst.
    pub(crate) rounds: u32,
}

impl Shape {
    /// Ten million outcomes, which take some ten minutes.
    pub(crate) fn whole() -> Shape {
        Shape { operations: 10_000, tasks: 1_000, calls: 300, hosts: 10_000, rounds: 5 }
    }

    /// A hundredth of them, for a guard against regressions by a factor.
    pub(crate) fn short() -> Shape {
        Shape { operations: 100, hosts: 1_000, rounds: 3, ..Shape::whole() }
    }

    fn outcomes(&self) -> u64 {
        u64::from(self.operations) * u64::from(self.tasks)
    }
}

/// Fills a store with a past, and measures what that costs.
///
/// # Errors
/// When anything does not work, or the store does not say what was written.
pub(crate) async fn measure(shape: &Shape) -> anyhow::Result<Vec<Figure>> {
    // Not in memory: the disk is what is measured.
    let directory = tempfile::Builder::new().prefix("curfew-past-").tempdir().context("a directory")?;
    let data_dir = DataDir::ensure(&directory.path().join("controller"))?;
    let file = data_dir.store();
    let past = Past::new(shape.hosts, shape.tasks);
    let mut figures = vec![fill::fill(&file, &past, shape.operations).await?, size(&file, shape)?];
    figures.extend(reads::measure(&data_dir, shape).await?);
    figures.extend(pruning::measure(&file, &past, shape.operations).await?);
    directory.close().context("removing the past")?;
    figures.push(burst::measure(shape).await?);
    Ok(figures)
}

/// What the closed store takes on the disk, its log included.
fn size(file: &Path, shape: &Shape) -> anyhow::Result<Figure> {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    let bytes = [file.as_os_str(), log.as_os_str()]
        .into_iter()
        .filter_map(|part| std::fs::metadata(part).ok())
        .map(|part| part.len())
        .sum::<u64>();
    let outcomes = shape.outcomes();
    Ok(Figure {
        row: ROW,
        what: format!("store with {outcomes} outcomes of {} operations", shape.operations),
        unit: Unit::MiB,
        floor: None,
        curfew: bytes as f64 / MIB,
        bound: Bound::AtMost((outcomes as f64 * BYTES_EACH / MIB).round()),
        rounds: 1,
    })
}
