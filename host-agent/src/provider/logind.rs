//! The `logind` provider: the machine the agent runs on, over D-Bus. It acts on nobody's sessions unless it was
//! switched on by word, and never uses a verb that would hit all sessions of a user.
//!
//! What cannot be atomic: between the check of a session's logon time and the signal is one call over the bus, less
//! than a millisecond on a machine at rest. logind takes ids from the kernel's audit counter, or counts by itself, so
//! an id comes back within one boot only after logind itself was restarted.

mod bus;

use crate::provider::login1::{self, SIGKILL};
use crate::provider::{BuildError, EndMode, EndReply, Error, Provider, SessionList};
use async_trait::async_trait;
use bus::{Bus, Failure};
use curfew_types::label::Labels;
use curfew_types::{Guest, GuestId, HostName, OsFamily, PowerState, SessionKey, StatusCode};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::timeout;

const NAME: &str = "logind";
/// The local part of the guest's id: there is one machine.
const SELF: &str = "self";

/// Whether the agent may log users off the machine it runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogindConfig {
    /// Must be said by word: `enabled = true`.
    pub enabled: bool,
}

/// The machine the agent runs on.
pub struct Logind {
    id: GuestId,
    name: String,
    /// Which boot of the machine this is; as in guests, with the moment of the first process, since containers
    /// share a boot id.
    boot: String,
    bus: Bus,
}

impl Logind {
    /// The machine under its host's name; does not connect yet.
    ///
    /// # Errors
    /// When /proc does not tell which boot this is.
    pub fn new(_config: &LogindConfig, host: &HostName) -> Result<Logind, BuildError> {
        let boot = boot().map_err(|error| BuildError {
            provider: NAME,
            why: format!("/proc does not tell which boot of the machine this is: {error}"),
        })?;
        Logind::over(Bus::system(), boot, host)
    }

    fn over(bus: Bus, boot: String, host: &HostName) -> Result<Logind, BuildError> {
        let id = GuestId::local(host, NAME, SELF)
            .map_err(|error| BuildError { provider: NAME, why: error.to_string() })?;
        Ok(Logind { id, name: host.as_str().into(), boot, bus })
    }

    fn check(&self, guest: &GuestId) -> Result<(), Error> {
        if *guest == self.id {
            return Ok(());
        }
        Err(Error::new(StatusCode::VmUnknown, format!("{:?} is not the machine itself", guest.as_str())))
    }

    async fn list(&self) -> Result<SessionList, Error> {
        let connection = self.bus.connection().await.map_err(|failure| cannot_list(&failure))?;
        let listed = bus::list_sessions(&connection).await.map_err(|failure| cannot_list(&failure))?;
        let now_us = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
        let now_us = u64::try_from(now_us).unwrap_or(u64::MAX);
        let mut sessions = Vec::new();
        for (id, path) in listed {
            match bus::properties(&connection, &path).await {
                Ok(properties) if properties.id == id && path == login1::session_path(&id) => {
                    sessions.extend(properties.into_session(&self.boot, now_us));
                }
                Ok(_) => return Err(Error::new(StatusCode::Unexpected, "logind mixes up its sessions")),
                // It ended while it was looked at.
                Err(Failure::Gone) => {}
                Err(failure) => return Err(cannot_list(&failure)),
            }
        }
        sessions.sort_by(|a, b| (a.key.began_us, &a.key.id).cmp(&(b.key.began_us, &b.key.id)));
        Ok(SessionList { boot: self.boot.clone(), sessions })
    }

    async fn end(&self, key: &SessionKey, how: EndMode, deadline: Duration) -> Result<EndReply, Error> {
        if key.boot != self.boot {
            return Ok(EndReply::NotThatSession);
        }
        if !login1::is_session_id(&key.id) {
            let message = format!("{:?} is not the id of a logind session", key.id);
            return Err(Error::new(StatusCode::Unexpected, message));
        }
        let connection = self.bus.connection().await.map_err(|failure| cannot_end(&failure))?;
        match bus::timestamp_us(&connection, &login1::session_path(&key.id)).await {
            Ok(began_us) if began_us == key.began_us => {}
            Ok(_) => return Ok(EndReply::NotThatSession),
            Err(Failure::Gone) => return Ok(EndReply::Gone),
            Err(failure) => return Err(cannot_end(&failure)),
        }
        if since_boot() >= deadline {
            return Ok(EndReply::TooLate);
        }
        let asked = match how {
            EndMode::Graceful { attempt } => {
                bus::kill(&connection, &key.id, login1::polite_signal(attempt)).await
            }
            EndMode::Force => match bus::terminate(&connection, &key.id).await {
                // What has ended at once has no processes left to kill.
                Ok(()) => match bus::kill(&connection, &key.id, SIGKILL).await {
                    Err(Failure::Gone) => Ok(()),
                    killed => killed,
                },
                refused => refused,
            },
        };
        match asked {
            // Nothing is left in it that could be asked; only looking again tells whether it goes.
            Ok(()) | Err(Failure::NoProcess) => Ok(EndReply::Asked),
            Err(Failure::Gone) => Ok(EndReply::Gone),
            Err(failure) => Err(cannot_end(&failure)),
        }
    }
}

#[async_trait]
impl Provider for Logind {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn discover(&self) -> Result<Vec<Guest>, Error> {
        Ok(vec![Guest {
            id: self.id.clone(),
            name: self.name.clone(),
            provider: NAME.into(),
            os: OsFamily::Linux,
            power: PowerState::Running,
            is_host: true,
            labels: Labels::new(),
        }])
    }

    async fn list_sessions(&self, guest: &GuestId, budget: Duration) -> Result<SessionList, Error> {
        self.check(guest)?;
        timeout(budget, self.list()).await.unwrap_or_else(|_| Err(silent(budget)))
    }

    async fn end_session(
        &self,
        guest: &GuestId,
        session: &SessionKey,
        how: EndMode,
        budget: Duration,
    ) -> Result<EndReply, Error> {
        self.check(guest)?;
        let deadline = since_boot() + budget;
        timeout(budget, self.end(session, how, deadline)).await.unwrap_or_else(|_| Err(silent(budget)))
    }
}

/// Time since the machine started, counting suspend: a request must not act after a night's sleep.
fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// The kernel's boot id and the start of the first process (field 22 of its stat, 20 after the name's bracket).
fn boot() -> std::io::Result<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let stat = std::fs::read_to_string("/proc/1/stat")?;
    let fields = stat.rsplit_once(") ").map(|(_, fields)| fields);
    let began = fields.and_then(|fields| fields.split(' ').nth(19));
    let began = began.ok_or_else(|| std::io::Error::other("/proc/1/stat has no field 22"))?;
    Ok(format!("{}:{began}", id.trim()))
}

fn silent(budget: Duration) -> Error {
    Error::new(StatusCode::TimedOut, format!("logind did not answer within {} ms", budget.as_millis()))
}

fn cannot_list(failure: &Failure) -> Error {
    match failure {
        Failure::Denied(why) => Error::new(StatusCode::AccessDenied, format!("listing sessions: {why}")),
        Failure::NoLogind(why) | Failure::Other(why) => Error::unlistable(format!("listing sessions: {why}")),
        // These two answer calls about one session only.
        Failure::Gone | Failure::NoProcess => Error::unlistable("logind did not list its sessions"),
    }
}

fn cannot_end(failure: &Failure) -> Error {
    let (code, why) = match failure {
        Failure::Denied(why) => (StatusCode::AccessDenied, why.as_str()),
        Failure::NoLogind(why) | Failure::Other(why) => (StatusCode::Unexpected, why.as_str()),
        Failure::Gone | Failure::NoProcess => (StatusCode::Unexpected, "the session went away meanwhile"),
    };
    Error::new(code, format!("ending a session: {why}"))
}

#[cfg(test)]
mod tests;
