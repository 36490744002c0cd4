//! What the core asks the store to append, and what the store gives back after a restart.
//!
//! Records say what happened; they are appended in order, a whole turn at a time, all or nothing. The store owns
//! their layout on disk.

use curfew_types::agent::LedgerMark;
use curfew_types::label::Labels;
use curfew_types::{Guest, GuestId, HostName, OperationId, OperationSpec, Verdict, WallTime};

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
    /// When it ends at the latest.
    pub deadline: WallTime,
    /// The digest of its set of guests.
    pub digest: u64,
    /// Its guests by host, in the order of the set. A host's tasks are numbered without gaps, host after host.
    pub hosts: Vec<TargetHost>,
}

impl Started {
    /// How many tasks it has.
    pub fn task_count(&self) -> u32 {
        self.hosts.last().map_or(0, |host| host.first + u32::try_from(host.guests.len()).unwrap_or(u32::MAX))
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

/// A guest within an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetGuest {
    /// Its identity.
    pub id: GuestId,
    /// Its name when the operation started.
    pub name: String,
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
    /// An operation started.
    Started(Box<Started>),
    /// Orders for these tasks are about to be handed to the host's stream.
    Handed {
        /// The operation.
        operation: OperationId,
        /// The host's place.
        host: u32,
        /// The tasks' indices.
        tasks: Vec<u32>,
        /// When an outcome must have come, or the tasks end as unknown.
        until: WallTime,
    },
    /// Tasks have their outcome.
    Finished {
        /// The operation.
        operation: OperationId,
        /// The host's place.
        host: u32,
        /// The tasks' indices with how they ended.
        tasks: Vec<(u32, Verdict)>,
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
        verdict: Verdict,
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
}

/// What the store knows when the controller starts: everything that is not history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The epoch of the last start; 0 in a new store.
    pub epoch: u64,
    /// Every host.
    pub hosts: Vec<RecoveredHost>,
    /// Labels of guests, whether or not they are in an inventory now.
    pub guest_labels: Vec<(GuestId, Labels)>,
    /// Every operation that has not ended, oldest first.
    pub operations: Vec<RecoveredOperation>,
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
    /// As it started.
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
