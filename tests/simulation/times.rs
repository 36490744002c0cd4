//! Invariant 7 and what else runs out: nothing outlives its time, and no time is over early, whatever a wall clock is set
//! to while the machine runs. After a reboot the wall clock is all there is.

use crate::network::HEARTBEAT_MS;
use crate::world::World;
use curfew_controller_core::record::Record;
use curfew_types::operation::EventKind;
use curfew_types::{OperationId, OperationState, Reason, TaskId};

/// Time past a limit that the machinery itself may take: a tick that comes late, a slow append.
const SLACK_MS: u64 = 2_000;

impl World {
    /// After each event: no operation outlives its deadline while controller and store are there.
    pub(crate) fn check_deadlines(&mut self) {
        if !self.controller.is_up() || self.controller.store_is_away {
            return;
        }
        let over = |id: &&OperationId| {
            let Some(deadline) = self.truth.deadlines.get(id).map(|at| at + HEARTBEAT_MS) else {
                return false;
            };
            self.t > deadline.max(self.truth.healthy_since + 2 * HEARTBEAT_MS) + SLACK_MS
        };
        let late = self.truth.open.iter().find(over).copied();
        if let Some(id) = late {
            self.truth.fail(7, format!("{id} is past its deadline and has not ended"));
        }
    }

    /// A controller begins: what is stored tells when everything is due.
    pub(crate) fn read_times_again(&mut self) {
        let (clocks, disk, t) = (&self.controller.clocks, &self.controller.disk, self.t);
        let left_until = |wall| disk.left_until(wall, clocks.boot, clocks.now(t));
        for (id, kept) in disk.operations.iter().filter(|(_, kept)| !kept.ended) {
            let left = left_until(kept.started.deadline).min(kept.started.spec.deadline_ms);
            self.truth.deadlines.insert(*id, t + left);
            if let Some(until) = kept.started.standing.approval_until {
                self.truth.approvals_due.insert(*id, t + left_until(until).min(left));
            }
            for (index, until) in &kept.handed {
                let due = t + left_until(*until).min(left + HEARTBEAT_MS);
                self.truth.orders_due.insert(TaskId { operation: *id, index: *index }, due);
            }
        }
    }

    /// A record that was written at `at`: it sets a time, or says that one is over.
    pub(crate) fn check_times(&mut self, at: u64, record: &Record) {
        let expires_ms = self.plan.approval.expires_ms;
        #[allow(clippy::wildcard_enum_match_arm, reason = "the others have no time")]
        match record {
            Record::Started(started) => {
                let deadline = at + started.spec.deadline_ms;
                self.truth.deadlines.insert(started.id, deadline);
                if started.standing.state == OperationState::AwaitingApproval {
                    self.truth.approvals_due.insert(started.id, deadline.min(at + expires_ms));
                }
            }
            Record::Steered { operation, event, .. } if event.what == EventKind::SetGrew => {
                let deadline = self.truth.deadlines.get(operation).copied().unwrap_or(at);
                self.truth.approvals_due.insert(*operation, deadline.min(at + expires_ms));
            }
            Record::Steered { operation, event, .. } if event.what == EventKind::ApprovalExpired => {
                let due = self.truth.approvals_due.get(operation).copied();
                self.check_not_early(at, due, *operation, "its approval");
            }
            Record::Handed { operation, tasks, until, .. } => {
                let clocks = &self.controller.clocks;
                let due = at + self.controller.disk.left_until(*until, clocks.boot, clocks.now(at));
                let ids = tasks.iter().map(|index| TaskId { operation: *operation, index: *index });
                self.truth.orders_due.extend(ids.map(|id| (id, due)));
            }
            Record::Finished { operation, tasks, .. } => {
                for (index, verdict) in tasks {
                    let id = TaskId { operation: *operation, index: *index };
                    let (due, what) = match verdict.reason {
                        Reason::DeadlineBeforeStart => (self.truth.deadlines.get(operation), "its deadline"),
                        Reason::NoReport => (self.truth.orders_due.get(&id), "an order"),
                        _ => continue,
                    };
                    self.check_not_early(at, due.copied(), *operation, what);
                }
            }
            _ => {}
        }
    }

    fn check_not_early(&mut self, at: u64, due: Option<u64>, operation: OperationId, what: &str) {
        if let Some(due) = due.filter(|due| at < *due && !self.truth.forgotten.contains(&operation)) {
            let early = due - at;
            self.truth.fail(7, format!("{operation} gives {what} up {early} ms before its time is over"));
        }
    }
}
