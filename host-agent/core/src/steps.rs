//! How a run goes on: look, fix the targets, ask them to end, look again, until they are gone or time is over.

use crate::call::{EndMode, EndReply, Error, Request, SessionList};
use crate::core::{Core, PlantedBug};
use crate::ledger::Entry;
use crate::run::{Acting, Phase, Run, Target};
use crate::verdicts;
use curfew_types::{Mono, Now, Session, SessionCounts, SessionKey, StatusCode, TaskId};

/// First pause before looking again: container guests end a session in 20 to 100 ms.
const FIRST_PAUSE_MS: u64 = 30;
/// Longest pause between two looks while sessions are going.
const LOOK_PAUSE_MAX_MS: u64 = 2_000;
/// Longest pause between two tries while a guest is not available.
const RETRY_PAUSE_MAX_MS: u64 = 5_000;
/// Errors without an explanation after which a guest is given up.
const UNEXPLAINED_MAX: u32 = 3;

impl Core {
    /// Lets every run go on whose moment has come.
    pub(crate) fn advance_due(&mut self, now: Now) {
        let due = |run: &Run| {
            now.mono >= run.deadline
                || (run.call.is_none() && run.phase != Phase::Waiting && now.mono >= run.next)
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
        let Some(run) = self.runs.get(&id) else { return };
        if now.mono >= run.deadline {
            let (verdict, follow_up) = verdicts::timed_out(run);
            return self.finish(now, id, verdict, follow_up);
        }
        match run.phase {
            Phase::Waiting => {}
            Phase::Looking | Phase::Verifying => self.look(now, id),
            Phase::Ending { turn } => self.ask(now, id, turn),
        }
    }

    fn look(&mut self, now: Now, id: TaskId) {
        let Some(run) = self.runs.get(&id) else { return };
        let (guest, until) = (run.guest.clone(), self.until(now.mono, run));
        let call = self.call(id, false, guest, Request::List, until);
        self.note_call(id, call);
    }

    /// Asks the target at `turn`, or the next one that is not gone; after the last one it is time to look.
    fn ask(&mut self, now: Now, id: TaskId, turn: usize) {
        let ignores_protection = self.planted(PlantedBug::IgnoresProtection);
        let until = self.runs.get(&id).map_or(now.mono, |run| self.until(now.mono, run));
        let Some(run) = self.runs.get_mut(&id) else { return };
        let may_end = run.may_end(now.mono);
        let Some(acting) = &mut run.acting else { return };
        let to_ask = |target: &Target| !target.gone && (!target.spared || ignores_protection);
        let next =
            (turn..acting.targets.len()).find(|place| to_ask(&acting.targets[*place])).filter(|_| may_end);
        let Some(turn) = next else { return self.after_asking(now, id) };
        run.phase = Phase::Ending { turn };
        let session = acting.targets[turn].session.clone();
        let how = EndMode::Graceful { attempt: acting.rounds };
        let guest = run.guest.clone();
        let call = self.call(id, false, guest, Request::End { session, how }, until);
        self.note_call(id, call);
    }

    fn after_asking(&mut self, now: Now, id: TaskId) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let Some(acting) = &mut run.acting else { return };
        acting.asked_at = now.mono;
        acting.rounds += 1;
        let nobody_was_asked = !acting.any_asked() && !acting.targets.iter().any(|target| target.gone);
        run.phase = Phase::Verifying;
        run.pause_ms = FIRST_PAUSE_MS;
        run.next = now.mono.plus(FIRST_PAUSE_MS);
        let hopeless = |error: &&Error| {
            matches!(error.code, StatusCode::AccessDenied | StatusCode::AdditionsFeatureNotAvail)
        };
        if let Some(error) = run.last_error.as_ref().filter(hopeless).filter(|_| nobody_was_asked) {
            let verdict = verdicts::denied(run, error);
            return self.finish(now, id, verdict, false);
        }
        self.tell_progress(id);
    }

    pub(crate) fn run_ended(&mut self, now: Now, id: TaskId, call: u64, result: Result<EndReply, Error>) {
        let Some(run) = self.runs.get_mut(&id).filter(|run| run.call == Some(call)) else { return };
        run.call = None;
        let (Phase::Ending { turn }, Some(acting)) = (run.phase, &mut run.acting) else { return };
        if let Some(target) = acting.targets.get_mut(turn) {
            match result {
                Ok(EndReply::Asked) => target.asked += 1,
                Ok(EndReply::Gone | EndReply::NotThatSession) => target.gone = true,
                Ok(EndReply::TooLate) => {}
                // A request without an answer, or with one that nobody can explain, may have been carried out all the
                // same.
                Err(error) if matches!(error.code, StatusCode::TimedOut | StatusCode::Unexpected) => {
                    target.asked += 1;
                    run.last_error = Some(error);
                }
                Err(error) => run.last_error = Some(error),
            }
        }
        if run.stop.is_some() {
            let any_asked = acting.any_asked();
            if any_asked {
                run.phase = Phase::Verifying;
                run.next = now.mono;
                return;
            }
            let verdict = verdicts::stopped(run);
            return self.finish(now, id, verdict, false);
        }
        self.ask(now, id, turn + 1);
    }

    pub(crate) fn run_listed(&mut self, now: Now, id: TaskId, call: u64, result: Result<SessionList, Error>) {
        let Some(run) = self.runs.get_mut(&id).filter(|run| run.call == Some(call)) else { return };
        run.call = None;
        match result {
            Ok(list) => {
                run.unexplained = 0;
                run.last_error = None;
                match run.phase {
                    Phase::Looking => self.act(now, id, &list),
                    Phase::Verifying => self.verify(now, id, &list),
                    Phase::Waiting | Phase::Ending { .. } => {}
                }
            }
            Err(error) => self.look_failed(now, id, error),
        }
    }

    /// The act moment: those who are logged on now are the targets, and that is written down first.
    fn act(&mut self, now: Now, id: TaskId, list: &SessionList) {
        let ignores_expiry = self.planted(PlantedBug::IgnoresExpiry);
        let (excluded, to_end): (Vec<&Session>, Vec<&Session>) =
            list.sessions.iter().partition(|session| self.is_protected(&session.user));
        let Some(run) = self.runs.get_mut(&id) else { return };
        let verdict = if run.stop.is_some() {
            Some(verdicts::stopped(run))
        } else if to_end.is_empty() {
            let excluded = u32::try_from(excluded.len()).unwrap_or(u32::MAX);
            Some(verdicts::nothing_to_do(SessionCounts { excluded, ..SessionCounts::default() }))
        } else if !run.may_end(now.mono) && !ignores_expiry {
            Some(verdicts::expired(run, to_end.len()))
        } else {
            None
        };
        if let Some(verdict) = verdict {
            return self.finish(now, id, verdict, false);
        }
        let target = |session: &&Session| Target {
            session: session.key.clone(),
            user: session.user.clone(),
            asked: 0,
            gone: false,
            spared: false,
        };
        let targets: Vec<Target> = to_end.iter().map(target).collect();
        let excluded: Vec<SessionKey> = excluded.iter().map(|session| session.key.clone()).collect();
        run.deadline = now.mono.plus(run.task_timeout_ms).min(run.expires);
        run.phase = Phase::Ending { turn: 0 };
        run.next = now.mono;
        run.acting = Some(Acting {
            at: now.mono,
            guest_boot: list.boot.clone(),
            targets: targets.clone(),
            excluded: excluded.clone(),
            new: 0,
            asked_at: now.mono,
            rounds: 0,
            seen: true,
        });
        if !self.planted(PlantedBug::ActsWithoutWriting) {
            let (operation, index, guest_boot) = (id.operation, id.index, list.boot.clone());
            self.write(Entry::Acting { operation, index, at: now.mono, guest_boot, targets, excluded });
        }
        self.tell_progress(id);
    }

    fn verify(&mut self, now: Now, id: TaskId, list: &SessionList) {
        let ask_again_ms = self.settings.ask_again_ms;
        let ends_later = self.planted(PlantedBug::EndsLaterSessions);
        let Some(run) = self.runs.get_mut(&id) else { return };
        let may_end = run.may_end(now.mono);
        let Some(acting) = &mut run.acting else { return };
        let verdict = if !acting.look(list) {
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
        if let Some(verdict) = verdict {
            return self.finish(now, id, verdict, false);
        }
        let Some(acting) = &mut run.acting else { return };
        if ends_later {
            for session in &list.sessions {
                if !acting.targets.iter().any(|target| target.session == session.key) {
                    let (session, user) = (session.key.clone(), session.user.clone());
                    acting.targets.push(Target { session, user, asked: 0, gone: false, spared: false });
                }
            }
        }
        // Rounds grow apart: a program that saves its work on HUP or TERM is not to be hammered.
        let patience = ask_again_ms.saturating_mul(u64::from(acting.rounds.clamp(1, 5)));
        if now.mono >= acting.asked_at.plus(patience) {
            run.phase = Phase::Ending { turn: 0 };
            run.next = now.mono;
        } else {
            run.pause_ms = (run.pause_ms * 2).clamp(FIRST_PAUSE_MS, LOOK_PAUSE_MAX_MS);
            run.next = now.mono.plus(run.pause_ms).min(acting.asked_at.plus(patience));
        }
        self.tell_progress(id);
    }

    fn look_failed(&mut self, now: Now, id: TaskId, error: Error) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        if let Some(acting) = &mut run.acting {
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

    fn note_call(&mut self, id: TaskId, call: u64) {
        if let Some(run) = self.runs.get_mut(&id) {
            run.call = Some(call);
        }
    }

    /// Until when a call may take: not past the task's time, and not so long that a thaw goes unnoticed.
    fn until(&self, now: Mono, run: &Run) -> Mono {
        now.plus(self.settings.call_max_ms).min(run.deadline)
    }
}
