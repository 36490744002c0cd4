//! The `containers` provider: systemd containers on the machine the agent runs on, each asked over its own system bus.
//! Nothing is run inside them, and nothing they hold leads the agent to anything outside them.
//!
//! A container is found by the process that is its pid 1, from systemd-machined or a pid file. Before each use that
//! process is looked at again: it must be in namespaces of its own, and its root directory is opened only if it is the same
//! process before and after. Every path is resolved below that directory, and who listens at the bus there must be a
//! process of the container. Within a container whose files hang, one job waits at a time.
//!
//! A container with a user namespace is asked as the user that is its root; that takes an agent that runs as root.

mod config;
mod leader;
mod machined;
mod pidfiles;

use crate::provider::login1::bus::Bus;
use crate::provider::login1::machine::{Machine, since_boot, within};
use crate::provider::login1::root::Root;
use crate::provider::login1::socket::{Caller, Listener, bus_at};
use crate::provider::{
    BuildError, DrainOrder, DrainReply, EndMode, EndReply, Error, Look, NoticeReply, Provider, SessionList,
    UndrainReply,
};
use async_trait::async_trait;
pub use config::ContainersConfig;
use config::Places;
use curfew_types::label::Labels;
use curfew_types::{Guest, GuestId, HostName, OnlyIf, OsFamily, PowerState, SessionKey, StatusCode};
use leader::Leader;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

const NAME: &str = "containers";

/// Where a container's own system bus listens, below its root.
const SYSTEM_BUS: &str = "run/dbus/system_bus_socket";

/// How long after its start a container may be without a bus because it still boots.
const BOOTS_WITHIN: Duration = Duration::from_secs(120);

/// The containers on the machine.
pub struct Containers {
    host: HostName,
    places: Places,
    /// The machine's own bus, for systemd-machined.
    bus: Bus,
    /// By name: one job at a time in a container's files, also across calls. Those of containers that are not found any
    /// more are dropped.
    turns: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// A container that can be asked now.
struct Reached {
    bus: Bus,
    root: Root,
    boot: String,
    /// How long it has been running.
    age: Duration,
}

/// Containers on the host with this name.
///
/// # Errors
/// As [`Containers::new`].
pub fn build(config: &ContainersConfig, host: &HostName) -> Result<Option<Arc<dyn Provider>>, BuildError> {
    Ok(Some(Arc::new(Containers::new(config, host)?)))
}

impl Containers {
    /// Containers on the host with this name; looks for none yet.
    ///
    /// # Errors
    /// When the configuration says nowhere to look, or a pattern cannot be one.
    pub fn new(config: &ContainersConfig, host: &HostName) -> Result<Containers, BuildError> {
        Containers::over(Bus::system(), config, host)
    }

    fn over(bus: Bus, config: &ContainersConfig, host: &HostName) -> Result<Containers, BuildError> {
        let places = config.check()?;
        Ok(Containers { host: host.clone(), places, bus, turns: Mutex::default() })
    }

    /// The pid of each container's first process, by name; none where it is known not to run.
    async fn find(&self) -> Result<BTreeMap<String, Option<u32>>, Error> {
        let patterns = self.places.pidfiles.clone();
        let found = tokio::task::spawn_blocking(move || pidfiles::find(&patterns)).await;
        let found = found.map_err(|error| Error::new(StatusCode::Unexpected, error.to_string()))?;
        let mut found = found.map_err(|why| Error::new(StatusCode::Unexpected, why))?;
        if self.places.machined {
            // Who registered a container with systemd knows it best.
            found.extend(
                machined::containers(&self.bus).await?.into_iter().map(|(name, pid)| (name, Some(pid))),
            );
        }
        Ok(found)
    }

    /// The pid of one container's first process; none where it is known not to run.
    async fn find_one(&self, name: &str) -> Result<Option<u32>, Error> {
        if self.places.machined
            && let Some(pid) = machined::container(&self.bus, name).await?
        {
            return Ok(Some(pid));
        }
        let patterns = self.places.pidfiles.clone();
        let named = name.to_owned();
        let found = tokio::task::spawn_blocking(move || pidfiles::find_one(&patterns, &named)).await;
        let found = found.map_err(|error| Error::new(StatusCode::Unexpected, error.to_string()))?;
        found.ok_or_else(|| Error::new(StatusCode::VmUnknown, format!("there is no container {name:?}")))
    }

    async fn reach(&self, guest: &GuestId) -> Result<Reached, Error> {
        let unknown = || {
            let message = format!("{:?} is no container of this host", guest.as_str());
            Error::new(StatusCode::VmUnknown, message)
        };
        let local = guest.as_str().strip_prefix(self.host.as_str()).ok_or_else(unknown)?;
        let name = local.strip_prefix("/containers/").ok_or_else(unknown)?;
        if name.is_empty() || name.contains('/') {
            return Err(unknown());
        }
        let stopped = || Error::new(StatusCode::VmNotRunning, format!("container {name:?} does not run"));
        let pid = self.find_one(name).await?.ok_or_else(stopped)?;
        let leader = Leader::of(pid).map_err(|why| why.into_error(name))?;
        if leader.is_frozen() {
            return Err(Error::new(StatusCode::VmPaused, format!("container {name:?} is frozen")));
        }
        let root = leader.root(self.turn(name)).map_err(|why| why.into_error(name))?;
        let boot = leader.boot().map_err(|error| Error::new(StatusCode::Unexpected, error.to_string()))?;
        Ok(Reached { bus: bus_of(root.clone()), root, boot, age: leader.age() })
    }

    fn turn(&self, name: &str) -> Arc<Semaphore> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(name.into()).or_insert_with(|| Arc::new(Semaphore::new(1))))
    }

    fn guest(&self, name: String, pid: Option<u32>) -> Option<Guest> {
        // A name that cannot be part of an id is not one of ours.
        let id = GuestId::local(&self.host, NAME, &name).ok().filter(|_| !name.contains('/'))?;
        let power = match pid.map(Leader::of) {
            None | Some(Err(leader::WhyNot::Gone)) => PowerState::Stopped,
            Some(Ok(leader)) if leader.is_frozen() => PowerState::Paused,
            Some(Ok(_)) => PowerState::Running,
            // The attempt tells why.
            Some(Err(_)) => PowerState::Unknown,
        };
        let (os, labels) = (OsFamily::Linux, Labels::new());
        Some(Guest { id, name: name.into(), provider: NAME.into(), os, power, is_host: false, labels })
    }
}

impl Reached {
    fn machine(&self) -> Machine<'_> {
        Machine { bus: &self.bus, root: &self.root, boot: &self.boot }
    }

    /// A container without a bus may have one soon, if it has only just been started.
    fn not_yet(&self, error: Error) -> Error {
        if error.unlistable && self.age < BOOTS_WITHIN {
            let message = format!("the container was started just now: {}", error.message);
            return Error::new(StatusCode::AdditionsNotAvail, message);
        }
        error
    }
}

/// The container's own system bus, as its root. The connection lasts as long as one request.
fn bus_of(root: Root) -> Bus {
    Bus::over(Box::new(move || {
        let root = root.clone();
        Box::pin(
            async move { bus_at(&root, SYSTEM_BUS.into(), Caller::of(&root, 0)?, Listener::IsThere).await },
        )
    }))
}

#[async_trait]
impl Provider for Containers {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn discover(&self) -> Result<Vec<Guest>, Error> {
        let found = self.find().await?;
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|name, _| found.contains_key(name));
        drop(turns);
        Ok(found.into_iter().filter_map(|(name, pid)| self.guest(name, pid)).collect())
    }

    async fn list_sessions(
        &self,
        guest: &GuestId,
        look: Look,
        budget: Duration,
    ) -> Result<SessionList, Error> {
        within(budget, async {
            let reached = self.reach(guest).await?;
            reached.machine().list(look).await.map_err(|error| reached.not_yet(error))
        })
        .await
    }

    async fn notify(
        &self,
        guest: &GuestId,
        sessions: &[SessionKey],
        text: &str,
        budget: Duration,
    ) -> Result<Vec<NoticeReply>, Error> {
        let deadline = since_boot() + budget;
        within(budget, async { self.reach(guest).await?.machine().notify(sessions, text, deadline).await })
            .await
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
        within(budget, async {
            self.reach(guest).await?.machine().end(session, how, only_if, deadline).await
        })
        .await
    }

    async fn drain(
        &self,
        guest: &GuestId,
        order: &DrainOrder,
        budget: Duration,
    ) -> Result<DrainReply, Error> {
        let deadline = since_boot() + budget;
        within(budget, async { self.reach(guest).await?.machine().drain(order, deadline).await }).await
    }

    async fn undrain(&self, guest: &GuestId, budget: Duration) -> Result<UndrainReply, Error> {
        within(budget, async { self.reach(guest).await?.machine().undrain().await }).await
    }
}

#[cfg(test)]
mod tests;
