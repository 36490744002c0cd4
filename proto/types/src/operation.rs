//! What an operation says: which guests, how long, how many at once. Validated once, at the door.

use crate::GuestId;
use crate::glob::Glob;
use crate::selector::LabelSelector;
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
    /// Most tasks between ordered and done at a time; `None` is no limit.
    pub max_in_flight: Option<u32>,
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
}

impl OperationSpec {
    /// The contract's plain `Logoff` of what `selection` names.
    pub fn plain(selection: Selection) -> OperationSpec {
        OperationSpec {
            selection,
            not_running: NotRunning::default(),
            max_in_flight: None,
            task_timeout_ms: TASK_TIMEOUT_DEFAULT_MS,
            deliver_within_ms: DELIVER_WITHIN_DEFAULT_MS,
            deadline_ms: DEADLINE_DEFAULT_MS,
            request_id: None,
            reason: String::new(),
            annotations: BTreeMap::new(),
        }
    }
}

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// Tasks are started as limits allow.
    Running,
    /// A cancel was asked for; tasks that were handed over are being taken back.
    Cancelling,
    /// Every task has its outcome.
    Ended,
}

impl OperationState {
    /// The word used in listings.
    pub fn as_str(self) -> &'static str {
        match self {
            OperationState::Running => "running",
            OperationState::Cancelling => "cancelling",
            OperationState::Ended => "ended",
        }
    }
}
