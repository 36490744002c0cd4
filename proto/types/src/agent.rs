//! What controller and agent say to one another, as both cores see it: hello, orders, cancels, reports.

use crate::{GuestId, OperationId, SessionCounts, Stage, Verdict};
use serde::{Deserialize, Serialize};

/// How long an agent remembers finished tasks: longer than the latest deadline an operation can have, so that a
/// repeated order always finds its task.
pub const REMEMBER_FINISHED_MS: u64 = crate::operation::DEADLINE_MAX_MS + 24 * 60 * 60 * 1000;

/// A ledger's identity and age. A changed incarnation or a counter that went back is a lost or rolled-back ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerMark {
    /// Random, made with the ledger.
    pub incarnation: u64,
    /// Records written since; never goes back while the ledger lives.
    pub counter: u64,
}

/// The first thing an agent says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Its ledger.
    pub ledger: LedgerMark,
    /// The highest controller epoch it has seen.
    pub epoch_seen: u64,
    /// Options it knows, so that an order with another one is refused and not half understood.
    pub capabilities: Vec<String>,
    /// Tasks in its ledger that have no outcome yet.
    pub unfinished: Vec<TaskProgress>,
    /// The number of its oldest finding that is not acknowledged, or of the next one if all are.
    pub first_pending_sequence: u64,
    /// The digest of its inventory, to save sending what is known.
    pub inventory_digest: u64,
}

/// One task within an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderedTask {
    /// Place in the operation's set of guests.
    pub index: u32,
    /// The guest to log off.
    pub guest: GuestId,
}

/// An order: log these guests off. One frame carries all tasks of a host for an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The operation.
    pub operation: OperationId,
    /// The epoch of the controller that gives it.
    pub epoch: u64,
    /// Time from receipt after which nobody's session is ended any more.
    pub remaining_ms: u64,
    /// A task's time from the act moment.
    pub task_timeout_ms: u64,
    /// Options an agent must know to take the order.
    pub required_capabilities: Vec<String>,
    /// The guests.
    pub tasks: Vec<OrderedTask>,
}

/// A request to take tasks back. Remembered even for tasks the agent has not heard of, so a late order finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancel {
    /// The operation.
    pub operation: OperationId,
    /// The epoch of the controller that gives it.
    pub epoch: u64,
    /// The tasks to take back.
    pub tasks: Vec<OrderedTask>,
}

/// How far a task has come: may be lost or repeated, never acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskProgress {
    /// The operation.
    pub operation: OperationId,
    /// Place in the operation's set of guests.
    pub index: u32,
    /// The stage reached.
    pub stage: Stage,
    /// Sessions so far.
    pub sessions: SessionCounts,
}

/// A durable statement about a task: kept by the agent until the controller has stored it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The operation.
    pub operation: OperationId,
    /// Place in the operation's set of guests.
    pub index: u32,
    /// The guest, so that a report about another host's guest is seen for what it is.
    pub guest: GuestId,
    /// How it ended, or what was seen later.
    pub verdict: Verdict,
    /// The task had its outcome already: this is late news beside it.
    pub late: bool,
}

/// A batch of what an agent has to say. Findings are numbered from `first_sequence` on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Where tasks stand, coalesced.
    pub progress: Vec<TaskProgress>,
    /// The number of the first finding.
    pub first_sequence: u64,
    /// Outcomes and late news, each acknowledged after it is stored.
    pub findings: Vec<Finding>,
    /// The ledger's counter at this moment.
    pub ledger: LedgerMark,
}
