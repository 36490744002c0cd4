//! A guest as its agent reports it: what it is called, what runs in it, whether it runs.

use crate::GuestId;
use crate::label::Labels;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Longest guest name; longer ones are cut by the agent.
pub const GUEST_NAME_MAX: usize = 255;

/// A guest's power state as its host sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerState {
    /// It runs, as far as the host can tell.
    Running,
    /// It is stopped in memory and answers nothing until resumed.
    Paused,
    /// It is shut off.
    Stopped,
    /// The host cannot tell; it is treated as running, and the attempt tells.
    Unknown,
}

impl PowerState {
    /// The word used in listings.
    pub fn as_str(self) -> &'static str {
        match self {
            PowerState::Running => "running",
            PowerState::Paused => "paused",
            PowerState::Stopped => "stopped",
            PowerState::Unknown => "unknown",
        }
    }

    /// Whether a logoff can be tried.
    pub fn may_run(self) -> bool {
        matches!(self, PowerState::Running | PowerState::Unknown)
    }
}

/// What kind of operating system runs in a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OsFamily {
    /// Linux, whatever the distribution.
    Linux,
    /// Windows.
    Windows,
    /// Something else.
    Other,
    /// The guest has not been asked yet or does not answer.
    Unknown,
}

impl OsFamily {
    /// The value of the well-known label `os`.
    pub fn as_str(self) -> &'static str {
        match self {
            OsFamily::Linux => "linux",
            OsFamily::Windows => "windows",
            OsFamily::Other => "other",
            OsFamily::Unknown => "unknown",
        }
    }
}

/// A guest in an inventory.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Guest {
    /// Its identity.
    pub id: GuestId,
    /// Its name: a label for people, not unique.
    pub name: Arc<str>,
    /// The name of the provider that reaches it.
    pub provider: Arc<str>,
    /// What runs in it.
    pub os: OsFamily,
    /// Whether it runs.
    pub power: PowerState,
    /// The host itself: left out of `all` unless included by word.
    pub is_host: bool,
    /// What the agent says of it; every key carries the prefix `agent/`.
    pub labels: Labels,
}
