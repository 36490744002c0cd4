//! What a task or a whole operation waits for, in words, with the command that goes on from there.

use crate::core::Core;
use crate::operation::{Operation, OperationHost, Task};
use curfew_types::rollout::BetweenWaves;
use curfew_types::{OperationState, Stage, TaskId};

impl Core {
    /// What an operation waits for: what keeps it from starting anything or, if nothing runs, the hosts that are away.
    pub(crate) fn operation_waits_for(&self, operation: &Operation) -> String {
        let of_all = self.waits_for(operation);
        let has_queued = operation.stages[Stage::Queued as usize] > 0;
        if !of_all.is_empty() || !has_queued || operation.lanes.in_flight > 0 {
            return of_all;
        }
        let away = |(place, host): &(u32, &OperationHost)| {
            operation.lanes.has_queued(*place) && !self.fleet.is_connected(&host.name)
        };
        let away: Vec<_> = (0..).zip(&operation.hosts).filter(away).collect();
        match away.as_slice() {
            [] => String::new(),
            [(_, host)] => format!("host {} to connect", host.name),
            [(_, host), rest @ ..] => format!("host {} and {} more to connect", host.name, rest.len()),
        }
    }

    /// What a queued task waits for.
    pub(crate) fn task_waits_for(&self, operation: &Operation, index: u32, task: &Task) -> String {
        let own = TaskId { operation: operation.id, index };
        if let Some(other) = self.holder(&operation.target(index).id).filter(|other| *other != own) {
            return format!("task {other} of the same guest");
        }
        let host = &operation.hosts[task.host as usize].name;
        if !self.fleet.is_connected(host) {
            return format!("host {host} to connect");
        }
        let of_all = self.waits_for(operation);
        if !of_all.is_empty() {
            return of_all;
        }
        if !operation.has_begun(task) {
            return format!("wave {} of {} to begin", u32::from(task.wave) + 1, operation.waves.len());
        }
        match operation.lanes.full_limit(task.lane) {
            Some(limit) => format!("its turn: {limit}"),
            None => "its turn".into(),
        }
    }

    /// What keeps the whole operation from starting anything, in words; empty if nothing does.
    fn waits_for(&self, operation: &Operation) -> String {
        let (id, why) = (operation.id, &operation.standing.why);
        match operation.state {
            OperationState::AwaitingApproval => {
                return format!("a second person's approval ({why}): `curfew operation approve {id}`");
            }
            OperationState::Paused => return format!("an operator ({why}): `curfew operation resume {id}`"),
            OperationState::Halted => {
                return format!("an operator ({why}): resume {id} with a larger budget, or cancel it");
            }
            OperationState::Cancelling => return "agents to confirm the cancel".into(),
            OperationState::Ended => return String::new(),
            OperationState::Running => {}
        }
        let blocked = self.blocked_by();
        if !blocked.is_empty() {
            return blocked;
        }
        if operation.has_next_wave() && operation.wave_is_complete() {
            let next = format!("wave {} of {}", operation.standing.wave + 2, operation.waves.len());
            return match operation.spec.rollout.between {
                BetweenWaves::Promotion => {
                    format!("somebody to begin {next}: `curfew operation promote {id}`")
                }
                BetweenWaves::Pause(ms) => format!("the pause of {} s before {next}", ms / 1000),
                BetweenWaves::Nothing => String::new(),
            };
        }
        String::new()
    }
}
