//! How people are to be treated, read independently of the core: whom a request means, and how often they may be told.

use crate::guest;
use curfew_agent_core::call::SessionList;
use curfew_types::glob::Glob;
use curfew_types::{Logoff, Session, SessionState, StateFilter, WallTime};

/// Time by which the core's clock and the observer's may differ within one turn.
const BORDER_MS: i64 = 10;
/// What people are told who may stay after all.
pub(crate) const CALLED_OFF: &str = "The logoff was called off: you can go on.";

/// Whether the request leaves a user alone, by the simulation's own list of who is meant by what.
pub(crate) fn leaves_alone(logoff: &Logoff, user: &str) -> bool {
    let among = |globs: &[Glob]| guest::means(globs.iter().map(Glob::as_str), user);
    let filter = &logoff.sessions;
    among(&filter.exclude_users) || !(filter.users.is_empty() || among(&filter.users))
}

/// Whether what can change about a session is as the request asks; one that is closing may always be ended.
pub(crate) fn still_fits(logoff: &Logoff, state: SessionState, idle_ms: Option<u64>) -> bool {
    let filter = &logoff.sessions;
    let in_state = match filter.state {
        None => true,
        Some(StateFilter::Active) => state == SessionState::Active,
        Some(StateFilter::Disconnected) => state == SessionState::Disconnected,
    };
    let is_idle = filter.idle_at_least_ms.is_none_or(|least| idle_ms.unwrap_or(0) >= least);
    state == SessionState::Closing || (in_state && is_idle)
}

/// Whether the request means a session as it was listed; `None` where a few milliseconds decide.
pub(crate) fn means(logoff: &Logoff, list: &SessionList, session: &Session, wall: WallTime) -> Option<bool> {
    let filter = &logoff.sessions;
    let in_state = match filter.state {
        None => true,
        Some(StateFilter::Active) => session.state == SessionState::Active,
        Some(StateFilter::Disconnected) => session.state != SessionState::Active,
    };
    let is_idle =
        filter.idle_at_least_ms.is_none_or(|least| session.idle_ms.is_some_and(|idle| idle >= least));
    if leaves_alone(logoff, &session.user) || !in_state || !is_idle {
        return Some(false);
    }
    let Some(before) = filter.logged_on_before else { return Some(true) };
    let began = wall.0 - (list.clock.0 - session.since.0);
    if (began - before.0).abs() <= BORDER_MS { None } else { Some(began < before.0) }
}

/// Whether whom the request means can change while nobody logs on or off.
pub(crate) fn can_change(logoff: &Logoff) -> bool {
    let filter = &logoff.sessions;
    filter.state.is_some() || filter.idle_at_least_ms.is_some() || filter.logged_on_before.is_some()
}

/// How often one session may be told before it is logged off.
pub(crate) fn notices_max(logoff: &Logoff) -> u64 {
    logoff.notice.as_ref().map_or(0, |notice| 1 + notice.repeat_ms.map_or(0, |every| notice.grace_ms / every))
}
