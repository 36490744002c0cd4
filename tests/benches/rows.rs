//! The rows of the table: each is a module that starts what it needs, measures, and returns figures.

mod burst;
mod cancel;
mod idle;
mod storm;

use crate::report::Figure;
use clap::ValueEnum;

/// A row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    /// Everybody is logged off at once.
    Burst,
    /// The same, each session at its own time within two seconds.
    Spread,
    /// Agents that have nothing to do: connect storm, memory, CPU.
    Idle,
    /// A controller that is restarted in the middle of an operation.
    Storm,
    /// A cancel of an operation that runs everywhere.
    Cancel,
}

/// How large it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Hosts, each with an agent.
    pub(crate) hosts: u32,
    /// Guests on each.
    pub(crate) guests: u32,
    /// How often each thing is measured.
    pub(crate) rounds: u32,
}

impl Size {
    /// Guests in all.
    pub(crate) fn tasks(self) -> u64 {
        u64::from(self.hosts) * u64::from(self.guests)
    }
}

impl Row {
    /// All of them, in the order of the table.
    pub(crate) const ALL: [Row; 5] = [Row::Burst, Row::Spread, Row::Idle, Row::Storm, Row::Cancel];

    /// Measures it.
    ///
    /// # Errors
    /// When something does not work, or the sides disagree about an outcome: there is no figure without agreement.
    pub(crate) async fn measure(self, size: Size) -> anyhow::Result<Vec<Figure>> {
        match self {
            Row::Burst => burst::measure(size, 0).await,
            Row::Spread => burst::measure(size, burst::SPREAD_MS).await,
            Row::Idle => idle::measure(size).await,
            Row::Storm => storm::measure(size).await,
            Row::Cancel => cancel::measure(size).await,
        }
    }
}
