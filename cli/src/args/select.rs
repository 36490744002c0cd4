//! How guests are chosen, and what is asked for them.

use super::people::{SessionArgs, TreatmentArgs};
use super::rollout::{BudgetArgs, RolloutArgs};
use super::values::{Pair, duration};
use clap::{ArgGroup, Args, ValueEnum};
use std::time::Duration;

/// Which guests.
#[derive(Clone, Debug, Default, Args)]
// The derived group would hold --exclude too, and an exclusion alone selects nothing.
#[group(skip)]
#[command(next_help_heading = "Selection", group = ArgGroup::new("which")
    .required(true).multiple(true).args(["selector", "host", "guest", "guest_id", "all"]))]
pub struct SelectionArgs {
    /// Guests by labels, for example env=lab,rack in (r1,r2),os!=windows
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Guests of hosts with this name or glob; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub host: Vec<String>,
    /// Guests with this name or glob; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub guest: Vec<String>,
    /// The guest with this id; may be repeated
    #[arg(long, value_name = "ID")]
    pub guest_id: Vec<String>,
    /// The whole fleet
    #[arg(long, conflicts_with_all = ["selector", "host", "guest", "guest_id"])]
    pub all: bool,
    /// Leave out guests with this name, id or glob; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Include guests that are the host itself
    #[arg(long)]
    pub include_host_guests: bool,
}

/// What to do with selected guests that are not running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NotRunningWord {
    /// They end as skipped, which counts as ended well
    Skip,
    /// They end as refused
    Refuse,
}

/// What an operation is asked to do.
#[derive(Clone, Debug, Args)]
pub struct SpecArgs {
    /// Which guests.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Which sessions.
    #[command(flatten)]
    pub sessions: SessionArgs,
    /// How people are treated.
    #[command(flatten)]
    pub people: TreatmentArgs,
    /// How.
    #[command(flatten)]
    pub how: HowArgs,
    /// How it spreads.
    #[command(flatten)]
    pub rollout: RolloutArgs,
    /// How much may go wrong.
    #[command(flatten)]
    pub budgets: BudgetArgs,
}

/// How it is done. What is left out is the controller's default.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Operation")]
pub struct HowArgs {
    /// What becomes of selected guests that are not running [default: skip]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub not_running: Option<NotRunningWord>,
    /// Time for each guest [default: 5m]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub task_timeout: Option<Duration>,
    /// How long to wait for hosts that are away [default: 1m]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub deliver_within: Option<Duration>,
    /// Time for the whole operation [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub deadline: Option<Duration>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// A free pair to keep with the operation; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub annotation: Vec<Pair>,
}
