//! What the agent must not forget: the entries of its ledger, in the order in which they were written.
//!
//! The shell keeps them in a file and hands them back at the next start. Entries are JSON, one a line, so that a
//! person can read what an agent had promised.

use crate::run::Target;
use curfew_types::agent::{Finding, OrderedTask, Safeguards};
use curfew_types::{GuestId, Mono, OperationId, SessionKey, Verdict, WallTime};
use serde::{Deserialize, Serialize};

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
        /// Sessions of protected users, which are left alone and are not new either.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        excluded: Vec<SessionKey>,
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
        verdict: Verdict,
        /// Its number in the outbox; 0 when it was acknowledged before the ledger was rewritten.
        sequence: u64,
        /// When, for forgetting it one day.
        at: WallTime,
        /// The guest will be looked at again, since the outcome leaves a question open.
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
