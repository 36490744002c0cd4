//! Which task has a guest between ordered and done, across operations.
//!
//! A task that ends leaves its entry behind: looking for it among a million would cost more than all else about its end. So an
//! entry may be that of a task that is over, and whoever asks looks at the task.

use curfew_types::{GuestId, OperationId, TaskId};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use xxhash_rust::xxh3::xxh3_64;

/// The tasks by their guests' digests. Should two guests ever share one, one of them waits for the other.
#[derive(Debug, Default)]
pub(crate) struct Busy {
    tasks: HashMap<u64, TaskId, BuildHasherDefault<AsItIs>>,
}

impl Busy {
    /// This task has the guest now.
    pub(crate) fn take(&mut self, guest: &GuestId, task: TaskId) {
        self.tasks.insert(digest(guest), task);
    }

    /// The last task that had the guest; it may be over.
    pub(crate) fn last(&self, guest: &GuestId) -> Option<TaskId> {
        self.tasks.get(&digest(guest)).copied()
    }

    /// Forgets the tasks of an operation that is over.
    pub(crate) fn forget(&mut self, operation: OperationId) {
        self.tasks.retain(|_, task| task.operation != operation);
        if self.tasks.is_empty() {
            self.tasks.shrink_to_fit();
        }
    }
}

fn digest(guest: &GuestId) -> u64 {
    xxh3_64(guest.as_str().as_bytes())
}

/// A digest is its own hash.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write_u64(&mut self, digest: u64) {
        self.0 = digest;
    }

    fn write(&mut self, _: &[u8]) {
        debug_assert!(false, "only digests are hashed");
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use curfew_types::WallTime;

    #[test]
    fn the_last_task_of_a_guest_is_known_until_its_operation_is_forgotten() {
        let task = |number| TaskId { operation: OperationId::new(WallTime(1), number), index: 7 };
        let [guest, other]: [GuestId; 2] = ["vm-1", "vm-2"].map(|id| id.parse().expect("an id"));
        let mut busy = Busy::default();
        busy.take(&guest, task(1));
        busy.take(&other, task(1));
        busy.take(&guest, task(2));
        assert_eq!([busy.last(&guest), busy.last(&other)], [Some(task(2)), Some(task(1))]);
        busy.forget(task(1).operation);
        assert_eq!([busy.last(&guest), busy.last(&other)], [Some(task(2)), None]);
    }
}
