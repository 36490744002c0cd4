//! The grace of a task: everybody who is to go is told, again as often as asked, newcomers at once; whoever leaves by
//! himself ends the wait early. It tells nobody more often than asked, whatever crashes: it writes down first.

use crate::acting::{LeftAlone, LeftEarly, Target};
use crate::call::{Error, NoticeReply, Request, SessionList};
use crate::core::{Caller, Core, PlantedBug};
use crate::ledger::{Entry, Told};
use crate::run::{Phase, Stop};
use curfew_types::outcome::{SESSION_WHY_MAX, truncate_at_char};
use curfew_types::{Mono, Now, Outcome, Session, SessionCounts, SessionKey, TaskId, Verdict};

/// Shortest and longest pause between two looks while people have time: soon enough to go on when all have left, and
/// not a load for a guest that is looked at for hours.
const LOOK_PAUSE_MS: std::ops::RangeInclusive<u64> = 1_000..=5_000;
/// A look for each so many parts of the grace, within these bounds.
const LOOKS_PER_GRACE: u64 = 100;
/// Why a session's notice does not count: it was begun by a process that did not live to see its end.
const NOT_KNOWN: &str = "whether it was shown is not known: the agent was restarted meanwhile";
/// See [`Core::call_off`].
const CALLED_OFF: &str = "The logoff was called off: you can go on.";

/// A session that was told, or is about to be.
#[derive(Clone, Debug)]
pub(crate) struct Warned {
    pub(crate) session: SessionKey,
    pub(crate) user: String,
    /// Notices that were shown.
    pub(crate) notices: u32,
    /// When it was last told, or was to be.
    pub(crate) told_at: Mono,
    /// Why it could not be shown one; empty where none failed.
    pub(crate) unnoticed: String,
    pub(crate) gone: bool,
}

/// People have time until a moment.
#[derive(Clone, Debug)]
pub(crate) struct Warning {
    /// When the grace is over.
    pub(crate) ends: Mono,
    /// Everybody who was told or is about to be, those who left included.
    pub(crate) warned: Vec<Warned>,
    /// Whom the call that is out tells, in its order; empties with its answer.
    telling: Vec<SessionKey>,
}

impl Warning {
    pub(crate) fn ending(ends: Mono) -> Warning {
        Warning { ends, warned: Vec::new(), telling: Vec::new() }
    }

    pub(crate) fn counts(&self) -> SessionCounts {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let gone = self.warned.iter().filter(|warned| warned.gone).count();
        SessionCounts {
            found: count(self.warned.len()),
            ended: count(gone),
            remaining: count(self.warned.len() - gone),
            ..SessionCounts::default()
        }
    }

    /// Takes in that these were told at a moment, or were to be.
    pub(crate) fn take_told(&mut self, at: Mono, told: &[Told]) {
        for Told { session, user } in told {
            match self.warned.iter_mut().find(|warned| warned.session == *session) {
                Some(warned) => warned.told_at = at,
                None => self.warned.push(Warned {
                    session: session.clone(),
                    user: user.clone(),
                    notices: 0,
                    told_at: at,
                    unnoticed: NOT_KNOWN.to_owned(),
                    gone: false,
                }),
            }
        }
    }

    /// Takes in which of them were shown it, and why others were not.
    pub(crate) fn take_shown(&mut self, shown: &[SessionKey], unshown: &[(SessionKey, String)]) {
        for warned in &mut self.warned {
            if shown.contains(&warned.session) {
                warned.notices += 1;
                warned.unnoticed.clear();
            }
            if let Some((_, why)) = unshown.iter().find(|(session, _)| *session == warned.session) {
                warned.unnoticed.clone_from(why);
            }
        }
    }

    /// The same as entries of a ledger.
    pub(crate) fn entries(&self, id: TaskId) -> Vec<Entry> {
        let (operation, index, ends) = (id.operation, id.index, self.ends);
        let mut entries = Vec::new();
        for warned in &self.warned {
            let session = warned.session.clone();
            let told = vec![Told { session: session.clone(), user: warned.user.clone() }];
            entries.push(Entry::Telling { operation, index, at: warned.told_at, ends, told });
            let shown = vec![session.clone(); usize::try_from(warned.notices).unwrap_or(0)];
            let unshown = match warned.unnoticed.as_str() {
                "" | NOT_KNOWN => Vec::new(),
                why => vec![(session, why.to_owned())],
            };
            for session in shown {
                entries.push(Entry::Shown { operation, index, shown: vec![session], unshown: Vec::new() });
            }
            if !unshown.is_empty() {
                entries.push(Entry::Shown { operation, index, shown: Vec::new(), unshown });
            }
        }
        entries
    }

    fn look(&mut self, list: &SessionList) {
        for warned in &mut self.warned {
            warned.gone = !list.sessions.iter().any(|session| session.key == warned.session);
        }
    }

    /// Those of `matching` who are to be told now: newcomers, and those whose repeat has come.
    fn due(&self, now: Mono, repeat_ms: Option<u64>, matching: &[&Session]) -> Vec<Told> {
        let is_due = |session: &&&Session| {
            let warned = self.warned.iter().find(|warned| warned.session == session.key);
            warned.is_none_or(|warned| repeat_ms.is_some_and(|every| now >= warned.told_at.plus(every)))
        };
        let told = |session: &&Session| Told { session: session.key.clone(), user: session.user.clone() };
        matching.iter().filter(is_due).map(told).collect()
    }

    /// When the next of those who are there is to be told again, those who are told now left out: their time counts anew.
    fn next_repeat(&self, repeat_ms: Option<u64>, due: &[Told]) -> Option<Mono> {
        let every = repeat_ms?;
        let is_told_now = |warned: &Warned| due.iter().any(|told| told.session == warned.session);
        let waiting = self.warned.iter().filter(|warned| !warned.gone && !is_told_now(warned));
        waiting.map(|warned| warned.told_at.plus(every)).min()
    }

    /// Who is a target at the act moment: with what they were shown.
    pub(crate) fn note_notices(&self, targets: &mut [Target], left_alone: &mut [LeftAlone]) {
        let of = |key: &SessionKey| self.warned.iter().find(|warned| warned.session == *key);
        for target in targets {
            if let Some(warned) = of(&target.session) {
                target.notices = warned.notices;
                target.unnoticed.clone_from(&warned.unnoticed);
            }
        }
        for left in left_alone {
            left.notices = of(&left.session).map_or(0, |warned| warned.notices);
        }
    }

    /// Who had left when this was seen.
    pub(crate) fn left_early(&self, list: &SessionList) -> Vec<LeftEarly> {
        let is_gone = |warned: &&Warned| !list.sessions.iter().any(|session| session.key == warned.session);
        let left = |warned: &Warned| LeftEarly {
            id: warned.session.id.clone(),
            user: warned.user.clone(),
            notices: warned.notices,
        };
        self.warned.iter().filter(is_gone).map(left).collect()
    }
}

impl Core {
    /// A look while people have time, or the first one of a task that tells people. Returns whether the grace goes on;
    /// otherwise this look is the act moment.
    pub(crate) fn warn(&mut self, now: Now, id: TaskId, list: &SessionList) -> bool {
        let matching = self.matching(now, id, list);
        let Some(run) = self.runs.get_mut(&id) else { return false };
        let Some(notice) = run.logoff.notice.clone() else { return false };
        if run.stop.is_some() || !run.may_warn(now.mono) {
            return false;
        }
        match &mut run.warning {
            Some(warning) => warning.look(list),
            None if matching.is_empty() => return false,
            None => {
                let ends = now.mono.plus(notice.grace_ms);
                run.warning = Some(Warning::ending(ends));
                run.deadline = ends.plus(run.task_timeout_ms).min(run.expires);
            }
        }
        let Some(warning) = &mut run.warning else { return false };
        let is_first = warning.warned.is_empty();
        if matching.is_empty() || (now.mono >= warning.ends && !is_first) {
            return false;
        }
        run.phase = Phase::Warning;
        let due = warning.due(now.mono, notice.repeat_ms, &matching);
        let pause = (notice.grace_ms / LOOKS_PER_GRACE).clamp(*LOOK_PAUSE_MS.start(), *LOOK_PAUSE_MS.end());
        let again = warning.next_repeat(notice.repeat_ms, &due).unwrap_or(warning.ends);
        run.next = now.mono.plus(pause).min(warning.ends).min(again.max(now.mono));
        if !due.is_empty() {
            let ends = warning.ends;
            self.tell(now, id, ends, due);
        }
        self.tell_changed_progress(id);
        true
    }

    /// Tells sessions how long they have, after writing down that it does.
    fn tell(&mut self, now: Now, id: TaskId, ends: Mono, due: Vec<Told>) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let (Some(notice), Some(warning)) = (&run.logoff.notice, &mut run.warning) else { return };
        warning.take_told(now.mono, &due);
        warning.telling = due.iter().map(|told| told.session.clone()).collect();
        let sessions = warning.telling.clone();
        let text = notice.saying(ends.since(now.mono));
        let guest = run.guest.clone();
        let until = now.mono.plus(self.settings.call_max_ms).min(run.deadline);
        if !self.planted(PlantedBug::TellsWithoutWriting) {
            self.write(Entry::Telling {
                operation: id.operation,
                index: id.index,
                at: now.mono,
                ends,
                told: due,
            });
        }
        let call = self.call(Caller::Run(id), guest, Request::Notify { sessions, text }, until);
        self.note_call(id, call);
    }

    pub(crate) fn run_notified(
        &mut self,
        now: Now,
        id: TaskId,
        call: u64,
        result: Result<Vec<NoticeReply>, Error>,
    ) {
        let Some(run) = self.runs.get_mut(&id).filter(|run| run.call == Some(call)) else { return };
        run.call = None;
        let Some(warning) = &mut run.warning else { return };
        let asked = std::mem::take(&mut warning.telling);
        let (mut shown, mut unshown) = (Vec::new(), Vec::new());
        match result {
            Ok(replies) => {
                for (session, reply) in asked.iter().zip(replies) {
                    match reply {
                        NoticeReply::Shown => shown.push(session.clone()),
                        NoticeReply::Gone => {}
                        NoticeReply::NotShown(why) => unshown.push((session.clone(), bounded(why))),
                    }
                }
            }
            // It may have been shown all the same, and is not shown twice for that.
            Err(error) => {
                let why = bounded(error.message);
                unshown = asked.iter().map(|session| (session.clone(), why.clone())).collect();
            }
        }
        warning.take_shown(&shown, &unshown);
        // With no time to go, those who were told are logged off at once.
        if now.mono >= warning.ends {
            run.next = now.mono;
        }
        let (operation, index) = (id.operation, id.index);
        self.write(Entry::Shown { operation, index, shown, unshown });
    }

    /// Tells people who were warned that they may stay, once and as well as it goes, if their run ends before its act
    /// moment. In a guest that is held nothing is done, not even that.
    pub(crate) fn call_off(&mut self, now: Now, id: TaskId, verdict: &Verdict) {
        let Some(run) = self.runs.get(&id).filter(|run| run.stop != Some(Stop::Held)) else { return };
        let Some(warning) = run.warning.as_ref().filter(|_| run.acting.is_none()) else { return };
        if matches!(verdict.outcome, Outcome::Succeeded | Outcome::NothingToDo) {
            return;
        }
        let guest = run.guest.clone();
        let may_know = |warned: &&Warned| warned.notices > 0 || warning.telling.contains(&warned.session);
        let told = warning.warned.iter().filter(|warned| !warned.gone).filter(may_know);
        let sessions: Vec<SessionKey> = told.map(|warned| warned.session.clone()).collect();
        if sessions.is_empty() {
            return;
        }
        let until = now.mono.plus(self.settings.call_max_ms);
        let request = Request::Notify { sessions, text: CALLED_OFF.to_owned() };
        self.call(Caller::Nobody, guest, request, until);
    }

    /// The sessions that the run's request means and that are not protected.
    pub(crate) fn matching<'a>(&self, now: Now, id: TaskId, list: &'a SessionList) -> Vec<&'a Session> {
        let Some(run) = self.runs.get(&id) else { return Vec::new() };
        let means = |session: &&Session| self.left_alone_because(now, run, list.clock, session).is_none();
        list.sessions.iter().filter(means).collect()
    }
}

fn bounded(mut why: String) -> String {
    truncate_at_char(&mut why, SESSION_WHY_MAX);
    why
}
