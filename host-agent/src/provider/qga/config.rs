//! Where guests with the QEMU guest agent are found, as the configuration file says it. It opens nothing.

use super::NAME;
use crate::provider::BuildError;
use crate::provider::pattern::Pattern;
use curfew_types::{GuestId, HostName};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Guests behind the QEMU guest agent, over its unix sockets.
///
/// A path with one `*` stands for the guest's name: `/var/run/qemu-server/*.qga`. A guest that any of the patterns but
/// `about` finds counts, and a guest that was listed by name is always there, also when it is shut off and all its
/// files are gone. A found guest is shown by the name that `about`, `proxmox` or QMP tell, in this order. Its identity is
/// the UUID that one of them tells, QMP's being kept in memory while it is shut off; without any of them, host and name.
/// One that was shut off before the agent started, and whose identity only QMP could tell, is known only if it is listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QgaConfig {
    /// The guest agents' sockets, with one `*` in the place of the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sockets: Option<String>,
    /// The QMP sockets of the same guests, with one `*`: they tell power state and UUID. Must not be the one that
    /// another program holds open, since QEMU serves one client of a QMP socket at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qmp: Option<String>,
    /// The hypervisor processes' pid files, with one `*`: they tell power state where there is no QMP socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pidfile: Option<String>,
    /// Small files beside the sockets, with one `*`, that say more of each guest: in TOML `name`, `uuid`, and a table
    /// `labels`, whose keys get `agent/` before them. A guest whose file cannot be used keeps what was known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Proxmox's configuration of the same guests, with one `*`: `/etc/pve/qemu-server/*.conf`. It tells the name, and the
    /// UUID also of a machine that is shut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxmox: Option<String>,
    /// Guests by name, beside those that are found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guests: Vec<QgaGuest>,
}

/// One guest by name. What it leaves out is taken from the patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QgaGuest {
    /// Its name.
    pub name: String,
    /// Its identity. Without it the guest is known by host and name, whatever a QMP socket says, so that it has one
    /// identity also while it is shut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// The guest agent's socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// The QMP socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qmp: Option<PathBuf>,
    /// The hypervisor process's pid file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pidfile: Option<PathBuf>,
}

/// The configuration after it was checked.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) sockets: Option<Pattern>,
    pub(super) qmp: Option<Pattern>,
    pub(super) pidfile: Option<Pattern>,
    pub(super) about: Option<Pattern>,
    pub(super) proxmox: Option<Pattern>,
    pub(super) named: Vec<NamedGuest>,
}

/// A guest listed by name, after it was checked.
#[derive(Clone, Debug)]
pub(super) struct NamedGuest {
    pub(super) name: String,
    pub(super) id: GuestId,
    pub(super) socket: PathBuf,
    pub(super) qmp: Option<PathBuf>,
    pub(super) pidfile: Option<PathBuf>,
}

impl QgaConfig {
    /// Checks the patterns, and that every named guest has a socket and a name that can be told from the others.
    pub(super) fn check(&self, host: &HostName) -> Result<Places, BuildError> {
        let pattern = |field, text: &Option<String>| {
            text.as_deref().map(|text| Pattern::parse(NAME, field, text)).transpose()
        };
        let mut places = Places {
            sockets: pattern("sockets", &self.sockets)?,
            qmp: pattern("qmp", &self.qmp)?,
            pidfile: pattern("pidfile", &self.pidfile)?,
            about: pattern("about", &self.about)?,
            proxmox: pattern("proxmox", &self.proxmox)?,
            named: Vec::new(),
        };
        let refuse = |why: String| Err(BuildError { provider: NAME, why });
        for guest in &self.guests {
            let name = &guest.name;
            let local = match GuestId::local(host, NAME, name) {
                Ok(local) => local,
                Err(error) => {
                    return refuse(format!("the name of guest {name:?} cannot be part of an id: {error}"));
                }
            };
            if places.named.iter().any(|other| other.name == *name) {
                return refuse(format!("guest {name:?} is listed twice"));
            }
            let Some(socket) = pick(&guest.socket, &places.sockets, name) else {
                return refuse(format!("guest {name:?} has no socket, and there is no pattern `sockets`"));
            };
            let id = match guest.uuid.as_deref().map(uuid) {
                Some(None) => return refuse(format!("the uuid of guest {name:?} is not a UUID")),
                Some(Some(id)) => id,
                None => local,
            };
            if places.named.iter().any(|other| other.id == id) {
                return refuse(format!("the uuid of guest {name:?} is listed twice"));
            }
            let qmp = pick(&guest.qmp, &places.qmp, name);
            let pidfile = pick(&guest.pidfile, &places.pidfile, name);
            places.named.push(NamedGuest { name: name.clone(), id, socket, qmp, pidfile });
        }
        if places.sockets.is_none() && places.named.is_empty() {
            return refuse("neither `sockets` nor a guest is given, so it could never find one".into());
        }
        Ok(places)
    }
}

fn pick(given: &Option<PathBuf>, pattern: &Option<Pattern>, name: &str) -> Option<PathBuf> {
    given.clone().or_else(|| Some(pattern.as_ref()?.path_of(name)))
}

/// A UUID as a guest's identity: lower-case, so that two spellings are one guest. The nil UUID is none: QEMU says it
/// of every guest that was given none.
pub(super) fn uuid(text: &str) -> Option<GuestId> {
    let groups: Vec<&str> = text.split('-').collect();
    let fits = groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let nil = text.bytes().all(|byte| byte == b'0' || byte == b'-');
    if fits && !nil { text.to_ascii_lowercase().parse().ok() } else { None }
}
