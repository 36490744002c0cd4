//! `host`, `guest`, `session` and `context`.

use super::drain::{DrainArgs, DrainListArgs, UndrainArgs};
use super::people::SessionArgs;
use super::safeguard::{HoldArgs, HoldListArgs};
use super::values::{LabelChange, duration};
use super::{LimitArgs, OutputArgs};
use clap::{Args, Subcommand};
use std::time::Duration;

/// `curfew host`.
#[derive(Clone, Debug, Subcommand)]
pub enum HostCommand {
    /// List hosts
    List {
        /// Only hosts with these labels
        #[arg(short = 'l', long, value_name = "SELECTOR")]
        selector: Option<String>,
        /// How much.
        #[command(flatten)]
        limit: LimitArgs,
        /// In which form.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show one host
    Show {
        /// Its name
        name: String,
        /// In which form.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Set and remove labels of a host; its guests inherit them
    Label(LabelArgs),
    /// Forget a host and its guests
    ///
    /// Refused while it is connected or has unfinished tasks, unless forced.
    Remove(HostRemoveArgs),
}

/// `curfew host remove`.
#[derive(Clone, Debug, Args)]
pub struct HostRemoveArgs {
    /// Its name
    pub name: String,
    /// Also while it is connected or has unfinished tasks, which then end as unreachable or unknown
    #[arg(long)]
    pub force: bool,
}

/// `label` of hosts and guests.
#[derive(Clone, Debug, Args)]
pub struct LabelArgs {
    /// Its name; a guest's id or unambiguous name
    pub name: String,
    /// KEY=VALUE sets a label, KEY- removes one
    #[arg(required = true, value_name = "CHANGE")]
    pub changes: Vec<LabelChange>,
    /// In which form.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `curfew guest`.
#[derive(Clone, Debug, Subcommand)]
pub enum GuestCommand {
    /// List guests
    List(GuestListArgs),
    /// Show one guest
    Show {
        /// Its id or unambiguous name
        guest: String,
        /// In which form.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Set and remove labels of a guest; they win over its host's
    Label(LabelArgs),
    /// Hold a guest: no operation touches it, whoever asks, until it is released
    ///
    /// It is pending until the agent of its host confirms it. Holding a guest again changes the hold.
    Hold(HoldArgs),
    /// Release a held guest
    Release {
        /// Its id, or the name it was held under
        guest: String,
    },
    /// List held guests
    Holds(HoldListArgs),
    /// Refuse new logons to a guest for a while; who is logged on stays
    ///
    /// Its agent lifts the drain by itself, and so does a timer inside the guest where it has one. Draining a guest again
    /// replaces the earlier drain by hand; logons return when its last drain is lifted.
    Drain(DrainArgs),
    /// Allow new logons again: lift the drain by hand, that of an operation, or all
    Undrain(UndrainArgs),
    /// List drains: which guests refuse new logons, for whom, until when, and whether it is so
    Drains(DrainListArgs),
}

/// `curfew guest list`.
#[derive(Clone, Debug, Args)]
pub struct GuestListArgs {
    /// Only guests with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Only guests of hosts with this name or glob; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub host: Vec<String>,
    /// How much.
    #[command(flatten)]
    pub limit: LimitArgs,
    /// In which form.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `curfew session`.
#[derive(Clone, Debug, Subcommand)]
pub enum SessionCommand {
    /// Ask the guests who is logged on now, and show each answer when it comes
    ///
    /// A guest that cannot be listed has a row that says so, and the command exits with 1.
    List(SessionListArgs),
}

/// `curfew session list`.
#[derive(Clone, Debug, Args)]
pub struct SessionListArgs {
    /// Only guests with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Only guests of hosts with this name or glob; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub host: Vec<String>,
    /// Only guests with this name, id or glob; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub guest: Vec<String>,
    /// How long to wait for each guest [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Which sessions.
    #[command(flatten)]
    pub sessions: SessionArgs,
    /// In which form.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `curfew context`.
#[derive(Clone, Debug, Subcommand)]
pub enum ContextCommand {
    /// List contexts
    List {
        /// In which form.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Make a context the current one
    Use {
        /// Its name
        name: String,
    },
    /// Show the context in use
    Show {
        /// In which form.
        #[command(flatten)]
        output: OutputArgs,
    },
}
