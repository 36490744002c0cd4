//! The clocks, read here and nowhere else: one that counts suspend for decisions, the wall clock for display, and
//! the name of this boot of the machine.

use curfew_types::{Mono, Now, WallTime};
use rustix::time::{ClockId, clock_gettime};
use std::time::{SystemTime, UNIX_EPOCH};

/// Both clocks now.
pub(crate) fn now() -> Now {
    Now { mono: mono(), wall: wall() }
}

/// The monotonic clock that also counts while the machine is suspended.
pub(crate) fn mono() -> Mono {
    #[cfg(target_os = "linux")]
    const CLOCK: ClockId = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: ClockId = ClockId::Monotonic;
    let time = clock_gettime(CLOCK);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let millis = u64::try_from(time.tv_nsec / 1_000_000).unwrap_or(0);
    Mono(seconds.saturating_mul(1000).saturating_add(millis))
}

fn wall() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    WallTime(i64::try_from(since).unwrap_or(i64::MAX))
}

/// The name of this boot. Where the system has none, a random one: then every restart of the agent counts as a
/// reboot, after which it ends nobody's session for the orders of before.
pub(crate) fn boot() -> String {
    match std::fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        Ok(text) => text.trim().to_owned(),
        Err(_) => format!("unnamed-{:016x}", random()),
    }
}

/// 64 random bits. Where the system has no randomness, what the clocks give: enough for a jitter or a ledger's name.
pub(crate) fn random() -> u64 {
    getrandom::u64().unwrap_or_else(|_| mono().0 ^ wall().0.unsigned_abs().rotate_left(32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_for_decisions_does_not_go_back() {
        let first = mono();
        assert!(mono() >= first);
    }
}
