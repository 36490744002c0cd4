//! The smallest trait that can do the work in a guest, whatever the platform; one file per provider below it.
//!
//! A provider never decides: when to look, whom to end and when to give up is `curfew-agent-core`'s. Every method
//! may be called for several guests at once, and must not let one guest wait for another.

use async_trait::async_trait;
use curfew_types::{Guest, GuestId, Session, SessionKey, StatusCode};
use std::time::Duration;

pub mod logind;
pub mod qga;
pub mod simulated;

/// A way to reach guests of one kind.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// The provider's name as it stands in configuration and inventories: `qga`, `logind`, ...
    fn name(&self) -> &'static str;

    /// Lists the guests that this provider reaches now, with their power state.
    ///
    /// Must be cheap enough to be called every few seconds, and must not wait for a guest that does not answer.
    ///
    /// # Errors
    /// When the guests cannot be listed at all; an error about one guest is that guest's state, not an error here.
    async fn discover(&self) -> Result<Vec<Guest>, Error>;

    /// Lists the guest's logon sessions of people, active and disconnected, from a source that proves absence.
    ///
    /// # Errors
    /// The contract's code: not running, paused, unknown, not available yet, feature missing, access denied. A
    /// guest whose sessions cannot be listed reliably answers [`Error::unlistable`], never an empty list.
    async fn list_sessions(&self, guest: &GuestId, budget: Duration) -> Result<SessionList, Error>;

    /// Asks one session to end, after checking inside the guest, immediately before, that it is still that session
    /// and that `budget` is not over. Returns when the request was made, not when the session is gone.
    ///
    /// # Errors
    /// As for [`Provider::list_sessions`].
    async fn end_session(
        &self,
        guest: &GuestId,
        session: &SessionKey,
        how: EndMode,
        budget: Duration,
    ) -> Result<EndReply, Error>;
}

/// The sessions of one guest at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionList {
    /// Which boot of the guest this is; opaque, equal only within one boot. Present even when nobody is logged on.
    pub boot: String,
    /// The sessions of people.
    pub sessions: Vec<Session>,
}

/// How a session is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndMode {
    /// Politely: it may ignore the request. `attempt` counts from 0, so that a platform with several polite ways
    /// can go from one to the next (on Linux: HUP first, TERM from the second attempt on).
    Graceful {
        /// Which attempt this is.
        attempt: u32,
    },
    /// What does not end by itself is killed.
    Force,
}

/// What became of a request to end a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReply {
    /// The request was made.
    Asked,
    /// The session was gone already; that is a success, not an error.
    Gone,
    /// The id belongs to another session now, or the guest has rebooted: nothing was done.
    NotThatSession,
    /// The budget was over when the guest got to it: nothing was done.
    TooLate,
}

/// Why a provider could not do something: the contract's code, and words for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The contract's code.
    pub code: StatusCode,
    /// What was attempted and why it failed.
    pub message: String,
    /// The sessions cannot be listed reliably in this guest: final, and never to be taken for an empty list.
    pub unlistable: bool,
}

impl Error {
    /// An error with this code.
    pub fn new(code: StatusCode, message: impl Into<String>) -> Error {
        Error { code, message: message.into(), unlistable: false }
    }

    /// The guest's sessions cannot be listed reliably.
    pub fn unlistable(message: impl Into<String>) -> Error {
        Error { code: StatusCode::AdditionsFeatureNotAvail, message: message.into(), unlistable: true }
    }
}
