//! Which tasks changed at which revision, so that a watcher can resume from the last revision it saw.

/// An append-only list of changes, compacted so that it stays in proportion to the number of tasks.
#[derive(Debug, Default)]
pub(crate) struct ChangeLog {
    changes: Vec<(u64, u32)>,
}

impl ChangeLog {
    /// Notes that task `index` changed at `revision`. `latest` tells a task's latest revision.
    pub(crate) fn push(&mut self, revision: u64, index: u32, tasks: usize, latest: impl Fn(u32) -> u64) {
        self.changes.push((revision, index));
        // Twice the tasks plus a little keeps the amortised cost of a change constant.
        if self.changes.len() > 2 * tasks + 64 {
            self.changes.retain(|(revision, index)| latest(*index) == *revision);
        }
    }

    /// Tasks that changed after `revision`, oldest change first, each at its latest change only.
    pub(crate) fn since(&self, revision: u64, latest: impl Fn(u32) -> u64) -> impl Iterator<Item = u32> {
        let from = self.changes.partition_point(|(changed, _)| *changed <= revision);
        self.changes[from..]
            .iter()
            .filter(move |(changed, index)| latest(*index) == *changed)
            .map(|(_, index)| *index)
    }
}
