//! Which domains libvirt has and how they stand, as `virsh` prints it.

use crate::provider::Error;
use crate::provider::guest_agent::{Seen, shown, unexpected};
use curfew_types::label::Labels;
use curfew_types::{GuestId, PowerState};
use std::collections::HashMap;

/// What `virsh` is told to do, in one run over one connection: first every domain's UUID and name, then their states.
pub(super) const COMMANDS: &str = "list --all --uuid --name; domstats --raw --state";

/// Most domains that are believed: far more than a host has memory for.
const DOMAINS_MAX: usize = 10_000;

/// A domain's UUID, lower-case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Uuid(String);

impl Uuid {
    /// The same as text, fit for an argument.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    fn read(text: &str) -> Option<Uuid> {
        let groups = text.split('-').map(str::len);
        let fits =
            groups.eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        fits.then(|| Uuid(text.to_ascii_lowercase()))
    }
}

/// Reads what [`COMMANDS`] printed, ordered by name.
///
/// # Errors
/// When it makes no sense.
pub(super) fn read(printed: &[u8]) -> Result<Vec<Seen<Uuid>>, Error> {
    let text = String::from_utf8_lossy(printed);
    let mut names: Vec<(Uuid, &str)> = Vec::new();
    let mut states: HashMap<&str, PowerState> = HashMap::new();
    let mut domain = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("Domain: '").and_then(|rest| rest.strip_suffix('\'')) {
            domain = Some(name);
        } else if let Some(state) = line.trim_start().strip_prefix("state.state=") {
            states.extend(domain.map(|name| (name, power(state))));
        } else if domain.is_none() && !line.trim().is_empty() {
            let (uuid, name) = line.trim_start().split_once(' ').ok_or_else(|| nonsense(line))?;
            names.push((Uuid::read(uuid).ok_or_else(|| nonsense(line))?, name.trim()));
        }
        if names.len() > DOMAINS_MAX {
            return Err(unexpected(format!("libvirt lists more than {DOMAINS_MAX} domains")));
        }
    }
    names.sort_by(|a, b| (a.1, a.0.as_str()).cmp(&(b.1, b.0.as_str())));
    // One that came or was renamed between the two lists has no state yet.
    let seen = |(place, name): (Uuid, &str)| {
        let power = states.get(name).copied().unwrap_or(PowerState::Unknown);
        let id: GuestId = place.as_str().parse().map_err(|_| nonsense(name))?;
        Ok(Seen { id, name: name.to_owned(), place, power, labels: Labels::new() })
    };
    names.into_iter().map(seen).collect()
}

/// libvirt's `virDomainState`. While a domain is suspended, by its host or by itself, nothing in it answers.
fn power(state: &str) -> PowerState {
    match state.trim() {
        // Running, blocked on a device, and being shut down.
        "1" | "2" | "4" => PowerState::Running,
        // Paused, and suspended by its own power management.
        "3" | "7" => PowerState::Paused,
        // Shut off, and crashed.
        "5" | "6" => PowerState::Stopped,
        _ => PowerState::Unknown,
    }
}

fn nonsense(line: &str) -> Error {
    unexpected(format!("virsh's list of domains makes no sense: {}", shown(line.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "0F1E2D3C-0000-4000-8000-0123456789ab";
    const SECOND: &str = "1f1e2d3c-0000-4000-8000-0123456789ab";

    #[test]
    fn domains_have_their_uuid_name_and_state() {
        let printed = format!(
            "{SECOND} web 2 \u{1f980}\n{FIRST} db\n\nDomain: 'db'\n  state.state=3\n  state.reason=1\n\n\
             Domain: 'web 2 \u{1f980}'\n  state.state=1\n  state.reason=1\n\n"
        );
        let seen = read(printed.as_bytes()).expect("domains");
        let told: Vec<(&str, &str, PowerState)> =
            seen.iter().map(|it| (it.id.as_str(), it.name.as_str(), it.power)).collect();
        assert_eq!(
            told,
            [
                (FIRST.to_lowercase().as_str(), "db", PowerState::Paused),
                (SECOND, "web 2 \u{1f980}", PowerState::Running)
            ]
        );
    }

    #[test]
    fn a_domain_that_came_between_the_lists_has_no_state_and_no_domains_are_no_error() {
        let seen = read(format!("{FIRST} db\n\n").as_bytes()).expect("domains");
        assert_eq!(seen[0].power, PowerState::Unknown);
        assert_eq!(read(b"\n\n"), Ok(Vec::new()));
    }

    #[test]
    fn every_state_of_libvirts_has_its_meaning() {
        let of = |states: &[&str]| states.iter().map(|state| power(state)).collect::<Vec<_>>();
        assert_eq!(of(&["1", "2", "4"]), [PowerState::Running; 3]);
        assert_eq!(of(&["3", "7"]), [PowerState::Paused; 2]);
        assert_eq!(of(&["5", "6"]), [PowerState::Stopped; 2]);
        assert_eq!(of(&["0", "8", ""]), [PowerState::Unknown; 3]);
    }

    #[test]
    fn what_is_no_list_of_domains_is_an_error() {
        for printed in
            ["web\n", "x web\n", "-1f1e2d3c-0000-4000-8000-0123456789ab web\n", " Id   Name   State\n"]
        {
            assert!(read(printed.as_bytes()).is_err(), "{printed:?}");
        }
    }
}
