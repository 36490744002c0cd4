//! How libvirt is reached, as the configuration file says it.

use super::NAME;
use crate::provider::BuildError;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Guests of libvirt, on this host. Their identity is the domain's UUID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LibvirtConfig {
    /// Which libvirt, as `virsh --connect` takes it.
    pub uri: String,
    /// The program `virsh`; a name without a slash is looked for in the agent's search path.
    pub virsh: PathBuf,
}

impl Default for LibvirtConfig {
    fn default() -> LibvirtConfig {
        LibvirtConfig { uri: "qemu:///system".into(), virsh: "virsh".into() }
    }
}

/// The configuration after it was checked.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) uri: String,
    pub(super) program: PathBuf,
}

impl LibvirtConfig {
    /// Checks that what becomes an argument is one.
    pub(super) fn check(&self) -> Result<Settings, BuildError> {
        let refuse = |why: String| Err(BuildError { provider: NAME, why });
        let uri = &self.uri;
        // "" is libvirt's own choice, which may be another one for another caller.
        if uri.is_empty() || uri.starts_with('-') || uri.chars().any(|c| c.is_control() || c == ' ') {
            return refuse(format!("uri is {uri:?}: give one as qemu:///system"));
        }
        if self.virsh.as_os_str().is_empty() {
            return refuse("virsh is empty: give the program's path".into());
        }
        Ok(Settings { uri: uri.clone(), program: self.virsh.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_is_the_systems_libvirt() {
        let config: LibvirtConfig = toml::from_str("").expect("a configuration");
        assert_eq!((config.uri.as_str(), config.virsh), ("qemu:///system", PathBuf::from("virsh")));
    }

    #[test]
    fn what_could_be_taken_for_an_option_or_is_none_is_refused() {
        for (uri, virsh) in
            [("", "virsh"), ("-c", "virsh"), ("qemu:///system x", "virsh"), ("qemu:///system", "")]
        {
            let config = LibvirtConfig { uri: uri.into(), virsh: virsh.into() };
            assert!(config.check().is_err(), "{config:?}");
        }
        assert!(toml::from_str::<LibvirtConfig>("url = 'qemu:///system'").is_err());
    }
}
