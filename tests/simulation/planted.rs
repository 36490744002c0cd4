//! Bugs planted into the cores, each against one invariant: a simulation that does not catch them proves nothing.

use crate::plan::Plan;
use crate::world::{Planted, Run};
use curfew_agent_core::PlantedBug as InAgent;
use curfew_controller_core::PlantedBug as InController;

/// Seeds within which a planted bug must show. The rarest needs a crash at the right moment.
const SEEDS_MAX: u64 = 1_000;

/// The first violation that a planted bug leads to.
fn first_violation(planted: Planted) -> Option<(u64, crate::truth::Violation)> {
    (0..SEEDS_MAX).find_map(|seed| {
        let run = Run::of(&Plan::draw(seed), planted, false);
        run.violation.map(|violation| (seed, violation))
    })
}

fn assert_caught(planted: Planted, invariants: &[u8]) {
    let Some((seed, violation)) = first_violation(planted) else {
        panic!("{planted:?} was not caught within {SEEDS_MAX} seeds");
    };
    assert!(
        invariants.contains(&violation.invariant),
        "{planted:?} should break one of {invariants:?}, but seed {seed} says {violation:?}"
    );
}

fn in_controller(bug: InController) -> Planted {
    Planted { controller: Some(bug), agent: None }
}

fn in_agent(bug: InAgent) -> Planted {
    Planted { controller: None, agent: Some(bug) }
}

#[test]
fn a_planted_bug_against_invariant_1_is_caught() {
    assert_caught(in_controller(InController::LateNewsReplacesOutcome), &[1]);
}

#[test]
fn a_planted_bug_against_invariant_2_is_caught() {
    assert_caught(in_agent(InAgent::EndsLaterSessions), &[2]);
}

#[test]
fn a_planted_bug_against_invariant_3_is_caught_in_the_controller() {
    assert_caught(in_controller(InController::AcknowledgesBeforeStoring), &[3]);
}

#[test]
fn a_planted_bug_against_invariant_3_is_caught_in_the_agent() {
    assert_caught(in_agent(InAgent::ActsWithoutWriting), &[3]);
}

#[test]
fn a_planted_bug_against_invariant_4_is_caught() {
    assert_caught(in_controller(InController::ForgetsInFlightAfterRestart), &[4]);
}

#[test]
fn a_planted_bug_against_invariant_5_is_caught_in_the_controller() {
    assert_caught(in_controller(InController::CancelConfirmsWithoutAsking), &[5]);
}

#[test]
fn a_planted_bug_against_invariant_5_is_caught_in_the_agent() {
    assert_caught(in_agent(InAgent::ForgetsCancelOfUnknownTask), &[5]);
}

#[test]
fn a_planted_bug_against_invariant_7_is_caught() {
    assert_caught(in_controller(InController::IgnoresDeadline), &[7]);
}

#[test]
fn a_planted_bug_against_invariant_9_is_caught() {
    assert_caught(in_controller(InController::TimesOutWhileStoreIsAway), &[9]);
}

#[test]
fn a_planted_bug_against_invariant_10_is_caught_when_old_epochs_are_taken() {
    assert_caught(in_agent(InAgent::TakesOldEpoch), &[10]);
}

#[test]
fn a_planted_bug_against_invariant_10_is_caught_when_orders_do_not_expire() {
    assert_caught(in_agent(InAgent::IgnoresExpiry), &[10]);
}

#[test]
fn a_planted_bug_against_invariant_10_is_caught_when_orders_run_twice() {
    assert_caught(in_agent(InAgent::RunsFinishedTaskAgain), &[1, 10]);
}
