//! The reference: what a store must know after some records, kept in the simplest way.

use crate::build::place_of;
use curfew_controller::store::{Cancelled, Ended, OperationSummary, StoredTask};
use curfew_controller_core::record::{CancelScope, Record, RecoveredOperation, Started};
use curfew_types::operation::{OperationEvent, Standing};
use curfew_types::{OperationId, OperationState, Outcome, WallTime};
use std::collections::BTreeMap;

/// Every operation that was not pruned.
#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) operations: BTreeMap<OperationId, Operation>,
}

/// An operation, task by task.
#[derive(Clone)]
pub(crate) struct Operation {
    pub(crate) started: Started,
    pub(crate) tasks: Vec<StoredTask>,
    until: BTreeMap<u32, WallTime>,
    cancelled: Option<Cancelled>,
    standing: Standing,
    pub(crate) events: Vec<OperationEvent>,
    slowest: Vec<(u32, u64)>,
    pub(crate) ended: Option<Ended>,
}

impl Model {
    /// Takes one record that is in order.
    pub(crate) fn apply(&mut self, record: &Record) {
        match record {
            Record::Started(started) => {
                self.operations.insert(started.id, Operation::new(started));
            }
            Record::Replanned(started) => {
                let operation = self.known(started.id);
                let events = std::mem::take(&mut operation.events);
                *operation = Operation { events, ..Operation::new(started) };
            }
            Record::Steered { operation, event, standing } => {
                let operation = self.known(*operation);
                operation.events.push(event.clone());
                operation.standing = standing.clone();
            }
            Record::Handed { operation, tasks, until, .. } => {
                let operation = self.known(*operation);
                for index in tasks {
                    operation.tasks[*index as usize].handed = true;
                    operation.until.insert(*index, *until);
                }
            }
            Record::Finished { operation, tasks, at, .. } => {
                let operation = self.known(*operation);
                for (index, verdict) in tasks {
                    operation.tasks[*index as usize].verdict = Some((verdict.as_ref().clone(), *at));
                }
            }
            Record::Late { operation, index, verdict, at, .. } => {
                if let Some(operation) = self.operations.get_mut(operation) {
                    operation.tasks[*index as usize].late.push((verdict.as_ref().clone(), *at));
                }
            }
            Record::CancelRequested { operation, scope, by, reason, at } => {
                let cancelled = Cancelled { by: by.clone(), reason: reason.clone(), at: *at };
                let operation = self.known(*operation);
                let place = match scope {
                    CancelScope::Operation => &mut operation.cancelled,
                    CancelScope::Task(index) => &mut operation.tasks[*index as usize].cancelled,
                };
                place.get_or_insert(cancelled);
            }
            Record::Ended { operation, at, revision, slowest } => {
                let operation = self.known(*operation);
                operation.ended = Some(Ended { at: *at, revision: *revision });
                operation.slowest.clone_from(slowest);
            }
            other => panic!("the model knows operations only: {other:?}"),
        }
    }

    /// Forgets what ended before `before`.
    pub(crate) fn prune(&mut self, before: WallTime) {
        self.operations.retain(|_, operation| operation.ended.is_none_or(|ended| ended.at >= before));
    }

    /// What a restart must find.
    pub(crate) fn recovered(&self) -> Vec<RecoveredOperation> {
        let unfinished = self.operations.values().filter(|operation| operation.ended.is_none());
        unfinished.map(Operation::recovered).collect()
    }

    fn known(&mut self, id: OperationId) -> &mut Operation {
        self.operations.get_mut(&id).expect("a known operation")
    }
}

impl Operation {
    fn new(started: &Started) -> Operation {
        let task = |index| {
            let host = &started.hosts[place_of(started, index) as usize];
            let guest = &host.guests[(index - host.first) as usize];
            StoredTask {
                index,
                guest: guest.id.clone(),
                name: guest.name.to_string(),
                host: host.host.clone(),
                wave: guest.wave,
                handed: false,
                cancelled: None,
                verdict: None,
                late: Vec::new(),
            }
        };
        Operation {
            started: started.clone(),
            tasks: (0..started.task_count()).map(task).collect(),
            until: BTreeMap::new(),
            cancelled: None,
            standing: started.standing.clone(),
            events: Vec::new(),
            slowest: Vec::new(),
            ended: None,
        }
    }

    /// Whether it may still get other guests.
    pub(crate) fn is_waiting(&self) -> bool {
        let touched = |task: &StoredTask| {
            task.handed || task.cancelled.is_some() || task.verdict.is_some() || !task.late.is_empty()
        };
        self.standing.state == OperationState::AwaitingApproval
            && self.cancelled.is_none()
            && !self.tasks.iter().any(touched)
    }

    /// The recount that the store's counters must equal.
    pub(crate) fn summary(&self) -> OperationSummary {
        let mut outcomes = [0; Outcome::ALL.len()];
        let mut reasons = BTreeMap::new();
        let mut waves = BTreeMap::new();
        let verdicts = || self.tasks.iter().filter_map(|task| task.verdict.as_ref());
        for (verdict, _) in verdicts() {
            outcomes[verdict.outcome.place()] += 1;
            let reason = (verdict.outcome.place(), verdict.reason.as_str());
            reasons.entry(reason).or_insert((verdict.outcome, verdict.reason, 0)).2 += 1;
        }
        for task in &self.tasks {
            *waves.entry(task.wave).or_default() += 1;
        }
        let started = &self.started;
        OperationSummary {
            id: started.id,
            spec: started.spec.clone(),
            requester: started.requester.clone(),
            created: started.created,
            deadline: started.deadline,
            digest: started.digest,
            host_count: u32::try_from(started.hosts.len()).expect("a count"),
            task_count: started.task_count(),
            state: match (&self.cancelled, self.ended) {
                (_, Some(_)) => OperationState::Ended,
                (Some(_), None) => OperationState::Cancelling,
                (None, None) => self.standing.state,
            },
            seed: started.seed,
            standing: self.standing.clone(),
            wave_sizes: waves.into_values().collect(),
            reasons: reasons.into_values().collect(),
            slowest: self.slowest.clone(),
            outcomes,
            ended_well: verdicts().filter(|(verdict, _)| verdict.ended_well()).count() as u64,
            late_findings: self.late_findings(),
            cancelled: self.cancelled.clone(),
            ended: self.ended,
        }
    }

    fn late_findings(&self) -> u64 {
        self.tasks.iter().map(|task| task.late.len() as u64).sum()
    }

    fn recovered(&self) -> RecoveredOperation {
        let ended = |task: &StoredTask| task.verdict.clone().map(|(verdict, _)| (task.index, verdict));
        RecoveredOperation {
            started: Started { standing: self.standing.clone(), ..self.started.clone() },
            handed: self.until.iter().map(|(index, until)| (*index, *until)).collect(),
            finished: self.tasks.iter().filter_map(ended).collect(),
            cancelled_by: self.cancelled.as_ref().map(|cancelled| cancelled.by.clone()),
            cancelled_tasks: self
                .tasks
                .iter()
                .filter(|task| task.cancelled.is_some())
                .map(|task| task.index)
                .collect(),
            late_findings: self.late_findings(),
        }
    }
}
