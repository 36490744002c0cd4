//! Changing the course of an operation: pause, resume, promote, approve, reject, retry.

use super::OutputArgs;
use super::rollout::BudgetArgs;
use clap::Args;

/// `curfew operation pause` and `reject`.
#[derive(Clone, Debug, Args)]
pub struct SteerArgs {
    /// Its id
    pub id: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// In which form.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `curfew operation resume`.
#[derive(Clone, Debug, Args)]
pub struct ResumeArgs {
    /// Which one and why.
    #[command(flatten)]
    pub steer: SteerArgs,
    /// Budgets in the place of those in force.
    #[command(flatten)]
    pub budgets: BudgetArgs,
}

/// `curfew operation promote`.
#[derive(Clone, Debug, Args)]
pub struct PromoteArgs {
    /// Its id
    pub id: String,
    /// The wave to begin, counted from 1; asking twice for one begins it once [default: the next one]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub wave: Option<u32>,
    /// In which form.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `curfew operation approve`.
#[derive(Clone, Debug, Args)]
pub struct ApproveArgs {
    /// Which one and why.
    #[command(flatten)]
    pub steer: SteerArgs,
    /// The digest of the set of guests that is meant, as the requester was told; refused if it is another one by now
    #[arg(long, value_name = "DIGEST")]
    pub digest: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// `curfew operation retry`.
#[derive(Clone, Debug, Args)]
pub struct RetryArgs {
    /// The ended operation's id
    pub id: String,
    /// An id of your own for this request: asking again with it starts nothing twice
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Start it and return at once
    #[arg(long, visible_alias = "detach")]
    pub no_wait: bool,
    /// In which form.
    #[command(flatten)]
    pub output: OutputArgs,
}
