//! The one place where the controller reads its clocks.

use curfew_types::digest::Fnv1a;
use curfew_types::{Mono, Now, WallTime};
use rustix::time::{ClockId, clock_gettime};
use std::time::{SystemTime, UNIX_EPOCH};

/// Reads both clocks. The monotonic one counts suspend, so that a machine that slept has not gained time.
pub fn now() -> Now {
    let boot = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(boot.tv_sec).unwrap_or(0);
    let ms = u64::try_from(boot.tv_nsec / 1_000_000).unwrap_or(0);
    Now { mono: Mono(seconds * 1000 + ms), wall: wall() }
}

/// Which boot of the machine this is, as a number that is equal within one boot only; 0 where it cannot be told.
pub fn boot() -> u64 {
    let Ok(id) = std::fs::read_to_string("/proc/sys/kernel/random/boot_id") else { return 0 };
    let mut digest = Fnv1a::default();
    digest.write(id.trim().as_bytes());
    digest.finish()
}

fn wall() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
