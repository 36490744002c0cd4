//! The rows of the table: each is a module that starts what it needs, measures, and returns figures.

mod agent;
mod burst;
mod cancel;
mod growth;
mod idle;
mod start;
mod storm;
mod watch;

use crate::report::Figure;
use crate::stored;
use clap::ValueEnum;

/// What the row of a logoff at once is called in the table: peers are compared with it.
pub(crate) const BURST: &str = "logoff of everybody at once";

/// A row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    /// Everybody is logged off at once.
    Burst,
    /// The same, each session at its own time within two seconds.
    Spread,
    /// How soon the first order goes out.
    Start,
    /// A thousand tasks to a million.
    Growth,
    /// Agents that have nothing to do: connect storm, memory, CPU.
    Idle,
    /// A controller that is restarted in the middle of an operation.
    Storm,
    /// A cancel of an operation that runs everywhere.
    Cancel,
    /// Watchers of an operation.
    Watch,
    /// Pages and pruning of a store with a long past.
    Past,
    /// What a user would pick instead.
    Peers,
    /// One agent on a real disk: its memory, and how soon it asks the first guest.
    Agent,
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
    pub(crate) const ALL: [Row; 11] = [
        Row::Burst,
        Row::Spread,
        Row::Start,
        Row::Growth,
        Row::Idle,
        Row::Storm,
        Row::Cancel,
        Row::Watch,
        Row::Past,
        Row::Agent,
        Row::Peers,
    ];

    /// Those of the short form.
    pub(crate) const SHORT: [Row; 4] = [Row::Burst, Row::Start, Row::Cancel, Row::Past];

    /// Measures it.
    ///
    /// # Errors
    /// When something does not work, or the sides disagree about an outcome: there is no figure without agreement.
    pub(crate) async fn measure(self, size: Size, short: bool) -> anyhow::Result<Vec<Figure>> {
        match self {
            Row::Burst => burst::measure(size, 0).await,
            Row::Spread => burst::measure(size, burst::SPREAD_MS).await,
            Row::Start => start::measure(size).await,
            Row::Growth => growth::measure(size).await,
            Row::Idle => idle::measure(size).await,
            Row::Storm => storm::measure(size).await,
            Row::Cancel => cancel::measure(size).await,
            Row::Watch => watch::measure(size).await,
            Row::Past => {
                stored::measure(&if short { stored::Shape::short() } else { stored::Shape::whole() }).await
            }
            Row::Agent => agent::measure(size).await,
            // They have a table of their own.
            Row::Peers => Ok(Vec::new()),
        }
    }
}
