//! Pure decisions of the controller: which task starts when, what a report means, how an operation ends.
//!
//! Sans-IO: nothing here reads a clock, awaits, spawns or logs. The shell calls [`Core`] with the time and an event
//! or a request, drains the actions, appends the records among them, publishes, and only then sends.

pub mod action;
mod cancel;
mod change_log;
mod core;
mod dispatch;
pub mod event;
mod expiry;
pub mod fleet;
mod intake;
mod link;
mod operation;
pub mod record;
mod recover;
pub mod select;
mod start;
mod timer;
pub mod view;

pub use action::{Action, Frame};
pub use cancel::CancelError;
pub use core::{Core, PlantedBug, Settings};
pub use event::Event;
pub use fleet::FleetError;
pub use link::AttachError;
pub use start::StartError;
