//! The `simulated` provider: guests that do not exist, for trying out, load and tests, with faults by configuration.
//! It never reaches anything real; ten thousand of them in one process cost no task and no timer.

mod config;
mod disk;
mod world;

pub use config::{Fault, FaultKind, FaultyGuest, SimulatedConfig};

use crate::provider::{
    BuildError, DrainOrder, DrainReply, EndMode, EndReply, Error, Look, NoticeReply, Provider, SessionList,
    UndrainReply,
};
use async_trait::async_trait;
use curfew_types::{Guest, GuestId, HostName, OnlyIf, OsFamily, PowerState, SessionKey, StatusCode};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;
use world::{Silence, World};

const NAME: &str = "simulated";

/// Guests that do not exist.
///
/// Their clock is the wall clock at the start and runs on with tokio's, so it follows a paused runtime.
pub struct Simulated {
    config: SimulatedConfig,
    host: HostName,
    /// The wall clock when the provider was built, in milliseconds since the Unix epoch, and that moment.
    start: (u64, Instant),
    world: Mutex<World>,
}

/// The provider.
///
/// # Errors
/// As [`Simulated::new`].
pub fn build(config: &SimulatedConfig, host: &HostName) -> Result<Option<Arc<dyn Provider>>, BuildError> {
    Ok(Some(Arc::new(Simulated::new(config, host)?)))
}

impl Simulated {
    /// Guests as configured; with a state file, as they were left.
    ///
    /// # Errors
    /// When a field is out of its range, or the state file cannot be read or written.
    pub fn new(config: &SimulatedConfig, host: &HostName) -> Result<Simulated, BuildError> {
        config.check(host)?;
        let wall_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let start_ms = u64::try_from(wall_ms).unwrap_or(u64::MAX);
        let mut world = World::new(start_ms);
        if let Some(path) = &config.state_file {
            let refuse = |doing: &str, error: std::io::Error| BuildError {
                provider: NAME,
                why: format!("{doing} the state file {}: {error}", path.display()),
            };
            if let Some(kept) = disk::load(path).map_err(|error| refuse("reading", error))? {
                world = kept;
            }
            world.materialise(config);
            disk::save(path, &world).map_err(|error| refuse("writing", error))?;
        }
        Ok(Simulated {
            config: config.clone(),
            host: host.clone(),
            start: (start_ms, Instant::now()),
            world: Mutex::new(world),
        })
    }

    /// Lets the guests start over: everybody who was logged on at first is so again, as of now.
    pub fn begin_anew(&self) {
        let mut world = World::new(self.now_ms());
        world.materialise(&self.config);
        *self.world() = world;
    }

    fn now_ms(&self) -> u64 {
        let passed = u64::try_from(self.start.1.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.start.0.saturating_add(passed)
    }

    /// The number of the guest with this id. Computed, not looked up, so that a guest costs nothing.
    fn number_of(&self, guest: &GuestId) -> Result<u32, Error> {
        let number = guest
            .as_str()
            .strip_prefix(self.host.as_str())
            .and_then(|rest| rest.strip_prefix("/simulated/"))
            .and_then(|name| self.number_of_name(name));
        number.ok_or_else(|| {
            Error::new(StatusCode::VmUnknown, format!("no simulated guest has the id {:?}", guest.as_str()))
        })
    }

    fn number_of_name(&self, name: &str) -> Option<u32> {
        let digits = name.strip_prefix(self.config.name_prefix.as_str())?;
        let number: u32 = digits.parse().ok()?;
        // "007" and "+7" parse as well, but are nobody's name.
        let is_name = digits.bytes().all(|digit| digit.is_ascii_digit()) && !digits.starts_with('0');
        (is_name && (1..=self.config.guests).contains(&number)).then_some(number)
    }

    /// Waits until the guest answers, or says that it has not within the budget. Returns what time it is then.
    async fn answers(&self, number: u32, budget: Duration) -> Result<u64, Error> {
        let now_ms = self.now_ms();
        let wait = match self.world().silence(&self.config, number, now_ms) {
            Silence::None => return Ok(now_ms),
            Silence::Until(then_ms) => Duration::from_millis(then_ms.saturating_sub(now_ms)),
            Silence::Forever => Duration::MAX,
        };
        tokio::time::sleep(wait.min(budget)).await;
        if wait <= budget { Ok(self.now_ms()) } else { Err(Self::silent(budget)) }
    }

    fn silent(budget: Duration) -> Error {
        let message = format!("the simulated guest did not answer within {} ms", budget.as_millis());
        Error::new(StatusCode::TimedOut, message)
    }

    /// Changes the guests and writes the state file before anybody learns of it.
    fn change<T>(&self, now_ms: u64, act: impl FnOnce(&mut World) -> Result<T, Error>) -> Result<T, Error> {
        let mut world = self.world();
        let kept = self.config.state_file.as_ref().map(|path| (path, world.clone()));
        let failed = |doing: &str, error: std::io::Error| {
            Error::new(StatusCode::Unexpected, format!("{doing} of the simulated guests: {error}"))
        };
        if let Some(path) = &self.config.logons_file {
            let (logons, read) =
                disk::logons(path, world.logons_read).map_err(|error| failed("reading the logons", error))?;
            for logon in logons {
                if let Some(number) = self.number_of_name(&logon.guest) {
                    world.log_on(&self.config, number, logon.user, now_ms);
                }
            }
            world.logons_read = read;
        }
        let result = act(&mut world);
        if let Some((path, before)) = kept
            && before != *world
        {
            disk::save(path, &world).map_err(|error| failed("writing the state", error))?;
        }
        result
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Provider for Simulated {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn discover(&self) -> Result<Vec<Guest>, Error> {
        let guest = |number| {
            let name = self.config.name_of(number);
            let id = GuestId::local(&self.host, NAME, &name)
                .map_err(|error| Error::new(StatusCode::Unexpected, error.to_string()))?;
            let power = if self.config.has(number, FaultKind::NotRunning) {
                PowerState::Stopped
            } else if self.config.has(number, FaultKind::Paused) {
                PowerState::Paused
            } else {
                PowerState::Running
            };
            Ok(Guest {
                id,
                name: name.into(),
                provider: NAME.into(),
                os: OsFamily::Linux,
                power,
                is_host: false,
                labels: Default::default(),
            })
        };
        (1..=self.config.guests).map(guest).collect()
    }

    async fn list_sessions(
        &self,
        guest: &GuestId,
        look: Look,
        budget: Duration,
    ) -> Result<SessionList, Error> {
        let number = self.number_of(guest)?;
        let now_ms = self.answers(number, budget).await?;
        self.change(now_ms, |world| world.list(&self.config, number, look, now_ms))
    }

    async fn notify(
        &self,
        guest: &GuestId,
        sessions: &[SessionKey],
        text: &str,
        budget: Duration,
    ) -> Result<Vec<NoticeReply>, Error> {
        let number = self.number_of(guest)?;
        let now_ms = self.answers(number, budget).await?;
        if self.config.has(number, FaultKind::NotifyHangs) {
            tokio::time::sleep(budget).await;
            return Err(Self::silent(budget));
        }
        self.change(now_ms, |world| world.notify(&self.config, number, sessions, text, now_ms))
    }

    async fn end_session(
        &self,
        guest: &GuestId,
        session: &SessionKey,
        how: EndMode,
        only_if: OnlyIf,
        budget: Duration,
    ) -> Result<EndReply, Error> {
        let number = self.number_of(guest)?;
        if budget.is_zero() {
            return Ok(EndReply::TooLate);
        }
        let now_ms = self.answers(number, budget).await?;
        self.change(now_ms, |world| world.end(&self.config, number, session, (how, only_if), now_ms))
    }

    async fn drain(
        &self,
        guest: &GuestId,
        order: &DrainOrder,
        budget: Duration,
    ) -> Result<DrainReply, Error> {
        let number = self.number_of(guest)?;
        let now_ms = self.answers(number, budget).await?;
        self.change(now_ms, |world| world.drain(&self.config, number, order, now_ms))
    }

    async fn undrain(&self, guest: &GuestId, budget: Duration) -> Result<UndrainReply, Error> {
        let number = self.number_of(guest)?;
        let now_ms = self.answers(number, budget).await?;
        self.change(now_ms, |world| world.undrain(&self.config, number, now_ms))
    }
}

#[cfg(test)]
mod tests;
