//! What the core wants done. The shell appends records first, then publishes, then sends.

use crate::record::Record;
use curfew_types::agent::{Cancel, Order, Safeguards};
use curfew_types::{DrainAsk, HostName, OperationId};
use std::sync::Arc;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Append this before anything else of the turn takes effect.
    Record(Record),
    /// The operation changed: tell its watchers.
    Publish(OperationId),
    /// Hand this frame to the host's stream.
    Send {
        /// The host.
        host: HostName,
        /// The attachment it is meant for; a later one must not get it.
        session: u64,
        /// The frame.
        frame: Frame,
        /// It makes things safer: while the store is away it is sent at once and recorded later.
        urgent: bool,
    },
    /// End the host's stream.
    Disconnect {
        /// The host.
        host: HostName,
        /// The attachment to end.
        session: u64,
        /// Why, for the agent and for the log.
        why: String,
    },
    /// Something that a person reading the log should know; the core does not log.
    Note {
        /// Whether it needs somebody's attention.
        warn: bool,
        /// In words.
        text: String,
    },
}

/// What goes down a host's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Log these guests off.
    Order(Order),
    /// Take these tasks back.
    Cancel(Cancel),
    /// Findings up to this number are stored.
    Acknowledge(u64),
    /// Send the whole inventory.
    SendInventory,
    /// What no operation may touch from now on.
    Safeguards(Arc<Safeguards>),
    /// Drain a guest by hand, or lift drains of it.
    Drain(DrainAsk),
}
