//! Which sessions of a guest an operation means, and why a session is none of them.

use crate::glob::Glob;
use crate::{Session, SessionState, WallTime, user};
use serde::{Deserialize, Serialize};

/// Most patterns for users in one request.
pub const USERS_MAX: usize = 1_000;
/// Longest idle time that can be asked for: a year.
pub const IDLE_MAX_MS: u64 = 366 * 24 * 60 * 60 * 1000;

/// Which state of a session counts. Left out: any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateFilter {
    /// Somebody sits at it.
    Active,
    /// Nobody is connected to it; one that is ending already is one of these.
    Disconnected,
}

impl StateFilter {
    /// Whether a session in this state is meant.
    pub fn matches(self, state: SessionState) -> bool {
        match self {
            StateFilter::Active => state == SessionState::Active,
            StateFilter::Disconnected => state != SessionState::Active,
        }
    }

    /// The word in options and scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            StateFilter::Active => "active",
            StateFilter::Disconnected => "disconnected",
        }
    }
}

/// Which sessions. Everything that is given must hold; the default is every session of every person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionFilter {
    /// Users of whom one must fit; empty is everybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<Glob>,
    /// Users who are left alone, whoever is included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude_users: Vec<Glob>,
    /// The state; `None` is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateFilter>,
    /// Idle for at least so long, in milliseconds. A session whose platform does not tell is left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_at_least_ms: Option<u64>,
    /// Logged on before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logged_on_before: Option<WallTime>,
}

/// Why a session is not meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// Its user is not among those who were named.
    User,
    /// Its user was excluded.
    ExcludedUser,
    /// Somebody sits at it, or nobody does.
    State,
    /// It was used lately, or its platform does not tell.
    Idle,
    /// It began later.
    LoggedOnLater,
}

impl Mismatch {
    /// In words, as a session's result says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Mismatch::User => "its user was not asked for",
            Mismatch::ExcludedUser => "its user was excluded",
            Mismatch::State => "it is not in the state that was asked for",
            Mismatch::Idle => "it is not known to have been idle for long enough",
            Mismatch::LoggedOnLater => "it began later",
        }
    }
}

/// What must still hold immediately before a session is ended; looked at inside the guest. What cannot change in a
/// session (its user, when it began) is part of its identity and not repeated here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnlyIf {
    /// It is in this state. One that is closing already always may be ended.
    pub state: Option<StateFilter>,
    /// It has been idle for at least so long, in milliseconds.
    pub idle_at_least_ms: Option<u64>,
}

impl OnlyIf {
    /// Whether nothing has to hold.
    pub fn is_always(self) -> bool {
        self == OnlyIf::default()
    }

    /// Whether it holds for a session that was looked at just now.
    pub fn holds(self, state: SessionState, idle_ms: Option<u64>) -> bool {
        if state == SessionState::Closing {
            return true;
        }
        self.state.is_none_or(|wanted| wanted.matches(state))
            && self.idle_at_least_ms.is_none_or(|least| idle_ms.is_some_and(|idle| idle >= least))
    }
}

impl SessionFilter {
    /// Whether every session is meant.
    pub fn is_everybody(&self) -> bool {
        *self == SessionFilter::default()
    }

    /// Whether a session is meant, or why not.
    ///
    /// `guest_now` is the guest's wall clock when it was listed, and `now` the reader's at the same moment: guests' clocks
    /// are often wrong, so a session's age is taken from the guest and compared on the reader's clock.
    ///
    /// # Errors
    /// The first condition that does not hold.
    pub fn check(&self, session: &Session, guest_now: WallTime, now: WallTime) -> Result<(), Mismatch> {
        if user::is_among(&session.user, &self.exclude_users) {
            return Err(Mismatch::ExcludedUser);
        }
        if !self.users.is_empty() && !user::is_among(&session.user, &self.users) {
            return Err(Mismatch::User);
        }
        if self.state.is_some_and(|state| !state.matches(session.state)) {
            return Err(Mismatch::State);
        }
        if self.idle_at_least_ms.is_some_and(|least| session.idle_ms.is_none_or(|idle| idle < least)) {
            return Err(Mismatch::Idle);
        }
        let began = WallTime(now.0.saturating_sub(guest_now.0.saturating_sub(session.since.0)));
        if self.logged_on_before.is_some_and(|before| began >= before) {
            return Err(Mismatch::LoggedOnLater);
        }
        Ok(())
    }

    /// What is looked at again, inside the guest, before a session is ended.
    pub fn only_if(&self) -> OnlyIf {
        OnlyIf { state: self.state, idle_at_least_ms: self.idle_at_least_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SessionKey;

    const NOW: WallTime = WallTime(1_000_000_000);

    fn session(user: &str) -> Session {
        Session {
            key: SessionKey { boot: "b".into(), id: "1".into(), began_us: 0 },
            user: user.into(),
            state: SessionState::Active,
            kind: "ssh".into(),
            origin: String::new(),
            since: WallTime(NOW.0 - 60_000),
            idle_ms: Some(5_000),
        }
    }

    fn globs(texts: &[&str]) -> Vec<Glob> {
        texts.iter().map(|text| text.parse().expect("a pattern")).collect()
    }

    #[test]
    fn with_everything_left_out_every_session_is_meant() {
        assert_eq!(SessionFilter::default().check(&session("alice"), NOW, NOW), Ok(()));
        assert!(SessionFilter::default().is_everybody() && SessionFilter::default().only_if().is_always());
    }

    #[test]
    fn an_excluded_user_is_left_alone_even_when_included() {
        let filter = SessionFilter {
            users: globs(&["CORP\\*"]),
            exclude_users: globs(&["alice"]),
            ..SessionFilter::default()
        };
        assert_eq!(filter.check(&session("corp\\bob"), NOW, NOW), Ok(()));
        assert_eq!(filter.check(&session("CORP\\Alice"), NOW, NOW), Err(Mismatch::ExcludedUser));
        assert_eq!(filter.check(&session("bob@corp.example"), NOW, NOW), Err(Mismatch::User));
    }

    #[test]
    fn one_that_is_ending_already_counts_as_disconnected_and_may_always_be_ended() {
        let closing = Session { state: SessionState::Closing, ..session("alice") };
        let of = |state| SessionFilter { state: Some(state), ..SessionFilter::default() };
        assert_eq!(of(StateFilter::Disconnected).check(&closing, NOW, NOW), Ok(()));
        assert_eq!(of(StateFilter::Active).check(&closing, NOW, NOW), Err(Mismatch::State));
        assert!(of(StateFilter::Active).only_if().holds(SessionState::Closing, None));
        assert!(!of(StateFilter::Disconnected).only_if().holds(SessionState::Active, None));
    }

    #[test]
    fn an_idle_time_that_the_platform_does_not_tell_is_not_long_enough() {
        let filter = SessionFilter { idle_at_least_ms: Some(5_000), ..SessionFilter::default() };
        assert_eq!(filter.check(&session("alice"), NOW, NOW), Ok(()));
        let unknown = Session { idle_ms: None, ..session("alice") };
        assert_eq!(filter.check(&unknown, NOW, NOW), Err(Mismatch::Idle));
        assert!(!filter.only_if().holds(SessionState::Active, None));
        assert!(!filter.only_if().holds(SessionState::Active, Some(4_999)));
        assert!(filter.only_if().holds(SessionState::Active, Some(5_000)));
    }

    #[test]
    fn when_a_session_began_is_counted_from_its_age_whatever_the_guests_clock_says() {
        let filter =
            SessionFilter { logged_on_before: Some(WallTime(NOW.0 - 30_000)), ..SessionFilter::default() };
        assert_eq!(filter.check(&session("alice"), NOW, NOW), Ok(()));
        // The guest's clock is an hour behind, and the session is as old as before.
        let shifted = Session { since: WallTime(NOW.0 - 3_660_000), ..session("alice") };
        assert_eq!(filter.check(&shifted, WallTime(NOW.0 - 3_600_000), NOW), Ok(()));
        let young = Session { since: WallTime(NOW.0 - 3_610_000), ..session("alice") };
        assert_eq!(filter.check(&young, WallTime(NOW.0 - 3_600_000), NOW), Err(Mismatch::LoggedOnLater));
    }
}
