//! The `logind` provider: the machine the agent runs on, over D-Bus. It acts on nobody's sessions unless it was
//! switched on by word, and never uses a verb that would hit all sessions of a user.
//!
//! logind takes ids from the kernel's audit counter, or counts by itself, so an id comes back within one boot only after
//! logind itself was restarted.

use crate::provider::login1::bus::Bus;
use crate::provider::login1::machine::{Machine, since_boot, within};
use crate::provider::login1::process;
use crate::provider::login1::root::Root;
use crate::provider::{
    BuildError, DrainOrder, DrainReply, EndMode, EndReply, Error, Look, NoticeReply, Provider, SessionList,
    UndrainReply,
};
use async_trait::async_trait;
use curfew_types::label::Labels;
use curfew_types::{Guest, GuestId, HostName, OnlyIf, OsFamily, PowerState, SessionKey, StatusCode};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

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
    root: Root,
}

/// The machine itself, if the configuration says so.
///
/// # Errors
/// As [`Logind::new`].
pub fn build(config: &LogindConfig, host: &HostName) -> Result<Option<Arc<dyn Provider>>, BuildError> {
    Ok(if config.enabled { Some(Arc::new(Logind::new(host)?)) } else { None })
}

impl Logind {
    /// The machine under its host's name; does not connect yet.
    ///
    /// # Errors
    /// When /proc does not tell which boot this is, or the root directory cannot be opened.
    pub fn new(host: &HostName) -> Result<Logind, BuildError> {
        let refuse = |why: String| BuildError { provider: NAME, why };
        let boot = process::boot(1).map_err(|error| {
            refuse(format!("/proc does not tell which boot of the machine this is: {error}"))
        })?;
        let root = Root::of_host().map_err(|error| refuse(format!("opening /: {error}")))?;
        Logind::over(Bus::system(), root, boot, host)
    }

    fn over(bus: Bus, root: Root, boot: String, host: &HostName) -> Result<Logind, BuildError> {
        let id = GuestId::local(host, NAME, SELF)
            .map_err(|error| BuildError { provider: NAME, why: error.to_string() })?;
        Ok(Logind { id, name: host.as_str().into(), boot, bus, root })
    }

    fn machine(&self, guest: &GuestId) -> Result<Machine<'_>, Error> {
        if *guest == self.id {
            return Ok(Machine { bus: &self.bus, root: &self.root, boot: &self.boot });
        }
        Err(Error::new(StatusCode::VmUnknown, format!("{:?} is not the machine itself", guest.as_str())))
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
            name: self.name.as_str().into(),
            provider: NAME.into(),
            os: OsFamily::Linux,
            power: PowerState::Running,
            is_host: true,
            labels: Labels::new(),
        }])
    }

    async fn list_sessions(
        &self,
        guest: &GuestId,
        look: Look,
        budget: Duration,
    ) -> Result<SessionList, Error> {
        within(budget, self.machine(guest)?.list(look)).await
    }

    async fn notify(
        &self,
        guest: &GuestId,
        sessions: &[SessionKey],
        text: &str,
        budget: Duration,
    ) -> Result<Vec<NoticeReply>, Error> {
        let deadline = since_boot() + budget;
        within(budget, self.machine(guest)?.notify(sessions, text, deadline)).await
    }

    async fn end_session(
        &self,
        guest: &GuestId,
        session: &SessionKey,
        how: EndMode,
        only_if: OnlyIf,
        budget: Duration,
    ) -> Result<EndReply, Error> {
        let deadline = since_boot() + budget;
        within(budget, self.machine(guest)?.end(session, how, only_if, deadline)).await
    }

    async fn drain(
        &self,
        guest: &GuestId,
        order: &DrainOrder,
        budget: Duration,
    ) -> Result<DrainReply, Error> {
        let deadline = since_boot() + budget;
        within(budget, self.machine(guest)?.drain(order, deadline)).await
    }

    async fn undrain(&self, guest: &GuestId, budget: Duration) -> Result<UndrainReply, Error> {
        within(budget, self.machine(guest)?.undrain()).await
    }
}

#[cfg(test)]
mod tests;
