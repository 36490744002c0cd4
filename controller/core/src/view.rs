//! Operations and tasks as outsiders see them: plain copies, complete in themselves.

use crate::core::Core;
use crate::operation::{Operation, Task};
use curfew_types::{
    GuestId, HostName, OperationId, OperationSpec, OperationState, SessionCounts, Stage, TaskId, Verdict,
    WallTime,
};

/// An operation as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationView {
    /// Its id.
    pub id: OperationId,
    /// What was asked.
    pub spec: OperationSpec,
    /// Who asked.
    pub requester: String,
    /// Where it stands.
    pub state: OperationState,
    /// When it started.
    pub created: WallTime,
    /// When it ends at the latest.
    pub deadline: WallTime,
    /// When its last task ended.
    pub ended: Option<WallTime>,
    /// How many tasks it has.
    pub tasks: u64,
    /// Ended tasks by [`curfew_types::Outcome::place`].
    pub outcomes: [u64; 9],
    /// Unfinished tasks by stage, in the order of [`Stage::ALL`].
    pub stages: [u64; 8],
    /// Tasks that ended well.
    pub ended_well: u64,
    /// The digest of its set of guests.
    pub digest: u64,
    /// Grows with every change.
    pub revision: u64,
    /// Late findings stored for its tasks.
    pub late_findings: u64,
    /// Who asked for the cancel, if anybody did.
    pub cancelled_by: Option<String>,
}

impl OperationView {
    /// Terminal tasks over all, rounded down; 100 only when all are.
    pub fn percent(&self) -> u32 {
        let done: u64 = self.outcomes.iter().sum();
        u32::try_from(done * 100 / self.tasks.max(1)).unwrap_or(100)
    }
}

/// A task as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskView {
    /// Its id.
    pub id: TaskId,
    /// The guest.
    pub guest: GuestId,
    /// The guest's name when the operation started.
    pub name: String,
    /// The host.
    pub host: HostName,
    /// How far it has come.
    pub stage: Stage,
    /// Whether a cancel can still change anything.
    pub cancelable: bool,
    /// Sessions so far, or the verdict's.
    pub sessions: SessionCounts,
    /// How it ended.
    pub verdict: Option<Verdict>,
    /// What it waits for while queued, in words.
    pub waiting_for: String,
}

impl Core {
    /// The operation, if it is in memory: every one that has not ended is.
    pub fn operation(&self, id: OperationId) -> Option<OperationView> {
        self.operations.get(&id).map(view_of)
    }

    /// The operation's revision, if it is in memory.
    pub fn operation_revision(&self, id: OperationId) -> Option<u64> {
        self.operations.get(&id).map(|operation| operation.revision)
    }

    /// Every operation in memory, oldest first.
    pub fn operations(&self) -> impl Iterator<Item = OperationView> {
        self.operations.values().map(view_of)
    }

    /// The task, if its operation is in memory.
    pub fn task(&self, id: TaskId) -> Option<TaskView> {
        let operation = self.operations.get(&id.operation)?;
        operation.task(id.index).map(|task| self.task_view(operation, id.index, task))
    }

    /// Tasks from `from` on, at most `limit`, if the operation is in memory.
    pub fn tasks(&self, id: OperationId, from: u32, limit: usize) -> Option<Vec<TaskView>> {
        let operation = self.operations.get(&id)?;
        let tasks = operation.tasks.iter().enumerate().skip(from as usize).take(limit);
        Some(
            tasks
                .filter_map(|(index, task)| Some(self.task_view(operation, index.try_into().ok()?, task)))
                .collect(),
        )
    }

    /// Tasks that changed after `revision`, if the operation is in memory.
    pub fn changed_tasks(&self, id: OperationId, revision: u64) -> Option<Vec<TaskView>> {
        let operation = self.operations.get(&id)?;
        // A revision of another epoch says nothing about this one: everything may have changed.
        let all = revision >> 32 != operation.revision >> 32;
        let indices: Vec<u32> = if all {
            (0..u32::try_from(operation.tasks.len()).unwrap_or(u32::MAX)).collect()
        } else {
            operation.changed_since(revision).collect()
        };
        let view = |index| operation.task(index).map(|task| self.task_view(operation, index, task));
        Some(indices.into_iter().filter_map(view).collect())
    }

    fn task_view(&self, operation: &Operation, index: u32, task: &Task) -> TaskView {
        let host = &operation.hosts[task.host as usize];
        TaskView {
            id: TaskId { operation: operation.id, index },
            guest: task.guest.clone(),
            name: task.name.to_string(),
            host: host.name.clone(),
            stage: task.stage,
            cancelable: task.stage != Stage::Done,
            sessions: task.verdict.as_ref().map_or(task.sessions, |verdict| verdict.sessions),
            verdict: task.verdict.as_deref().cloned(),
            waiting_for: if task.stage == Stage::Queued {
                self.waiting_for(operation, index, task)
            } else {
                String::new()
            },
        }
    }

    fn waiting_for(&self, operation: &Operation, index: u32, task: &Task) -> String {
        let own = TaskId { operation: operation.id, index };
        if let Some(other) = self.busy.get(&task.guest).filter(|other| **other != own) {
            return format!("task {other} of the same guest");
        }
        let host = &operation.hosts[task.host as usize].name;
        if !self.fleet.is_connected(host) {
            return format!("host {host} to connect");
        }
        if self.store_away {
            return "the store to come back".into();
        }
        match operation.spec.max_in_flight {
            Some(limit) => format!("its turn: at most {limit} tasks run at a time"),
            None => "its turn".into(),
        }
    }
}

fn view_of(operation: &Operation) -> OperationView {
    OperationView {
        id: operation.id,
        spec: operation.spec.clone(),
        requester: operation.requester.clone(),
        state: operation.state,
        created: operation.created,
        deadline: operation.deadline_wall,
        ended: operation.ended,
        tasks: operation.tasks.len() as u64,
        outcomes: operation.outcomes,
        stages: operation.stages,
        ended_well: operation.ended_well,
        digest: operation.digest,
        revision: operation.revision,
        late_findings: operation.late_findings,
        cancelled_by: operation.cancelled_by.clone(),
    }
}
