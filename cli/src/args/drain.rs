//! `guest drain`, `undrain` and `drains`: new logons refused and allowed again, by hand.

use super::values::duration;
use super::{LimitArgs, OutputArgs};
use clap::Args;
use std::time::Duration;

/// `curfew guest drain`.
#[derive(Clone, Debug, Args)]
pub struct DrainArgs {
    /// Its id or unambiguous name
    pub guest: String,
    /// For how long: 1s to 7d; every drain has an end
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub for_time: Duration,
    /// Why; people who try to log on are shown it
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// In which form.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `curfew guest undrain`.
#[derive(Clone, Debug, Args)]
pub struct UndrainArgs {
    /// Its id or unambiguous name
    pub guest: String,
    /// Lift the drain of this operation instead of the one by hand
    #[arg(long, value_name = "ID", conflicts_with = "all")]
    pub operation: Option<String>,
    /// Lift all of its drains
    #[arg(long)]
    pub all: bool,
    /// In which form.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `curfew guest drains`.
#[derive(Clone, Copy, Debug, Args)]
pub struct DrainListArgs {
    /// How much.
    #[command(flatten)]
    pub limit: LimitArgs,
    /// In which form.
    #[command(flatten)]
    pub output: OutputArgs,
}
