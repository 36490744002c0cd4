//! One function for each command: asks, writes, says how it ended. Decides nothing that another place decides.

mod drain;
pub mod fleet;
pub mod local;
pub mod operation;
pub mod preview;
pub mod safeguard;
pub mod session;
mod steer;
pub mod task;

use crate::terminal::Terminal;

/// Says where something is in force that would not survive the controller yet.
fn tell_if_not_recorded(terminal: &mut Terminal, recorded: bool) {
    if !recorded {
        terminal.note("Done, but not on disk yet: the controller's store is away.");
    }
}
