//! How an operation spreads over its guests, and how much may go wrong before it stops by itself.

use crate::OutcomeClass;
use crate::amount::Amount;
use serde::{Deserialize, Serialize};

/// Most waves: more are a schedule.
pub const WAVES_MAX: usize = 16;
/// Most limits per label.
pub const SPREADS_MAX: usize = 4;
/// Longest pause between two waves.
pub const WAVE_PAUSE_MAX_MS: u64 = crate::operation::DEADLINE_MAX_MS;

/// What lies between two waves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetweenWaves {
    /// Nothing: the next begins once every guest of the one before has its outcome.
    #[default]
    Nothing,
    /// A pause of this many milliseconds.
    Pause(u64),
    /// A person who says so.
    Promotion,
}

/// At most so many guests at a time that share a value of a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// The label's key, as selectors write it. Guests without the label count as one value of their own.
    pub label: String,
    /// Most tasks between ordered and done among guests of one value.
    pub max: u32,
}

/// How an operation spreads over its guests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rollout {
    /// How many guests each wave reaches, together with the waves before it. What is left is a last wave. Empty: all
    /// guests are one wave.
    pub waves: Vec<Amount>,
    /// What lies between two waves.
    pub between: BetweenWaves,
    /// Draws the guests of the first waves; the same seed over the same guests draws the same. `None`: the controller
    /// picks one and shows it.
    pub seed: Option<u64>,
    /// Most tasks between ordered and done on one host.
    pub max_per_host: Option<u32>,
    /// Limits per value of a label.
    pub spread: Vec<Spread>,
}

/// How much may go wrong: once more tasks than this ended in a class, nothing more starts. `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Budgets {
    /// Tasks that started and did not end well.
    pub failed: Option<Amount>,
    /// Tasks whose time ran out.
    pub timed_out: Option<Amount>,
    /// Tasks whose host could not be reached, or was lost in the middle.
    pub unreachable: Option<Amount>,
    /// Tasks that guest or agent refused.
    pub refused: Option<Amount>,
}

impl Budgets {
    /// The budget of a class.
    pub fn of(&self, class: OutcomeClass) -> Option<Amount> {
        match class {
            OutcomeClass::Failed => self.failed,
            OutcomeClass::TimedOut => self.timed_out,
            OutcomeClass::Unreachable => self.unreachable,
            OutcomeClass::Refused => self.refused,
        }
    }

    /// These, where `newer` says nothing; `newer` otherwise.
    #[must_use]
    pub fn replaced_by(self, newer: Budgets) -> Budgets {
        Budgets {
            failed: newer.failed.or(self.failed),
            timed_out: newer.timed_out.or(self.timed_out),
            unreachable: newer.unreachable.or(self.unreachable),
            refused: newer.refused.or(self.refused),
        }
    }
}

/// Where each wave ends among `total` guests: strictly growing, and the last is `total`.
pub fn wave_ends(waves: &[Amount], total: u64) -> Vec<u64> {
    let mut ends: Vec<u64> = Vec::with_capacity(waves.len() + 1);
    let all = waves.iter().map(|amount| amount.as_limit(total).min(total)).chain([total]);
    for end in all {
        if end > ends.last().copied().unwrap_or(0) {
            ends.push(end);
        }
    }
    ends
}

/// A number that orders guests at random for a seed: the lowest are drawn first. The same on every machine and in
/// every version, and independent of which other guests there are.
pub fn draw(seed: u64, guest: &crate::GuestId) -> u64 {
    let mut digest = crate::digest::Fnv1a::default();
    digest.write(&seed.to_le_bytes());
    digest.write(guest.as_str().as_bytes());
    // FNV alone leaves ids that differ in their last byte close together; this is the finalizer of SplitMix64.
    let mut bits = digest.finish();
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn waves_grow_and_the_last_one_has_everybody() {
        let waves = [Amount::Number(1), Amount::Percent(10), Amount::Percent(100)];
        assert_eq!(wave_ends(&waves, 200), [1, 20, 200]);
        assert_eq!(wave_ends(&waves, 5), [1, 5], "10 % of 5 is the one guest of the wave before");
        assert_eq!(wave_ends(&waves[..2], 200), [1, 20, 200], "what is left is a last wave");
        assert_eq!(wave_ends(&[], 200), [200]);
        assert_eq!(wave_ends(&[Amount::Number(500)], 200), [200]);
        assert!(wave_ends(&waves, 0).is_empty());
    }

    #[test]
    fn neighbours_are_drawn_far_apart() {
        let mut drawn: Vec<(u64, u32)> =
            (0..1000).map(|n: u32| (draw(7, &format!("vm-{n}").parse().expect("an id")), n)).collect();
        drawn.sort_unstable();
        let first: Vec<u32> = drawn.iter().take(100).map(|(_, n)| *n).collect();
        for quarter in 0..4 {
            let here = first.iter().filter(|n| **n / 250 == quarter).count();
            assert!((10..=40).contains(&here), "{here} of the first 100 are in quarter {quarter}");
        }
    }

    #[test]
    fn newer_budgets_win_where_they_say_something() {
        let old = Budgets {
            failed: Some(Amount::Number(1)),
            refused: Some(Amount::Number(2)),
            ..Budgets::default()
        };
        let new = Budgets { failed: Some(Amount::Percent(5)), ..Budgets::default() };
        let both = old.replaced_by(new);
        assert_eq!((both.failed, both.refused), (Some(Amount::Percent(5)), Some(Amount::Number(2))));
    }

    proptest! {
        #[test]
        fn wave_ends_grow_strictly_to_the_total(numbers in prop::collection::vec(0_u32..50, 0..6), total in 0_u64..60) {
            let waves: Vec<Amount> = numbers.into_iter().map(Amount::Number).collect();
            let ends = wave_ends(&waves, total);
            prop_assert!(ends.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert_eq!(ends.last().copied().unwrap_or(0), total);
        }
    }
}
