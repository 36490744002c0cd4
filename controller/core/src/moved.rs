//! Guests that move to another host while a task of theirs runs: the task is taken back, and ends as moved.
//!
//! It is not sent to the other host: whoever is logged on there was not part of what this task found.

use crate::core::Core;
use crate::operation::Recall;
use curfew_types::{GuestId, HostName, Now, Outcome, Reason, StatusCode, TaskId, Verdict};
use std::sync::Arc;

impl Core {
    /// Takes back the running tasks of guests that another host runs now.
    pub(crate) fn recall_moved(&mut self, now: Now, guests: &[GuestId]) {
        let moved: Vec<TaskId> = guests.iter().filter_map(|guest| self.moved_task(guest)).collect();
        for id in moved {
            let Some(operation) = self.operations.get_mut(&id.operation) else { continue };
            let place = operation.tasks[id.index as usize].host;
            operation.update(id.index, |task| task.recall = Recall::Moved);
            self.send_cancel(id.operation, place, &[id.index], false);
            self.repeat_later(now, id.operation, place);
            self.touch(id.operation);
        }
    }

    /// The task that has a guest, if another host than its own runs the guest now and nobody has taken it back yet.
    fn moved_task(&self, guest: &GuestId) -> Option<TaskId> {
        let id = self.holder(guest)?;
        let operation = self.operations.get(&id.operation)?;
        let task = operation.task(id.index)?;
        let is_open = matches!(task.recall, Recall::No | Recall::Withdraw);
        let host = &operation.hosts[task.host as usize].name;
        (is_open && self.fleet.moved_to(guest, host).is_some()).then_some(id)
    }

    /// What an agent says of a guest that it no longer has, seen from the fleet: the guest is not gone, it has moved.
    pub(crate) fn as_moved(
        &self,
        name: &HostName,
        guest: &GuestId,
        recall: Recall,
        verdict: Arc<Verdict>,
    ) -> Arc<Verdict> {
        // What can mean that the guest is elsewhere; of everything else nothing is looked up. What was cancelled because somebody
        // asked for that says why already.
        let tells_of_a_move = match (verdict.outcome, verdict.reason) {
            (Outcome::Cancelled, _) => recall != Recall::Cancel,
            (Outcome::Refused, Reason::GuestUnknown | Reason::NotRunning | Reason::AgentUnavailable)
            | (Outcome::Succeeded, Reason::GuestStopped)
            | (Outcome::Failed, Reason::Unverified | Reason::Moved)
            | (Outcome::TimedOut, Reason::GuestSilent) => true,
            _ => false,
        };
        if !tells_of_a_move {
            return verdict;
        }
        let other = self.fleet.moved_to(guest, name);
        // One that was taken back for it has moved, even if it is back by now.
        if other.is_none() && recall != Recall::Moved {
            return verdict;
        }
        let before = match (verdict.outcome, verdict.reason) {
            (Outcome::Cancelled, Reason::NotStarted) => true,
            (Outcome::Cancelled, _) => false,
            _ if other.is_none() => return verdict,
            (Outcome::Refused, Reason::GuestUnknown | Reason::NotRunning | Reason::AgentUnavailable) => true,
            (Outcome::Succeeded, Reason::GuestStopped) => false,
            (Outcome::Failed, Reason::Unverified | Reason::Moved) => false,
            (Outcome::TimedOut, Reason::GuestSilent) => false,
            _ => return verdict,
        };
        let place = other.map_or_else(|| "another host".to_owned(), |other| format!("host {other}"));
        let (outcome, code) = if before {
            (Outcome::Refused, StatusCode::VmUnknown)
        } else {
            (Outcome::Failed, StatusCode::Unexpected)
        };
        let why = format!("the guest moved to {place} meanwhile: {}", verdict.message);
        let moved = Verdict::new(outcome, code, Reason::Moved, why);
        Arc::new(moved.with_sessions(verdict.sessions, verdict.results.clone()))
    }
}
