//! The guests: who is logged on, what a guest does with a request, and when its provider's rechecks say no.

use crate::clock::Agenda;
use crate::happening::{Answer, Happening};
use crate::plan::Condition;
use crate::rng::Rng;
use curfew_agent_core::call::{EndMode, EndReply, Error, Request, SessionList};
use curfew_types::{
    Guest as Listed, GuestId, OsFamily, PowerState, Session, SessionKey, SessionState, StatusCode, WallTime,
};

/// Who logs on.
const USERS: [&str; 5] = ["alice", "bob", "CORP\\carol", "svc-backup@corp.example", "dave"];

/// Patterns that operators protect, each with whom it means among [`USERS`].
pub(crate) const PATTERNS: [(&str, &[&str]); 4] = [
    ("alice", &["alice"]),
    ("B?b", &["bob"]),
    ("corp\\*", &["CORP\\carol"]),
    ("svc-*", &["svc-backup@corp.example"]),
];

/// Whether a list of patterns means a user.
pub(crate) fn means<'a>(mut patterns: impl Iterator<Item = &'a str>, user: &str) -> bool {
    patterns.any(|text| PATTERNS.iter().any(|(known, users)| *known == text && users.contains(&user)))
}

/// A guest and the truth about it.
pub(crate) struct Guest {
    pub(crate) id: GuestId,
    pub(crate) name: String,
    /// The host that runs it.
    pub(crate) host: usize,
    /// It is the host itself.
    pub(crate) is_host: bool,
    pub(crate) boot: u64,
    pub(crate) condition: Option<Condition>,
    /// When the condition is over.
    pub(crate) until: u64,
    pub(crate) sessions: Vec<LoggedOn>,
    /// Calls that reached it while it was frozen.
    pub(crate) buffered: Vec<usize>,
    /// Who ever was logged on.
    stays: Vec<Stay>,
    next_session: u64,
}

/// How long somebody was logged on.
struct Stay {
    serial: u64,
    user: &'static str,
    began: u64,
    ended: Option<u64>,
}

/// One session.
pub(crate) struct LoggedOn {
    pub(crate) key: SessionKey,
    pub(crate) began: u64,
    /// Never reused, unlike the key's id.
    pub(crate) serial: u64,
    pub(crate) user: &'static str,
    ignores_hup: bool,
    ignores_term: bool,
    closing: bool,
}

impl Guest {
    pub(crate) fn new(id: GuestId, name: String, host: usize, is_host: bool) -> Guest {
        Guest {
            id,
            name,
            host,
            is_host,
            boot: 1,
            condition: None,
            until: 0,
            sessions: Vec::new(),
            buffered: Vec::new(),
            stays: Vec::new(),
            next_session: 1,
        }
    }

    /// As its host lists it.
    pub(crate) fn listed(&self) -> Listed {
        Listed {
            id: self.id.clone(),
            name: self.name.clone(),
            provider: "simulated".into(),
            os: OsFamily::Linux,
            power: self.power(),
            is_host: self.is_host,
            labels: curfew_types::label::Labels::new(),
        }
    }

    fn power(&self) -> PowerState {
        match self.condition {
            Some(Condition::Stopped | Condition::Rebooting) => PowerState::Stopped,
            Some(Condition::Paused) => PowerState::Paused,
            _ => PowerState::Running,
        }
    }

    pub(crate) fn boot_name(&self) -> String {
        format!("{}-boot-{}", self.id, self.boot)
    }

    pub(crate) fn is_off(&self) -> bool {
        self.power() == PowerState::Stopped
    }

    /// Whether nothing inside it moves.
    pub(crate) fn is_still(&self) -> bool {
        matches!(self.condition, Some(Condition::Frozen | Condition::Paused))
    }

    pub(crate) fn log_on(&mut self, t: u64, ignores_hup: bool, ignores_term: bool) {
        if self.is_off() || self.is_still() {
            return;
        }
        let serial = self.next_session;
        self.next_session += 1;
        // Ids are reused after a while, as they are in life.
        let key = SessionKey {
            boot: self.boot_name(),
            id: format!("c{}", serial % 4),
            began_us: t * 1000 + serial,
        };
        if self.sessions.iter().any(|session| session.key.id == key.id) {
            return;
        }
        let user = USERS[usize::try_from(serial).unwrap_or(0) % USERS.len()];
        self.stays.push(Stay { serial, user, began: t, ended: None });
        self.sessions.push(LoggedOn {
            key,
            began: t,
            serial,
            user,
            ignores_hup,
            ignores_term,
            closing: false,
        });
    }

    /// A session's processes are gone.
    pub(crate) fn session_died(&mut self, t: u64, serial: u64) {
        self.sessions.retain(|session| session.serial != serial);
        for stay in self.stays.iter_mut().filter(|stay| stay.serial == serial) {
            stay.ended.get_or_insert(t);
        }
    }

    /// It goes down, and its sessions with it.
    pub(crate) fn go_down(&mut self, t: u64) {
        self.boot += 1;
        self.sessions.clear();
        self.buffered.clear();
        for stay in &mut self.stays {
            stay.ended.get_or_insert(t);
        }
    }

    /// Whether at some moment of a span nobody was logged on of those that logged on by `by` and are not left alone.
    pub(crate) fn was_empty_within(
        &self,
        from: u64,
        to: u64,
        by: u64,
        is_left_alone: impl Fn(&str) -> bool,
    ) -> bool {
        let counts = |stay: &&Stay| stay.began <= by && !is_left_alone(stay.user);
        let ends = self.stays.iter().filter_map(|stay| stay.ended).filter(|t| (from..=to).contains(t));
        let mut moments = ends.chain([from]);
        moments.any(|moment| {
            let is_there = |stay: &Stay| stay.began < moment && stay.ended.is_none_or(|end| end > moment);
            !self.stays.iter().filter(counts).any(is_there)
        })
    }

    /// Whose session this is, if it is still there.
    pub(crate) fn user_of(&self, key: &SessionKey) -> Option<&'static str> {
        self.sessions.iter().find(|session| session.key == *key).map(|session| session.user)
    }

    fn list(&self, t: u64) -> SessionList {
        let session = |on: &LoggedOn| Session {
            key: on.key.clone(),
            user: on.user.into(),
            state: if on.closing { SessionState::Closing } else { SessionState::Active },
            kind: "ssh".into(),
            origin: String::new(),
            since: WallTime(i64::try_from(on.began).unwrap_or(0)),
            idle_ms: Some(t - on.began),
        };
        SessionList { boot: self.boot_name(), sessions: self.sessions.iter().map(session).collect() }
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

    /// Does what a request asks, with the provider's rechecks. Tells the answer, and which session was told to end.
    pub(crate) fn carry_out(
        &mut self,
        t: u64,
        in_time: bool,
        request: &Request,
        rng: &mut Rng,
        agenda: &mut Agenda,
        place: usize,
    ) -> (Answer, Option<SessionKey>) {
        if let Some(error) = self.trouble(rng) {
            return match request {
                Request::List => (Answer::Listed(Err(error)), None),
                Request::End { .. } => (Answer::Ended(Err(error)), None),
            };
        }
        match request {
            Request::List if self.condition == Some(Condition::Unlistable) => {
                (Answer::Listed(Err(Error::unlistable("logind is missing"))), None)
            }
            Request::List => (Answer::Listed(Ok(self.list(t))), None),
            Request::End { session, how } => {
                if self.condition == Some(Condition::Denied) {
                    let error = Error::new(StatusCode::AccessDenied, "not allowed to");
                    return (Answer::Ended(Err(error)), None);
                }
                let (answer, ended) = self.end(t, in_time, session, *how, rng, agenda, place);
                if self.condition == Some(Condition::Flaky) && rng.chance(30) {
                    // The worst of answers: it was done, and the answer says that something broke.
                    let error = Error::new(StatusCode::Unexpected, "the connection broke");
                    return (Answer::Ended(Err(error)), ended);
                }
                (Answer::Ended(Ok(answer)), ended)
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "everything that a recheck inside the guest looks at")]
    fn end(
        &mut self,
        t: u64,
        in_time: bool,
        key: &SessionKey,
        how: EndMode,
        rng: &mut Rng,
        agenda: &mut Agenda,
        place: usize,
    ) -> (EndReply, Option<SessionKey>) {
        if !in_time {
            return (EndReply::TooLate, None);
        }
        let same_id = |session: &&mut LoggedOn| session.key.boot == key.boot && session.key.id == key.id;
        let Some(session) = self.sessions.iter_mut().find(same_id) else {
            let other_boot = key.boot != self.boot_name();
            return (if other_boot { EndReply::NotThatSession } else { EndReply::Gone }, None);
        };
        if session.key != *key {
            return (EndReply::NotThatSession, None);
        }
        let goes = match how {
            EndMode::Graceful { attempt: 0 } => !session.ignores_hup,
            EndMode::Graceful { .. } => !session.ignores_term,
            EndMode::Force => true,
        };
        if goes && !std::mem::replace(&mut session.closing, true) {
            let serial = session.serial;
            agenda.put(t + rng.between(0, 1_500), Happening::SessionDies { guest: place, id: serial });
        }
        (EndReply::Asked, Some(key.clone()))
    }
}
