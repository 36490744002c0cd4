//! What the controller is told, and when: what somebody waits for at once, everything else with it or a moment later,
//! so that a quick logoff is one message and not one for each stage.

use crate::action::Action;
use crate::core::Core;
use crate::ledger::Entry;
use crate::run::Run;
use curfew_types::agent::{Report, TaskProgress};
use curfew_types::{Mono, Now, TaskId};

/// After how long findings that were not acknowledged are sent again on a live stream: a controller acknowledges in place
/// of its next heartbeat, and within half of this.
const RESEND_MS: u64 = 60_000;
/// How long progress and drains wait for company. Most looks that find a session gone come within it; watchers see
/// states up to 200 ms old, and the controller itself gathers for 100 of them.
const COMPANY_MS: u64 = 50;

/// What waits to be told. Nothing of it outlives the process.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    connected: bool,
    resend_at: Option<Mono>,
    /// Tasks that stand elsewhere than the controller was told: empties with every report. Some may have ended since.
    progress: Vec<TaskId>,
    /// How many of them have not ended.
    untold: usize,
    /// By when what waits for company is told; `None` while nothing waits.
    by: Option<Mono>,
}

impl Telling {
    /// Whether a controller listens.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected
    }

    /// Nobody listens any more.
    pub(crate) fn detach(&mut self) {
        self.connected = false;
        self.resend_at = None;
        self.by = None;
    }

    /// A task has ended: its outcome says more.
    pub(crate) fn forget_progress(&mut self, run: &Run) {
        self.untold -= usize::from(run.progress_untold);
        if self.untold == 0 {
            self.progress.clear();
        }
    }

    pub(crate) fn timeout(&self) -> Option<(Mono, &'static str)> {
        let resend = self.resend_at.map(|at| (at, "findings were not acknowledged"));
        let by = self.by.map(|at| (at, "what waits for company is told"));
        resend.into_iter().chain(by).min().filter(|_| self.connected)
    }

    /// Lets what there is wait no longer than it may.
    fn wait(&mut self, now: Now, drains_changed: bool) {
        if drains_changed || self.untold > 0 {
            let by = now.mono.plus(COMPANY_MS);
            self.by = Some(self.by.map_or(by, |sooner| sooner.min(by)));
        } else {
            self.by = None;
        }
    }
}

impl Core {
    /// Puts what there is to say into reports, if it is time.
    pub(crate) fn tell_controller(&mut self, now: Now) {
        if !self.telling.connected {
            return;
        }
        if self.telling.resend_at.is_some_and(|at| at <= now.mono) {
            self.outbox.rewind();
        }
        self.telling.wait(now, self.drains.untold);
        let is_time = self.telling.by.is_some_and(|by| by <= now.mono);
        if is_time || self.outbox.has_unsent() || self.guarding.untold {
            self.report();
            while self.outbox.has_unsent() {
                self.report();
            }
        }
        // Counted from the oldest finding that is out: reports of progress must not put it off.
        let resend_at = self.telling.resend_at;
        if self.outbox.is_empty() {
            self.telling.resend_at = None;
        } else if resend_at.is_none_or(|at| at <= now.mono) {
            self.telling.resend_at = Some(now.mono.plus(RESEND_MS));
        }
    }

    /// One report with all that waits, and as many findings as it takes.
    fn report(&mut self) {
        let drains = self.drains.untold.then(|| self.drains.shown());
        let (first_sequence, findings) = self.outbox.take_unsent();
        let progress = self.take_progress();
        (self.guarding.untold, self.drains.untold) = (false, false);
        self.telling.by = None;
        self.push(Action::Send(Report {
            progress,
            first_sequence,
            findings,
            ledger: self.mark,
            safeguards: self.guarding.in_force,
            drains,
        }));
    }

    /// The next report is to say where a task stands by then.
    pub(crate) fn tell_progress(&mut self, id: TaskId) {
        if let Some(run) = self.runs.get_mut(&id)
            && !std::mem::replace(&mut run.progress_untold, true)
        {
            self.telling.progress.push(id);
            self.telling.untold += 1;
        }
    }

    /// The same, if it is news.
    pub(crate) fn tell_changed_progress(&mut self, id: TaskId) {
        let is_news =
            |run: &Run| !run.progress_untold && run.progress_told != Some((run.stage(), run.counts()));
        if self.runs.get(&id).is_some_and(|run| is_news(run)) {
            self.tell_progress(id);
        }
    }

    /// Where the tasks stand of which that is to be told. It counts as told.
    pub(crate) fn take_progress(&mut self) -> Vec<TaskProgress> {
        self.telling.untold = 0;
        let mut told = Vec::new();
        for id in self.telling.progress.drain(..) {
            if let Some(run) = self.runs.get_mut(&id)
                && std::mem::take(&mut run.progress_untold)
            {
                let (stage, sessions) = (run.stage(), run.counts());
                run.progress_told = Some((stage, sessions));
                told.push(TaskProgress { operation: id.operation, index: id.index, stage, sessions });
            }
        }
        told
    }

    pub(crate) fn handle_welcome(&mut self, now: Now, epoch: u64, acknowledged: u64) {
        self.telling.connected = true;
        self.found = None;
        if epoch > self.epoch_seen {
            self.epoch_seen = epoch;
            self.write(Entry::EpochSeen { epoch });
        }
        self.handle_acknowledged(now, acknowledged);
        self.outbox.rewind();
        // Unless the hello has told them, also where there are none: this controller may show drains that are over by now.
        self.drains.untold |= !std::mem::take(&mut self.drains.told_in_hello);
        if self.drains.untold {
            self.telling.by = Some(now.mono);
        }
        self.telling.resend_at = (!self.outbox.is_empty()).then(|| now.mono.plus(RESEND_MS));
    }

    pub(crate) fn handle_acknowledged(&mut self, now: Now, sequence: u64) {
        if self.outbox.acknowledge(sequence) {
            // What is left was sent later, and gets its own time.
            self.telling.resend_at = self.telling.resend_at.map(|_| now.mono.plus(RESEND_MS));
            self.acknowledged = self.outbox.first_pending() - 1;
            self.write(Entry::Acknowledged { sequence: self.acknowledged });
        }
    }
}
