//! What the core asks of a provider and what comes back, in words that fit every platform.

use curfew_types::{OnlyIf, Session, SessionKey, StatusCode, WallTime};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is asked of a guest's provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// List the sessions of people.
    List(Look),
    /// Show a text to these sessions, once.
    Notify {
        /// The sessions, by their whole identity.
        sessions: Vec<SessionKey>,
        /// The text: one line without control characters.
        text: String,
    },
    /// Ask this session to end.
    End {
        /// The session, by its whole identity.
        session: Arc<SessionKey>,
        /// How.
        how: EndMode,
        /// What must still hold, looked at inside the guest immediately before.
        only_if: OnlyIf,
    },
    /// Refuse new logons, or go on refusing them.
    Drain(DrainOrder),
    /// Allow new logons again, unless somebody else than Curfew refuses them.
    Undrain,
}

/// How closely to look at a guest's sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Also name the processes in each session: dearer, and only worth it for sessions that do not go.
    pub processes: bool,
}

/// How new logons are to be refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainOrder {
    /// For how long from now on, in milliseconds. Where the guest has timers, one of its own ends it then.
    pub for_ms: u64,
    /// What people are shown who try to log on: one line without control characters.
    pub text: String,
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
    /// The request was made, and the platform says that it is over already: worth a look at once, which is what counts.
    Ended,
    /// The session was gone already; that is a success, not an error.
    Gone,
    /// The id belongs to another session now, or the guest has rebooted: nothing was done.
    NotThatSession,
    /// What had to hold does not hold any more: somebody came back to it, say. Nothing was done.
    NoLongerMatches,
    /// The time was over when the guest got to it: nothing was done.
    TooLate,
}

/// What became of a notice to one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoticeReply {
    /// It was shown, somewhere where a person who sits there sees it.
    Shown,
    /// The session is gone, or the id belongs to another one.
    Gone,
    /// It could not be shown, and why: the session has no terminal, for example.
    NotShown(String),
}

/// What became of a request to refuse new logons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainReply {
    /// They are refused, by what Curfew set.
    InForce,
    /// They are refused, by what somebody else set; that was left as it is.
    SomebodyElses,
}

/// What became of a request to allow new logons again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndrainReply {
    /// Nothing of Curfew's refuses them any more.
    Lifted,
    /// The same, but somebody else refuses them; that was left as it is.
    SomebodyElses,
}

/// The sessions of one guest at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionList {
    /// Which boot of the guest this is; opaque, equal only within one boot. Present even when nobody is logged on.
    pub boot: String,
    /// The guest's own wall clock at that moment: what the sessions' times are relative to.
    pub clock: WallTime,
    /// The sessions of people.
    pub sessions: Vec<Session>,
    /// Names of processes by session id, where they were asked for and the platform tells: some of them, each once.
    pub processes: BTreeMap<String, Vec<String>>,
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
