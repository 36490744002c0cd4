//! What the core wants done. Ledger entries are on disk before anything else of the turn is carried out.

use crate::call::Request;
use crate::ledger::Entry;
use curfew_types::GuestId;
use curfew_types::agent::Report;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write this to the ledger, durably, before anything else of the turn. What was accepted or acknowledged may become
    /// durable later while a turn only looks at guests: nobody has felt it or heard of it.
    Write(Entry),
    /// Ask a provider, and feed the answer back under the call's number.
    Call {
        /// Comes back with the answer.
        call: u64,
        /// The guest.
        guest: GuestId,
        /// What to ask.
        request: Request,
        /// Time that it may take, in milliseconds, counted from the `now` that ended the turn and not from when the
        /// ledger's disk let it go out. After it nobody's session may be ended by this call.
        budget_ms: u64,
    },
    /// Send this to the controller.
    Send(Report),
    /// Something that a person reading the log should know; the core does not log.
    Note {
        /// Whether it needs somebody's attention.
        warn: bool,
        /// In words.
        text: String,
    },
}
