//! Virtual time: the queue of what happens next, and each machine's own clocks derived from it.

use crate::happening::Happening;
use curfew_types::{Mono, Now, WallTime};
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// The wall clock at the beginning of every simulation.
const WALL_START: i64 = 1_795_000_000_000;

/// What happens when, in a fixed order even among things of the same moment.
#[derive(Default)]
pub(crate) struct Agenda {
    entries: BinaryHeap<Reverse<Entry>>,
    written: u64,
}

struct Entry {
    at: u64,
    order: u64,
    what: Happening,
}

impl Agenda {
    pub(crate) fn put(&mut self, at: u64, what: Happening) {
        self.written += 1;
        self.entries.push(Reverse(Entry { at, order: self.written, what }));
    }

    pub(crate) fn take(&mut self) -> Option<(u64, Happening)> {
        self.entries.pop().map(|Reverse(entry)| (entry.at, entry.what))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.order == other.order
    }
}

impl Eq for Entry {}

/// The clocks of one machine: a monotonic one that begins with each boot and that nobody can set, and a wall clock
/// that is off by a bit and can be set at any moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    /// How often the machine has booted.
    pub(crate) boot: u64,
    /// What the monotonic clock showed at `booted`.
    mono_at_boot: u64,
    booted: u64,
    wall_off: i64,
}

impl Clocks {
    pub(crate) fn new(mono_at_boot: u64, wall_off: i64) -> Clocks {
        Clocks { boot: 1, mono_at_boot, booted: 0, wall_off }
    }

    /// The machine has booted: its monotonic clock begins again.
    pub(crate) fn reboot(&mut self, t: u64) {
        self.boot += 1;
        self.mono_at_boot = 0;
        self.booted = t;
    }

    /// Somebody sets the wall clock forward or back.
    pub(crate) fn set_wall(&mut self, by_ms: i64) {
        self.wall_off += by_ms;
    }

    pub(crate) fn now(&self, t: u64) -> Now {
        let wall = WALL_START + i64::try_from(t).unwrap_or(i64::MAX) + self.wall_off;
        Now { mono: Mono(t - self.booted + self.mono_at_boot), wall: WallTime(wall) }
    }

    /// The moment of the simulation at which this boot's monotonic clock shows `mono`.
    pub(crate) fn moment_of(&self, mono: Mono) -> u64 {
        mono.0.saturating_sub(self.mono_at_boot).saturating_add(self.booted)
    }
}
