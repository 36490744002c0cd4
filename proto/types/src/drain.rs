//! Drains: guests that refuse new logons for a while, for whom, until when, and how that stands. Every drain has an end.

use crate::{GuestId, OperationId, WallTime};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Most drains that an agent keeps: every guest of a large host under several operations.
pub const DRAINS_MAX: usize = 10_000;

/// Whose a drain is. A guest has one of each at most, and refuses logons while it has any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainOwner {
    /// Set by hand.
    Hand,
    /// An operation's.
    Operation(OperationId),
}

impl fmt::Display for DrainOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DrainOwner::Hand => f.write_str("by hand"),
            DrainOwner::Operation(operation) => operation.fmt(f),
        }
    }
}

/// How a drain stands in its guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainState {
    /// Written down; the guest has not been told yet.
    Pending,
    /// The guest refuses new logons.
    InForce,
    /// The guest refuses new logons because somebody else made it do so; that is left as it is.
    SomebodyElses,
    /// Over, and the guest has not been told yet.
    Lifting,
}

impl DrainState {
    /// The word used in listings.
    pub fn as_str(self) -> &'static str {
        match self {
            DrainState::Pending => "pending",
            DrainState::InForce => "in force",
            DrainState::SomebodyElses => "somebody else's",
            DrainState::Lifting => "lifting",
        }
    }

    /// Whether new logons are refused now.
    pub fn refuses(self) -> bool {
        matches!(self, DrainState::InForce | DrainState::SomebodyElses)
    }
}

/// A drain as its agent tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// The guest.
    pub guest: GuestId,
    /// Whose it is.
    pub owner: DrainOwner,
    /// When it ends by itself, on the agent's wall clock.
    pub until: WallTime,
    /// Who asked for it; empty for an operation's.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
    /// How it stands.
    pub state: DrainState,
    /// What keeps it from the state that is wanted, in words; empty where nothing does.
    pub problem: String,
}

/// What somebody asks of a guest's drains by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainAsk {
    /// The guest.
    pub guest: GuestId,
    /// What.
    pub what: DrainWish,
}

/// See [`DrainAsk`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DrainWish {
    /// Refuse new logons for so many milliseconds from now on; an earlier drain by hand is replaced.
    Set {
        /// For how long, in milliseconds.
        for_ms: u64,
        /// Who asks.
        by: String,
        /// Why.
        reason: String,
    },
    /// Lift one owner's drain.
    Lift(DrainOwner),
    /// Lift all of them.
    LiftAll,
}
