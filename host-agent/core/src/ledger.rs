//! What the agent must not forget: the entries of its ledger, in the order in which they were written.
//!
//! The shell keeps them in a file and hands them back at the next start. Entries are JSON, one a line or several
//! that belong together, so that a person can read what an agent had promised.

mod line;

pub use line::{Line, entries, lines};

use crate::acting::{LeftAlone, LeftEarly, Target};
use curfew_types::agent::{Finding, OrderedTask, Safeguards};
use curfew_types::{DrainOwner, GuestId, Logoff, Mono, OperationId, SessionKey, Verdict, WallTime};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// The first entry of a rewritten ledger: what the entries before it had come to.
    Summary {
        /// Entries written before, this one not included.
        counter: u64,
        /// The highest controller epoch seen.
        epoch_seen: u64,
        /// The last finding that the controller has stored.
        acknowledged: u64,
    },
    /// A controller with a higher epoch was met.
    EpochSeen {
        /// The epoch.
        epoch: u64,
    },
    /// An order was accepted.
    Accepted {
        /// The operation.
        operation: OperationId,
        /// The boot of this machine, within which `at` and `expires` count.
        boot: String,
        /// When.
        at: Mono,
        /// After this moment nobody's session is ended any more.
        expires: Mono,
        /// A task's time from the act moment, in milliseconds.
        task_timeout_ms: u64,
        /// How people are logged off.
        #[serde(default, skip_serializing_if = "is_plain")]
        logoff: Arc<Logoff>,
        /// The guests.
        tasks: Vec<OrderedTask>,
    },
    /// The act moment of a task: who is to be logged off. Written before the first session is ended.
    Acting {
        /// The operation.
        operation: OperationId,
        /// The task.
        index: u32,
        /// When.
        at: Mono,
        /// The guest's boot at that moment.
        guest_boot: String,
        /// The sessions that are to end.
        targets: Vec<Target>,
        /// How often later sessions have become targets, under a drain.
        #[serde(default, skip_serializing_if = "is_zero")]
        additions: u32,
        /// Sessions that were warned and have left.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left_early: Vec<LeftEarly>,
        /// Sessions that are no targets and are not new either.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left_alone: Vec<LeftAlone>,
    },
    /// Sessions are about to be told that they will be ended. Written before each notice, so that nobody is told more
    /// often than was asked for.
    Telling {
        /// The operation.
        operation: OperationId,
        /// The task.
        index: u32,
        /// When.
        at: Mono,
        /// When the grace is over.
        ends: Mono,
        /// Who is told now.
        told: Vec<Told>,
    },
    /// What became of a notice.
    Shown {
        /// The operation.
        operation: OperationId,
        /// The task.
        index: u32,
        /// Sessions that were shown it.
        shown: Vec<SessionKey>,
        /// Sessions that could not be shown it, and why.
        unshown: Vec<(SessionKey, String)>,
    },
    /// Under a drain, sessions that began after the act moment are to end, too. Written before they are asked.
    Added {
        /// The operation.
        operation: OperationId,
        /// The task.
        index: u32,
        /// The sessions.
        targets: Vec<Target>,
    },
    /// A target did not match the request any more when it was to be asked: it is left alone.
    Unmatched {
        /// The operation.
        operation: OperationId,
        /// The task.
        index: u32,
        /// The session.
        session: Arc<SessionKey>,
    },
    /// What does not end by itself is killed from now on. Written before the first is.
    Forcing {
        /// The operation.
        operation: OperationId,
        /// The task.
        index: u32,
        /// The sessions that are left.
        targets: Vec<Arc<SessionKey>>,
    },
    /// A guest is to refuse new logons; one of the same owner is replaced.
    DrainBegun {
        /// The guest.
        guest: GuestId,
        /// Whose it is.
        owner: DrainOwner,
        /// The boot of this machine, within which `ends` counts.
        boot: String,
        /// When it ends by itself.
        ends: Mono,
        /// The same on the wall clock, for other boots.
        until: WallTime,
        /// For how long it was asked for, in milliseconds: no more is left of it after a boot.
        for_ms: u64,
        /// Who asked for it; empty for an operation's.
        by: String,
        /// Why.
        reason: String,
    },
    /// A drain is over. If it was the guest's last one, the guest is to take logons again.
    DrainOver {
        /// The guest.
        guest: GuestId,
        /// Whose it was.
        owner: DrainOwner,
    },
    /// A guest without drains takes logons again, or is given up.
    Undrained {
        /// The guest.
        guest: GuestId,
    },
    /// A task has its outcome, which stands in the outbox under `sequence`.
    Finished {
        /// The operation.
        operation: OperationId,
        /// The task.
        index: u32,
        /// The guest.
        guest: GuestId,
        /// The outcome.
        verdict: Arc<Verdict>,
        /// Its number in the outbox; 0 when it was acknowledged before the ledger was rewritten.
        sequence: u64,
        /// When, for forgetting it one day.
        at: WallTime,
        /// The guest will be looked at again, since the outcome leaves a question open.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        follow_up: bool,
    },
    /// A finding beside an outcome: late news, or an outcome said again because the controller asked again.
    Said {
        /// The finding.
        finding: Finding,
        /// Its number in the outbox.
        sequence: u64,
        /// Nothing more will be looked at for this task.
        closes_follow_up: bool,
    },
    /// A follow-up was given up.
    FollowUpOver {
        /// The operation.
        operation: OperationId,
        /// The task.
        index: u32,
    },
    /// What no operation may touch, as the controller said it last. From here on it is heeded.
    Safeguarded {
        /// All of it.
        safeguards: Safeguards,
    },
    /// The controller has stored every finding up to here.
    Acknowledged {
        /// The number.
        sequence: u64,
    },
}

/// A session that is told something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its whole identity.
    pub session: SessionKey,
    /// Whose it is, for reports.
    pub user: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

fn is_plain(logoff: &Arc<Logoff>) -> bool {
    **logoff == Logoff::default()
}
