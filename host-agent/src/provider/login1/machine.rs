//! One machine with logind, the host itself or a container: its sessions listed and ended over its system bus.
//!
//! What cannot be atomic: between the look at a session (that it is still the same one, and what must hold of it) and the
//! signal is one call over the bus, less than a millisecond on a machine at rest.

use super::bus::{Bus, Failure};
use super::root::Root;
use super::{SIGKILL, is_session_id, logind, polite_signal, scope, session_path};
use crate::provider::{EndMode, EndReply, Error, Look, SessionList};
use curfew_types::{OnlyIf, Session, SessionKey, StatusCode, WallTime};
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::timeout;
use zbus::Connection;

/// A machine while it is asked something.
#[derive(Clone, Copy)]
pub(in crate::provider) struct Machine<'a> {
    /// Its system bus.
    pub(in crate::provider) bus: &'a Bus,
    /// Its files.
    pub(in crate::provider) root: &'a Root,
    /// Which boot of it this is.
    pub(in crate::provider) boot: &'a str,
}

/// A session that is still the one that was meant.
pub(super) struct Current {
    pub(super) session: Session,
    pub(super) seen: logind::Seen,
}

impl Machine<'_> {
    /// Lists the sessions of people.
    ///
    /// # Errors
    /// *Unlistable* where logind does not answer; access denied where the bus refuses.
    pub(in crate::provider) async fn list(&self, look: Look) -> Result<SessionList, Error> {
        let bus = self.bus.connection().await.map_err(|failure| cannot_list(&failure))?;
        let listed = logind::list_sessions(&bus).await.map_err(|failure| cannot_list(&failure))?;
        let now_us = now_us();
        let mut sessions = Vec::new();
        let mut processes = BTreeMap::new();
        for (id, path) in listed {
            match logind::session(&bus, &path).await {
                Ok(seen) if seen.properties.id == id && path == session_path(&id) => {
                    let Some(session) = seen.properties.into_session(self.boot, now_us) else { continue };
                    if look.processes {
                        let names = self.process_names(&bus, &seen.scope).await;
                        processes.extend((!names.is_empty()).then_some((id, names)));
                    }
                    sessions.push(session);
                }
                Ok(_) => return Err(Error::new(StatusCode::Unexpected, "logind mixes up its sessions")),
                // It ended while it was looked at.
                Err(Failure::Gone) => {}
                Err(failure) => return Err(cannot_list(&failure)),
            }
        }
        sessions.sort_by(|a, b| (a.key.began_us, &a.key.id).cmp(&(b.key.began_us, &b.key.id)));
        let clock = WallTime(i64::try_from(now_us / 1000).unwrap_or(i64::MAX));
        Ok(SessionList { boot: self.boot.into(), clock, sessions, processes })
    }

    /// Asks a session to end, if it still is that session, `only_if` holds and `deadline` has not come.
    ///
    /// # Errors
    /// Access denied; unexpected where logind does not do it.
    pub(in crate::provider) async fn end(
        &self,
        key: &SessionKey,
        how: EndMode,
        only_if: OnlyIf,
        deadline: Duration,
    ) -> Result<EndReply, Error> {
        if !is_session_id(&key.id) {
            let message = format!("{:?} is not the id of a logind session", key.id);
            return Err(Error::new(StatusCode::Unexpected, message));
        }
        let bus = self.bus.connection().await.map_err(|failure| cannot_end(&failure))?;
        let session = match self.current(&bus, key).await {
            Ok(Some(current)) => current.session,
            Ok(None) => return Ok(EndReply::NotThatSession),
            Err(Failure::Gone) => return Ok(EndReply::Gone),
            Err(failure) => return Err(cannot_end(&failure)),
        };
        if !only_if.holds(session.state, session.idle_ms) {
            return Ok(EndReply::NoLongerMatches);
        }
        if since_boot() >= deadline {
            return Ok(EndReply::TooLate);
        }
        match ask_to_end(&bus, &key.id, how).await {
            // Nothing is left in it that could be asked; only looking again tells whether it goes.
            Ok(()) | Err(Failure::NothingLeft) => Ok(EndReply::Asked),
            Err(Failure::Gone) => Ok(EndReply::Gone),
            Err(failure) => Err(cannot_end(&failure)),
        }
    }

    /// What the session is like now; nothing where the id belongs to another one by now.
    pub(super) async fn current(
        &self,
        bus: &Connection,
        key: &SessionKey,
    ) -> Result<Option<Current>, Failure> {
        if key.boot != self.boot {
            return Ok(None);
        }
        let seen = logind::session(bus, &session_path(&key.id)).await?;
        let session = seen.properties.clone().into_session(self.boot, now_us());
        Ok(session.filter(|session| session.key == *key).map(|session| Current { session, seen }))
    }

    /// What a session's processes are called; nothing where that cannot be told.
    async fn process_names(&self, bus: &Connection, scope: &str) -> Vec<String> {
        let processes = scope::processes(bus, self.root, scope).await;
        processes.map(|processes| scope::names(&processes)).unwrap_or_default()
    }
}

async fn ask_to_end(bus: &Connection, id: &str, how: EndMode) -> Result<(), Failure> {
    match how {
        EndMode::Graceful { attempt } => logind::kill(bus, id, polite_signal(attempt)).await,
        EndMode::Force => {
            logind::terminate(bus, id).await?;
            match logind::kill(bus, id, SIGKILL).await {
                // What has ended at once has no processes left to kill.
                Err(Failure::Gone) => Ok(()),
                killed => killed,
            }
        }
    }
}

/// Time since the machine started, counting suspend: a request must not act after a night's sleep.
pub(in crate::provider) fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// What was asked, or *timed out* where the machine did not answer within `budget`.
///
/// # Errors
/// What was asked's, and timed out.
pub(in crate::provider) async fn within<T>(
    budget: Duration,
    asked: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let silent = || format!("the machine did not answer within {} ms", budget.as_millis());
    timeout(budget, asked).await.unwrap_or_else(|_| Err(Error::new(StatusCode::TimedOut, silent())))
}

/// The wall clock, which containers share, in microseconds since the Unix epoch.
fn now_us() -> u64 {
    let now_us = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    u64::try_from(now_us).unwrap_or(u64::MAX)
}

fn cannot_list(failure: &Failure) -> Error {
    match failure {
        Failure::Denied(why) => Error::new(StatusCode::AccessDenied, format!("listing sessions: {why}")),
        Failure::Nobody(why) | Failure::Other(why) => Error::unlistable(format!("listing sessions: {why}")),
        // These answer calls about one session or unit only.
        Failure::Gone | Failure::NothingLeft | Failure::Exists => {
            Error::unlistable("logind did not list its sessions")
        }
    }
}

fn cannot_end(failure: &Failure) -> Error {
    cannot("ending a session", failure)
}

/// An error about something else than the list.
pub(super) fn cannot(what: &str, failure: &Failure) -> Error {
    let (code, why) = match failure {
        Failure::Denied(why) => (StatusCode::AccessDenied, why.as_str()),
        Failure::Nobody(why) | Failure::Other(why) => (StatusCode::Unexpected, why.as_str()),
        Failure::Gone | Failure::NothingLeft => (StatusCode::Unexpected, "it went away meanwhile"),
        Failure::Exists => (StatusCode::Unexpected, "one of that name does not go away"),
    };
    Error::new(code, format!("{what}: {why}"))
}
