//! Beginning again after a restart from what the ledger holds, and saying the same in fewer entries.

use crate::acting::{Acting, Target};
use crate::core::{Core, Remembered, Settings};
use crate::drains::{DrainBooks, Kept};
use crate::follow_up::FollowUp;
use crate::ledger::Entry;
use crate::outbox::Outbox;
use crate::run::{Run, key};
use crate::steps::{acting_entry, forcing_entry};
use crate::warning::Warning;
use curfew_types::agent::{Finding, OrderedTask, Safeguards};
use curfew_types::{DrainOwner, Now, OperationId, TaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How long a run whose time may be over is given to look and report.
const LOOK_ONLY_MS: u64 = 60_000;

/// What the ledger says, task by task.
#[derive(Default)]
struct Books {
    counter: u64,
    epoch_seen: u64,
    acknowledged: u64,
    /// The boot in which each unfinished run was accepted, beside it.
    runs: BTreeMap<TaskId, (String, Run)>,
    finished: BTreeMap<TaskId, Remembered>,
    /// What a finished task had fixed, for its follow-up.
    actings: BTreeMap<TaskId, Acting>,
    follow_ups: BTreeSet<TaskId>,
    findings: BTreeMap<u64, Finding>,
    safeguards: Safeguards,
    drains: DrainBooks,
}

impl Core {
    /// A core that goes on from a ledger. `boot` names this boot of the machine; `incarnation` names the ledger.
    ///
    /// Sessions are ended only for orders of this boot that have not expired; for all others the agent looks and
    /// reports.
    pub fn recover(
        now: Now,
        settings: Settings,
        boot: String,
        incarnation: u64,
        entries: Vec<Entry>,
    ) -> Core {
        let mut books = Books::default();
        for entry in entries {
            books.take(entry);
        }
        let mut core = Core::with(now, settings, boot, incarnation);
        core.mark.counter = books.counter;
        core.found = Some(books.counter);
        core.epoch_seen = books.epoch_seen;
        core.acknowledged = books.acknowledged;
        core.outbox = Outbox::starting_at(books.acknowledged + 1);
        for finding in books.findings.into_values() {
            core.outbox.push(finding);
        }
        for id in books.follow_ups {
            if let Some(remembered) = books.finished.get(&id) {
                let acting = books.actings.remove(&id);
                let told =
                    acting.is_some() && remembered.verdict.reason == curfew_types::Reason::SessionsRemain;
                let follow_up = FollowUp::new(now, &settings, remembered.guest.clone(), acting, told);
                core.follow_ups.insert(id, follow_up);
            }
        }
        core.finished = books.finished.into_iter().collect();
        // First the drains: a run that begins asks which of them are kept, and may begin another.
        core.recover_drains(now, books.drains);
        for (id, (accepted_in, mut run)) in books.runs {
            if accepted_in != core.boot {
                run.in_doubt = true;
            }
            if run.in_doubt || now.mono >= run.deadline {
                // Its time ran out while nobody ran it: it ends nobody, and says what it sees.
                run.expires = run.expires.min(run.deadline);
                run.deadline = now.mono.plus(LOOK_ONLY_MS);
            }
            core.enqueue(now, id, run);
        }
        core.recover_safeguards(now, books.safeguards);
        core
    }

    /// The ledger in as few entries as possible: the shell writes them to a new file and replaces the old one.
    pub fn summary(&self) -> Vec<Entry> {
        let mut entries = vec![Entry::Summary {
            counter: 0,
            epoch_seen: self.epoch_seen,
            acknowledged: self.outbox.first_pending() - 1,
        }];
        if self.guarding.taken != Safeguards::default() {
            entries.push(Entry::Safeguarded { safeguards: self.guarding.taken.clone() });
        }
        for (id, run) in &self.runs {
            entries.push(Entry::Accepted {
                operation: id.operation,
                // A run in doubt stays so: no boot has this name.
                boot: if run.in_doubt { String::new() } else { self.boot.clone() },
                at: run.accepted,
                expires: run.expires,
                task_timeout_ms: run.task_timeout_ms,
                logoff: Arc::clone(&run.logoff),
                tasks: vec![OrderedTask { index: id.index, guest: run.guest.clone() }],
            });
            entries.extend(run.warning.iter().flat_map(|warning| warning.entries(*id)));
            if let Some(acting) = &run.acting {
                entries.push(acting_entry(*id, acting));
                entries.extend(acting.forcing.then(|| forcing_entry(*id, acting)));
            }
            if run.drain_begun && !self.keeps_out(*id, &run.guest) {
                entries.extend(self.drains.past_entries(*id, &run.guest));
            }
        }
        // After the runs, which are to know that theirs were begun.
        entries.extend(self.drains.entries(&self.boot));
        let pending: BTreeMap<TaskId, u64> = self
            .outbox
            .entries()
            .filter(|(_, finding)| !finding.late)
            .map(|(sequence, finding)| (key(finding.operation, finding.index), sequence))
            .collect();
        let mut finished: Vec<_> = self.finished.iter().collect();
        finished.sort_by_key(|(id, _)| **id);
        for (id, remembered) in finished {
            let follow_up = self.follow_ups.get(id);
            entries.extend(follow_up.and_then(|f| f.acting.as_ref()).map(|acting| acting_entry(*id, acting)));
            entries.push(Entry::Finished {
                operation: id.operation,
                index: id.index,
                guest: remembered.guest.clone(),
                verdict: remembered.verdict.clone(),
                sequence: pending.get(id).copied().unwrap_or(0),
                at: remembered.at,
                follow_up: follow_up.is_some(),
            });
        }
        for (sequence, finding) in self.outbox.entries().filter(|(_, finding)| finding.late) {
            entries.push(Entry::Said { finding: finding.clone(), sequence, closes_follow_up: false });
        }
        // Reading it back must come to the counter that stands now, whatever the number of entries.
        let own = entries.len() as u64;
        if let Some(Entry::Summary { counter, .. }) = entries.first_mut() {
            *counter = self.mark.counter.saturating_sub(own);
        }
        entries
    }
}

impl Books {
    fn take(&mut self, entry: Entry) {
        self.counter += 1;
        match entry {
            Entry::Summary { counter, epoch_seen, acknowledged } => {
                *self = Books { counter: counter + 1, epoch_seen, acknowledged, ..Books::default() };
            }
            Entry::EpochSeen { epoch } => self.epoch_seen = self.epoch_seen.max(epoch),
            Entry::Accepted { operation, boot, at, expires, task_timeout_ms, logoff, tasks } => {
                for task in tasks {
                    let run = Run::new(task.guest, at, expires, task_timeout_ms, Arc::clone(&logoff));
                    self.runs.insert(key(operation, task.index), (boot.clone(), run));
                }
            }
            Entry::Acting {
                operation,
                index,
                at,
                guest_boot,
                mut targets,
                additions,
                left_early,
                left_alone,
            } => {
                // Whether a target was asked before the crash cannot be told: it may have been.
                for target in &mut targets {
                    target.asked = 1;
                }
                let acting = Acting::new(at, guest_boot, targets);
                let acting = Acting { additions, left_early, left_alone, rounds: 1, seen: false, ..acting };
                let id = key(operation, index);
                match self.runs.get_mut(&id) {
                    Some((_, run)) => {
                        run.deadline = at.plus(run.task_timeout_ms).min(run.expires);
                        run.warning = None;
                        run.acting = Some(acting);
                    }
                    None => {
                        self.actings.insert(id, acting);
                    }
                }
            }
            Entry::Telling { operation, index, at, ends, told } => {
                if let Some((_, run)) = self.runs.get_mut(&key(operation, index)) {
                    run.deadline = ends.plus(run.task_timeout_ms).min(run.expires);
                    run.warning.get_or_insert_with(|| Warning::ending(ends)).take_told(at, &told);
                }
            }
            Entry::Shown { operation, index, shown, unshown } => {
                let run = self.runs.get_mut(&key(operation, index));
                if let Some(warning) = run.and_then(|(_, run)| run.warning.as_mut()) {
                    warning.take_shown(&shown, &unshown);
                }
            }
            Entry::Added { operation, index, targets } => {
                if let Some(acting) = self.acting(operation, index) {
                    acting.additions += 1;
                    // None of them is known to have been asked or killed, and each may have been.
                    let forced = acting.forcing;
                    let may_be_asked = |target| Target { asked: 1, forced, ..target };
                    acting.targets.extend(targets.into_iter().map(may_be_asked));
                }
            }
            Entry::Unmatched { operation, index, session } => {
                let targets = self.acting(operation, index).map(|acting| acting.targets.iter_mut());
                for target in targets.into_iter().flatten().filter(|target| target.session == session) {
                    target.unmatched = true;
                }
            }
            Entry::Forcing { operation, index, targets } => {
                if let Some(acting) = self.acting(operation, index) {
                    acting.forcing = true;
                    for target in &mut acting.targets {
                        target.forced |= targets.contains(&target.session);
                    }
                }
            }
            Entry::DrainBegun { guest, owner, boot, ends, until, for_ms, by, reason } => {
                let of_it = |(id, (_, run)): &(&TaskId, &mut (String, Run))| {
                    run.guest == guest && owner == DrainOwner::Operation(id.operation)
                };
                if let Some((_, (_, run))) = self.runs.iter_mut().find(of_it) {
                    run.drain_begun = true;
                }
                self.drains.begun(guest, owner, boot, Kept { ends, until, for_ms, by, reason });
            }
            Entry::DrainOver { guest, owner } => self.drains.over(guest, owner),
            Entry::Undrained { guest } => self.drains.undrained(&guest),
            Entry::Finished { operation, index, guest, verdict, sequence, at, follow_up } => {
                let id = key(operation, index);
                if let Some(acting) = self.runs.remove(&id).and_then(|(_, run)| run.acting) {
                    self.actings.insert(id, acting);
                }
                if follow_up {
                    self.follow_ups.insert(id);
                }
                let finding =
                    Finding { operation, index, guest: guest.clone(), verdict: verdict.clone(), late: false };
                self.finished.insert(id, Remembered { guest, verdict, at });
                self.post(sequence, finding);
            }
            Entry::Said { finding, sequence, closes_follow_up } => {
                if closes_follow_up {
                    self.follow_ups.remove(&key(finding.operation, finding.index));
                }
                self.post(sequence, finding);
            }
            Entry::FollowUpOver { operation, index } => {
                self.follow_ups.remove(&key(operation, index));
            }
            Entry::Safeguarded { safeguards } => {
                for (_, run) in self.runs.values_mut() {
                    if let Some(acting) = &mut run.acting {
                        acting.spare(&safeguards);
                    }
                }
                self.safeguards = safeguards;
            }
            Entry::Acknowledged { sequence } => {
                self.acknowledged = self.acknowledged.max(sequence);
                self.findings = self.findings.split_off(&(sequence + 1));
            }
        }
    }

    /// What a task had fixed that is not finished yet.
    fn acting(&mut self, operation: OperationId, index: u32) -> Option<&mut Acting> {
        self.runs.get_mut(&key(operation, index)).and_then(|(_, run)| run.acting.as_mut())
    }

    fn post(&mut self, sequence: u64, finding: Finding) {
        if sequence > self.acknowledged {
            self.findings.insert(sequence, finding);
        }
    }
}
