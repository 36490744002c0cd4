//! Cancelling: nothing new starts, what was handed over is taken back and confirmed task by task.

use crate::core::{Core, PlantedBug};
use crate::operation::Recall;
use crate::record::{CancelScope, Record};
use crate::view::{OperationView, TaskView};
use curfew_types::{Now, OperationId, OperationState, Outcome, Reason, Stage, StatusCode, TaskId, Verdict};
use std::collections::BTreeMap;

/// Why something cannot be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CancelError {
    /// It is not among the unfinished ones; the shell asks the store whether it ever was.
    #[error("it is not running")]
    NotInMemory,
    /// It has ended (`E_FAIL`).
    #[error("it has ended and cannot be cancelled")]
    Ended,
}

impl Core {
    /// Cancels an operation. Asking again is no error.
    ///
    /// # Errors
    /// When it is not in memory or has ended.
    pub fn cancel_operation(
        &mut self,
        now: Now,
        id: OperationId,
        by: &str,
        reason: &str,
    ) -> Result<OperationView, CancelError> {
        let operation = self.operations.get_mut(&id).ok_or(CancelError::NotInMemory)?;
        match operation.state {
            OperationState::Ended => return Err(CancelError::Ended),
            OperationState::Cancelling => {}
            OperationState::Running
            | OperationState::AwaitingApproval
            | OperationState::Paused
            | OperationState::Halted => {
                operation.state = OperationState::Cancelling;
                operation.cancelled_by = Some(by.into());
                operation.revision += 1;
                let (by, reason) = (by.to_owned(), reason.to_owned());
                let scope = CancelScope::Operation;
                self.record(Record::CancelRequested { operation: id, scope, by, reason, at: now.wall });
            }
        }
        let count = self.operations.get(&id).map_or(0, |operation| operation.tasks.len());
        self.take_back(now, id, 0..u32::try_from(count).unwrap_or(u32::MAX));
        self.operation(id).ok_or(CancelError::NotInMemory)
    }

    /// `IVMTask.Cancel`. Asking again before the task has ended is no error.
    ///
    /// # Errors
    /// When its operation is not in memory, or the task has ended (`E_FAIL`).
    pub fn cancel_task(&mut self, now: Now, id: TaskId, by: &str) -> Result<TaskView, CancelError> {
        let operation = self.operations.get(&id.operation).ok_or(CancelError::NotInMemory)?;
        let task = operation.task(id.index).ok_or(CancelError::NotInMemory)?;
        if task.stage == Stage::Done {
            return Err(CancelError::Ended);
        }
        if task.recall != Recall::Cancel {
            let scope = CancelScope::Task(id.index);
            let (operation, by, reason) = (id.operation, by.to_owned(), String::new());
            self.record(Record::CancelRequested { operation, scope, by, reason, at: now.wall });
        }
        self.take_back(now, id.operation, id.index..id.index + 1);
        self.task(id).ok_or(CancelError::NotInMemory)
    }

    /// Ends what never left, and asks the agents to take back the rest.
    pub(crate) fn take_back(&mut self, now: Now, id: OperationId, tasks: std::ops::Range<u32>) {
        let careless = self.planted(PlantedBug::CancelConfirmsWithoutAsking);
        let mut asked: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for index in tasks {
            let Some(operation) = self.operations.get_mut(&id) else { return };
            let Some(task) = operation.task(index).filter(|task| task.stage != Stage::Done) else { continue };
            let (handed, place) = (task.handed, task.host);
            if handed && !careless {
                operation.update(index, |task| task.recall = Recall::Cancel);
                asked.entry(place).or_default().push(index);
            } else {
                let why = "cancelled before an order was handed over";
                let verdict = Verdict::new(Outcome::Cancelled, StatusCode::Ok, Reason::NotStarted, why);
                self.finish(TaskId { operation: id, index }, verdict);
            }
        }
        for (place, tasks) in asked {
            self.send_cancel(id, place, &tasks, false);
            self.repeat_later(now, id, place);
        }
        self.touch(id);
        self.settle(now);
    }
}
