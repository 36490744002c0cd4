//! What no operation may touch, and the cord that stops everything new.

use super::values::{Moment, duration};
use super::{LimitArgs, OutputArgs};
use clap::{Args, Subcommand};
use std::time::Duration;

/// `curfew freeze`.
#[derive(Clone, Debug, Args)]
pub struct FreezeArgs {
    /// Why; everybody whose operation waits is told
    #[arg(long, value_name = "TEXT", required_unless_present = "show")]
    pub reason: Option<String>,
    /// Also cancel what runs, where that is still possible
    #[arg(long)]
    pub hard: bool,
    /// Only tell whether the fleet is frozen, by whom and why
    #[arg(long, conflicts_with_all = ["reason", "hard"])]
    pub show: bool,
    /// In which form.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `curfew guest hold`.
#[derive(Clone, Debug, Args)]
pub struct HoldArgs {
    /// Its id or unambiguous name
    pub guest: String,
    /// Why; whoever selects the guest is told
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Release it by itself then: 2027-01-31T18:00:00Z, or '2027-01-31 18:00' in local time
    #[arg(long, value_name = "TIME", conflicts_with = "for_time")]
    pub until: Option<Moment>,
    /// Release it by itself after this time
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub for_time: Option<Duration>,
    /// In which form.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `curfew guest holds`.
#[derive(Clone, Copy, Debug, Args)]
pub struct HoldListArgs {
    /// How much.
    #[command(flatten)]
    pub limit: LimitArgs,
    /// In which form.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `curfew protected-user`.
#[derive(Clone, Debug, Subcommand)]
pub enum ProtectedUserCommand {
    /// List users whose sessions are never ended
    List {
        /// In which form.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Never end sessions of these users, in any domain, whoever asks
    Add {
        /// User names or globs; with a domain as 'DOMAIN\name' or 'name@realm' in that domain only
        #[arg(required = true, value_name = "PATTERN")]
        patterns: Vec<String>,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// In which form.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Take the protection away
    Remove {
        /// Patterns as they are listed
        #[arg(required = true, value_name = "PATTERN")]
        patterns: Vec<String>,
        /// In which form.
        #[command(flatten)]
        output: OutputArgs,
    },
}
