//! Why requests about hosts, guests and what protects them are refused, with what to do.

use curfew_types::HostName;
use curfew_types::label::{self, LABELS_MAX};

/// Why a request about the fleet cannot be met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FleetError {
    /// No such host.
    #[error("no host is named {0:?}; `curfew host list` shows all")]
    UnknownHost(String),
    /// No such guest.
    #[error("no guest has the id or name {0:?}; `curfew guest list` shows all")]
    UnknownGuest(String),
    /// The name fits several guests.
    #[error("{name:?} is the name of several guests; use an id: {}", ids.join(", "))]
    Ambiguous {
        /// The name.
        name: String,
        /// The guests' ids.
        ids: Vec<String>,
    },
    /// A label cannot be set.
    #[error(transparent)]
    Label(#[from] label::LabelError),
    /// Too many labels.
    #[error("more than {LABELS_MAX} labels")]
    TooManyLabels,
    /// The host is connected or has unfinished tasks.
    #[error("host {host} {why}; stop its agent first, or remove it with force")]
    InUse {
        /// The host.
        host: HostName,
        /// What keeps it.
        why: &'static str,
    },
    /// The guest is not held.
    #[error("guest {0:?} is not held; `curfew guest holds` shows all holds")]
    NotHeld(String),
    /// The pattern is not among the protected users.
    #[error("{0:?} is not among the protected users; `curfew protected-user list` shows all")]
    NotProtected(String),
    /// More than a controller keeps.
    #[error("{0}")]
    TooMany(String),
    /// A time that is over.
    #[error("the hold would be over already; name a time to come")]
    Past,
    /// The guest is held, so nothing is changed in it.
    #[error("guest {name:?} is held by {by}: {reason}; `curfew guest release` lets it be touched again")]
    Held {
        /// The guest's name.
        name: String,
        /// Who holds it.
        by: String,
        /// Why.
        reason: String,
    },
    /// Several hosts claim to run the guest.
    #[error("hosts {} all claim guest {name:?} as running; see which of them really does first", join(hosts))]
    Conflict {
        /// The guest's name.
        name: String,
        /// The hosts.
        hosts: Vec<HostName>,
    },
    /// Nobody can be asked.
    #[error(
        "host {host} is not connected, so its guests cannot be reached; ask again when it is back (drains are lifted by \
         themselves when their time is over)"
    )]
    HostAway {
        /// The host.
        host: HostName,
    },
    /// The agent is older than what is asked of it.
    #[error("the agent of host {host} does not know {option}; upgrade it to this controller's version")]
    AgentLacks {
        /// The host.
        host: HostName,
        /// What it does not know.
        option: &'static str,
    },
}

/// Names in a text.
fn join(hosts: &[HostName]) -> String {
    hosts.iter().map(HostName::as_str).collect::<Vec<_>>().join(", ")
}
