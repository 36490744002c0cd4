//! One function for each command: asks, writes, says how it ended. Decides nothing that another place decides.

pub mod fleet;
pub mod local;
pub mod operation;
pub mod task;
