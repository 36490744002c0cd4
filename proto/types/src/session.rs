//! Logon sessions: how one is named so that it is never mistaken for another, and what is known of it.

use crate::WallTime;
use serde::{Deserialize, Serialize};

/// Longest user name kept; longer ones are cut by the provider.
pub const USER_MAX: usize = 256;

/// A session's identity. Ids are reused, so the guest's boot and the logon time belong to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SessionKey {
    /// Which boot of the guest it belongs to; opaque, equal only within one boot.
    pub boot: String,
    /// The platform's session id.
    pub id: String,
    /// When it began, in microseconds as the guest itself counts them; only compared, never shown.
    pub began_us: u64,
}

/// Whether somebody sits at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// In use or ready for use.
    Active,
    /// Logged on, with nobody connected to it.
    Disconnected,
    /// Told to end; processes of it still run.
    Closing,
}

impl SessionState {
    /// The word used in listings.
    pub fn as_str(self) -> &'static str {
        match self {
            SessionState::Active => "active",
            SessionState::Disconnected => "disconnected",
            SessionState::Closing => "closing",
        }
    }
}

/// One logon session of a person in a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its identity.
    pub key: SessionKey,
    /// The user, as the guest writes it.
    pub user: String,
    /// Whether somebody sits at it.
    pub state: SessionState,
    /// How it was opened: `tty`, `x11`, `wayland`, `ssh`, `rdp`, ... as the platform names it.
    pub kind: String,
    /// Where from: a remote host or a terminal; empty when the platform does not say.
    pub origin: String,
    /// When it began, on the guest's wall clock; for display.
    pub since: WallTime,
    /// How long it has been idle, in milliseconds, where the platform tells.
    pub idle_ms: Option<u64>,
}
