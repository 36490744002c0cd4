//! Pure decisions of the controller: which task starts when, what a report means, how an operation ends.
//!
//! Sans-IO: nothing here reads a clock, awaits, spawns or logs. The shell feeds events and drains actions.

pub mod record;
