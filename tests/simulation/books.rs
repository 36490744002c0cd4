//! A reference model of an operation's books, kept by a watcher who sees only what is published and resumes where it
//! was: counters equal a recount, the percentage never goes back, revisions grow, and no change is missed.

use crate::world::World;
use curfew_controller_core::Core;
use curfew_controller_core::view::{OperationView, TaskView};
use curfew_types::{OperationId, OperationState, Stage};
use std::collections::BTreeMap;

/// What is published: an operation as it stood at the end of a turn.
pub(crate) struct Snapshot {
    pub(crate) operation: OperationView,
    pub(crate) tasks: Vec<TaskView>,
}

impl Snapshot {
    pub(crate) fn of(core: &Core, id: OperationId) -> Option<Snapshot> {
        Some(Snapshot { operation: core.operation(id)?, tasks: core.tasks(id, 0, usize::MAX)? })
    }
}

/// Somebody who follows an operation.
#[derive(Default)]
pub(crate) struct Watcher {
    revision: u64,
    digest: u64,
    percent: u32,
    tasks: BTreeMap<u32, TaskView>,
}

impl Watcher {
    /// Follows as if it had seen nothing, but still expects no step back.
    pub(crate) fn begin_anew(&mut self) {
        self.revision = 0;
        self.tasks.clear();
    }
}

impl World {
    /// Lets watchers resume from what they saw last, and compares with the whole.
    pub(crate) fn check_watchers(&mut self, published: &[Snapshot]) {
        let Some(core) = &self.controller.core else { return };
        for snapshot in published {
            let id = snapshot.operation.id;
            let watcher = self.truth.watchers.entry(id).or_default();
            let Some(changed) = core.changed_tasks(id, watcher.revision) else { continue };
            // A set that was asked to be approved anew has other tasks.
            if std::mem::replace(&mut watcher.digest, snapshot.operation.digest) != snapshot.operation.digest
            {
                watcher.tasks.clear();
            }
            for task in changed {
                watcher.tasks.insert(task.id.index, task);
            }
            let stands = |task: &TaskView| (task.id, task.stage, task.sessions, task.verdict.clone());
            let seen: Vec<_> = watcher.tasks.values().map(stands).collect();
            let whole: Vec<_> = snapshot.tasks.iter().map(stands).collect();
            watcher.revision = snapshot.operation.revision;
            if seen != whole {
                let text = format!("a watcher of {id} saw {seen:?}, but it stands at {whole:?}");
                self.truth.violation.get_or_insert(crate::truth::Violation { invariant: 0, text });
            }
        }
    }

    /// Checks what is published against a recount, against what was published before, and against the store.
    pub(crate) fn check_published(&mut self, snapshot: &Snapshot) {
        let view = &snapshot.operation;
        let watcher = self.truth.watchers.entry(view.id).or_default();
        if view.percent() < watcher.percent {
            let text = format!("{} went back from {} to {} %", view.id, watcher.percent, view.percent());
            self.truth.violation.get_or_insert(crate::truth::Violation { invariant: 1, text });
        }
        watcher.percent = view.percent();
        for task in &snapshot.tasks {
            let Some(verdict) = &task.verdict else { continue };
            match self.truth.published.get(&task.id) {
                Some(before) if before != verdict => {
                    let text = format!("{} ended as {before:?} and then as {verdict:?}", task.id);
                    self.truth.fail(1, text);
                }
                Some(_) => {}
                None => {
                    self.truth.published.insert(task.id, verdict.clone());
                }
            }
            let kept = self.controller.disk.operations.get(&view.id);
            if kept.is_none_or(|kept| kept.finished.get(&task.id.index) != Some(verdict)) {
                self.truth.fail(3, format!("{} is published as {verdict:?}, which is not stored", task.id));
            }
        }
        if let Err(text) = recount(view, &snapshot.tasks) {
            self.truth.fail(0, text);
        }
        let checked = self.model.check_view(view);
        self.truth.hold(checked);
    }
}

fn recount(view: &OperationView, tasks: &[TaskView]) -> Result<(), String> {
    let (mut outcomes, mut stages, mut well) = ([0_u64; 9], [0_u64; 8], 0);
    for task in tasks {
        match (&task.verdict, task.stage) {
            (Some(verdict), Stage::Done) => {
                outcomes[verdict.outcome.place()] += 1;
                well += u64::from(verdict.ended_well());
            }
            (None, stage) if stage != Stage::Done => stages[stage as usize] += 1,
            (verdict, stage) => return Err(format!("{} is at {stage:?} with {verdict:?}", task.id)),
        }
    }
    let complete = outcomes.iter().sum::<u64>() == tasks.len() as u64;
    let consistent = (view.outcomes, view.stages, view.ended_well, view.tasks)
        == (outcomes, stages, well, tasks.len() as u64)
        && (view.state == OperationState::Ended) == complete
        && (view.percent() == 100) == complete
        && view.ended.is_some() == complete;
    if consistent { Ok(()) } else { Err(format!("the books of {view:?} do not fit its tasks {tasks:?}")) }
}
