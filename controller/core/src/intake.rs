//! What an agent's report means: progress moves a task forward, a finding ends it once, anything later is late news.

use crate::action::{Action, Frame};
use crate::core::{Core, PlantedBug};
use crate::operation::{Recall, Task};
use crate::record::Record;
use curfew_types::agent::{Finding, Report, TaskProgress};
use curfew_types::{HostName, NotRunning, Now, Outcome, Reason, Stage, StatusCode, TaskId, Verdict};
use std::sync::Arc;

/// A report about what is not the reporter's.
struct Foreign(String);

impl Core {
    pub(crate) fn handle_report(&mut self, now: Now, name: &HostName, session: u64, report: Report) {
        let Some(host) = self.fleet.hosts.get_mut(name).filter(|host| host.session == Some(session)) else {
            return;
        };
        host.heard = now.mono;
        let before = host.acknowledged;
        if let Some(known) = &mut host.ledger {
            known.counter = known.counter.max(report.ledger.counter);
        }
        self.safeguards_confirmed(name, report.safeguards);
        if let Some(drains) = report.drains {
            self.take_drains(name, drains);
        }
        for progress in &report.progress {
            self.take_progress(now, name, progress);
        }
        if report.findings.is_empty() || report.first_sequence > before + 1 {
            // A gap: a frame before this one was lost. The agent says it all again, so nothing is taken here.
            return;
        }
        let mut acknowledged = before;
        for (sequence, finding) in (report.first_sequence..).zip(report.findings) {
            if sequence <= before {
                continue;
            }
            if let Err(Foreign(why)) = self.take_finding(now, name, finding) {
                self.note(true, format!("host {name} {why}: refused"));
                self.push(Action::Disconnect { host: name.clone(), session, why });
                break;
            }
            acknowledged = sequence;
        }
        self.acknowledge(name, acknowledged);
    }

    fn acknowledge(&mut self, name: &HostName, acknowledged: u64) {
        let Some(host) = self.fleet.hosts.get_mut(name) else { return };
        let is_news = acknowledged > host.acknowledged;
        host.acknowledged = acknowledged;
        if let Some(ledger) = host.ledger.filter(|_| is_news) {
            self.record(Record::LedgerSeen { host: name.clone(), ledger, acknowledged });
        }
        self.send(
            name,
            Frame::Acknowledge(acknowledged),
            self.planted(PlantedBug::AcknowledgesBeforeStoring),
        );
    }

    /// Moves a task forward; it never goes back, and only its own host may speak of it.
    pub(crate) fn take_progress(&mut self, now: Now, name: &HostName, progress: &TaskProgress) {
        let Some(operation) = self.operations.get(&progress.operation) else { return };
        let Some(task) = operation.task(progress.index).filter(|task| operation.is_on(task, name)) else {
            return;
        };
        // What was seen last counts, but an agent that asks once more whether sessions end does not go back for that.
        let stage = progress.stage.max(task.stage);
        let is_over = task.stage == Stage::Done || progress.stage == Stage::Done;
        if is_over || (stage == task.stage && progress.sessions == task.sessions) {
            return;
        }
        let id = TaskId { operation: progress.operation, index: progress.index };
        if !task.handed {
            // Only a store older than its agents comes here: the task is under way, whatever this store remembers.
            // From now on it is remembered, and waited for no longer than if this controller had ordered it.
            let (guest, place) = (operation.target(id.index).id.clone(), task.host);
            if self.holder(&guest).is_none() {
                self.busy.take(&guest, id);
            }
            self.mark_handed(now, id.operation, place, vec![id.index]);
        }
        let Some(operation) = self.operations.get_mut(&id.operation) else { return };
        operation.update(progress.index, |task| {
            task.handed = true;
            task.stage = stage;
            task.sessions = progress.sessions;
        });
        self.touch(id.operation);
    }

    fn take_finding(&mut self, now: Now, name: &HostName, finding: Finding) -> Result<(), Foreign> {
        let Finding { operation: id, index, guest, verdict, late } = finding;
        let Some(operation) = self.operations.get_mut(&id) else {
            // It has ended and left memory, or belongs to a store that is gone: the store knows.
            self.record(Record::Late {
                operation: id,
                host: name.clone(),
                index,
                guest,
                verdict,
                at: now.wall,
            });
            return Ok(());
        };
        let is_its_own = |task: &&Task| operation.is_on(task, name) && operation.target(index).id == guest;
        let Some(task) = operation.task(index).filter(is_its_own) else {
            return Err(Foreign(format!(
                "reported guest {guest} of task {id}/{index}, which is not its own"
            )));
        };
        let Some(known) = task.verdict.as_deref() else {
            let recall = task.recall;
            let verdict = as_asked(operation.spec.not_running, verdict);
            let verdict = as_withdrawn(recall, verdict);
            let verdict = self.as_moved(name, &guest, recall, verdict);
            self.finish(TaskId { operation: id, index }, verdict);
            return Ok(());
        };
        // Said again, and read as it was read the first time.
        let read = as_withdrawn(task.recall, as_asked(operation.spec.not_running, Arc::clone(&verdict)));
        if !late && (*known == *read || known.reason == Reason::Moved) {
            return Ok(());
        }
        if cfg!(feature = "planted-bugs")
            && self.settings.planted == Some(PlantedBug::LateNewsReplacesOutcome)
        {
            operation.tasks[index as usize].verdict = Some(Arc::clone(&verdict));
        }
        operation.late_findings += 1;
        operation.touch(index);
        self.touch(id);
        self.record(Record::Late { operation: id, host: name.clone(), index, guest, verdict, at: now.wall });
        Ok(())
    }
}

/// A guest that stopped between plan and order is what the request says such guests are.
fn as_asked(policy: NotRunning, verdict: Arc<Verdict>) -> Arc<Verdict> {
    let not_running = verdict.outcome == Outcome::Refused && verdict.reason == Reason::NotRunning;
    if not_running && policy == NotRunning::Skip {
        let why = verdict.message.as_str();
        return Arc::new(Verdict::new(Outcome::Skipped, StatusCode::Ok, Reason::NotRunningByChoice, why));
    }
    verdict
}

/// An order that was taken back because a budget was spent was not cancelled by anybody.
fn as_withdrawn(recall: Recall, verdict: Arc<Verdict>) -> Arc<Verdict> {
    let not_started = verdict.outcome == Outcome::Cancelled && verdict.reason == Reason::NotStarted;
    if recall == Recall::Withdraw && not_started {
        let why = "its order was taken back when a failure budget was spent; a retry has it";
        return Arc::new(Verdict::new(Outcome::Skipped, StatusCode::Ok, Reason::BudgetSpent, why));
    }
    verdict
}
