//! Which guests there are, who they are and whether they run: from sockets, QMP and pid files. It never speaks to a
//! guest, so one that hangs costs nothing.

use super::NAME;
use super::about::About;
use super::config::Places;
use super::qmp::{self, Answer};
use crate::provider::Error;
use crate::provider::guest_agent::Seen;
use crate::provider::pattern::Pattern;
use curfew_types::{GuestId, HostName, PowerState, StatusCode};
use futures::StreamExt;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tracing::warn;

/// Most hypervisors asked at the same time: one file descriptor each, and a few that hang do not hold up the rest.
const ASKED_AT_ONCE: usize = 64;

/// Where a guest is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    name: String,
    /// Its identity by configuration.
    id: Option<GuestId>,
    pub(super) socket: PathBuf,
    qmp: Option<PathBuf>,
    pidfile: Option<PathBuf>,
}

/// A place, and what files of the host say of the guest there, or why they cannot be used.
struct Found {
    place: Place,
    about: Result<About, String>,
}

/// Who a guest is, as far as that was told so far.
#[derive(Clone, Debug, Default)]
struct Known {
    /// By the files of the host, when they could last be used; nothing before that.
    files: Option<About>,
    /// By the hypervisor when it last told, or by this host.
    id: Option<GuestId>,
    name: Option<String>,
    /// What is wrong with the files, so that it is logged once.
    problem: Option<String>,
}

/// Finds guests.
pub(super) struct Inventory {
    host: HostName,
    places: Places,
    /// Who a found guest was when that was last told, by the name in its files: one that is shut off keeps its identity.
    /// Names that are not found any more are dropped.
    known: Mutex<HashMap<String, Known>>,
}

impl Inventory {
    pub(super) fn new(host: HostName, places: Places) -> Inventory {
        Inventory { host, places, known: Mutex::default() }
    }

    /// All guests now, ordered by name. Two that claim one identity are told apart by nobody: the first counts.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub(super) async fn look(&self) -> Result<Vec<Seen<Place>>, Error> {
        let places = self.places.clone();
        let found = tokio::task::spawn_blocking(move || find(&places)).await;
        let found = found.map_err(|error| unexpected(format!("looking for guests: {error}")))??;
        self.known().retain(|name, _| found.contains_key(name));
        let asked = futures::stream::iter(found.into_values().map(async |found| self.identify(found).await));
        let mut seen: Vec<Seen<Place>> =
            asked.buffered(ASKED_AT_ONCE).filter_map(std::future::ready).collect().await;
        let mut taken: HashMap<GuestId, String> = HashMap::new();
        seen.retain(|guest| match taken.get(&guest.id) {
            None => taken.insert(guest.id.clone(), guest.name.clone()).is_none(),
            Some(first) => {
                let (id, second) = (guest.id.as_str(), &guest.name);
                warn!(id, ?first, ?second, "two guests claim one identity; the second is left out");
                false
            }
        });
        seen.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        Ok(seen)
    }

    /// Whether the guest could answer now; asked before each exchange, so that nothing is sent into a paused one.
    ///
    /// # Errors
    /// Not running, paused, or not available yet when nothing in the guest has the agent's channel open.
    pub(super) async fn check(&self, name: &str, place: &Place) -> Result<(), Error> {
        let (power, agent_open) = match ask(place).await {
            (Some(Answer::Says(vm)), _) => (vm.power, vm.agent_open),
            (_, power) => (power, None),
        };
        match (power, agent_open) {
            (PowerState::Stopped, _) => {
                Err(Error::new(StatusCode::VmNotRunning, format!("guest {name:?} is shut off")))
            }
            (PowerState::Paused, _) => {
                Err(Error::new(StatusCode::VmPaused, format!("guest {name:?} is paused by its hypervisor")))
            }
            (PowerState::Running | PowerState::Unknown, Some(false)) => {
                let message = format!("no guest agent runs in guest {name:?}: its channel is not open");
                Err(Error::new(StatusCode::AdditionsNotAvail, message))
            }
            (PowerState::Running | PowerState::Unknown, _) => Ok(()),
        }
    }

    async fn identify(&self, found: Found) -> Option<Seen<Place>> {
        let Found { place, about } = found;
        let (answer, power) = ask(&place).await;
        let mut known = self.known().get(&place.name).cloned().unwrap_or_default();
        known.take(&place, about);
        match answer {
            // A hypervisor that gave it no UUID has told as well.
            Some(Answer::Says(vm)) => {
                known.id = vm.id.or_else(|| self.local(&place.name));
                known.name = vm.name;
            }
            None => known.id = self.local(&place.name),
            Some(Answer::Gone | Answer::Silent) => {}
        }
        self.known().insert(place.name.clone(), known.clone());
        // What was listed by name is called so, and is who it was said to be.
        if let Some(id) = place.id.clone() {
            let labels = known.files.map(|files| files.labels).unwrap_or_default();
            return Some(Seen { id, name: place.name.clone(), place, power, labels });
        }
        // A file that could never be read could say that it is somebody else.
        let files = known.files?;
        let name = files.name.or(known.name).unwrap_or_else(|| place.name.clone());
        Some(Seen { id: files.id.or(known.id)?, name, place, power, labels: files.labels })
    }

    fn local(&self, name: &str) -> Option<GuestId> {
        GuestId::local(&self.host, NAME, name).ok()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Found {
    fn at(place: Place, places: &Places) -> Found {
        let path = |pattern: &Option<Pattern>| pattern.as_ref().map(|pattern| pattern.path_of(&place.name));
        let (own, proxmox) = (path(&places.about), path(&places.proxmox));
        let about = About::read(own.as_deref(), proxmox.as_deref());
        Found { place, about }
    }
}

impl Known {
    /// Takes what the files say; one that cannot be used leaves everything as it was.
    fn take(&mut self, place: &Place, about: Result<About, String>) {
        match about {
            Ok(about) => {
                self.files = Some(about);
                self.problem = None;
            }
            Err(problem) => {
                if self.problem.as_ref() != Some(&problem) {
                    warn!(guest = ?place.name, ?problem, "what a file says of a guest cannot be used");
                }
                self.problem = Some(problem);
            }
        }
    }
}

/// The hypervisor's answer where there is a QMP socket, and the power state it and the pid file tell.
async fn ask(place: &Place) -> (Option<Answer>, PowerState) {
    let answer = match &place.qmp {
        Some(qmp) => Some(qmp::ask(qmp, &place.socket).await),
        None => None,
    };
    let power = match (&answer, &place.pidfile) {
        (Some(Answer::Says(vm)), _) => vm.power,
        (Some(Answer::Silent), _) => PowerState::Unknown,
        (Some(Answer::Gone) | None, Some(pidfile)) => power_by(pidfile),
        (Some(Answer::Gone), None) => PowerState::Stopped,
        (None, None) => PowerState::Unknown,
    };
    (answer, power)
}

/// Running while the process in the pid file lives; its id may be another's by now, then the attempt tells.
fn power_by(pidfile: &Path) -> PowerState {
    let text = match std::fs::read_to_string(pidfile) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return PowerState::Stopped,
        Err(_) => return PowerState::Unknown,
    };
    let Some(pid) = text.trim().parse().ok().and_then(rustix::process::Pid::from_raw) else {
        return PowerState::Unknown;
    };
    match rustix::process::test_kill_process(pid) {
        // Ended, and not yet collected by its parent.
        Ok(()) | Err(rustix::io::Errno::PERM) if is_zombie(pid) => PowerState::Stopped,
        Ok(()) | Err(rustix::io::Errno::PERM) => PowerState::Running,
        Err(rustix::io::Errno::SRCH) => PowerState::Stopped,
        Err(_) => PowerState::Unknown,
    }
}

/// Whether /proc, where there is one, shows the process as a zombie: the state follows the name in brackets.
fn is_zombie(pid: rustix::process::Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with(['Z', 'X']))
}

/// Every place by name: those listed, and those that any pattern finds.
fn find(places: &Places) -> Result<BTreeMap<String, Found>, Error> {
    let mut found = BTreeMap::new();
    if let Some(sockets) = &places.sockets {
        let patterns = [Some(sockets), places.qmp.as_ref(), places.pidfile.as_ref(), places.proxmox.as_ref()];
        for pattern in patterns.into_iter().flatten() {
            for name in pattern.names().map_err(unexpected)? {
                let place = Place {
                    id: None,
                    socket: sockets.path_of(&name),
                    qmp: places.qmp.as_ref().map(|qmp| qmp.path_of(&name)),
                    pidfile: places.pidfile.as_ref().map(|pidfile| pidfile.path_of(&name)),
                    name: name.clone(),
                };
                found.insert(name, Found::at(place, places));
            }
        }
    }
    for guest in &places.named {
        let place = Place {
            name: guest.name.clone(),
            id: Some(guest.id.clone()),
            socket: guest.socket.clone(),
            qmp: guest.qmp.clone(),
            pidfile: guest.pidfile.clone(),
        };
        found.insert(guest.name.clone(), Found::at(place, places));
    }
    Ok(found)
}

fn unexpected(message: String) -> Error {
    Error::new(StatusCode::Unexpected, message)
}

#[cfg(test)]
mod tests;
