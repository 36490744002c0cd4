//! What happens to the core from outside.

use crate::call::{EndReply, Error, SessionList};
use curfew_types::agent::{Cancel, Order, Safeguards};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The controller welcomed the agent; findings up to `acknowledged` are stored there.
    Welcomed {
        /// The controller's epoch.
        epoch: u64,
        /// The last finding that it has stored.
        acknowledged: u64,
    },
    /// The stream to the controller ended.
    Disconnected,
    /// The controller gave an order.
    Ordered(Order),
    /// The controller takes tasks back.
    CancelAsked(Cancel),
    /// The controller said what no operation may touch.
    Safeguarded(Safeguards),
    /// Findings up to this number are stored.
    Acknowledged(u64),
    /// A provider answered a listing.
    Listed {
        /// The call.
        call: u64,
        /// Its answer.
        result: Result<SessionList, Error>,
    },
    /// A provider answered a request to end a session.
    Ended {
        /// The call.
        call: u64,
        /// Its answer.
        result: Result<EndReply, Error>,
    },
    /// Time went by.
    Tick,
}
