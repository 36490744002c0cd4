//! What can be typed: the definition that parsing, help and completions share. It means nothing yet; `effective`
//! says what it means.

mod drain;
mod fleet;
mod operation;
mod people;
mod rollout;
mod safeguard;
mod select;
mod steer;
mod values;

pub use drain::{DrainArgs, DrainListArgs, UndrainArgs};
pub use fleet::{
    ContextCommand, GuestCommand, GuestListArgs, HostCommand, HostRemoveArgs, LabelArgs, SessionCommand,
    SessionListArgs,
};
pub use operation::{
    LogoffArgs, OperationCommand, OperationListArgs, OperationStateWord, OutcomeWord, PreviewArgs,
    TaskCommand, TaskListArgs,
};
pub use people::{SessionArgs, SessionStateWord, TreatmentArgs};
pub use rollout::{BudgetArgs, RolloutArgs};
pub use safeguard::{FreezeArgs, HoldArgs, HoldListArgs, ProtectedUserCommand};
pub use select::{NotRunningWord, SelectionArgs, SpecArgs};
pub use steer::{ApproveArgs, PromoteArgs, ResumeArgs, RetryArgs, SteerArgs};
pub use values::{Before, LabelChange, Moment, Pair, SpreadLimit};

use crate::output::Format;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Exit codes:
  0    every guest ended well, or the question was answered
  1    some guest did not end well, has not ended yet, or could not be listed
  2    the question could not be asked or was refused, or was not confirmed
  3    the operation waits for a second person's approval
  64   the command line is wrong
  130  left with Ctrl-C; the operation goes on

Data goes to stdout, everything else to stderr.";

/// Logs users off guest operating systems across a fleet.
#[derive(Debug, Parser)]
#[command(name = "curfew", version, after_help = AFTER_HELP, propagate_version = true)]
pub struct Cli {
    /// How to reach the controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How to reach the controller.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectionArgs {
    /// Context to use instead of the current one
    #[arg(long, global = true, env = "CURFEW_CONTEXT", hide_env_values = true, value_name = "NAME")]
    pub context: Option<String>,
    /// File with the contexts
    #[arg(long, global = true, env = "CURFEW_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The form of the data.
#[derive(Clone, Copy, Debug, Args)]
pub struct OutputArgs {
    /// Form of the data
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    pub output: Format,
}

/// How much of a list.
#[derive(Clone, Copy, Debug, Args)]
pub struct LimitArgs {
    /// Most entries to list; all without it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Log users off: preview, ask, start, and show progress until the end
    ///
    /// With nothing but a selection it logs all users off each selected guest, active and disconnected ones, at once:
    /// nobody is told before, and nothing that does not go is killed. Ctrl-C leaves the display and never cancels: the operation goes on.
    Logoff(LogoffArgs),
    /// Show which guests a logoff would touch, without starting it
    Preview(PreviewArgs),
    /// Look at, follow, steer and cancel operations
    #[command(subcommand, visible_alias = "op")]
    Operation(OperationCommand),
    /// Look at, wait for and cancel the tasks of an operation, one for each guest
    #[command(subcommand)]
    Task(TaskCommand),
    /// Look at, label and remove hosts
    #[command(subcommand)]
    Host(HostCommand),
    /// Look at, label, hold and drain guests
    #[command(subcommand)]
    Guest(GuestCommand),
    /// List who is logged on
    #[command(subcommand)]
    Session(SessionCommand),
    /// Look at and change which users are never logged off
    #[command(subcommand)]
    ProtectedUser(ProtectedUserCommand),
    /// Stop every new start fleet-wide, until unfreeze
    ///
    /// Tasks that agents have accepted go on, unless --hard is given.
    Freeze(FreezeArgs),
    /// Let operations start again after a freeze
    Unfreeze,
    /// Look at and choose the controllers to talk to
    #[command(subcommand)]
    Context(ContextCommand),
    /// Print the table of status codes
    StatusCodes {
        /// In which form.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Print a completion script
    ///
    /// For bash: source <(curfew completions bash)
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }
}
