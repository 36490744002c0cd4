//! What happens to the core from outside.

use crate::call::{DrainReply, EndReply, Error, NoticeReply, SessionList, UndrainReply};
use curfew_types::DrainAsk;
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
    /// The controller gave an order. Boxed: an answer of a provider, of which there are many, is much smaller.
    Ordered(Box<Order>),
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
    /// A provider answered a request to show a notice: one reply a session, in the order of the request.
    Notified {
        /// The call.
        call: u64,
        /// Its answer.
        result: Result<Vec<NoticeReply>, Error>,
    },
    /// A provider answered a request to refuse new logons.
    Drained {
        /// The call.
        call: u64,
        /// Its answer.
        result: Result<DrainReply, Error>,
    },
    /// A provider answered a request to allow new logons again.
    Undrained {
        /// The call.
        call: u64,
        /// Its answer.
        result: Result<UndrainReply, Error>,
    },
    /// Somebody asks for a drain by hand, or lifts drains.
    DrainAsked(DrainAsk),
    /// Time went by.
    Tick,
}
