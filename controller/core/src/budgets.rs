//! Failure budgets: once more tasks ended in a class than its budget allows, the operation is halted.
//!
//! Nothing more starts, orders that no agent has accepted are taken back, what runs finishes, and an operator decides.

use crate::core::{Core, PlantedBug};
use crate::operation::Recall;
use curfew_types::operation::EventKind;
use curfew_types::{Now, OperationId, OperationState, OutcomeClass, Stage};
use std::collections::BTreeMap;

impl Core {
    /// Halts an operation whose budget is spent while something of it could still start.
    pub(crate) fn check_budgets(&mut self, now: Now, id: OperationId) {
        let Some(operation) = self.operations.get_mut(&id) else { return };
        // A paused one keeps its own word: it is halted when it is resumed without a larger budget.
        let could_start = operation.state == OperationState::Running;
        let is_open =
            operation.stages[Stage::Queued as usize] + operation.stages[Stage::Ordered as usize] > 0;
        if !could_start || !is_open || self.planted(PlantedBug::IgnoresBudgets) {
            return;
        }
        let Some(operation) = self.operations.get_mut(&id) else { return };
        let Some((class, allowed, spent)) = operation.overspent(&operation.standing.budgets) else { return };
        operation.state = OperationState::Halted;
        operation.standing.state = OperationState::Halted;
        operation.standing.why = spent_in_words(class, allowed, spent);
        let why = operation.standing.why.clone();
        self.steer(now, id, EventKind::Halted, None, why);
        self.withdraw_unaccepted(now, id);
    }

    /// Takes back the orders of an operation that no agent has accepted yet.
    pub(crate) fn withdraw_unaccepted(&mut self, now: Now, id: OperationId) {
        let Some(operation) = self.operations.get_mut(&id) else { return };
        let mut by_host: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (index, task) in (0..).zip(&mut operation.tasks) {
            if task.handed && task.stage == Stage::Ordered && task.recall == Recall::No {
                task.recall = Recall::Withdraw;
                by_host.entry(task.host).or_default().push(index);
            }
        }
        for (place, tasks) in by_host {
            self.send_cancel(id, place, &tasks, true);
            self.repeat_later(now, id, place);
        }
    }
}

/// How a spent budget is told.
pub(crate) fn spent_in_words(class: OutcomeClass, allowed: u64, spent: u64) -> String {
    format!("{spent} tasks ended as {}, and the budget is {allowed}", class.as_str())
}
