//! Which tasks changed at which revision, so that a watcher can resume from the last revision it saw.

/// An append-only list of changes, compacted so that it stays in proportion to the number of tasks. Of revisions it keeps
/// the lower half: the upper one is the epoch in which the operation's books were made, the same for all of them.
#[derive(Debug, Default)]
pub(crate) struct ChangeLog {
    changes: Vec<(u32, u32)>,
}

impl ChangeLog {
    /// Notes that task `index` changed at `revision`. `latest` tells a task's latest revision.
    pub(crate) fn push(&mut self, revision: u64, index: u32, tasks: usize, latest: impl Fn(u32) -> u64) {
        self.changes.push((lower_half(revision), index));
        // Twice the tasks plus a little keeps the amortised cost of a change constant.
        if self.changes.len() > 2 * tasks + 64 {
            self.changes.retain(|(revision, index)| lower_half(latest(*index)) == *revision);
        }
    }

    /// Tasks that changed after `revision`, which has the same upper half, oldest change first, each at its latest change only.
    pub(crate) fn since(&self, revision: u64, latest: impl Fn(u32) -> u64) -> impl Iterator<Item = u32> {
        let from = self.changes.partition_point(|(changed, _)| *changed <= lower_half(revision));
        self.changes[from..]
            .iter()
            .filter(move |(changed, index)| lower_half(latest(*index)) == *changed)
            .map(|(_, index)| *index)
    }
}

fn lower_half(revision: u64) -> u32 {
    let [.., a, b, c, d] = revision.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}
