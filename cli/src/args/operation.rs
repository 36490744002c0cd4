//! `logoff`, `preview`, `operation` and `task`.

use super::select::SpecArgs;
use super::steer::{ApproveArgs, PromoteArgs, ResumeArgs, RetryArgs, SteerArgs};
use super::values::duration;
use super::{LimitArgs, OutputArgs};
use clap::{Args, Subcommand, ValueEnum};
use std::time::Duration;

/// `curfew logoff`.
#[derive(Clone, Debug, Args)]
pub struct LogoffArgs {
    /// An id of your own for this request: asking again with it starts nothing twice
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
    /// Start nothing unless exactly this many guests would be logged off
    #[arg(long, value_name = "N")]
    pub expect: Option<u64>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Start it and return at once
    #[arg(long, visible_alias = "detach")]
    pub no_wait: bool,
    /// In which form.
    #[command(flatten)]
    pub output: OutputArgs,
    /// What to do.
    #[command(flatten)]
    pub spec: SpecArgs,
}

/// `curfew preview`.
#[derive(Clone, Debug, Args)]
pub struct PreviewArgs {
    /// Also ask the guests who is logged on now
    #[arg(long)]
    pub live: bool,
    /// How long to wait for each guest's answer [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "live")]
    pub live_timeout: Option<Duration>,
    /// How much.
    #[command(flatten)]
    pub limit: LimitArgs,
    /// In which form.
    #[command(flatten)]
    pub output: OutputArgs,
    /// What would be done.
    #[command(flatten)]
    pub spec: SpecArgs,
}

/// `curfew operation`.
#[derive(Clone, Debug, Subcommand)]
pub enum OperationCommand {
    /// List operations, newest first
    List(OperationListArgs),
    /// Show one operation: how it stands and why, what it waits for, and what became of it so far
    Show {
        /// Its id
        id: String,
        /// In which form.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show an operation's progress until it ends, then its summary
    Watch {
        /// Its id
        id: String,
        /// In which form.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Wait silently until an operation ends, then print its summary
    ///
    /// A wait that runs out is told on stderr and exits with 1.
    Wait {
        /// Its id
        id: String,
        /// How long to wait at most; for ever without it
        #[arg(long, value_name = "TIME", value_parser = duration)]
        timeout: Option<Duration>,
        /// In which form.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Pause an operation: nothing new starts, what was ordered goes on, and its deadline runs on
    Pause(SteerArgs),
    /// Let a paused or halted operation go on; a failure budget that is spent must be given anew
    Resume(ResumeArgs),
    /// Begin the next wave of an operation that waits for it
    Promote(PromoteArgs),
    /// Approve an operation that somebody else asked for: exactly the set of guests that is shown
    ///
    /// If guests have come to the set since approval was asked for, nothing is approved: they are listed, approval
    /// is asked for again, and the command exits with 3.
    Approve(ApproveArgs),
    /// Reject an operation that waits for approval: none of its guests is touched
    Reject(SteerArgs),
    /// Start a new operation over the guests of an ended one that did not end well, with the same options
    Retry(RetryArgs),
    /// Cancel an operation: nothing new starts, and what can be taken back is taken back
    Cancel {
        /// Its id
        id: String,
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// In which form.
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// `curfew operation list`.
#[derive(Clone, Debug, Args)]
pub struct OperationListArgs {
    /// Only those in this state
    #[arg(long, value_enum)]
    pub state: Option<OperationStateWord>,
    /// How much.
    #[command(flatten)]
    pub limit: LimitArgs,
    /// In which form.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OperationStateWord {
    /// A second person has to approve it
    AwaitingApproval,
    /// Tasks are started as limits allow
    Running,
    /// An operator paused it
    Paused,
    /// A failure budget is spent
    Halted,
    /// It is being taken back
    Cancelling,
    /// Every task has its outcome
    Ended,
}

/// `curfew task`.
#[derive(Clone, Debug, Subcommand)]
pub enum TaskCommand {
    /// List the tasks of an operation
    List(TaskListArgs),
    /// Show one task
    Show {
        /// Its id: OPERATION/NUMBER
        id: String,
        /// In which form.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Cancel one task
    Cancel {
        /// Its id: OPERATION/NUMBER
        id: String,
        /// In which form.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Wait until one task completes, then show it
    ///
    /// A wait that runs out is no error: the task is shown as it stands. It exits with 0 only if the task is
    /// complete and ended well.
    Wait {
        /// Its id: OPERATION/NUMBER
        id: String,
        /// Milliseconds to wait: 0 to 4000000, or -1 for ever
        #[arg(long, value_name = "MS", default_value_t = -1, allow_negative_numbers = true)]
        timeout_ms: i64,
        /// In which form.
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// `curfew task list`.
#[derive(Clone, Debug, Args)]
pub struct TaskListArgs {
    /// The operation's id
    pub operation: String,
    /// Only tasks with one of these outcomes
    #[arg(long, value_enum, value_delimiter = ',', value_name = "OUTCOME")]
    pub outcome: Vec<OutcomeWord>,
    /// Only tasks that ended and did not end well
    #[arg(long)]
    pub not_well: bool,
    /// How much.
    #[command(flatten)]
    pub limit: LimitArgs,
    /// In which form.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the words are explained where outcomes are shown")]
pub enum OutcomeWord {
    Succeeded,
    NothingToDo,
    Refused,
    Failed,
    TimedOut,
    Unreachable,
    Unknown,
    Cancelled,
    Skipped,
}
