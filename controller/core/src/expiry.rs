//! Time running out: for orders, for hosts that are away, for whole operations. Never while the store is away.

use crate::core::{Core, PlantedBug};
use crate::timer::Timer;
use curfew_types::{Now, OperationId, OperationState, Outcome, Reason, Stage, StatusCode, TaskId, Verdict};

impl Core {
    pub(crate) fn handle_timers(&mut self, now: Now) {
        if self.store_away && !self.planted(PlantedBug::TimesOutWhileStoreIsAway) {
            return;
        }
        while let Some(timer) = self.timers.take_due(now.mono) {
            match timer {
                Timer::OrdersOver { operation, host } => self.orders_over(now, timer, operation, host),
                Timer::HostAway { operation, host } => self.host_away(now, timer, operation, host),
                Timer::Repeat { operation, host } => self.repeat_due(now, operation, host),
                Timer::Deadline { operation } => self.deadline(operation),
                Timer::Forget { operation } => self.forget(operation),
                Timer::NextWave { operation } | Timer::GoOn { operation } => self.touch(operation),
                Timer::Approval { operation } => self.approval_over(now, operation),
                Timer::HoldsOver => self.release_expired(now),
            }
        }
    }

    /// The store is back: reports that waited in the agents' outboxes come first, time runs out after that.
    pub(crate) fn handle_store_back(&mut self, now: Now) {
        self.store_away = false;
        self.quiet_until = self.quiet_until.max(now.mono.plus(self.settings.heartbeat_ms));
        let unfinished: Vec<OperationId> = self.operations.keys().copied().collect();
        for operation in unfinished {
            self.touch(operation);
        }
    }

    fn is_quiet(&mut self, now: Now, timer: Timer) -> bool {
        let quiet = now.mono < self.quiet_until && !self.planted(PlantedBug::TimesOutWhileStoreIsAway);
        if quiet {
            self.timers.set(self.quiet_until, timer);
        }
        quiet
    }

    fn orders_over(&mut self, now: Now, timer: Timer, id: OperationId, place: u32) {
        if self.is_quiet(now, timer) {
            return;
        }
        for index in self.handed_tasks(id, place) {
            let Some(operation) = self.operations.get(&id) else { return };
            if operation.task(index).is_some_and(|task| task.until <= now.mono) {
                let host = &operation.hosts[place as usize].name;
                let why = format!("the order was handed to host {host}, and no outcome came in time");
                let verdict = Verdict::new(Outcome::Unknown, StatusCode::Unexpected, Reason::NoReport, why);
                self.finish(TaskId { operation: id, index }, verdict);
            }
        }
    }

    fn host_away(&mut self, now: Now, timer: Timer, id: OperationId, place: u32) {
        let Some(operation) = self.operations.get(&id) else { return };
        let name = &operation.hosts[place as usize].name;
        let Some(host) = self.fleet.hosts.get(name) else { return };
        // While nothing may start, no host's absence counts; it is looked at again once something may.
        if operation.state != OperationState::Running || self.freeze.is_some() {
            return;
        }
        let since = host.away_since.max(operation.since).max(operation.startable_since);
        let within = operation.spec.deliver_within_ms;
        if host.session.is_some() || now.mono < since.plus(within) {
            return;
        }
        let why = format!("host {name} was not connected within {} s", within / 1000);
        if self.is_quiet(now, timer) {
            return;
        }
        for index in self.begun_tasks(id, place) {
            let verdict =
                Verdict::new(Outcome::Unreachable, StatusCode::TimedOut, Reason::HostOffline, why.as_str());
            self.finish(TaskId { operation: id, index }, verdict);
        }
    }

    /// What has not started is skipped. What runs is stopped by the agents, whose orders end with the operation;
    /// what they do not confirm ends as unknown one heartbeat later, by the orders' own timers.
    fn deadline(&mut self, id: OperationId) {
        if self.planted(PlantedBug::IgnoresDeadline) {
            return;
        }
        let Some(operation) = self.operations.get(&id) else { return };
        let queued = |(index, task): (usize, &crate::operation::Task)| {
            (task.stage == Stage::Queued).then(|| u32::try_from(index).ok()).flatten()
        };
        let queued: Vec<u32> = operation.tasks.iter().enumerate().filter_map(queued).collect();
        let (reason, why) = match operation.state {
            OperationState::Halted => (
                Reason::BudgetSpent,
                "the operation was halted when its deadline came: a failure budget was spent",
            ),
            OperationState::AwaitingApproval => {
                (Reason::NotApproved, "the operation's deadline came before it was approved")
            }
            OperationState::Running
            | OperationState::Paused
            | OperationState::Cancelling
            | OperationState::Ended => {
                (Reason::DeadlineBeforeStart, "the operation's deadline came before its turn")
            }
        };
        for index in queued {
            let verdict = Verdict::new(Outcome::Skipped, StatusCode::Ok, reason, why);
            self.finish(TaskId { operation: id, index }, verdict);
        }
    }

    fn forget(&mut self, id: OperationId) {
        if self.operations.get(&id).is_some_and(|operation| operation.state == OperationState::Ended) {
            self.operations.remove(&id);
            self.busy.forget(id);
        }
    }
}
