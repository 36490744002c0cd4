//! How an operation spreads over its guests, and how much may go wrong.

use super::values::{SpreadLimit, budget, duration, limit};
use clap::Args;
use curfew_types::Amount;
use std::time::Duration;

/// How it spreads over its guests. What is left out is not limited.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Rollout")]
pub struct RolloutArgs {
    /// Most guests at a time, or a share of all of them: 20 or 10%
    #[arg(long, value_name = "N|P%", value_parser = limit)]
    pub max_in_flight: Option<Amount>,
    /// Guests to reach wave by wave, each with those before it: 1,10%,100%; what is left is a last wave
    #[arg(long, value_name = "N|P%,...", value_delimiter = ',', value_parser = limit)]
    pub waves: Vec<Amount>,
    /// Pause between two waves
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "waves")]
    pub wave_pause: Option<Duration>,
    /// Begin each wave after the first only when somebody says so: curfew operation promote
    #[arg(long, requires = "waves", conflicts_with = "wave_pause")]
    pub promote_by_hand: bool,
    /// Draw the guests of the first waves by this number; the same one draws the same again
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Most guests at a time on one host
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_per_host: Option<u32>,
    /// Most guests at a time that share a value of a label, for example rack=2; may be repeated
    #[arg(long, value_name = "LABEL=N")]
    pub spread: Vec<SpreadLimit>,
}

/// How much may go wrong: once more guests than this ended so, nothing more starts.
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(next_help_heading = "Failure budgets (nothing more starts once more guests than this ended so)")]
pub struct BudgetArgs {
    /// Guests that failed, or a share of all of them: 5 or 2%
    #[arg(long, value_name = "N|P%", value_parser = budget)]
    pub max_failed: Option<Amount>,
    /// Guests whose time ran out
    #[arg(long, value_name = "N|P%", value_parser = budget)]
    pub max_timed_out: Option<Amount>,
    /// Guests whose host could not be reached or was lost in the middle
    #[arg(long, value_name = "N|P%", value_parser = budget)]
    pub max_unreachable: Option<Amount>,
    /// Guests that were refused by guest or agent
    #[arg(long, value_name = "N|P%", value_parser = budget)]
    pub max_refused: Option<Amount>,
}
