//! The guests: who is logged on and who ever was, how people use their sessions, and whether new ones are let in.

mod door;
mod requests;

use crate::plan::{Condition, Person};
use curfew_agent_core::call::{Look, SessionList};
use curfew_types::{
    Guest as Listed, GuestId, OsFamily, PowerState, Session, SessionKey, SessionState, WallTime,
};
use std::collections::BTreeMap;

pub(crate) use door::{Door, Refusal};
pub(crate) use requests::{Effect, Use, Within};

/// Who logs on.
const USERS: [&str; 5] = ["alice", "bob", "CORP\\carol", "svc-backup@corp.example", "dave"];

/// Patterns that operators protect, each with whom it means among [`USERS`].
pub(crate) const PATTERNS: [(&str, &[&str]); 6] = [
    ("alice", &["alice"]),
    ("B?b", &["bob"]),
    ("corp\\*", &["CORP\\carol"]),
    ("svc-*", &["svc-backup@corp.example"]),
    ("Carol", &["CORP\\carol"]),
    ("*a*", &["alice", "CORP\\carol", "svc-backup@corp.example", "dave"]),
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
    pub(crate) door: Door,
    /// It moved to another host once, or two claimed it: whoever drained it may not reach it any more.
    pub(crate) has_moved: bool,
    /// How far its wall clock is off, in milliseconds.
    clock_off: i64,
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
    person: Person,
    closing: bool,
    /// Nobody is connected to it.
    disconnected: bool,
    /// When it was last used.
    used: u64,
    /// It was shown a notice.
    warned: bool,
}

impl LoggedOn {
    /// Its state as it is listed.
    pub(crate) fn state(&self) -> SessionState {
        match (self.closing, self.disconnected) {
            (true, _) => SessionState::Closing,
            (false, true) => SessionState::Disconnected,
            (false, false) => SessionState::Active,
        }
    }

    /// How long it has been idle; of some sessions nobody can tell.
    pub(crate) fn idle_ms(&self, t: u64) -> Option<u64> {
        (!self.person.hides_idle).then(|| t - self.used)
    }
}

impl Guest {
    pub(crate) fn new(
        id: GuestId,
        name: String,
        (host, is_host): (usize, bool),
        has_timers: bool,
        clock_off: i64,
    ) -> Guest {
        Guest {
            id,
            name,
            host,
            is_host,
            boot: 1,
            condition: None,
            until: 0,
            sessions: Vec::new(),
            door: Door::new(has_timers),
            has_moved: false,
            clock_off,
            buffered: Vec::new(),
            stays: Vec::new(),
            next_session: 1,
        }
    }

    /// As its host lists it.
    pub(crate) fn listed(&self) -> Listed {
        Listed {
            id: self.id.clone(),
            name: self.name.as_str().into(),
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

    pub(crate) fn log_on(&mut self, t: u64, person: Person) {
        let is_let_in = self.door.is_open() || person.slips_in;
        if self.is_off() || self.is_still() || !is_let_in {
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
            person,
            closing: false,
            disconnected: person.begins_disconnected,
            used: t,
            warned: false,
        });
    }

    /// Somebody comes back to a session, or goes away from it and leaves it open.
    pub(crate) fn changes(&mut self, t: u64, nth: usize, goes_away: bool) {
        let still = self.is_off() || self.is_still();
        let count = self.sessions.len().max(1);
        if let Some(session) = self.sessions.get_mut(nth % count).filter(|_| !still) {
            session.disconnected = goes_away;
            if !goes_away {
                session.used = t;
            }
        }
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
        self.door.forget();
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

    /// This session, if it is still there.
    pub(crate) fn session(&self, key: &SessionKey) -> Option<&LoggedOn> {
        self.sessions.iter().find(|session| session.key == *key)
    }

    /// Whose session this is, if it is still there.
    pub(crate) fn user_of(&self, key: &SessionKey) -> Option<&'static str> {
        self.session(key).map(|session| session.user)
    }

    fn list(&self, t: u64, look: Look) -> SessionList {
        let wall = |t: u64| WallTime(i64::try_from(t).unwrap_or(0) + self.clock_off);
        let session = |on: &LoggedOn| Session {
            key: on.key.clone(),
            user: on.user.into(),
            state: on.state(),
            kind: "ssh".into(),
            origin: String::new(),
            since: wall(on.began),
            idle_ms: on.idle_ms(t),
        };
        let held_by = |on: &LoggedOn| (on.key.id.clone(), vec!["vim".to_owned()]);
        let processes: BTreeMap<_, _> =
            self.sessions.iter().filter(|_| look.processes).map(held_by).collect();
        let sessions = self.sessions.iter().map(session).collect();
        SessionList { boot: self.boot_name(), clock: wall(t), sessions, processes }
    }
}
