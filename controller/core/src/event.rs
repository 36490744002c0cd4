//! What happens to the core from outside, apart from requests of operators.

use curfew_types::agent::Report;
use curfew_types::{Guest, GuestId, HostName};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A host's stream ended.
    Detached {
        /// The host.
        host: HostName,
        /// The attachment that ended.
        session: u64,
    },
    /// An agent reported.
    Reported {
        /// The host.
        host: HostName,
        /// The attachment it came over.
        session: u64,
        /// What it said.
        report: Report,
    },
    /// An agent sent its inventory or a change of it.
    InventoryChanged {
        /// The host.
        host: HostName,
        /// The attachment it came over.
        session: u64,
        /// What was known before is forgotten.
        replace: bool,
        /// New or changed guests.
        upserts: Vec<Guest>,
        /// Guests that are gone.
        removed: Vec<GuestId>,
        /// The digest of the whole afterwards; 0 while more of it follows.
        digest: u64,
    },
    /// The store cannot be written: nothing new starts, and no time runs out.
    StoreAway,
    /// The store can be written again.
    StoreBack,
    /// Time went by.
    Tick,
}
