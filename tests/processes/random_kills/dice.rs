//! Numbers that look random and come again with the same seed.

use anyhow::Context as _;
use std::hash::{BuildHasher as _, RandomState};

/// The seed of this run: `CURFEW_FAULT_SEED`, or a new one.
pub(super) fn seed() -> anyhow::Result<u64> {
    match std::env::var("CURFEW_FAULT_SEED") {
        Ok(text) => text.parse().with_context(|| format!("CURFEW_FAULT_SEED={text:?} is no number")),
        Err(_) => Ok(RandomState::new().hash_one("dice")),
    }
}

/// The dice (SplitMix64).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub(super) fn up_to(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % (most + 1)
    }

    /// A place in a list of this length, which is not empty.
    pub(super) fn below(&mut self, length: usize) -> usize {
        let most = u64::try_from(length.saturating_sub(1)).unwrap_or(0);
        usize::try_from(self.up_to(most)).unwrap_or(0)
    }
}
