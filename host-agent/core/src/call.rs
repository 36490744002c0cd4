//! What the core asks of a provider and what comes back, in words that fit every platform.

use curfew_types::{Session, SessionKey, StatusCode};

/// What is asked of a guest's provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// List the sessions of people.
    List,
    /// Ask this session to end.
    End {
        /// The session, by its whole identity.
        session: SessionKey,
        /// How.
        how: EndMode,
    },
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
    /// The time was over when the guest got to it: nothing was done.
    TooLate,
}

/// The sessions of one guest at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionList {
    /// Which boot of the guest this is; opaque, equal only within one boot. Present even when nobody is logged on.
    pub boot: String,
    /// The sessions of people.
    pub sessions: Vec<Session>,
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
