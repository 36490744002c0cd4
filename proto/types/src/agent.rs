//! What controller and agent say to one another, as both cores see it: hello, orders, cancels, reports.

use crate::glob::Glob;
use crate::{Drain, GuestId, Logoff, OperationId, SessionCounts, Stage, Verdict, user};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

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

/// Which state of the [`Safeguards`] somebody has. A higher one is newer: epochs grow with every controller, revisions
/// with every change within one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SafeguardsMark {
    /// The controller's epoch at the last change.
    pub epoch: u64,
    /// Changes so far.
    pub revision: u64,
}

/// Most holds in force at a time: enough for a data centre's exceptions, small enough for one frame.
pub const HOLDS_MAX: usize = 10_000;
/// Most patterns for protected users.
pub const PROTECTED_USERS_MAX: usize = 1_000;

/// The capability of agents that leave protected users alone: an order under such a protection asks for it, so that an
/// agent from before refuses it.
pub const PROTECTED_USERS: &str = "protected_users";

/// What no operation may touch, whoever asks: sent whole to every agent, which enforces it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Safeguards {
    /// Which state this is.
    pub mark: SafeguardsMark,
    /// Guests that are held, in order.
    pub held: Vec<GuestId>,
    /// Users whose sessions are never ended.
    pub protected_users: Vec<Glob>,
}

impl Safeguards {
    /// Whether nothing may be done in this guest.
    pub fn holds(&self, guest: &GuestId) -> bool {
        self.held.binary_search(guest).is_ok()
    }

    /// Whether sessions of this user are never ended; patterns are read as in [`user::is_among`].
    pub fn protects(&self, user: &str) -> bool {
        user::is_among(user, &self.protected_users)
    }
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
    /// The safeguards that are in force there: nothing it does any more goes against them.
    pub safeguards: SafeguardsMark,
    /// All drains of its guests.
    pub drains: Vec<Drain>,
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
    /// How people are logged off.
    pub logoff: Logoff,
    /// Options an agent must know to take the order.
    pub required_capabilities: Vec<String>,
    /// The safeguards that were in force when the order was given: an agent that has older ones leaves it.
    pub safeguards: SafeguardsMark,
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
    /// Only those that the agent has not accepted; an accepted one goes on.
    pub only_unaccepted: bool,
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
    /// How it ended, or what was seen later; shared by all who keep it.
    pub verdict: Arc<Verdict>,
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
    /// The safeguards that are in force at this moment.
    pub safeguards: SafeguardsMark,
    /// All drains of this host's guests, when something about them changed; `None` where nothing did.
    pub drains: Option<Vec<Drain>>,
}
