//! Where containers are found, as the configuration file says it. It opens nothing.

use super::NAME;
use crate::provider::BuildError;
use crate::provider::pattern::Pattern;
use serde::{Deserialize, Serialize};

/// Containers with systemd on the machine the agent runs on. At least one of the two must be said.
///
/// A container is known by its host and its name. One that both ways find is one container, and systemd-machined says
/// which process is its first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainersConfig {
    /// Those that are registered with systemd-machined: systemd-nspawn's, libvirt's, and others'.
    #[serde(default)]
    pub machined: bool,
    /// Files with the process id of a container's pid 1 as the host sees it, with one `*` in the place of the name:
    /// `/run/containers/*.pid`. Whoever may write such a file decides which process is asked as a container, so only root
    /// should.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pidfiles: Vec<String>,
}

/// The configuration after it was checked.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) machined: bool,
    pub(super) pidfiles: Vec<Pattern>,
}

impl ContainersConfig {
    /// Checks the patterns, and that there is any place to look.
    pub(super) fn check(&self) -> Result<Places, BuildError> {
        if !self.machined && self.pidfiles.is_empty() {
            let why = "neither `machined = true` nor `pidfiles` says where containers are".into();
            return Err(BuildError { provider: NAME, why });
        }
        let patterns = self.pidfiles.iter().map(|text| Pattern::parse(NAME, "pidfiles", text));
        Ok(Places { machined: self.machined, pidfiles: patterns.collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Places, BuildError> {
        toml::from_str::<ContainersConfig>(text).expect("fields that are known").check()
    }

    #[test]
    fn a_configuration_without_a_place_to_look_is_refused() {
        assert!(check("").expect_err("nowhere").to_string().contains("machined = true"));
        assert!(check("machined = true").is_ok());
        assert!(check("pidfiles = [\"/run/x/*.pid\"]").is_ok());
    }

    #[test]
    fn a_pattern_that_names_nobody_is_refused() {
        let error = check("pidfiles = [\"/run/x/web.pid\"]").expect_err("no *");
        assert!(error.to_string().contains("pidfiles"), "{error}");
        assert!(check("pidfiles = [\"x/*.pid\"]").is_err());
    }
}
