//! What files of the host say of a guest beside its sockets: a small one of Curfew's own, and Proxmox's configuration.
//! Neither is ever written, and neither comes from the guest.

use super::config::uuid;
use curfew_types::GuestId;
use curfew_types::label::{self, Labels};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// Longest file that is read: Proxmox's have a few kilobytes, and as much again for each snapshot.
const FILE_MAX: u64 = 256 * 1024;
/// Longest name, in bytes: what a host name may have.
const NAME_MAX: usize = 253;

/// What is said of a guest; all of it may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct About {
    pub(super) name: Option<String>,
    pub(super) id: Option<GuestId>,
    /// All under `agent/`.
    pub(super) labels: Labels,
}

/// The file of Curfew's own, in TOML.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    name: Option<String>,
    uuid: Option<String>,
    labels: BTreeMap<String, String>,
}

impl About {
    /// What both files say of a guest, of which either may not be there; Curfew's own has the last word.
    ///
    /// # Errors
    /// Why a file that is there cannot be used, naming it.
    pub(super) fn read(own: Option<&Path>, proxmox: Option<&Path>) -> Result<About, String> {
        let mut about = About::default();
        for (path, parse) in
            [(proxmox, About::of_proxmox as fn(&str) -> Result<About, String>), (own, About::of_own)]
        {
            let Some(path) = path else { continue };
            let refuse = |why: String| format!("{}: {why}", path.display());
            let Some(text) = text_of(path).map_err(refuse)? else { continue };
            let said = parse(&text).map_err(refuse)?;
            about.name = said.name.or(about.name);
            about.id = said.id.or(about.id);
            about.labels.extend(said.labels);
        }
        Ok(about)
    }

    fn of_own(text: &str) -> Result<About, String> {
        // Its message has lines of its own, which would not fit into a log's.
        let file: File = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        let id = match file.uuid {
            Some(text) => Some(uuid(&text).ok_or_else(|| format!("uuid is {text:?}, which is no UUID"))?),
            None => None,
        };
        if file.name.as_deref().is_some_and(|name| !is_name(name)) {
            return Err(format!(
                "name is {:?}: give 1 to {NAME_MAX} bytes without control characters",
                file.name
            ));
        }
        let mut labels = Labels::new();
        for (key, value) in file.labels {
            let key = format!("{}{key}", label::AGENT_PREFIX);
            label::check_key(&key)
                .and_then(|()| label::check_value(&value))
                .map_err(|error| error.to_string())?;
            labels.insert(key, value);
        }
        if labels.len() > label::LABELS_MAX / 2 {
            return Err(format!("it has more than {} labels", label::LABELS_MAX / 2));
        }
        Ok(About { name: file.name, id, labels })
    }

    /// Lines `KEY: VALUE`; sections after the first are snapshots, which may have had another name.
    fn of_proxmox(text: &str) -> Result<About, String> {
        let mut about = About::default();
        for line in text.lines().take_while(|line| !line.starts_with('[')) {
            match line.split_once(':').map(|(key, value)| (key, value.trim())) {
                Some(("name", name)) if is_name(name) => about.name = Some(name.to_owned()),
                Some(("smbios1", value)) => {
                    about.id = value.split(',').find_map(|part| uuid(part.strip_prefix("uuid=")?));
                }
                _ => {}
            }
        }
        Ok(about)
    }
}

/// Whether a text can be the name of a guest.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_MAX && !text.chars().any(char::is_control)
}

/// The whole of a file, or nothing where there is none.
fn text_of(path: &Path) -> Result<Option<String>, String> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if !file.metadata().map_err(|error| error.to_string())?.is_file() {
        return Err("it is not a file".into());
    }
    let mut text = String::new();
    let read = file.take(FILE_MAX + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if u64::try_from(read).is_ok_and(|read| read > FILE_MAX) {
        return Err(format!("it is longer than {FILE_MAX} bytes"));
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests;
