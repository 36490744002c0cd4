//! One operation in memory: its tasks, where each stands, and counters that agree with them at every moment.
//!
//! It keeps books; it decides nothing.

use crate::change_log::ChangeLog;
use crate::record::Started;
use curfew_types::{
    GuestId, HostName, Mono, OperationId, OperationSpec, OperationState, SessionCounts, Stage, Verdict,
    WallTime,
};
use std::collections::VecDeque;
use std::sync::Arc;

/// An operation that has not ended, or ended a moment ago.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) id: OperationId,
    pub(crate) spec: OperationSpec,
    pub(crate) requester: String,
    pub(crate) created: WallTime,
    /// Since when this process has known it: time before that counts against no host.
    pub(crate) since: Mono,
    pub(crate) deadline: Mono,
    pub(crate) deadline_wall: WallTime,
    pub(crate) digest: u64,
    pub(crate) state: OperationState,
    pub(crate) cancelled_by: Option<String>,
    pub(crate) ended: Option<WallTime>,
    pub(crate) hosts: Vec<OperationHost>,
    pub(crate) tasks: Vec<Task>,
    /// Places of hosts that may have queued tasks and are connected, in the order of their turns.
    pub(crate) ready: VecDeque<u32>,
    /// Tasks between ordered and done.
    pub(crate) in_flight: u32,
    /// Ended tasks by outcome.
    pub(crate) outcomes: [u64; 9],
    /// Unfinished tasks by stage.
    pub(crate) stages: [u64; 8],
    /// Tasks that ended well.
    pub(crate) ended_well: u64,
    pub(crate) late_findings: u64,
    pub(crate) revision: u64,
    changes: ChangeLog,
}

/// A host's part in an operation.
#[derive(Debug)]
pub(crate) struct OperationHost {
    pub(crate) name: HostName,
    pub(crate) first: u32,
    pub(crate) count: u32,
    /// Its tasks that wait for their turn. Entries of tasks that ended meanwhile are passed over.
    pub(crate) queue: VecDeque<u32>,
    /// Whether it stands in [`Operation::ready`].
    pub(crate) in_ready: bool,
    /// When what it has not confirmed is said again; `None` while nothing is outstanding or it is away.
    pub(crate) repeat_at: Option<Mono>,
}

/// One guest's logoff.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) guest: GuestId,
    pub(crate) name: Arc<str>,
    pub(crate) host: u32,
    pub(crate) stage: Stage,
    /// It is to be taken back.
    pub(crate) cancel: bool,
    /// An order was handed to the host's stream, or is about to be.
    pub(crate) handed: bool,
    /// When an outcome must have come; meaningful once handed.
    pub(crate) until: Mono,
    pub(crate) sessions: SessionCounts,
    pub(crate) verdict: Option<Box<Verdict>>,
    pub(crate) revision: u64,
}

impl Operation {
    /// The operation as it started, every task queued.
    pub(crate) fn new(started: &Started, since: Mono, deadline: Mono, first_revision: u64) -> Operation {
        let mut hosts = Vec::with_capacity(started.hosts.len());
        let mut tasks = Vec::with_capacity(started.task_count() as usize);
        for (place, target) in (0_u32..).zip(&started.hosts) {
            let count = u32::try_from(target.guests.len()).unwrap_or(u32::MAX);
            hosts.push(OperationHost {
                name: target.host.clone(),
                first: target.first,
                count,
                queue: (target.first..target.first + count).collect(),
                in_ready: false,
                repeat_at: None,
            });
            tasks.extend(target.guests.iter().map(|guest| Task {
                guest: guest.id.clone(),
                name: guest.name.as_str().into(),
                host: place,
                stage: Stage::Queued,
                cancel: false,
                handed: false,
                until: Mono::default(),
                sessions: SessionCounts::default(),
                verdict: None,
                revision: first_revision,
            }));
        }
        let mut stages = [0; 8];
        stages[Stage::Queued as usize] = tasks.len() as u64;
        Operation {
            id: started.id,
            spec: started.spec.clone(),
            requester: started.requester.clone(),
            created: started.created,
            since,
            deadline,
            deadline_wall: started.deadline,
            digest: started.digest,
            state: OperationState::Running,
            cancelled_by: None,
            ended: None,
            hosts,
            tasks,
            ready: VecDeque::new(),
            in_flight: 0,
            outcomes: [0; 9],
            stages,
            ended_well: 0,
            late_findings: 0,
            revision: first_revision,
            changes: ChangeLog::default(),
        }
    }

    /// The task at `index`.
    pub(crate) fn task(&self, index: u32) -> Option<&Task> {
        self.tasks.get(index as usize)
    }

    /// The indices of a host's tasks.
    pub(crate) fn tasks_of(&self, host: u32) -> std::ops::Range<u32> {
        self.hosts.get(host as usize).map_or(0..0, |host| host.first..host.first + host.count)
    }

    /// The place of the host with this name.
    pub(crate) fn place_of(&self, name: &HostName) -> Option<u32> {
        let place = self.hosts.binary_search_by(|host| host.name.cmp(name)).ok()?;
        u32::try_from(place).ok()
    }

    /// Whether every task has its outcome.
    pub(crate) fn is_complete(&self) -> bool {
        self.outcomes.iter().sum::<u64>() == self.tasks.len() as u64
    }

    /// Changes the task at `index` and keeps the books; nothing happens to a task that has ended.
    pub(crate) fn update(&mut self, index: u32, change: impl FnOnce(&mut Task)) {
        let Some(task) = self.tasks.get_mut(index as usize) else { return };
        if task.stage == Stage::Done {
            return;
        }
        let before = task.stage;
        change(task);
        let (after, verdict) = (task.stage, task.verdict.as_deref());
        self.stages[before as usize] -= 1;
        match verdict {
            Some(verdict) if after == Stage::Done => {
                self.outcomes[verdict.outcome.place()] += 1;
                self.ended_well += u64::from(verdict.ended_well());
            }
            _ => self.stages[after as usize] += 1,
        }
        let flies = |stage: Stage| stage > Stage::Queued && stage < Stage::Done;
        self.in_flight = (self.in_flight + u32::from(flies(after))).saturating_sub(u32::from(flies(before)));
        self.touch(index);
    }

    /// Notes that something about the task at `index` changed.
    pub(crate) fn touch(&mut self, index: u32) {
        self.revision += 1;
        let revision = self.revision;
        if let Some(task) = self.tasks.get_mut(index as usize) {
            task.revision = revision;
        }
        let tasks = &self.tasks;
        self.changes.push(revision, index, tasks.len(), |index| latest(tasks, index));
    }

    /// Tasks that changed after `revision`, oldest change first.
    pub(crate) fn changed_since(&self, revision: u64) -> impl Iterator<Item = u32> {
        self.changes.since(revision, |index| latest(&self.tasks, index))
    }
}

fn latest(tasks: &[Task], index: u32) -> u64 {
    tasks.get(index as usize).map_or(0, |task| task.revision)
}
