//! How an operation spreads and how much may go wrong, as messages; nothing where nothing was said.

use super::duration;
use crate::args::{BudgetArgs, RolloutArgs, SpreadLimit};
use curfew_proto::v1;

/// How an operation spreads over its guests, apart from the limit on all of them.
pub fn rollout(args: &RolloutArgs) -> Option<v1::Rollout> {
    let limit = |spread: &SpreadLimit| v1::SpreadLimit { label: spread.label.clone(), max: spread.max };
    let rollout = v1::Rollout {
        waves: args.waves.iter().map(|amount| v1::Amount::from(*amount)).collect(),
        wave_pause: args.wave_pause.map(duration),
        promotion: args.promote_by_hand,
        seed: args.seed,
        max_per_host: args.max_per_host.unwrap_or(0),
        spread: args.spread.iter().map(limit).collect(),
    };
    (rollout != v1::Rollout::default()).then_some(rollout)
}

/// How much may go wrong.
pub fn budgets(args: &BudgetArgs) -> Option<v1::FailureBudgets> {
    let budgets = v1::FailureBudgets {
        failed: args.max_failed.map(v1::Amount::from),
        timed_out: args.max_timed_out.map(v1::Amount::from),
        unreachable: args.max_unreachable.map(v1::Amount::from),
        refused: args.max_refused.map(v1::Amount::from),
    };
    (budgets != v1::FailureBudgets::default()).then_some(budgets)
}
