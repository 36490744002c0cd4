//! What an operation says: which guests, how long, how many at once. Validated once, at the door.

use crate::amount::Amount;
use crate::glob::Glob;
use crate::rollout::{Budgets, Rollout};
use crate::selector::LabelSelector;
use crate::{GuestId, Logoff, OperationId, WallTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A task's time from the act moment unless the request says otherwise: five minutes, well past the 90 s after
/// which systemd itself kills what a stopped session left behind.
pub const TASK_TIMEOUT_DEFAULT_MS: u64 = 5 * 60 * 1000;
/// Shortest task timeout: one exchange with a slow guest.
pub const TASK_TIMEOUT_MIN_MS: u64 = 1000;
/// Longest task timeout: the longest `WaitForCompletion` of the contract, 4,000,000 ms.
pub const TASK_TIMEOUT_MAX_MS: u64 = 4_000_000;
/// How long a host may be away before its unstarted tasks end as unreachable, unless the request says otherwise.
pub const DELIVER_WITHIN_DEFAULT_MS: u64 = 60 * 1000;
/// An operation's deadline unless the request says otherwise.
pub const DEADLINE_DEFAULT_MS: u64 = 24 * 60 * 60 * 1000;
/// Latest deadline. Agents remember finished tasks for longer than this, so no repeated order finds them forgetful.
pub const DEADLINE_MAX_MS: u64 = 7 * 24 * 60 * 60 * 1000;
/// Most guests in one operation: a million desktops is a fleet, more is a mistake.
pub const TARGETS_MAX: usize = 2_000_000;
/// Most globs, ids or exclusions of one kind in one request.
pub const PATTERNS_MAX: usize = 10_000;
/// Longest request id, reason and annotation value, in bytes.
pub const TEXT_MAX: usize = 1024;
/// Most annotations.
pub const ANNOTATIONS_MAX: usize = 32;

/// Which guests: all that satisfy every kind of condition given. Conditions of one kind are alternatives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// The whole fleet, said in so many words; goes with no other condition but exclusions.
    pub all: bool,
    /// Labels that must hold.
    pub labels: Option<LabelSelector>,
    /// Host names; any one may match.
    pub hosts: Vec<Glob>,
    /// Guest names; any one may match. Without a wildcard a name must be unambiguous.
    pub guests: Vec<Glob>,
    /// Guest ids; alternatives to `guests`.
    pub guest_ids: Vec<GuestId>,
    /// Guest names or ids to leave out; they are listed as skipped.
    pub exclude: Vec<Glob>,
    /// Include guests that are the host itself. Without it they are left out unless named exactly.
    pub include_host_guests: bool,
}

impl Selection {
    /// Whether nothing at all was said.
    pub fn is_empty(&self) -> bool {
        !self.all
            && self.labels.is_none()
            && self.hosts.is_empty()
            && self.guests.is_empty()
            && self.guest_ids.is_empty()
    }
}

/// What to do with selected guests that are shut off. Paused ones are always refused: their users are still logged on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotRunning {
    /// They end as skipped, which counts as ended well.
    #[default]
    Skip,
    /// They end as refused, with the contract's code.
    Refuse,
}

/// A validated request. With everything but the selection left out it is the contract's `Logoff` for each guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationSpec {
    /// Which guests.
    pub selection: Selection,
    /// What to do with guests that are not running.
    pub not_running: NotRunning,
    /// How people are logged off.
    #[serde(default)]
    pub logoff: Logoff,
    /// Most tasks between ordered and done at a time; `None` is no limit.
    pub max_in_flight: Option<Amount>,
    /// How it spreads over its guests.
    #[serde(default)]
    pub rollout: Rollout,
    /// How much may go wrong before it is halted.
    #[serde(default)]
    pub budgets: Budgets,
    /// A task's time from the act moment.
    pub task_timeout_ms: u64,
    /// How long a host may be away before its unstarted tasks end as unreachable.
    pub deliver_within_ms: u64,
    /// The whole operation's time from its start; it runs on in every state.
    pub deadline_ms: u64,
    /// The client's own id for this request; the same id and body answers with the same operation.
    pub request_id: Option<String>,
    /// Why, for people and for the record.
    pub reason: String,
    /// Free pairs, kept and shown.
    pub annotations: BTreeMap<String, String>,
    /// The operation whose guests that did not end well this one is over, instead of all that are selected.
    #[serde(default)]
    pub retry_of: Option<OperationId>,
}

impl OperationSpec {
    /// The contract's plain `Logoff` of what `selection` names.
    pub fn plain(selection: Selection) -> OperationSpec {
        OperationSpec {
            selection,
            not_running: NotRunning::default(),
            logoff: Logoff::default(),
            max_in_flight: None,
            rollout: Rollout::default(),
            budgets: Budgets::default(),
            task_timeout_ms: TASK_TIMEOUT_DEFAULT_MS,
            deliver_within_ms: DELIVER_WITHIN_DEFAULT_MS,
            deadline_ms: DEADLINE_DEFAULT_MS,
            request_id: None,
            reason: String::new(),
            annotations: BTreeMap::new(),
            retry_of: None,
        }
    }
}

/// What operators, budgets and waves have made of an operation. The last one stands, also after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Where it stands.
    pub state: OperationState,
    /// The last wave whose guests may start, counted from 0.
    pub wave: u32,
    /// The budgets in force: those of the request, or those it was resumed with.
    pub budgets: Budgets,
    /// Until when a second person may approve it; only while it waits for that.
    pub approval_until: Option<WallTime>,
    /// Who approved it.
    pub approved_by: Option<String>,
    /// Why it is paused, halted or waiting, in words; empty while it runs.
    pub why: String,
}

impl Standing {
    /// That of an operation that starts at once.
    pub fn running(budgets: Budgets) -> Standing {
        let state = OperationState::Running;
        Standing { state, wave: 0, budgets, approval_until: None, approved_by: None, why: String::new() }
    }
}

/// Something that changed how an operation stands: the history that `operation show` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationEvent {
    /// When.
    pub at: WallTime,
    /// What.
    pub what: EventKind,
    /// Who did it: the name in the client's certificate. `None`: the controller by itself.
    pub by: Option<String>,
    /// Why or how, in words; may be empty.
    pub why: String,
}

macro_rules! event_kinds {
    ($($variant:ident = $word:literal: $doc:literal;)+) => {
        /// What happened to an operation as a whole.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum EventKind { $(#[doc = $doc] $variant,)+ }

        impl EventKind {
            /// Every kind.
            pub const ALL: &[EventKind] = &[$(EventKind::$variant),+];

            /// The word in the store, on the wire and in listings.
            pub fn as_str(self) -> &'static str {
                match self { $(EventKind::$variant => $word),+ }
            }

            /// The kind with this word.
            pub fn from_word(word: &str) -> Option<EventKind> {
                match word { $($word => Some(EventKind::$variant),)+ _ => None }
            }
        }
    };
}

event_kinds! {
    ApprovalAsked = "approval_asked": "It is larger than what one person may start: a second one has to approve it.";
    SetGrew = "set_grew": "Guests were added to the fleet since approval was asked: it is asked again.";
    Approved = "approved": "A second person approved it.";
    Rejected = "rejected": "It was rejected.";
    ApprovalExpired = "approval_expired": "Nobody approved it in time.";
    WaveBegun = "wave_begun": "A wave after the first began.";
    Paused = "paused": "An operator paused it.";
    Resumed = "resumed": "An operator resumed it.";
    Halted = "halted": "A failure budget was spent.";
}

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// A second person has to approve it; nothing has started.
    AwaitingApproval,
    /// Tasks are started as limits allow.
    Running,
    /// An operator paused it: nothing new starts, accepted tasks go on.
    Paused,
    /// A failure budget is spent: nothing new starts until an operator decides.
    Halted,
    /// A cancel was asked for; tasks that were handed over are being taken back.
    Cancelling,
    /// Every task has its outcome.
    Ended,
}

impl OperationState {
    /// The word used in listings.
    pub fn as_str(self) -> &'static str {
        match self {
            OperationState::AwaitingApproval => "awaiting approval",
            OperationState::Running => "running",
            OperationState::Paused => "paused",
            OperationState::Halted => "halted",
            OperationState::Cancelling => "cancelling",
            OperationState::Ended => "ended",
        }
    }
}
