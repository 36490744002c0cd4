//! The seeds that are run: enough in CI to meet rare things, split so that every core of the machine has its share.

use crate::plan::Plan;
use crate::shrink;
use crate::world::{Planted, Run};
use curfew_types::Reason;
use curfew_types::operation::EventKind;
use std::collections::BTreeSet;

/// Seeds in CI, unless the environment says otherwise.
const SEEDS_DEFAULT: u64 = 2_000;
/// Tests that share them.
const SHARES: u64 = 4;
/// What only happens to agents and options that this world does not have.
const NEVER_MET: [Reason; 3] = [Reason::FeatureMissing, Reason::UnsupportedOption, Reason::StaleEpoch];
/// What must happen beside the events and reasons of the vocabulary.
const ALSO_MET: [&str; 16] = [
    "retried",
    "promoted",
    "frozen",
    "frozen_hard",
    "unfrozen",
    "released",
    "unprotected",
    "told",
    "told again or later",
    "called off",
    "killed",
    "no longer matched",
    "added",
    "drained by hand",
    "lifted by hand",
    "somebody else's",
];

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn run_share(share: u64) {
    let seeds = from_environment("CURFEW_SIM_SEEDS").unwrap_or(SEEDS_DEFAULT);
    let mut outcomes = [0; 9];
    let mut met = BTreeSet::new();
    for seed in (0..seeds).filter(|seed| seed % SHARES == share) {
        let plan = Plan::draw(seed);
        let run = Run::of(&plan, Planted::default(), false);
        assert!(run.violation.is_none(), "{}", shrink::explain(&plan, Planted::default()));
        for (sum, count) in outcomes.iter_mut().zip(run.outcomes) {
            *sum += count;
        }
        met.extend(run.met);
    }
    // A simulation in which something never happens proves nothing about it.
    if seeds >= SEEDS_DEFAULT {
        assert!(outcomes.iter().all(|count| *count > 0), "some outcome never came up: {outcomes:?}");
    }
    // The rarest of these comes up about once in a thousand seeds.
    if seeds >= 10 * SEEDS_DEFAULT {
        let reasons = Reason::ALL.iter().filter(|reason| !NEVER_MET.contains(reason));
        let words = reasons.map(|reason| reason.as_str());
        let words = words.chain(EventKind::ALL.iter().map(|kind| kind.as_str())).chain(ALSO_MET);
        let missing: Vec<&str> = words.filter(|word| !met.contains(word)).collect();
        assert!(missing.is_empty(), "never came up: {missing:?}");
    }
}

#[test]
fn every_invariant_holds_for_the_first_share_of_seeds() {
    run_share(0);
}

#[test]
fn every_invariant_holds_for_the_second_share_of_seeds() {
    run_share(1);
}

#[test]
fn every_invariant_holds_for_the_third_share_of_seeds() {
    run_share(2);
}

#[test]
fn every_invariant_holds_for_the_fourth_share_of_seeds() {
    run_share(3);
}

#[test]
fn the_seed_of_the_environment_is_replayed() {
    let seed = from_environment("CURFEW_SIM_SEED").unwrap_or(0);
    let plan = Plan::draw(seed);
    let run = Run::of(&plan, Planted::default(), false);
    assert!(run.violation.is_none(), "{}", shrink::explain(&plan, Planted::default()));
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..20 {
        let plan = Plan::draw(seed);
        let (one, other) =
            (Run::of(&plan, Planted::default(), true), Run::of(&plan, Planted::default(), true));
        assert_eq!(one.log, other.log, "seed {seed}");
        assert_eq!(one.happened, other.happened);
    }
}
