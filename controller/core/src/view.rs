//! Operations and tasks as outsiders see them: plain copies, complete in themselves.

use crate::core::Core;
use crate::operation::{Operation, Task, note_slow};
use curfew_types::operation::Standing;
use curfew_types::{
    Amount, GuestId, HostName, Now, OperationId, OperationSpec, OperationState, Outcome, OutcomeClass,
    Reason, SessionCounts, Stage, TaskId, Verdict, WallTime,
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
    /// What operators, budgets and waves have made of it.
    pub standing: Standing,
    /// The seed that drew the guests of the first waves.
    pub seed: u64,
    /// Its waves; empty where there is one.
    pub waves: Vec<WaveView>,
    /// The failure budgets in force.
    pub budgets: Vec<BudgetView>,
    /// What the whole operation waits for, with what to do; empty while tasks run.
    pub waiting_for: String,
    /// Ended tasks by outcome and reason.
    pub reasons: Vec<(Outcome, Reason, u64)>,
}

/// How a wave stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaveView {
    /// How many guests it has.
    pub tasks: u64,
    /// How many of them have their outcome.
    pub ended: u64,
    /// Whether its guests may start.
    pub begun: bool,
}

/// How a failure budget stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetView {
    /// What it counts.
    pub class: OutcomeClass,
    /// As it was given.
    pub budget: Amount,
    /// How many tasks that is.
    pub allowed: u64,
    /// How many tasks ended so.
    pub spent: u64,
}

/// A task that takes long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowTask {
    /// Its place in the operation.
    pub index: u32,
    /// The guest's name.
    pub name: String,
    /// Its host.
    pub host: HostName,
    /// How far it has come.
    pub stage: Stage,
    /// Milliseconds from its order to its outcome, or to now.
    pub elapsed_ms: u64,
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
        self.operations.get(&id).map(|operation| self.view_of(operation))
    }

    /// Every operation in memory, oldest first.
    pub fn operations(&self) -> impl Iterator<Item = OperationView> {
        self.operations.values().map(|operation| self.view_of(operation))
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
        let target = operation.target(index);
        TaskView {
            id: TaskId { operation: operation.id, index },
            guest: target.id.clone(),
            name: target.name.to_string(),
            host: host.name.clone(),
            stage: task.stage,
            cancelable: task.stage != Stage::Done,
            sessions: task.verdict.as_ref().map_or(task.sessions, |verdict| verdict.sessions),
            verdict: task.verdict.as_deref().cloned(),
            waiting_for: if task.stage == Stage::Queued {
                self.task_waits_for(operation, index, task)
            } else {
                String::new()
            },
        }
    }

    /// Whether anything is recorded that changed how the operation stands, or may be; `None` if it is not in memory.
    pub fn has_events(&self, id: OperationId) -> Option<bool> {
        self.operations.get(&id).map(|operation| operation.has_events)
    }

    /// The tasks that run for longest and those that took longest, the longest first, if the operation is in memory.
    pub fn slowest(&self, now: Now, id: OperationId) -> Option<Vec<SlowTask>> {
        let operation = self.operations.get(&id)?;
        // All of them are looked at each time somebody asks: none is moved about that is not among the slowest.
        let mut slow = operation.slowest.clone();
        for (index, task) in (0..).zip(&operation.tasks) {
            if task.handed && task.stage != Stage::Done {
                note_slow(&mut slow, index, now.mono.since(task.since));
            }
        }
        let view = |(index, elapsed_ms)| {
            let task = operation.task(index)?;
            let host = operation.hosts[task.host as usize].name.clone();
            let name = operation.target(index).name.to_string();
            Some(SlowTask { index, name, host, stage: task.stage, elapsed_ms })
        };
        Some(slow.into_iter().filter_map(view).collect())
    }

    fn view_of(&self, operation: &Operation) -> OperationView {
        let begun = |wave: usize| {
            wave <= operation.standing.wave as usize && operation.state != OperationState::AwaitingApproval
        };
        let waves = operation.waves.iter().enumerate().filter(|_| operation.waves.len() > 1);
        let budgets = OutcomeClass::ALL.into_iter().filter_map(|class| {
            let budget = operation.standing.budgets.of(class)?;
            let allowed = operation.allowed(class, &operation.standing.budgets)?;
            Some(BudgetView { class, budget, allowed, spent: operation.spent(class) })
        });
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
            standing: operation.standing.clone(),
            seed: operation.seed,
            waves: waves
                .map(|(place, wave)| WaveView { tasks: wave.tasks, ended: wave.ended, begun: begun(place) })
                .collect(),
            budgets: budgets.collect(),
            waiting_for: self.operation_waits_for(operation),
            reasons: operation
                .reasons
                .iter()
                .map(|((outcome, reason), tasks)| (*outcome, *reason, *tasks))
                .collect(),
        }
    }
}
