//! Nothing waits that could start: whoever waits for its turn does so because a limit is full, and the next wave begins
//! once it may.

use crate::model::Modelled;
use crate::world::World;
use curfew_controller_core::view::TaskView;
use curfew_types::{BetweenWaves, OperationId, OperationState, Stage};

/// Time that the machinery itself may take to begin a wave: a slow append, a tick that comes late.
const SLACK_MS: u64 = 2_000;

impl World {
    /// Checked after a turn, before its records are stored: the core's own views tell what it has decided.
    pub(crate) fn check_nothing_idles(&mut self) {
        let Some(core) = self.controller.core.as_ref().filter(|core| !core.store_is_away()) else { return };
        // A core that asks to be woken at once has more to start: the rest of a slice.
        let now = self.controller.clocks.now(self.t).mono;
        if core.poll_timeout().is_some_and(|(at, _)| at <= now) {
            return;
        }
        // What was written a moment ago is not in the model yet.
        if core.frozen().is_some() || self.model.frozen {
            return;
        }
        let running = core.operations().filter(|view| view.state == OperationState::Running);
        let mut problem = None;
        for view in running {
            let Some(operation) = self.model.operations.get(&view.id) else { continue };
            if operation.state != OperationState::Running {
                continue;
            }
            if self.truth.deadlines.get(&view.id).is_some_and(|deadline| self.t >= *deadline) {
                continue;
            }
            let tasks = core.tasks(view.id, 0, usize::MAX).unwrap_or_default();
            problem = problem
                .or_else(|| task_that_idles(operation, &tasks))
                .or_else(|| self.wave_that_idles(view.id, operation));
        }
        if let Some(text) = problem {
            self.truth.fail(0, text);
        }
    }

    /// A wave that would have begun long ago. What is stored says so, and stays so.
    fn wave_that_idles(&self, id: OperationId, operation: &Modelled) -> Option<String> {
        let next = operation.wave + 1;
        let pause = match operation.started.spec.rollout.between {
            BetweenWaves::Nothing => 0,
            BetweenWaves::Pause(ms) => ms,
            BetweenWaves::Promotion => return None,
        };
        let since = operation.complete_since(next)?.max(operation.free_since).max(self.truth.healthy_since);
        let is_late = self.t > since + pause + SLACK_MS;
        (next <= operation.last_wave() && is_late && operation.overspent(|_| true).is_none())
            .then(|| format!("wave {next} of {id} could have begun since {}", since + pause))
    }
}

fn task_that_idles(operation: &Modelled, tasks: &[TaskView]) -> Option<String> {
    let flies = |index: u32| {
        let stage = tasks[index as usize].stage;
        stage > Stage::Queued && stage < Stage::Done
    };
    let idle = tasks.iter().find(|task| {
        task.waiting_for.starts_with("its turn") && operation.has_room_for(task.id.index, flies)
    })?;
    Some(format!("{} waits for {:?}, and nothing keeps it", idle.id, idle.waiting_for))
}
