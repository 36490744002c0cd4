//! Beginning again after a restart: every unfinished operation goes on where the store says it stood.

use crate::core::{Core, PlantedBug, Settings};
use crate::fleet::Fleet;
use crate::operation::Recall;
use crate::record::{ClockFrame, Record, Recovered, RecoveredOperation};
use crate::safeguards::Guard;
use crate::timer::Timer;
use curfew_types::{Now, OperationState, Stage, TaskId};
use std::sync::Arc;

impl Core {
    /// A core that goes on from what the store knows. Its first action raises the epoch; drain and append before
    /// anything else is done.
    pub fn recover(now: Now, settings: Settings, mut recovered: Recovered) -> Core {
        let epoch = recovered.epoch + 1;
        let guard = Guard::recover(&mut recovered);
        let fleet = Fleet::recover(now, recovered.hosts, recovered.guest_labels);
        // Agents come back within one heartbeat (the longest they back off) and report within another.
        let quiet_until = now.mono.plus(2 * settings.heartbeat_ms);
        let same_boot = |clock: &ClockFrame| clock.boot == settings.boot && clock.boot != 0;
        let known = recovered.clock.filter(same_boot);
        let clock = known.unwrap_or_else(|| ClockFrame::of(settings.boot, now));
        let mut core = Core::with(settings, epoch, clock, fleet, quiet_until);
        core.record(Record::EpochRaised { epoch });
        if known.is_none() {
            core.record(Record::ClockSet { clock });
        }
        core.guard = guard;
        core.freeze = recovered.freeze.filter(|_| !core.planted(PlantedBug::ForgetsFreezeAfterRestart));
        core.wake_for_holds(now);
        for operation in recovered.operations {
            core.resume(now, operation);
        }
        // What a hard freeze cancelled before the restart is cancelled still: nothing was ordered since.
        if core.freeze.as_ref().is_some_and(|freeze| freeze.hard) {
            core.cancel_what_runs(now);
        }
        core.settle(now);
        core
    }

    fn resume(&mut self, now: Now, row: RecoveredOperation) {
        let id = row.started.id;
        let framed = self.clock.wall(now.mono);
        // After a reboot the frame is the wall clock's: set back, it must not prolong an operation beyond what was asked for.
        let remaining = row.started.deadline.remaining_from(framed).min(row.started.spec.deadline_ms);
        let deadline = now.mono.plus(remaining);
        let mut operation = self.build_operation(&row.started, now.mono, deadline, self.epoch << 32);
        operation.late_findings = row.late_findings;
        // What an earlier process recorded of it is in the store alone.
        operation.has_events = true;
        // Its guests were looked up in another process's fleet: each is looked up again.
        operation.planned_at = u64::MAX;
        for (index, until) in row.handed {
            let life = remaining + self.settings.heartbeat_ms;
            let left = until.remaining_from(framed).min(life);
            operation.update(index, |task| {
                task.stage = Stage::Ordered;
                task.handed = true;
                task.since = now.mono;
                task.until = now.mono.plus(left);
            });
        }
        for (index, verdict) in row.finished {
            operation.update(index, |task| {
                task.stage = Stage::Done;
                task.sessions = verdict.sessions;
                task.verdict = Some(Arc::new(verdict));
            });
        }
        for index in row.cancelled_tasks {
            operation.update(index, |task| task.recall = Recall::Cancel);
        }
        for (index, task) in (0..).zip(&operation.tasks) {
            if task.handed && task.stage != Stage::Done {
                self.busy.take(&operation.target(index).id, TaskId { operation: id, index });
                self.timers.set(task.until, Timer::OrdersOver { operation: id, host: task.host });
            }
        }
        if self.planted(PlantedBug::ForgetsInFlightAfterRestart) {
            operation.lanes.in_flight = 0;
        }
        self.timers.set(deadline, Timer::Deadline { operation: id });
        let cancelled = row.cancelled_by.is_some();
        if cancelled {
            operation.state = OperationState::Cancelling;
            operation.cancelled_by = row.cancelled_by;
        }
        let one_by_one: Vec<u32> = (0..)
            .zip(&operation.tasks)
            .filter(|(_, task)| task.recall == Recall::Cancel)
            .map(|(i, _)| i)
            .collect();
        let count = u32::try_from(operation.tasks.len()).unwrap_or(u32::MAX);
        self.timers.set(now.mono, Timer::Approval { operation: id });
        let halted = operation.state == OperationState::Halted;
        self.keep(operation);
        self.make_hosts_ready(now, id);
        if halted {
            self.withdraw_unaccepted(now, id);
        }
        // A cancel that was recorded is carried on: what never left ends now, the rest is asked for on attaching.
        if cancelled {
            self.take_back(now, id, 0..count);
        }
        for index in one_by_one {
            self.take_back(now, id, index..index + 1);
        }
        self.touch(id);
    }
}
