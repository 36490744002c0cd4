//! The `qga` provider: guests behind the QEMU guest agent, over its unix sockets, as QEMU and Proxmox lay them out.
//! It holds no connection between two exchanges, and never speaks to libvirt's guests, whose sockets libvirt holds.
//!
//! # What cannot be atomic
//!
//! Sessions are listed and ended with logind inside the guest (`list.sh`, `end.sh`). The script that ends a session
//! checks the guest's boot, the session's logon time and the deadline, then signals: between the check and the
//! signal is one call to logind, some milliseconds, in which the session could end and its id be given to a new one.
//! logind takes ids from the kernel's audit counter, or counts by itself, so an id comes back within one boot only
//! after logind itself was restarted.
//!
//! A guest that is frozen or paused takes what was sent to it when it wakes. So nothing is sent to a guest that its
//! hypervisor reports as paused; every exchange begins with a synchronisation; and the act follows at once upon an
//! answer that only a waking guest can give, its uptime, after which the script refuses to act when the guest's own
//! clock has passed the deadline. What remains: a virtual machine that is paused between that answer and the act,
//! within a round trip, and whose clock stands still meanwhile, acts when it is resumed, late, yet still only on the
//! very session that was meant.
//!
//! After `VM_E_TIMED_OUT` the program in the guest may still run; it acts before the deadline or not at all.

mod channel;
mod config;
mod exec;
#[cfg(test)]
mod fake;
mod inventory;
mod linux;
mod qmp;

pub use config::{QgaConfig, QgaGuest};

use crate::provider::{BuildError, EndMode, EndReply, Error, Provider, SessionList};
use async_trait::async_trait;
use channel::Channel;
use curfew_types::label::{self, Labels};
use curfew_types::{Guest, GuestId, HostName, OsFamily, PowerState, SessionKey, StatusCode};
use inventory::{Inventory, Place, Seen};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

const NAME: &str = "qga";

/// How long a guest may take to say what runs in it, when nobody waits for the answer.
const OS_WAIT: Duration = Duration::from_secs(2);
/// How long after a guest did not say what runs in it it is asked again. Doubles up to [`OS_PAUSE_MAX`].
const OS_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause between two such questions: the answer is for display and labels only.
const OS_PAUSE_MAX: Duration = Duration::from_secs(15 * 60);
/// Most guests asked what runs in them at the same time, so that a large host's start is no storm.
const OS_ASKED_AT_ONCE: usize = 4;

/// Guests behind the QEMU guest agent.
pub struct Qga {
    inventory: Inventory,
    /// The guests of the last look, by identity.
    targets: Mutex<HashMap<GuestId, Arc<Target>>>,
    os_askers: Arc<Semaphore>,
}

/// A guest and what is kept of it.
struct Target {
    place: Place,
    /// Held for one exchange: the agent serves one client at a time, and two of ours would only wait in its queue.
    turn: tokio::sync::Mutex<()>,
    os: Mutex<Os>,
}

/// What runs in a guest, as far as it said. Forgotten when the guest is seen shut off.
#[derive(Clone)]
struct Os {
    family: OsFamily,
    labels: Labels,
    /// Not asked again before this moment.
    ask_after: Instant,
    pause: Duration,
}

impl Qga {
    /// Checks the configuration; opens nothing.
    ///
    /// # Errors
    /// When a pattern, name or UUID cannot be used.
    pub fn new(config: &QgaConfig, host: &HostName) -> Result<Qga, BuildError> {
        Ok(Qga {
            inventory: Inventory::new(host.clone(), config.check(host)?),
            targets: Mutex::default(),
            os_askers: Arc::new(Semaphore::new(OS_ASKED_AT_ONCE)),
        })
    }

    /// Looks at all guests and keeps what is known of those that are still where they were.
    async fn look(&self) -> Result<Vec<(Seen, Arc<Target>)>, Error> {
        let seen = self.inventory.look().await?;
        let mut kept = lock(&self.targets);
        let mut known = std::mem::take(&mut *kept);
        let mut targets = Vec::with_capacity(seen.len());
        for guest in seen {
            let target = known.remove(&guest.id).filter(|target| target.place == guest.place);
            let target = target.unwrap_or_else(|| Arc::new(Target::new(guest.place.clone())));
            kept.insert(guest.id.clone(), Arc::clone(&target));
            targets.push((guest, target));
        }
        Ok(targets)
    }

    async fn target(&self, guest: &GuestId) -> Result<Arc<Target>, Error> {
        if let Some(target) = lock(&self.targets).get(guest) {
            return Ok(Arc::clone(target));
        }
        let target = self.look().await?.into_iter().find(|(seen, _)| seen.id == *guest);
        let unknown =
            || Error::new(StatusCode::VmUnknown, format!("no guest has the id {:?}", guest.as_str()));
        target.map(|(_, target)| target).ok_or_else(unknown)
    }

    /// Opens a channel to a Linux guest that could answer now, after its turn has come, and does one thing with it.
    async fn exchange<T>(
        &self,
        guest: &GuestId,
        budget: Duration,
        act: impl AsyncFnOnce(&mut Channel) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let deadline = Instant::now() + budget;
        let work = async {
            let target = self.target(guest).await?;
            let _turn = target.turn.lock().await;
            self.inventory.check(&target.place).await?;
            let mut channel = Channel::open(&target.place.socket, deadline).await?;
            // What was Windows or unknown may be Linux by now: the same machine can boot something else.
            if target.family() != OsFamily::Linux {
                let (family, labels) = ask_os(&mut channel).await?;
                target.learn(family, labels);
            }
            match target.family() {
                OsFamily::Linux | OsFamily::Unknown => act(&mut channel).await,
                family @ (OsFamily::Windows | OsFamily::Other) => Err(Error::unlistable(format!(
                    "guest {:?} runs {}, whose sessions this provider cannot list or end yet",
                    target.place.name,
                    family.as_str()
                ))),
            }
        };
        timeout_at(deadline, work).await.unwrap_or_else(|_| Err(channel::silent()))
    }

    /// Asks a running guest in the background what runs in it, unless it was asked lately or is busy.
    fn ask_in_background(&self, target: &Arc<Target>) {
        let now = Instant::now();
        if !lock(&target.os).due(now) {
            return;
        }
        let Ok(permit) = Arc::clone(&self.os_askers).try_acquire_owned() else {
            return;
        };
        lock(&target.os).put_off(now);
        let target = Arc::clone(target);
        // Ends by itself within OS_WAIT, and holds nothing that anybody waits for longer.
        tokio::spawn(async move {
            let _permit = permit;
            let Ok(_turn) = target.turn.try_lock() else {
                return;
            };
            let ask = async {
                let mut channel = Channel::open(&target.place.socket, Instant::now() + OS_WAIT).await?;
                ask_os(&mut channel).await
            };
            if let Ok((family, labels)) = ask.await {
                target.learn(family, labels);
            }
        });
    }
}

#[async_trait]
impl Provider for Qga {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn discover(&self) -> Result<Vec<Guest>, Error> {
        let shown = |(seen, target): (Seen, Arc<Target>)| {
            match seen.power {
                PowerState::Running | PowerState::Unknown => self.ask_in_background(&target),
                PowerState::Stopped => *lock(&target.os) = Os::unknown(),
                PowerState::Paused => {}
            }
            let os = lock(&target.os).clone();
            Guest {
                id: seen.id,
                name: seen.place.name,
                provider: NAME.into(),
                os: os.family,
                power: seen.power,
                is_host: false,
                labels: os.labels,
            }
        };
        Ok(self.look().await?.into_iter().map(shown).collect())
    }

    async fn list_sessions(&self, guest: &GuestId, budget: Duration) -> Result<SessionList, Error> {
        self.exchange(guest, budget, linux::list).await
    }

    async fn end_session(
        &self,
        guest: &GuestId,
        session: &SessionKey,
        how: EndMode,
        budget: Duration,
    ) -> Result<EndReply, Error> {
        self.exchange(guest, budget, async |channel| linux::end(channel, session, how).await).await
    }
}

impl Target {
    fn new(place: Place) -> Target {
        Target { place, turn: tokio::sync::Mutex::new(()), os: Mutex::new(Os::unknown()) }
    }

    fn family(&self) -> OsFamily {
        lock(&self.os).family
    }

    fn learn(&self, family: OsFamily, labels: Labels) {
        let mut os = lock(&self.os);
        os.family = family;
        os.labels = labels;
    }
}

impl Os {
    fn unknown() -> Os {
        Os { family: OsFamily::Unknown, labels: Labels::new(), ask_after: Instant::now(), pause: OS_PAUSE }
    }

    fn due(&self, now: Instant) -> bool {
        self.family == OsFamily::Unknown && self.ask_after <= now
    }

    fn put_off(&mut self, now: Instant) {
        self.ask_after = now + self.pause;
        self.pause = (self.pause * 2).min(OS_PAUSE_MAX);
    }
}

/// What runs in the guest. An agent that may not tell leaves it unknown, which stops nothing.
async fn ask_os(channel: &mut Channel) -> Result<(OsFamily, Labels), Error> {
    let info = match channel.call("guest-get-osinfo", Value::Null).await {
        Ok(info) => info,
        Err(channel::Refusal::NoSuchCommand(_) | channel::Refusal::Failed(_)) => {
            return Ok((OsFamily::Unknown, Labels::new()));
        }
        Err(channel::Refusal::Broken(error)) => return Err(error),
    };
    let text = |field: &str| info.get(field).and_then(Value::as_str);
    // On Linux the id is that of os-release and can be anything; only the others' are known.
    let family = match text("id") {
        Some("mswindows") => OsFamily::Windows,
        Some("freebsd" | "netbsd" | "openbsd" | "dragonfly") => OsFamily::Other,
        Some(_) => OsFamily::Linux,
        None => OsFamily::Unknown,
    };
    let told = [("agent/os-id", text("id")), ("agent/os-version", text("version-id"))];
    let labels =
        told.into_iter().filter_map(|(key, value)| Some((key.into(), label::value_from_text(value?))));
    Ok((family, labels.collect()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
