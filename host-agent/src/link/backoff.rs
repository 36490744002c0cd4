//! How long to wait before dialling again: exponential with full jitter, so that a fleet that lost its controller
//! does not come back in step. It waits for nothing itself.

use std::time::Duration;

/// The longest first pause: a controller that was restarted is up again by then.
const BASE: Duration = Duration::from_millis(500);
/// The longest pause at all: the controller's heartbeat, since after a restart it gives its agents two heartbeats
/// before it counts them as away.
pub(super) const CAP: Duration = Duration::from_secs(15);
/// A stream that lived this long was a good one: what follows is a new trouble, not the old one.
const GOOD_AFTER: Duration = CAP;

/// The pauses so far.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Notes that a stream lived for so long.
    pub(super) fn lived(&mut self, time: Duration) {
        if time >= GOOD_AFTER {
            self.failures = 0;
        }
    }

    /// The next pause; `dice` is random.
    pub(super) fn pause(&mut self, dice: u64) -> Duration {
        let longest = BASE.saturating_mul(1 << self.failures.min(16)).min(CAP);
        self.failures = self.failures.saturating_add(1);
        within(Duration::ZERO, longest, dice)
    }

    /// The pause after a refusal that only an operator can lift: around the cap, with jitter.
    pub(super) fn long_pause(&mut self, dice: u64) -> Duration {
        within(CAP / 2, CAP, dice)
    }
}

/// The moment between the two that the dice choose.
fn within(shortest: Duration, longest: Duration, dice: u64) -> Duration {
    let span = u64::try_from((longest - shortest).as_micros()).unwrap_or(u64::MAX);
    shortest + Duration::from_micros(dice % (span + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pause_doubles_up_to_the_cap() {
        let longest = |failures| {
            (0..2000_u64)
                .map(|dice| Backoff { failures }.pause(dice.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
                .max()
                .unwrap()
        };
        for (failures, limit_ms) in [(0, 500), (1, 1000), (3, 4000), (5, 15_000), (40, 15_000)] {
            let (longest, limit) = (longest(failures), Duration::from_millis(limit_ms));
            assert!(longest <= limit && longest > limit * 9 / 10, "{failures}: {longest:?}");
        }
    }

    #[test]
    fn jitter_is_full_so_a_pause_may_be_nothing() {
        assert_eq!(Backoff { failures: 9 }.pause(0), Duration::ZERO);
    }

    #[test]
    fn a_refusal_is_never_asked_about_in_haste() {
        let mut backoff = Backoff::default();
        for dice in [0, 1, u64::MAX, 77_777_777] {
            let pause = backoff.long_pause(dice);
            assert!(pause >= CAP / 2 && pause <= CAP);
        }
    }

    #[test]
    fn only_a_stream_that_lived_makes_the_pauses_short_again() {
        let mut backoff = Backoff { failures: 9 };
        backoff.lived(Duration::from_secs(1));
        assert_eq!(backoff.failures, 9);
        backoff.lived(GOOD_AFTER);
        assert_eq!(backoff.failures, 0);
    }
}
