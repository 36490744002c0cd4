//! How a run goes on: look, fix the targets, ask them to end, look again, until they are gone or time is over.

use crate::acting::{Acting, LeftAlone, Target};
use crate::call::{EndMode, EndReply, Error, Look, Request, SessionList};
use crate::core::{Caller, Core, PlantedBug};
use crate::ledger::Entry;
use crate::results;
use crate::run::{Phase, Run};
use crate::verdicts;
use curfew_types::{Mismatch, Mono, Now, Session, SessionKey, StatusCode, TaskId, WallTime};
use std::sync::Arc;

/// First pause before looking again: container guests end a session in 20 to 100 ms.
const FIRST_PAUSE_MS: u64 = 30;
/// Rounds of asking after which the first look does not come any later: its pause is the longest one by then.
const ROUNDS_APART_MAX: u32 = 4;
/// Longest pause between two looks while sessions are going.
const LOOK_PAUSE_MAX_MS: u64 = 2_000;
/// The same while no controller hears what is seen: nobody waits for it, and one that comes back has to take in thousands of
/// agents first, some of which may share a machine with it.
const LOOK_PAUSE_UNHEARD_MS: u64 = 5_000;
/// How many times as long as a look came late the pause after it is, at least: an agent that is behind has more to do than its
/// machine can, and what it does for looks is what can wait.
const PAUSE_OVER_LATENESS: u64 = 4;
/// A look that fails this close to the end of the task's time was cut short by it: that says nothing
/// of the guest, and what was seen before stands. The way back of the answer takes less.
const CUT_SHORT_MS: u64 = 500;
/// Longest pause between two tries while a guest is not available.
const RETRY_PAUSE_MAX_MS: u64 = 5_000;
/// Errors without an explanation after which a guest is given up.
pub(crate) const UNEXPLAINED_MAX: u32 = 3;
/// After how long a session that has not gone is worth asking which processes hold it.
const PROCESSES_AFTER_MS: u64 = 1_000;
/// How often sessions that began after the act moment become targets, under a drain: a logon that was under way when
/// the drain came, and some that found a way around it; not somebody who keeps coming for ever.
const ADDITIONS_MAX: u32 = 5;

impl Target {
    pub(crate) fn was_asked(&mut self, is_forced: bool) {
        self.asked += 1;
        self.said_over = false;
        self.forced |= is_forced;
    }

    /// Whether looking at once can show all there is to see of it.
    fn is_worth_a_look(&self) -> bool {
        self.gone || self.said_over || (self.is_left_alone() && self.asked == 0)
    }
}

impl Core {
    /// Lets every run go on whose moment has come.
    pub(crate) fn advance_due(&mut self, now: Now) {
        let due = |run: &Run| {
            now.mono >= run.deadline
                || (run.call.is_none()
                    && !matches!(run.phase, Phase::Waiting | Phase::Draining)
                    && now.mono >= run.next)
        };
        // A run that ends can free its guest for the next one, which may be due at once.
        loop {
            let tasks: Vec<TaskId> =
                self.runs.iter().filter(|(_, run)| due(run)).map(|(id, _)| *id).collect();
            if tasks.is_empty() {
                return;
            }
            for id in tasks {
                self.advance(now, id);
            }
        }
    }

    fn advance(&mut self, now: Now, id: TaskId) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        if now.mono >= run.deadline {
            run.give_up_answer();
            let (verdict, follow_up) = verdicts::timed_out(run);
            return self.finish(now, id, verdict, follow_up);
        }
        match run.phase {
            Phase::Waiting | Phase::Draining => {}
            Phase::Looking | Phase::Warning | Phase::Verifying => self.look(now, id),
            Phase::Ending { turn } => self.ask(now, id, turn),
        }
    }

    fn look(&mut self, now: Now, id: TaskId) {
        let Some(run) = self.runs.get(&id) else { return };
        let (guest, until) = (run.guest.clone(), self.until(now.mono, run));
        let late_ms = now.mono.since(run.next);
        let asked = run.acting.as_ref().filter(|acting| acting.rounds > 0);
        let processes = asked.is_some_and(|acting| now.mono >= acting.at.plus(PROCESSES_AFTER_MS));
        let call = self.call(Caller::Run(id), guest, Request::List(Look { processes }), until);
        if let Some(run) = self.runs.get_mut(&id) {
            (run.call, run.late_ms) = (Some(call), late_ms);
        }
    }

    /// Asks the target at `turn`, or the next one that is not gone; after the last one it is time to look.
    fn ask(&mut self, now: Now, id: TaskId, turn: usize) {
        let ignores_protection = self.planted(PlantedBug::IgnoresProtection);
        let forces_unasked = self.planted(PlantedBug::ForcesUnasked);
        let until = self.runs.get(&id).map_or(now.mono, |run| self.until(now.mono, run));
        let Some(run) = self.runs.get_mut(&id) else { return };
        let may_end = run.may_end(now.mono);
        let only_if = run.logoff.sessions.only_if();
        let Some(acting) = &mut run.acting else { return };
        let to_ask =
            |target: &Target| !target.gone && !target.unmatched && (!target.spared || ignores_protection);
        let next =
            (turn..acting.targets.len()).find(|place| to_ask(&acting.targets[*place])).filter(|_| may_end);
        let Some(turn) = next else { return self.after_asking(now, id) };
        run.phase = Phase::Ending { turn };
        let session = acting.targets[turn].session.clone();
        let is_forced = acting.forcing || forces_unasked;
        let how = if is_forced { EndMode::Force } else { EndMode::Graceful { attempt: acting.rounds } };
        let guest = run.guest.clone();
        let call = self.call(Caller::Run(id), guest, Request::End { session, how, only_if }, until);
        self.note_call(id, call);
    }

    fn after_asking(&mut self, now: Now, id: TaskId) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let Some(acting) = &mut run.acting else { return };
        acting.asked_at = now.mono;
        acting.rounds += 1;
        let nobody_was_asked =
            !acting.any_asked() && !acting.targets.iter().any(|target| target.gone || target.unmatched);
        run.phase = Phase::Verifying;
        let is_over = acting.targets.iter().all(Target::is_worth_a_look);
        run.pause_ms = if is_over { 0 } else { pause_after(acting) };
        run.next = now.mono.plus(run.pause_ms);
        let hopeless = |error: &&Error| {
            matches!(error.code, StatusCode::AccessDenied | StatusCode::AdditionsFeatureNotAvail)
        };
        if let Some(error) = run.last_error.as_ref().filter(hopeless).filter(|_| nobody_was_asked) {
            let verdict = verdicts::denied(run, error);
            return self.finish(now, id, verdict, false);
        }
        self.tell_changed_progress(id);
    }

    pub(crate) fn run_ended(&mut self, now: Now, id: TaskId, call: u64, result: Result<EndReply, Error>) {
        let Some(run) = self.runs.get_mut(&id).filter(|run| run.call == Some(call)) else { return };
        run.call = None;
        let (Phase::Ending { turn }, Some(acting)) = (run.phase, &mut run.acting) else { return };
        let mut unmatched = None;
        if let Some(target) = acting.targets.get_mut(turn) {
            match result {
                Ok(EndReply::Asked) => target.was_asked(acting.forcing),
                Ok(EndReply::Ended) => {
                    target.was_asked(acting.forcing);
                    target.said_over = true;
                }
                Ok(EndReply::Gone | EndReply::NotThatSession) => target.gone = true,
                Ok(EndReply::NoLongerMatches) => {
                    target.unmatched = true;
                    unmatched = Some(target.session.clone());
                }
                Ok(EndReply::TooLate) => {}
                // A request without an answer, or with one that nobody can explain, may have been carried out all the
                // same.
                Err(error) if matches!(error.code, StatusCode::TimedOut | StatusCode::Unexpected) => {
                    target.was_asked(acting.forcing);
                    run.last_error = Some(error);
                }
                Err(error) => run.last_error = Some(error),
            }
        }
        let stopped = match &run.stop {
            Some(_) if acting.any_asked() => {
                run.phase = Phase::Verifying;
                run.next = now.mono;
                return self.note_unmatched(id, unmatched);
            }
            Some(_) => Some(verdicts::stopped(run)),
            None => None,
        };
        self.note_unmatched(id, unmatched);
        match stopped {
            Some(verdict) => self.finish(now, id, verdict, false),
            None => self.ask(now, id, turn + 1),
        }
    }

    fn note_unmatched(&mut self, id: TaskId, session: Option<Arc<SessionKey>>) {
        if let Some(session) = session {
            self.write(Entry::Unmatched { operation: id.operation, index: id.index, session });
        }
    }

    pub(crate) fn run_listed(&mut self, now: Now, id: TaskId, call: u64, result: Result<SessionList, Error>) {
        let Some(run) = self.runs.get_mut(&id).filter(|run| run.call == Some(call)) else { return };
        run.call = None;
        match result {
            Ok(list) => {
                run.unexplained = 0;
                run.last_error = None;
                match run.phase {
                    Phase::Looking | Phase::Warning => {
                        if !self.warn(now, id, &list) {
                            self.act(now, id, list);
                        }
                    }
                    Phase::Verifying => self.verify(now, id, &list),
                    Phase::Waiting | Phase::Draining | Phase::Ending { .. } => {}
                }
            }
            Err(error) => self.look_failed(now, id, error),
        }
    }

    /// The act moment: those who are logged on now and whom the request means are the targets, and that is written down
    /// first.
    fn act(&mut self, now: Now, id: TaskId, list: SessionList) {
        let ignores_expiry = self.planted(PlantedBug::IgnoresExpiry);
        let Some(mut acting) = self.acting_on(now, id, list) else { return };
        let Some(run) = self.runs.get_mut(&id) else { return };
        let verdict = if run.stop.is_some() {
            Some(verdicts::stopped(run))
        } else if acting.targets.is_empty() {
            Some(verdicts::nobody_to_end(&acting))
        } else if !run.may_end(now.mono) && !ignores_expiry {
            Some(verdicts::expired(run, acting.targets.len()))
        } else {
            None
        };
        if let Some(verdict) = verdict {
            return self.finish(now, id, verdict, false);
        }
        run.deadline = now.mono.plus(run.task_timeout_ms).min(run.expires);
        run.phase = Phase::Ending { turn: 0 };
        run.next = now.mono;
        run.warning = None;
        acting.forcing = run.logoff.force_after_ms == Some(0);
        let entry = acting_entry(id, &acting);
        let forcing = acting.forcing.then(|| forcing_entry(id, &acting));
        run.acting = Some(acting);
        if !self.planted(PlantedBug::ActsWithoutWriting) {
            self.write(entry);
        }
        if let Some(entry) = forcing {
            self.write(entry);
        }
        self.tell_changed_progress(id);
    }

    /// Who would be a target now, and who not, and why.
    fn acting_on(&self, now: Now, id: TaskId, list: SessionList) -> Option<Acting> {
        let run = self.runs.get(&id)?;
        let left_early = run.warning.as_ref().map(|warning| warning.left_early(&list)).unwrap_or_default();
        let (mut targets, mut left_alone) = (Vec::with_capacity(list.sessions.len()), Vec::new());
        for session in list.sessions {
            match self.left_alone_because(now, run, list.clock, &session) {
                None => targets.push(Target::new(session)),
                Some(why) => left_alone.push(LeftAlone {
                    session: session.key,
                    user: session.user,
                    why: why.to_owned(),
                    notices: 0,
                }),
            }
        }
        if let Some(warning) = &run.warning {
            warning.note_notices(&mut targets, &mut left_alone);
        }
        let acting = Acting::new(now.mono, list.boot, targets);
        Some(Acting { left_early, left_alone, ..acting })
    }

    /// Why a session is none of those that the run is to end; `None` if it is one.
    pub(crate) fn left_alone_because(
        &self,
        now: Now,
        run: &Run,
        clock: WallTime,
        session: &Session,
    ) -> Option<&'static str> {
        if self.is_protected(&session.user) {
            return Some(results::PROTECTED);
        }
        match run.logoff.sessions.check(session, clock, now.wall) {
            Ok(()) => None,
            Err(Mismatch::ExcludedUser) if self.planted(PlantedBug::IgnoresExcludedUsers) => None,
            Err(mismatch) => Some(mismatch.as_str()),
        }
    }

    fn verify(&mut self, now: Now, id: TaskId, list: &SessionList) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let may_end = run.may_end(now.mono);
        let Some(acting) = &mut run.acting else { return };
        let same_boot = acting.look(list);
        if same_boot && may_end {
            self.add_targets(now, id, list);
        }
        let Some(run) = self.runs.get_mut(&id) else { return };
        let Some(acting) = &run.acting else { return };
        let verdict = if !same_boot {
            Some(verdicts::guest_stopped(acting))
        } else if acting.all_gone() {
            Some(verdicts::ended(acting))
        } else if run.stop.is_some() {
            Some(verdicts::stopped(run))
        } else if !may_end {
            let left = run.counts().remaining as usize;
            Some(verdicts::expired(run, left))
        } else {
            None
        };
        match verdict {
            Some(verdict) => self.finish(now, id, verdict, false),
            None => self.go_on(now, id),
        }
    }

    /// Targets are still there: they are asked again, killed, or looked at later.
    fn go_on(&mut self, now: Now, id: TaskId) {
        let ask_again_ms = self.settings.ask_again_ms;
        let is_heard = self.telling.is_connected();
        let Some(run) = self.runs.get_mut(&id) else { return };
        let force_at = run.force_at();
        let begins_forcing = force_at.is_some_and(|at| now.mono >= at);
        let Some(acting) = &mut run.acting else { return };
        // Rounds grow apart: a program that saves its work on HUP or TERM is not to be hammered.
        let patience = ask_again_ms.saturating_mul(u64::from(acting.rounds.clamp(1, 5)));
        let never_asked =
            acting.targets.iter().any(|target| target.asked == 0 && !target.gone && !target.is_left_alone());
        if begins_forcing || never_asked || now.mono >= acting.asked_at.plus(patience) {
            run.phase = Phase::Ending { turn: 0 };
            run.next = now.mono;
        } else {
            run.pause_ms = match is_heard {
                true => (run.pause_ms * 2)
                    .max(run.late_ms * PAUSE_OVER_LATENESS)
                    .clamp(FIRST_PAUSE_MS, LOOK_PAUSE_MAX_MS),
                false => LOOK_PAUSE_UNHEARD_MS,
            };
            let next = now.mono.plus(run.pause_ms);
            run.next = force_at.map_or(next, |at| next.min(at));
        }
        if begins_forcing {
            acting.forcing = true;
            let entry = forcing_entry(id, acting);
            self.write(entry);
        }
        self.tell_changed_progress(id);
    }

    /// Under a drain, whoever came after the act moment is to go, too: that is written down before anybody is asked.
    fn add_targets(&mut self, now: Now, id: TaskId, list: &SessionList) {
        let ends_later = self.planted(PlantedBug::EndsLaterSessions);
        let Some(run) = self.runs.get(&id) else { return };
        let Some(acting) = &run.acting else { return };
        let may_add = self.keeps_out(id, &run.guest) && acting.additions < ADDITIONS_MAX;
        if !may_add && !ends_later {
            return;
        }
        let is_meant = |session: &&Session| self.left_alone_because(now, run, list.clock, session).is_none();
        let targets: Vec<Target> =
            acting.newcomers_in(list).filter(is_meant).cloned().map(Target::new).collect();
        let Some(acting) = self.runs.get_mut(&id).and_then(|run| run.acting.as_mut()) else { return };
        if targets.is_empty() {
            return;
        }
        acting.additions += 1;
        acting.targets.extend(targets.iter().cloned());
        acting.look(list);
        if !ends_later {
            self.write(Entry::Added { operation: id.operation, index: id.index, targets });
        }
    }

    fn look_failed(&mut self, now: Now, id: TaskId, error: Error) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let was_cut_short = now.mono.plus(CUT_SHORT_MS) >= run.deadline;
        if let Some(acting) = run.acting.as_mut().filter(|_| !was_cut_short) {
            acting.seen = false;
        }
        if run.stop.is_some() {
            let verdict = verdicts::stopped(run);
            return self.finish(now, id, verdict, false);
        }
        if error.code == StatusCode::Unexpected {
            run.unexplained += 1;
        }
        let gives_up = run.unexplained >= UNEXPLAINED_MAX;
        let verdict = match (&run.acting, error.code) {
            // Not available yet, silent: the task's timeout decides.
            (_, StatusCode::AdditionsNotAvail | StatusCode::TimedOut) => None,
            (_, StatusCode::Unexpected) if !gives_up => None,
            // People were told, and the guest was stopped before their time was over.
            (None, StatusCode::VmNotRunning) if run.warning.is_some() => {
                Some(verdicts::guest_stopped_in_grace(run))
            }
            (None, StatusCode::Unexpected) => Some(verdicts::provider_failed(&error)),
            (None, _) => Some(verdicts::refused(&error)),
            (Some(acting), StatusCode::VmNotRunning) => Some(verdicts::guest_stopped(acting)),
            // Its sessions are there, in memory, until it is resumed.
            (Some(_), StatusCode::VmPaused) => None,
            (Some(_), _) => Some(verdicts::unverified(run, &error)),
        };
        if let Some(verdict) = verdict {
            return self.finish(now, id, verdict, false);
        }
        run.last_error = Some(error);
        run.pause_ms = (run.pause_ms * 2).clamp(100, RETRY_PAUSE_MAX_MS);
        run.next = now.mono.plus(run.pause_ms);
    }

    pub(crate) fn note_call(&mut self, id: TaskId, call: u64) {
        if let Some(run) = self.runs.get_mut(&id) {
            run.call = Some(call);
        }
    }

    /// Until when a call may take: not past the task's time, and not so long that a thaw goes unnoticed.
    fn until(&self, now: Mono, run: &Run) -> Mono {
        now.plus(self.settings.call_max_ms).min(run.deadline)
    }
}

/// The pause before the first look after a round of asking. What did not go the first time takes longer as a rule, unless
/// it is killed.
fn pause_after(acting: &Acting) -> u64 {
    let earlier = if acting.forcing { 0 } else { acting.rounds.saturating_sub(1).min(ROUNDS_APART_MAX) };
    (FIRST_PAUSE_MS << (2 * earlier)).min(LOOK_PAUSE_MAX_MS)
}

/// That sessions are killed, as the ledger has it: those that are left.
pub(crate) fn forcing_entry(id: TaskId, acting: &Acting) -> Entry {
    let left = acting.targets.iter().filter(|target| !target.gone && !target.is_left_alone());
    let targets = left.map(|target| target.session.clone()).collect();
    Entry::Forcing { operation: id.operation, index: id.index, targets }
}

/// The act moment as the ledger has it.
pub(crate) fn acting_entry(id: TaskId, acting: &Acting) -> Entry {
    Entry::Acting {
        operation: id.operation,
        index: id.index,
        at: acting.at,
        guest_boot: acting.guest_boot.clone(),
        targets: acting.targets.clone(),
        additions: acting.additions,
        left_early: acting.left_early.clone(),
        left_alone: acting.left_alone.clone(),
    }
}
