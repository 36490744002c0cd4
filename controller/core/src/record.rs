//! What the core asks the store to append, and what the store gives back after a restart.
//!
//! Records say what happened; they are appended in order, a whole turn at a time, all or nothing. The store owns
//! their layout on disk.

use curfew_types::agent::{LedgerMark, SafeguardsMark};
use curfew_types::glob::Glob;
use curfew_types::label::Labels;
use curfew_types::operation::{OperationEvent, Standing};
use curfew_types::{Guest, GuestId, HostName, Mono, Now, OperationId, OperationSpec, Verdict, WallTime};
use std::sync::Arc;

/// How many of its slowest tasks an ended operation names.
pub const SLOWEST_MAX: usize = 10;

/// The wave of a guest that is left out from the beginning.
pub const NO_WAVE: u8 = u8::MAX;

/// How the wall times of deadlines and orders in the store stand to the machine's monotonic clock. It is the same for
/// every process of one boot, so that setting the wall clock moves no deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockFrame {
    /// Which boot of the machine; 0 where that is unknown, and then no two are the same.
    pub boot: u64,
    /// The wall time at which the monotonic clock would have shown 0, in milliseconds since the Unix epoch.
    pub wall_of_zero: i64,
}

impl ClockFrame {
    /// The frame of a boot that begins to be known now.
    pub fn of(boot: u64, now: Now) -> ClockFrame {
        ClockFrame { boot, wall_of_zero: now.wall.0.saturating_sub_unsigned(now.mono.0) }
    }

    /// The wall time of a moment within it.
    pub fn wall(&self, at: Mono) -> WallTime {
        WallTime(self.wall_of_zero.saturating_add_unsigned(at.0))
    }
}

/// An operation as it started, with its fixed set of guests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Its id.
    pub id: OperationId,
    /// What was asked, validated.
    pub spec: OperationSpec,
    /// Who asked: the name in the client's certificate.
    pub requester: String,
    /// When it started.
    pub created: WallTime,
    /// When it ends at the latest, in the [`ClockFrame`] of its start.
    pub deadline: WallTime,
    /// The digest of its set of guests.
    pub digest: u64,
    /// Drew the guests of its first waves.
    pub seed: u64,
    /// How it stands at its start.
    pub standing: Standing,
    /// Its guests by host, in the order of the set. A host's tasks are numbered without gaps, host after host.
    pub hosts: Arc<[TargetHost]>,
}

impl Started {
    /// How many tasks it has.
    pub fn task_count(&self) -> u32 {
        self.hosts.last().map_or(0, TargetHost::end)
    }
}

/// The guests of one host within an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetHost {
    /// The host.
    pub host: HostName,
    /// The index of its first task.
    pub first: u32,
    /// Its guests; the task of `guests[n]` has index `first + n`.
    pub guests: Vec<TargetGuest>,
}

impl TargetHost {
    /// The index after that of its last task.
    pub fn end(&self) -> u32 {
        self.first + u32::try_from(self.guests.len()).unwrap_or(u32::MAX)
    }
}

/// A guest within an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetGuest {
    /// Its identity.
    pub id: GuestId,
    /// Its name when the operation started.
    pub name: Arc<str>,
    /// Its wave, counted from 0; [`NO_WAVE`] if it is left out.
    pub wave: u8,
}

/// A guest that nothing touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The guest.
    pub guest: GuestId,
    /// Its name when it was held.
    pub name: String,
    /// Who holds it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: WallTime,
    /// When it is released by itself.
    pub until: Option<WallTime>,
}

/// Users whose sessions are never ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectedUser {
    /// Their names.
    pub pattern: Glob,
    /// Who protected them.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: WallTime,
}

/// The cord that stops every new start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// Who pulled it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub since: WallTime,
    /// Whether running tasks were cancelled, too.
    pub hard: bool,
}

/// What a cancel is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CancelScope {
    /// The whole operation.
    Operation,
    /// One task, by index.
    Task(u32),
}

/// One thing that happened. `host` in the records of an operation is the place in [`Started::hosts`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The controller began a new epoch.
    EpochRaised {
        /// The new epoch.
        epoch: u64,
    },
    /// The wall times of deadlines and orders stand so to the monotonic clock from now on.
    ClockSet {
        /// How.
        clock: ClockFrame,
    },
    /// An operation started, or began to wait for its approval.
    Started(Box<Started>),
    /// An operation that waits for approval has another set of guests now; the one before is forgotten. None of its tasks
    /// was handed over or has its outcome.
    Replanned(Box<Started>),
    /// Something changed how an operation stands.
    Steered {
        /// The operation.
        operation: OperationId,
        /// What, who, why and when.
        event: OperationEvent,
        /// How it stands since.
        standing: Standing,
    },
    /// Orders for these tasks are about to be handed to the host's stream.
    Handed {
        /// The operation.
        operation: OperationId,
        /// The host's place.
        host: u32,
        /// The tasks' indices.
        tasks: Vec<u32>,
        /// When an outcome must have come, or the tasks end as unknown; in the [`ClockFrame`].
        until: WallTime,
    },
    /// Tasks have their outcome.
    Finished {
        /// The operation.
        operation: OperationId,
        /// The host's place.
        host: u32,
        /// The tasks' indices with how they ended.
        tasks: Vec<(u32, Arc<Verdict>)>,
        /// When the controller learnt it.
        at: WallTime,
    },
    /// News about a task that had its outcome already. The operation may have ended long ago, and may be unknown.
    Late {
        /// The operation.
        operation: OperationId,
        /// The host that says so.
        host: HostName,
        /// The task's index.
        index: u32,
        /// The guest.
        guest: GuestId,
        /// What was seen.
        verdict: Arc<Verdict>,
        /// When the controller learnt it.
        at: WallTime,
    },
    /// A cancel was asked for.
    CancelRequested {
        /// The operation.
        operation: OperationId,
        /// All of it, or one task.
        scope: CancelScope,
        /// Who asked.
        by: String,
        /// Why.
        reason: String,
        /// When.
        at: WallTime,
    },
    /// Every task of an operation has its outcome.
    Ended {
        /// The operation.
        operation: OperationId,
        /// When the last one ended.
        at: WallTime,
        /// The last revision that watchers may hold.
        revision: u64,
        /// The tasks that took longest, with their time from order to outcome in milliseconds; the longest first, at most
        /// [`SLOWEST_MAX`].
        slowest: Vec<(u32, u64)>,
    },
    /// A host's agent attached.
    HostSeen {
        /// The host.
        host: HostName,
        /// When.
        at: WallTime,
        /// The agent's version, as it says.
        version: String,
    },
    /// What is known of a host's ledger, and up to where its findings are stored.
    LedgerSeen {
        /// The host.
        host: HostName,
        /// The ledger as last heard of.
        ledger: LedgerMark,
        /// The last finding stored.
        acknowledged: u64,
    },
    /// A host's inventory changed.
    Inventory {
        /// The host.
        host: HostName,
        /// What was known before is forgotten.
        replace: bool,
        /// New or changed guests.
        upserts: Vec<Guest>,
        /// Guests that are gone.
        removed: Vec<GuestId>,
        /// The digest of the whole afterwards.
        digest: u64,
    },
    /// A host's labels are these now.
    HostLabelled {
        /// The host.
        host: HostName,
        /// All of its labels.
        labels: Labels,
    },
    /// A guest's labels are these now.
    GuestLabelled {
        /// The guest.
        guest: GuestId,
        /// All of its labels.
        labels: Labels,
    },
    /// A host and its guests are forgotten.
    HostRemoved {
        /// The host.
        host: HostName,
    },
    /// A guest is held, or its hold changed.
    Held {
        /// The hold.
        hold: Hold,
        /// The safeguards that have it.
        mark: SafeguardsMark,
    },
    /// A guest is no longer held.
    Released {
        /// The guest.
        guest: GuestId,
        /// The safeguards without it.
        mark: SafeguardsMark,
    },
    /// Users are protected.
    Protected {
        /// Who.
        user: ProtectedUser,
        /// The safeguards that have them.
        mark: SafeguardsMark,
    },
    /// Users are no longer protected.
    Unprotected {
        /// Their pattern, as it was given.
        pattern: Glob,
        /// The safeguards without them.
        mark: SafeguardsMark,
    },
    /// The fleet was frozen or unfrozen.
    FreezeChanged {
        /// The freeze; `None`: there is none any more.
        freeze: Option<Freeze>,
    },
}

/// What the store knows when the controller starts: everything that is not history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The epoch of the last start; 0 in a new store.
    pub epoch: u64,
    /// How stored wall times stand to the monotonic clock of the machine's last boot.
    pub clock: Option<ClockFrame>,
    /// Every host.
    pub hosts: Vec<RecoveredHost>,
    /// Labels of guests, whether or not they are in an inventory now.
    pub guest_labels: Vec<(GuestId, Labels)>,
    /// Every operation that has not ended, oldest first.
    pub operations: Vec<RecoveredOperation>,
    /// Held guests, by id.
    pub holds: Vec<Hold>,
    /// Protected users, by pattern.
    pub protected_users: Vec<ProtectedUser>,
    /// Which state of the safeguards that is.
    pub safeguards: SafeguardsMark,
    /// The freeze, if there is one.
    pub freeze: Option<Freeze>,
}

/// A host as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredHost {
    /// Its name.
    pub name: HostName,
    /// Labels set on the controller.
    pub labels: Labels,
    /// Its ledger as last heard of.
    pub ledger: Option<LedgerMark>,
    /// The last finding stored.
    pub acknowledged: u64,
    /// When its agent last attached.
    pub seen: Option<WallTime>,
    /// The agent's version.
    pub version: String,
    /// The digest of `guests`, as the agent computes it.
    pub inventory_digest: u64,
    /// Its inventory.
    pub guests: Vec<Guest>,
}

/// An unfinished operation as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredOperation {
    /// As it started, but with the standing that it has now.
    pub started: Started,
    /// Tasks whose orders were handed over, with the moment by which an outcome must have come.
    pub handed: Vec<(u32, WallTime)>,
    /// Tasks that have ended.
    pub finished: Vec<(u32, Verdict)>,
    /// Who asked to cancel the whole operation, if anybody did.
    pub cancelled_by: Option<String>,
    /// Tasks that were asked to be cancelled one by one.
    pub cancelled_tasks: Vec<u32>,
    /// Late findings stored for it.
    pub late_findings: u64,
}
