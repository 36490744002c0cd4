//! What a guest does with a request, and when its provider's rechecks say no.

use super::{Guest, LoggedOn};
use crate::clock::Agenda;
use crate::happening::{Answer, Happening};
use crate::plan::Condition;
use crate::rng::Rng;
use curfew_agent_core::call::{EndMode, EndReply, Error, NoticeReply, Request};
use curfew_types::{OnlyIf, SessionKey, SessionState, StatusCode};

/// A session that goes within this time is said to be over by the request itself, in milliseconds.
const SAID_OVER_MS: u64 = 100;

/// How a session was used at a moment: its state, and for how long it had been idle.
pub(crate) type Use = (SessionState, Option<u64>);

/// What a request did in the guest, whatever was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// This session was told to end, or killed; as it was used at that moment.
    Ended(SessionKey, Use),
    /// These sessions were shown a notice.
    Shown(Vec<SessionKey>),
    /// New people are refused from now on, or let in again, as far as Curfew is concerned.
    DoorMoved,
}

/// What a recheck inside the guest looks at, and what chance there is.
pub(crate) struct Within<'a> {
    pub(crate) t: u64,
    /// The request's time is not over.
    pub(crate) in_time: bool,
    pub(crate) rng: &'a mut Rng,
    pub(crate) agenda: &'a mut Agenda,
    /// The guest's number.
    pub(crate) place: usize,
}

impl Guest {
    /// Does what a request asks, with the provider's rechecks. Tells the answer, and what was done.
    pub(crate) fn carry_out(&mut self, request: &Request, it: &mut Within<'_>) -> (Answer, Option<Effect>) {
        if let Some(error) = self.trouble(it.rng) {
            return (Answer::failed(request, error), None);
        }
        let (answer, effect) = match request {
            Request::List(_) if self.condition == Some(Condition::Unlistable) => {
                (Answer::failed(request, Error::unlistable("logind is missing")), None)
            }
            Request::List(look) => (Answer::Listed(Ok(self.list(it.t, *look))), None),
            Request::End { .. } | Request::Drain(_) if self.condition == Some(Condition::Denied) => {
                (Answer::failed(request, Error::new(StatusCode::AccessDenied, "not allowed to")), None)
            }
            Request::End { session, how, only_if } => {
                let (reply, ended) = self.end(session, *how, *only_if, it);
                (Answer::Ended(Ok(reply)), ended.map(|(key, was)| Effect::Ended(key, was)))
            }
            Request::Notify { sessions, .. } => {
                let (replies, shown) = self.notify(sessions, it);
                (Answer::Notified(Ok(replies)), Some(Effect::Shown(shown)))
            }
            Request::Drain(order) => {
                let until = it.t.saturating_add(order.for_ms);
                let reply = self.door.drain(until);
                if self.door.has_timers {
                    let timer = Happening::DoorTimer { guest: it.place, set: self.door.set };
                    it.agenda.put(until, timer);
                }
                (Answer::Drained(Ok(reply)), Some(Effect::DoorMoved))
            }
            Request::Undrain => (Answer::Undrained(Ok(self.door.undrain())), Some(Effect::DoorMoved)),
        };
        if effect.is_some() && self.condition == Some(Condition::Flaky) && it.rng.chance(30) {
            // The worst of answers: it was done, and the answer says that something broke.
            let error = Error::new(StatusCode::Unexpected, "the connection broke");
            return (Answer::failed(request, error), effect);
        }
        (answer, effect)
    }

    /// Why it can do nothing at all, if that is so.
    fn trouble(&self, rng: &mut Rng) -> Option<Error> {
        match self.condition? {
            Condition::Stopped | Condition::Rebooting => {
                Some(Error::new(StatusCode::VmNotRunning, "it is off"))
            }
            Condition::Paused => Some(Error::new(StatusCode::VmPaused, "it is paused")),
            Condition::NotAvailable => {
                Some(Error::new(StatusCode::AdditionsNotAvail, "no agent answers yet"))
            }
            Condition::Flaky if rng.chance(40) => Some(Error::new(StatusCode::Unexpected, "something broke")),
            Condition::Frozen | Condition::Unlistable | Condition::Denied | Condition::Flaky => None,
        }
    }

    /// Some people leave some time after their first notice.
    fn notify(&mut self, keys: &[SessionKey], it: &mut Within<'_>) -> (Vec<NoticeReply>, Vec<SessionKey>) {
        let mut shown = Vec::new();
        let mut replies = Vec::new();
        for key in keys {
            let Some(session) = self.sessions.iter_mut().find(|session| session.key == *key) else {
                replies.push(NoticeReply::Gone);
                continue;
            };
            if session.person.has_no_terminal {
                replies.push(NoticeReply::NotShown("it has no terminal".into()));
                continue;
            }
            shown.push(key.clone());
            replies.push(NoticeReply::Shown);
            if let Some(ms) = session.person.leaves_after_ms.filter(|_| !session.warned) {
                it.agenda.put(it.t + ms, Happening::SessionDies { guest: it.place, id: session.serial });
            }
            session.warned = true;
        }
        (replies, shown)
    }

    fn end(
        &mut self,
        key: &SessionKey,
        how: EndMode,
        only_if: OnlyIf,
        it: &mut Within<'_>,
    ) -> (EndReply, Option<(SessionKey, Use)>) {
        if !it.in_time {
            return (EndReply::TooLate, None);
        }
        let same_id = |session: &&mut LoggedOn| session.key.boot == key.boot && session.key.id == key.id;
        let other_boot = key.boot != self.boot_name();
        let Some(session) = self.sessions.iter_mut().find(same_id) else {
            return (if other_boot { EndReply::NotThatSession } else { EndReply::Gone }, None);
        };
        if session.key != *key {
            return (EndReply::NotThatSession, None);
        }
        let was = (session.state(), session.idle_ms(it.t));
        if !only_if.holds(was.0, was.1) {
            return (EndReply::NoLongerMatches, None);
        }
        let goes = match how {
            EndMode::Graceful { attempt: 0 } => !session.person.ignores_hup,
            EndMode::Graceful { .. } => !session.person.ignores_term,
            EndMode::Force => !session.person.is_immortal,
        };
        let mut reply = EndReply::Asked;
        if goes && !std::mem::replace(&mut session.closing, true) {
            let serial = session.serial;
            let after = it.rng.between(0, 1_500);
            it.agenda.put(it.t + after, Happening::SessionDies { guest: it.place, id: serial });
            // Some platforms say so, be it a little early: what counts is what is seen.
            if after < SAID_OVER_MS {
                reply = EndReply::Ended;
            }
        }
        (reply, Some((key.clone(), was)))
    }
}
