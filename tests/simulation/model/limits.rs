//! What may be handed over at the same time, and how much may go wrong before nothing more is.

use super::{Broken, Model, Modelled, broken};
use curfew_types::{Amount, GuestId, OperationId, OperationState, Reason, TaskId};
use std::collections::HashMap;

/// A limit among `total` guests: shares round up, and nothing is 0.
pub(super) fn limit(amount: Amount, total: usize) -> u64 {
    let total = total as u64;
    match amount {
        Amount::Number(number) => u64::from(number).max(1),
        Amount::Percent(percent) => {
            let exact = total * u64::from(percent);
            (exact / 100 + u64::from(!exact.is_multiple_of(100))).max(1)
        }
    }
}

/// A budget among `total` guests: shares round down.
pub(super) fn budget(amount: Amount, total: usize) -> u64 {
    match amount {
        Amount::Number(number) => number.into(),
        Amount::Percent(percent) => total as u64 * u64::from(percent) / 100,
    }
}

impl Model {
    /// An order is about to be handed over.
    pub(super) fn take_handed(&mut self, id: OperationId, index: u32) -> Result<(), Broken> {
        let (frozen, held) = (self.frozen, &self.held);
        let Some(operation) = self.operations.get_mut(&id) else { return Ok(()) };
        let (state, wave) = (operation.state, operation.wave);
        let task = &mut operation.tasks[index as usize];
        let id = TaskId { operation: id, index };
        if frozen {
            return broken(4, format!("{id} was started while the fleet was frozen"));
        }
        if state != OperationState::Running {
            return broken(4, format!("{id} was started while its operation was {}", state.as_str()));
        }
        if u32::from(task.wave) > wave {
            return broken(4, format!("{id} is of wave {}, and was started in wave {wave}", task.wave));
        }
        if held.contains(&task.guest) {
            return broken(6, format!("{id} was started, and its guest {} is held", task.guest));
        }
        if let Some(end) = task.ended {
            return broken(10, format!("{id} was started, and has ended already: {end:?}"));
        }
        if std::mem::replace(&mut task.handed, true) {
            return broken(10, format!("{id} was handed over twice"));
        }
        self.handed.push((id.operation, index));
        Ok(())
    }

    /// No limit is exceeded by what was handed over.
    pub(super) fn check_limits(&self, handed: &[(OperationId, u32)]) -> Result<(), Broken> {
        for (id, index) in handed {
            let Some(operation) = self.operations.get(id) else { continue };
            if let Some(exceeded) = operation.exceeded_by(*index) {
                return broken(4, format!("{id}/{index} was started, and now {exceeded}"));
            }
        }
        if handed.is_empty() {
            return Ok(());
        }
        let mut busy: HashMap<&GuestId, TaskId> = HashMap::new();
        for (id, operation) in &self.operations {
            for (index, task) in (0..).zip(&operation.tasks).filter(|(_, task)| task.in_flight()) {
                let task_id = TaskId { operation: *id, index };
                if let Some(other) = busy.insert(&task.guest, task_id) {
                    return broken(4, format!("{other} and {task_id} have the same guest at the same time"));
                }
            }
        }
        Ok(())
    }

    /// Nothing was handed over on a spent budget, and an operation whose budget is spent does not go on.
    pub(super) fn check_budgets(&self, handed: &[(OperationId, u32)]) -> Result<(), Broken> {
        for (id, index) in handed {
            let Some(operation) = self.operations.get(id) else { continue };
            // What is found out while tasks are started counts from the next one on, whose place in the order of
            // this call is not written down.
            let found_on_the_way = [Reason::Moved, Reason::Conflict];
            let known = |end: &super::End| end.call < self.calls || !found_on_the_way.contains(&end.reason);
            if let Some(class) = operation.overspent(known) {
                let what = class.as_str();
                return broken(4, format!("{id}/{index} was started on a spent budget for {what}"));
            }
        }
        let going_on = self.operations.iter().filter(|(_, operation)| {
            operation.state == OperationState::Running
                && operation.tasks.iter().any(|task| !task.handed && task.ended.is_none())
        });
        for (id, operation) in going_on {
            if let Some(class) = operation.overspent(|_| true) {
                let what = class.as_str();
                return broken(4, format!("{id} runs on, and its budget for {what} is spent"));
            }
        }
        Ok(())
    }
}

impl Modelled {
    /// Which limit the tasks in flight exceed, of those that this task counts against.
    fn exceeded_by(&self, index: u32) -> Option<String> {
        let own = &self.tasks[index as usize];
        let rollout = &self.started.spec.rollout;
        let in_flight = |counts: &dyn Fn(&super::ModelTask) -> bool| {
            self.tasks.iter().filter(|task| task.in_flight() && counts(task)).count() as u64
        };
        let all = in_flight(&|_| true);
        let limit = self.started.spec.max_in_flight.map(|amount| limit(amount, self.tasks.len()));
        if limit.is_some_and(|limit| all > limit) {
            return Some(format!("{all} are under way, more than {limit:?}"));
        }
        let here = in_flight(&|task| task.host == own.host);
        if rollout.max_per_host.is_some_and(|limit| here > u64::from(limit)) {
            return Some(format!("{here} are under way on its host, more than {:?}", rollout.max_per_host));
        }
        let alike = in_flight(&|task| task.rack == own.rack);
        let max = rollout.spread.first().map(|spread| spread.max);
        max.is_some_and(|max| alike > u64::from(max))
            .then(|| format!("{alike} of rack {:?} are under way, more than {max:?}", own.rack))
    }

    /// Whether every limit has room for this task, as far as `flies` tells which tasks are under way.
    pub(crate) fn has_room_for(&self, index: u32, flies: impl Fn(u32) -> bool) -> bool {
        let own = &self.tasks[index as usize];
        let rollout = &self.started.spec.rollout;
        let flying: Vec<_> =
            (0..).zip(&self.tasks).filter(|(at, _)| flies(*at)).map(|(_, task)| task).collect();
        let count = |alike: &dyn Fn(&super::ModelTask) -> bool| {
            flying.iter().filter(|task| alike(task)).count() as u64
        };
        let room = |limit: Option<u64>, count: u64| limit.is_none_or(|limit| count < limit);
        room(self.started.spec.max_in_flight.map(|amount| limit(amount, self.tasks.len())), count(&|_| true))
            && room(rollout.max_per_host.map(u64::from), count(&|task| task.host == own.host))
            && room(rollout.spread.first().map(|one| one.max.into()), count(&|task| task.rack == own.rack))
    }
}
