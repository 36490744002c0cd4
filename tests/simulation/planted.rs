//! Bugs planted into the cores, each against one invariant: a simulation that does not catch them proves nothing.

use crate::plan::Plan;
use crate::shrink;
use crate::truth::{FORCE, NOTICE};
use crate::world::{Planted, Run};
use curfew_agent_core::PlantedBug as InAgent;
use curfew_controller_core::PlantedBug as InController;

/// Seeds within which a planted bug must show. The rarest shows in one of 250: it needs a crash at the right moment.
const SEEDS_MAX: u64 = 2_000;

/// The first seed with which a planted bug breaks one of these invariants. It may break others before.
fn first_seed(planted: Planted, invariants: &[u8]) -> Option<u64> {
    (0..SEEDS_MAX).find(|seed| {
        let run = Run::of(&Plan::draw(*seed), planted, false);
        run.violation.is_some_and(|violation| invariants.contains(&violation.invariant))
    })
}

fn assert_caught(planted: Planted, invariants: &[u8]) {
    assert!(
        first_seed(planted, invariants).is_some(),
        "{planted:?} should break one of {invariants:?}, and did not within {SEEDS_MAX} seeds"
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
fn a_planted_bug_against_invariant_4_is_caught_when_budgets_are_ignored() {
    assert_caught(in_controller(InController::IgnoresBudgets), &[4]);
}

#[test]
fn a_planted_bug_against_invariant_4_is_caught_when_racks_are_ignored() {
    assert_caught(in_controller(InController::IgnoresSpread), &[4]);
}

#[test]
fn a_planted_bug_against_invariant_4_is_caught_when_waves_begin_at_once() {
    assert_caught(in_controller(InController::IgnoresWaves), &[4]);
}

#[test]
fn a_planted_bug_against_invariant_4_is_caught_when_a_freeze_is_forgotten() {
    assert_caught(in_controller(InController::ForgetsFreezeAfterRestart), &[4]);
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
fn a_planted_bug_against_invariant_6_is_caught_when_holds_are_shown_too_early() {
    assert_caught(in_controller(InController::ConfirmsHoldsUnasked), &[6]);
}

#[test]
fn a_planted_bug_against_invariant_6_is_caught_when_holds_are_ignored() {
    assert_caught(in_agent(InAgent::IgnoresHolds), &[6]);
}

#[test]
fn a_planted_bug_against_invariant_6_is_caught_when_protection_is_ignored() {
    assert_caught(in_agent(InAgent::IgnoresProtection), &[6]);
}

#[test]
fn a_planted_bug_against_invariant_6_is_caught_when_safeguards_are_confirmed_too_early() {
    assert_caught(in_agent(InAgent::ConfirmsSafeguardsEarly), &[6]);
}

#[test]
fn a_planted_bug_against_invariant_6_is_caught_when_excluded_users_are_ignored() {
    assert_caught(in_agent(InAgent::IgnoresExcludedUsers), &[6]);
}

#[test]
fn a_planted_bug_against_invariant_7_is_caught() {
    assert_caught(in_controller(InController::IgnoresDeadline), &[7]);
}

#[test]
fn a_planted_bug_against_invariant_8_is_caught_when_drains_do_not_end() {
    assert_caught(in_agent(InAgent::IgnoresDrainExpiry), &[8]);
}

#[test]
fn a_planted_bug_against_invariant_8_is_caught_when_drains_are_not_written_down() {
    assert_caught(in_agent(InAgent::DrainsWithoutWriting), &[8]);
}

#[test]
fn a_planted_bug_against_notices_is_caught_when_they_are_not_written_down() {
    // Whoever is told without a word in the ledger is told once more after a crash; either shows it.
    assert_caught(in_agent(InAgent::TellsWithoutWriting), &[3, NOTICE]);
}

#[test]
fn a_planted_bug_against_force_is_caught() {
    assert_caught(in_agent(InAgent::ForcesUnasked), &[FORCE]);
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

#[test]
fn a_failure_is_explained_by_the_few_events_that_lead_to_it() {
    let planted = in_agent(InAgent::ConfirmsSafeguardsEarly);
    let seed = first_seed(planted, &[6]).expect("is caught");
    let plan = Plan::draw(seed);
    let short = shrink::shortest(&plan, planted, 6);
    assert!(short.events.len() * 4 < plan.events.len(), "{} of {}", short.events.len(), plan.events.len());
    // Somebody has to be logged on and logged off, and held or protected meanwhile.
    assert!(short.events.len() >= 3, "{:?}", short.events);
    let text = shrink::explain(&plan, planted);
    assert!(text.contains(&format!("seed {seed} breaks invariant 6")), "{text}");
    assert!(text.contains("planned: "), "{text}");
}
