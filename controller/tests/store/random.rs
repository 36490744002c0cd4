//! Random turns, restarts and prunings, each checked against the model.

use crate::build::{BEGIN, finish, late, place_of, standing, start, started, steer, verdict};
use crate::conformance::Place;
use crate::model::{Model, Operation};
use curfew_controller::store::{Store, TaskQuery};
use curfew_controller_core::record::{CancelScope, Record, Started};
use curfew_types::operation::EventKind;
use curfew_types::{OperationState, WallTime};
use proptest::prelude::*;
use std::sync::Arc;

/// What may happen next. Numbers are reduced to what is there, so that every step is in order.
#[derive(Clone, Debug)]
enum Step {
    Start {
        guests: Vec<u32>,
        waiting: bool,
    },
    Replan {
        operation: usize,
        guests: Vec<u32>,
    },
    Steer {
        operation: usize,
        state: usize,
    },
    Hand {
        operation: usize,
        first: u32,
        count: u32,
    },
    Finish {
        operation: usize,
        first: u32,
        every: u32,
        kind: u8,
    },
    Late {
        operation: usize,
        task: u32,
        kind: u8,
    },
    Cancel {
        operation: usize,
        task: Option<u32>,
    },
    /// Whatever is open ends, and with it the operation.
    End {
        operation: usize,
    },
    /// The turn is over: everything since the last one is appended at once.
    Turn,
    Restart,
    Prune,
}

fn step() -> impl Strategy<Value = Step> {
    let operation = || 0_usize..6;
    let guests = || prop::collection::vec(0_u32..300, 1..5);
    prop_oneof![
        2 => (guests(), any::<bool>()).prop_map(|(guests, waiting)| Step::Start { guests, waiting }),
        1 => (operation(), guests()).prop_map(|(operation, guests)| Step::Replan { operation, guests }),
        2 => (operation(), 0_usize..4).prop_map(|(operation, state)| Step::Steer { operation, state }),
        2 => (operation(), any::<u32>(), 0_u32..400)
            .prop_map(|(operation, first, count)| Step::Hand { operation, first, count }),
        6 => (operation(), any::<u32>(), 1_u32..40, any::<u8>())
            .prop_map(|(operation, first, every, kind)| Step::Finish { operation, first, every, kind }),
        2 => (operation(), any::<u32>(), any::<u8>())
            .prop_map(|(operation, task, kind)| Step::Late { operation, task, kind }),
        1 => (operation(), prop::option::of(any::<u32>()))
            .prop_map(|(operation, task)| Step::Cancel { operation, task }),
        1 => operation().prop_map(|operation| Step::End { operation }),
        6 => Just(Step::Turn),
        1 => Just(Step::Restart),
        1 => Just(Step::Prune),
    ]
}

/// A sequence of turns as it unfolds.
#[derive(Default)]
struct Run {
    model: Model,
    turn: Vec<Record>,
    begun: u64,
    now: u64,
}

impl Run {
    fn at(&self) -> WallTime {
        BEGIN.plus(self.now)
    }

    fn push(&mut self, record: Record) {
        self.model.apply(&record);
        self.turn.push(record);
    }

    /// An operation that is there, unfinished ones only if `open`.
    fn pick(&self, number: usize, open: bool) -> Option<Operation> {
        let fits = |operation: &&Operation| !open || operation.ended.is_none();
        let fitting: Vec<&Operation> = self.model.operations.values().filter(fits).collect();
        (!fitting.is_empty()).then(|| fitting[number % fitting.len()].clone())
    }

    /// Adds what the step says to the turn.
    fn act(&mut self, step: &Step) {
        self.now += 1;
        let at = self.at();
        match step {
            Step::Start { guests, waiting } => {
                self.begun += 1;
                let mut begun = started(self.begun, &not_empty(guests));
                if *waiting {
                    begun.standing = standing(OperationState::AwaitingApproval);
                }
                self.push(start(&begun));
            }
            Step::Replan { operation, guests } => {
                let Some(picked) = self.pick(*operation, true).filter(Operation::is_waiting) else { return };
                let Started { id, spec, created, .. } = picked.started;
                let standing = standing(OperationState::AwaitingApproval);
                let other = started(self.now, &not_empty(guests));
                self.push(Record::Replanned(Box::new(Started { id, spec, created, standing, ..other })));
            }
            Step::Steer { operation, state } => {
                let Some(picked) = self.pick(*operation, true) else { return };
                let (what, state) = [
                    (EventKind::Resumed, OperationState::Running),
                    (EventKind::Paused, OperationState::Paused),
                    (EventKind::Halted, OperationState::Halted),
                    (EventKind::SetGrew, OperationState::AwaitingApproval),
                ][*state];
                self.push(steer(picked.started.id, what, &standing(state), at));
            }
            Step::Hand { operation, first, count } => {
                let Some(picked) = self.pick(*operation, true) else { return };
                let size = picked.started.task_count();
                let first = first % size;
                let tasks: Vec<u32> = (first..size.min(first + count)).collect();
                let host = place_of(&picked.started, first);
                self.push(Record::Handed { operation: picked.started.id, host, tasks, until: at });
            }
            Step::Finish { operation, first, every, kind } => {
                let Some(picked) = self.pick(*operation, true) else { return };
                let from = (first % picked.started.task_count()) as usize;
                self.finish(&picked, from, *every as usize, *kind);
            }
            Step::Late { operation, task, kind } => {
                let Some(picked) = self.pick(*operation, false) else { return };
                let index = task % picked.started.task_count();
                self.push(late(&picked.started, index, verdict(*kind), at));
            }
            Step::Cancel { operation, task } => {
                let Some(picked) = self.pick(*operation, true) else { return };
                let scope = match task {
                    Some(task) => CancelScope::Task(task % picked.started.task_count()),
                    None => CancelScope::Operation,
                };
                let (by, reason) = (format!("user-{}", self.now), "enough".to_owned());
                self.push(Record::CancelRequested { operation: picked.started.id, scope, by, reason, at });
            }
            Step::End { operation } => {
                let Some(picked) = self.pick(*operation, true) else { return };
                self.finish(&picked, 0, 1, 0);
                let slowest = vec![(0, self.now)];
                self.push(Record::Ended { operation: picked.started.id, at, revision: self.now, slowest });
            }
            Step::Turn | Step::Restart | Step::Prune => {}
        }
    }

    fn finish(&mut self, picked: &Operation, from: usize, every: usize, kind: u8) {
        let open = picked.tasks[from..].iter().step_by(every).filter(|task| task.verdict.is_none());
        let kinds = (0..=u8::MAX).cycle().map(|n| verdict(kind.wrapping_add(n / 16)));
        let tasks: Vec<_> = open.map(|task| task.index).zip(kinds).collect();
        for record in finish(&picked.started, &tasks, self.at()) {
            self.push(record);
        }
    }
}

/// At least one guest.
fn not_empty(guests: &[u32]) -> Vec<u32> {
    let mut guests = guests.to_vec();
    guests[0] += 1;
    guests
}

/// Runs random sequences on stores that `new` makes.
pub(crate) fn the_store_agrees_with_the_model<P: Place>(new: impl Fn() -> P) {
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    proptest!(config, |(steps in prop::collection::vec(step(), 1..80))| {
        runtime.block_on(async {
            let place = new();
            let mut store = place.open().await;
            let mut run = Run::default();
            for step in steps.iter().chain([&Step::Turn, &Step::Restart]) {
                run.act(step);
                if matches!(step, Step::Turn | Step::Restart | Step::Prune) {
                    store.append(&std::mem::take(&mut run.turn)).await.expect("an append");
                }
                match step {
                    Step::Prune => {
                        let before = BEGIN.plus(run.now.saturating_sub(10));
                        store.prune(before).await.expect("a pruning");
                        run.model.prune(before);
                    }
                    Step::Restart => {
                        drop(store);
                        store = place.open().await;
                        check(&store, &run.model).await;
                    }
                    _ => {}
                }
            }
        });
    });
}

async fn check(store: &Arc<dyn Store>, model: &Model) {
    assert_eq!(store.load().await.expect("a load").operations, model.recovered());
    for (id, operation) in &model.operations {
        assert_eq!(store.operation(*id).await.expect("an answer"), Some(operation.summary()));
        assert_eq!(store.events(*id).await.expect("events"), operation.events);
        let all = TaskQuery { limit: u32::MAX, ..TaskQuery::default() };
        assert_eq!(store.tasks(*id, &all).await.expect("tasks").items, operation.tasks);
        let not_well = TaskQuery { only_not_well: true, ..all };
        let expected: Vec<_> = operation
            .tasks
            .iter()
            .filter(|task| task.verdict.as_ref().is_some_and(|(verdict, _)| !verdict.ended_well()))
            .cloned()
            .collect();
        assert_eq!(store.tasks(*id, &not_well).await.expect("tasks").items, expected);
    }
}
