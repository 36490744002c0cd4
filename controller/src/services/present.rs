//! Operations, tasks, hosts and guests as they stand on the wire.

mod fleet;
mod operation;
mod task;

pub(super) use fleet::{drain, freeze, guest, hold, host, protected_users};
pub(super) use operation::{digest, event, live_operation, planned_operation, slow_task, stored_operation};
pub(super) use task::{live_task, stored_task};
