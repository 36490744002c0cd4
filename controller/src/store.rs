//! The store: what the core appends, kept durably, and what history answers.
//!
//! [`Store`] is the whole of what the rest of the controller may know; how it lies on disk is the implementation's.

pub mod sqlite;

use async_trait::async_trait;
use curfew_controller_core::record::{Record, Recovered, TargetHost};
use curfew_types::operation::{OperationEvent, Standing};
use curfew_types::{
    GuestId, HostName, OperationId, OperationSpec, OperationState, Outcome, Reason, Verdict, WallTime,
};
use std::sync::Arc;

pub use sqlite::SqliteStore;

/// What keeps operations, outcomes and the fleet across restarts.
///
/// One process writes at a time. Reads see whole appends only, and never wait for one.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Everything that is not history, for a controller that starts.
    ///
    /// # Errors
    /// When the store is away or cannot be read.
    async fn load(&self) -> Result<Recovered, Error>;

    /// These guests are about to be appended as those of an operation: what can be made ready for that may be, while the caller
    /// does something else. It stores nothing, returns at once, and appending does the same without it.
    fn expect_targets(&self, _hosts: &Arc<[TargetHost]>) {}

    /// Appends a turn's records in their order: all of them or none, and durable on return.
    ///
    /// After an error none of them is stored, and the same records may be appended again. (A failing disk may still
    /// have kept them: should the process end before the next append, they may be there when the store is opened.) A
    /// future that is dropped before it is done leaves open which of the two holds, so it is to be driven to its end.
    ///
    /// Late news of an operation that is unknown (or pruned), or of a task that is not that host's, is left out with
    /// a warning in the log.
    ///
    /// # Errors
    /// [`Error::Away`] when it is worth trying again; [`Error::Refused`] when the records contradict what is stored,
    /// such as a second outcome for a task.
    async fn append(&self, records: &[Record]) -> Result<(), Error>;

    /// One operation.
    ///
    /// # Errors
    /// When the store is away or cannot be read.
    async fn operation(&self, id: OperationId) -> Result<Option<OperationSummary>, Error>;

    /// Operations, newest first.
    ///
    /// # Errors
    /// When the store is away or cannot be read.
    async fn operations(&self, query: &OperationQuery) -> Result<Page<OperationSummary>, Error>;

    /// The operation that `requester` asked for under this request id; the newest, should there be several.
    ///
    /// # Errors
    /// When the store is away or cannot be read.
    async fn operation_by_request_id(
        &self,
        requester: &str,
        request_id: &str,
    ) -> Result<Option<OperationSummary>, Error>;

    /// An operation's tasks by index. Nothing for an unknown operation.
    ///
    /// # Errors
    /// When the store is away or cannot be read.
    async fn tasks(&self, operation: OperationId, query: &TaskQuery) -> Result<Page<StoredTask>, Error>;

    /// Some tasks, in the order of their indices; those that there are.
    ///
    /// # Errors
    /// When the store is away or cannot be read.
    async fn tasks_at(&self, operation: OperationId, indices: &[u32]) -> Result<Vec<StoredTask>, Error>;

    /// One task.
    ///
    /// # Errors
    /// When the store is away or cannot be read.
    async fn task(&self, operation: OperationId, index: u32) -> Result<Option<StoredTask>, Error> {
        Ok(self.tasks_at(operation, &[index]).await?.pop())
    }

    /// What changed how an operation stands, oldest first. Nothing for an unknown operation.
    ///
    /// # Errors
    /// When the store is away or cannot be read.
    async fn events(&self, operation: OperationId) -> Result<Vec<OperationEvent>, Error>;

    /// Forgets operations that ended before `before`, and brings the others that have ended into the form in which they
    /// take least room; in steps small enough that appends go on in between.
    ///
    /// # Errors
    /// When the store is away; what was forgotten until then stays forgotten, and the rest can be tried again.
    async fn prune(&self, before: WallTime) -> Result<Pruned, Error>;
}

/// Which operations, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperationQuery {
    /// Only those in this state.
    pub state: Option<OperationState>,
    /// Only those older than this one: the last of the page before.
    pub before: Option<OperationId>,
    /// Most on the page.
    pub limit: u32,
}

/// Which tasks of an operation, and how many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskQuery {
    /// Only those from this index on: one past the last of the page before.
    pub from: u32,
    /// Most on the page.
    pub limit: u32,
    /// Only those that ended with one of these; empty for all, also those that have not ended.
    pub outcomes: Vec<Outcome>,
    /// Only those that ended, and not well.
    pub only_not_well: bool,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// This part.
    pub items: Vec<T>,
    /// Whether more follow.
    pub more: bool,
}

/// An operation without its tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationSummary {
    /// Its id.
    pub id: OperationId,
    /// What was asked.
    pub spec: OperationSpec,
    /// Who asked.
    pub requester: String,
    /// When it started.
    pub created: WallTime,
    /// When it ends at the latest.
    pub deadline: WallTime,
    /// The digest of its set of guests.
    pub digest: u64,
    /// How many hosts those guests are on.
    pub host_count: u32,
    /// How many tasks it has.
    pub task_count: u32,
    /// Where it stands.
    pub state: OperationState,
    /// Drew the guests of its first waves.
    pub seed: u64,
    /// How it stands; of one that was cancelled or has ended, how it stood before.
    pub standing: Standing,
    /// How many tasks each wave has, without guests that were left out; one wave where nothing was asked.
    pub wave_sizes: Vec<u64>,
    /// Tasks by outcome, at [`Outcome::place`].
    pub outcomes: [u64; Outcome::ALL.len()],
    /// Ended tasks by outcome and reason, in the order of outcomes and of words. Does not count what ended before
    /// reasons were counted.
    pub reasons: Vec<(Outcome, Reason, u64)>,
    /// Once ended, the tasks that took longest, by index with their milliseconds, the longest first.
    pub slowest: Vec<(u32, u64)>,
    /// Tasks that ended well.
    pub ended_well: u64,
    /// Late findings beside its outcomes.
    pub late_findings: u64,
    /// The first cancel of the whole operation.
    pub cancelled: Option<Cancelled>,
    /// How it ended.
    pub ended: Option<Ended>,
}

impl OperationSummary {
    /// How many tasks have their outcome.
    pub fn finished(&self) -> u64 {
        self.outcomes.iter().sum()
    }
}

/// Who cancelled an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancelled {
    /// Who asked.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: WallTime,
}

/// The end of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When its last task ended.
    pub at: WallTime,
    /// The last revision that watchers may hold.
    pub revision: u64,
}

/// A task as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTask {
    /// Its index.
    pub index: u32,
    /// The guest.
    pub guest: GuestId,
    /// The guest's name when the operation started.
    pub name: String,
    /// The guest's host when the operation started.
    pub host: HostName,
    /// Its wave, counted from 0; 255 if it was left out.
    pub wave: u8,
    /// Whether its order was handed to the host's stream.
    pub handed: bool,
    /// Who asked to cancel this task by itself, first.
    pub cancelled: Option<Cancelled>,
    /// How it ended, and when the controller learnt it.
    pub verdict: Option<(Verdict, WallTime)>,
    /// Late news, in the order in which it came.
    pub late: Vec<(Verdict, WallTime)>,
}

/// What [`Store::prune`] forgot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Operations.
    pub operations: u64,
    /// Their tasks.
    pub tasks: u64,
}

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk is full or failing, or something else holds the store. Nothing was changed; it is worth trying again.
    #[error("cannot {attempted}: the store is away")]
    Away {
        /// What was attempted.
        attempted: &'static str,
        /// What the store said.
        #[source]
        source: Cause,
    },
    /// The records contradict what is stored. Nothing was changed, and trying again leads here again.
    #[error("cannot {attempted}: {why}")]
    Refused {
        /// What was attempted.
        attempted: &'static str,
        /// The contradiction.
        why: String,
    },
    /// What is stored cannot be understood: the file is damaged, or it is no store.
    #[error(
        "cannot {attempted}: the database cannot be understood; stop the controller, keep a copy of the file, and \
         restore the last backup with `curfew-controller restore`"
    )]
    Corrupt {
        /// What was attempted.
        attempted: &'static str,
        /// What is wrong with it.
        #[source]
        source: Cause,
    },
    /// A newer version of the controller has written it.
    #[error(
        "the database has schema version {found}, and this controller knows versions up to {known}: use the newer \
         controller, or restore a backup made before the upgrade"
    )]
    Newer {
        /// The version found.
        found: i64,
        /// The newest version known.
        known: i64,
    },
    /// Another controller has it open.
    #[error("another controller is using {path}")]
    InUse {
        /// The database.
        path: std::path::PathBuf,
    },
}

/// What lies below an [`Error`].
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

impl Error {
    /// Whether the same may succeed later.
    pub fn is_away(&self) -> bool {
        matches!(self, Error::Away { .. })
    }
}
