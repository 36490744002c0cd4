//! Points in time as the cores see them: a monotonic clock for decisions, a wall clock for display.
//!
//! Cores never read a clock; the shell reads both once per turn and hands them in as [`Now`].

use serde::{Deserialize, Serialize};

/// Milliseconds on a clock that never goes back and counts suspend (`CLOCK_BOOTTIME`). Valid within one boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mono(pub u64);

impl Mono {
    /// The moment `ms` milliseconds later; saturates instead of wrapping.
    #[must_use]
    pub fn plus(self, ms: u64) -> Mono {
        Mono(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment, 0 when it is not earlier.
    pub fn since(self, earlier: Mono) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Milliseconds since the Unix epoch, UTC. For display and for what must outlive a boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallTime(pub i64);

impl WallTime {
    /// The moment `ms` milliseconds later; saturates instead of wrapping.
    #[must_use]
    pub fn plus(self, ms: u64) -> WallTime {
        WallTime(self.0.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)))
    }

    /// Milliseconds from now until this moment, 0 when it has passed.
    pub fn remaining_from(self, now: WallTime) -> u64 {
        u64::try_from(self.0.saturating_sub(now.0)).unwrap_or(0)
    }
}

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For every decision.
    pub mono: Mono,
    /// For display and for deadlines that outlive the process.
    pub wall: WallTime,
}
