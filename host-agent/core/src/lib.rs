//! Pure decisions of the host agent: which orders it takes, how a task runs, what it reports and when it gives up.
//!
//! Sans-IO: nothing here reads a clock, awaits, spawns or logs. The shell feeds events, ends the turn, writes the
//! ledger entries among the actions to disk, and only then carries out the rest.

// A new code, outcome or stage must be thought about wherever one is decided on.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod acting;
pub mod action;
pub mod call;
mod cancel;
mod core;
mod drains;
pub mod event;
mod follow_up;
mod intake;
pub mod ledger;
mod outbox;
mod recover;
mod results;
mod run;
mod safeguards;
mod steps;
mod telling;
mod verdicts;
mod warning;

pub use action::Action;
pub use core::{Core, PlantedBug, Settings};
pub use event::Event;
pub use intake::CAPABILITIES;
pub use ledger::Entry;
