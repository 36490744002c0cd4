//! Pure decisions of the controller: which task starts when, what a report means, how an operation ends.
//!
//! Sans-IO: nothing here reads a clock, awaits, spawns or logs. The shell calls [`Core`] with the time and an event
//! or a request, drains the actions, appends the records among them, publishes, and only then sends.

// A new code, outcome or stage must be thought about wherever one is decided on.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod action;
mod approve;
mod budgets;
mod busy;
mod cancel;
mod change_log;
mod core;
mod dispatch;
pub mod drains;
pub mod event;
mod expiry;
pub mod fleet;
mod freeze;
mod intake;
mod lanes;
mod link;
mod moved;
mod operation;
pub mod record;
mod recover;
pub mod safeguards;
pub mod select;
mod start;
mod steer;
mod timer;
pub mod view;
mod waiting;
mod waves;

pub use action::{Action, Frame};
pub use approve::{ApprovalRule, Approved};
pub use cancel::CancelError;
pub use core::{Core, PlantedBug, Settings};
pub use event::Event;
pub use fleet::FleetError;
pub use link::{AttachError, Welcome};
pub use safeguards::HoldView;
pub use start::{StartError, StartRequest};
pub use steer::SteerError;
