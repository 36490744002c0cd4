//! Orders: which are taken, which are refused, and which have been taken before.

use crate::core::{Core, PlantedBug};
use crate::ledger::Entry;
use crate::run::{Phase, Run, key};
use crate::verdicts;
use curfew_types::agent::{Finding, Order, OrderedTask, PROTECTED_USERS, SafeguardsMark};
use curfew_types::logoff::{CAPABILITY_DRAIN, CAPABILITY_FILTERS, CAPABILITY_FORCE, CAPABILITY_NOTICE};
use curfew_types::{GuestId, Mono, Now, Outcome, Reason, StatusCode, TaskId, Verdict};
use std::sync::Arc;

/// Options this agent knows, as an order names them. The plain logoff needs none.
pub const CAPABILITIES: &[&str] =
    &[PROTECTED_USERS, CAPABILITY_FILTERS, CAPABILITY_NOTICE, CAPABILITY_FORCE, CAPABILITY_DRAIN];

/// Most unfinished tasks: several operations over the largest inventory. Orders beyond are left unaccepted, and the
/// controller says them again.
const RUNS_MAX: usize = 40_000;

impl Core {
    pub(crate) fn handle_order(&mut self, now: Now, order: Order) {
        let operation = order.operation;
        if order.epoch < self.epoch_seen && !self.planted(PlantedBug::TakesOldEpoch) {
            let (epoch, seen) = (order.epoch, self.epoch_seen);
            self.note(
                true,
                format!("refused an order of {operation}: its epoch {epoch} is older than {seen}"),
            );
            return;
        }
        if order.remaining_ms == 0 && !self.planted(PlantedBug::IgnoresExpiry) {
            self.note(true, format!("refused an order of {operation}: its time was over when it came"));
            return;
        }
        let (needed, own) = (order.safeguards, self.guarding.taken.mark);
        if needed > own {
            // They are on their way; the controller says what was not accepted again.
            let of = |mark: SafeguardsMark| format!("{}.{}", mark.epoch, mark.revision);
            let (needed, own) = (of(needed), of(own));
            let why =
                format!("it was given under safeguards {needed}, and {own} are the newest that came here");
            self.note(false, format!("left an order of {operation}: {why}"));
            return;
        }
        if order.epoch > self.epoch_seen {
            self.epoch_seen = order.epoch;
            self.write(Entry::EpochSeen { epoch: order.epoch });
        }
        let unknown =
            order.required_capabilities.iter().find(|name| !CAPABILITIES.contains(&name.as_str())).cloned();
        let mut fresh: Vec<OrderedTask> = Vec::new();
        for task in order.tasks {
            let id = key(operation, task.index);
            if self.runs.contains_key(&id) {
                self.tell_progress(id);
            } else if self.finished.contains_key(&id) && !self.planted(PlantedBug::RunsFinishedTaskAgain) {
                self.say_outcome_again(id);
            } else if self.is_held(&task.guest) {
                self.conclude(now, id, task.guest, verdicts::held(), false);
            } else if let Some(option) = &unknown {
                let why = format!("this agent does not know the option {option:?}; upgrade it");
                let code = StatusCode::AdditionsFeatureNotAvail;
                let verdict = Verdict::new(Outcome::Refused, code, Reason::UnsupportedOption, why);
                self.conclude(now, id, task.guest, verdict, false);
            } else if self.stopping {
                let why = "the agent is shutting down";
                let verdict =
                    Verdict::new(Outcome::Refused, StatusCode::AppShuttingDown, Reason::ShuttingDown, why);
                self.conclude(now, id, task.guest, verdict, false);
            } else if self.runs.len() + fresh.len() < RUNS_MAX {
                fresh.push(task);
            }
        }
        if fresh.is_empty() {
            return;
        }
        let ignores_expiry = self.planted(PlantedBug::IgnoresExpiry);
        let expires = if ignores_expiry { Mono(u64::MAX) } else { now.mono.plus(order.remaining_ms) };
        let logoff = Arc::new(order.logoff);
        self.write(Entry::Accepted {
            operation,
            boot: self.boot.clone(),
            at: now.mono,
            expires,
            task_timeout_ms: order.task_timeout_ms,
            logoff: Arc::clone(&logoff),
            tasks: fresh.clone(),
        });
        for task in fresh {
            let run = Run::new(task.guest, now.mono, expires, order.task_timeout_ms, Arc::clone(&logoff));
            self.enqueue(now, key(operation, task.index), run);
        }
    }

    /// Puts a run into its guest's queue, and begins it if the guest is free.
    pub(crate) fn enqueue(&mut self, now: Now, id: TaskId, mut run: Run) {
        run.phase = Phase::Waiting;
        let queue = self.queues.entry(run.guest.clone()).or_default();
        queue.push_back(id);
        let is_first = queue.len() == 1;
        self.runs.insert(id, Box::new(run));
        self.tell_progress(id);
        if is_first {
            self.begin(now, id);
        }
    }

    /// The controller asks again for what is done: it is told again, unless that is on its way already.
    pub(crate) fn say_outcome_again(&mut self, id: TaskId) {
        if self.outbox.holds_outcome(id.operation, id.index) {
            return;
        }
        let Some(remembered) = self.finished.get(&id) else { return };
        let finding = Finding {
            operation: id.operation,
            index: id.index,
            guest: remembered.guest.clone(),
            verdict: remembered.verdict.clone(),
            late: false,
        };
        self.say(finding, false);
    }

    /// Puts a finding beside an outcome into the ledger and the outbox.
    pub(crate) fn say(&mut self, finding: Finding, closes_follow_up: bool) {
        let sequence = self.outbox.next_sequence();
        self.write(Entry::Said { finding: finding.clone(), sequence, closes_follow_up });
        self.outbox.push(finding);
    }

    /// Remembers a task that never ran here as cancelled, so that a late order for it finds that.
    pub(crate) fn bury(&mut self, now: Now, id: TaskId, guest: GuestId) {
        let why = "cancelled before the order reached the agent";
        let verdict = Verdict::new(Outcome::Cancelled, StatusCode::Ok, Reason::NotStarted, why);
        self.conclude(now, id, guest, verdict, false);
        if self.planted(PlantedBug::ForgetsCancelOfUnknownTask) {
            self.finished.remove(&id);
        }
    }
}
