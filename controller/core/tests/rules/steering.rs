//! Budgets that are spent, pauses, resumptions, and the freeze of the whole fleet.

use crate::bench::{Bench, all, succeeded, task, timed_out};
use curfew_controller_core::record::{Record, Recovered};
use curfew_controller_core::{Event, StartError, SteerError};
use curfew_types::operation::EventKind;
use curfew_types::{
    Amount, Budgets, OperationId, OperationSpec, OperationState, Outcome, OutcomeClass, Reason, Stage,
    StatusCode, Verdict,
};

const FIVE: &[(&str, &[&str])] = &[("h1", &["a", "b", "c", "d", "e"])];

fn careful(window: u32, budgets: Budgets) -> OperationSpec {
    OperationSpec { max_in_flight: Some(Amount::Number(window)), budgets, ..OperationSpec::plain(all()) }
}

fn no_time_outs() -> Budgets {
    Budgets { timed_out: Some(Amount::Number(0)), ..Budgets::default() }
}

fn not_started() -> Verdict {
    Verdict::new(Outcome::Cancelled, StatusCode::Ok, Reason::NotStarted, "cancelled")
}

fn events(bench: &Bench) -> Vec<EventKind> {
    let steered = |record| if let Record::Steered { event, .. } = record { Some(event.what) } else { None };
    bench.records().into_iter().filter_map(steered).collect()
}

fn resume(bench: &mut Bench, operation: OperationId, budgets: Budgets) -> Result<OperationState, SteerError> {
    bench
        .ask(|core, now| core.resume_operation(now, operation, "eve", "looked at it", budgets))
        .map(|view| view.state)
}

#[test]
fn nothing_starts_on_a_spent_budget_and_the_operation_is_halted() {
    let mut bench = Bench::with(FIVE);
    let operation = bench.start(careful(2, no_time_outs()));
    bench.progress(1, task(operation, 1), Stage::Accepted);
    bench.find(1, 1, task(operation, 0), timed_out());
    assert!(bench.orders().is_empty());
    let view = bench.operation(operation);
    assert_eq!(view.state, OperationState::Halted);
    assert_eq!(view.standing.why, "1 tasks ended as timed out, and the budget is 0");
    let budget = view.budgets.first().expect("a budget");
    assert_eq!((budget.class, budget.allowed, budget.spent), (OutcomeClass::TimedOut, 0, 1));
    assert_eq!(events(&bench), [EventKind::Halted], "in the turn that brought the outcome");
    bench.find(1, 2, task(operation, 1), succeeded());
    assert!(bench.orders().is_empty(), "what ran has finished, and nothing follows");
}

#[test]
fn a_budget_of_a_share_rounds_down() {
    let mut bench = Bench::with(FIVE);
    let budgets = Budgets { timed_out: Some(Amount::Percent(39)), ..Budgets::default() };
    let operation = bench.start(careful(1, budgets));
    bench.find(1, 1, task(operation, 0), timed_out());
    assert_eq!(bench.operation(operation).state, OperationState::Running, "39 % of 5 is 1");
    bench.find(1, 2, task(operation, 1), timed_out());
    assert_eq!(bench.operation(operation).state, OperationState::Halted);
}

#[test]
fn orders_that_no_agent_accepted_are_taken_back_and_end_as_skipped() {
    let mut bench = Bench::with(FIVE);
    let operation = bench.start(careful(3, no_time_outs()));
    bench.progress(1, task(operation, 1), Stage::Accepted);
    bench.find(1, 1, task(operation, 0), timed_out());
    let cancels = bench.cancels();
    let taken: Vec<(bool, Vec<u32>)> = cancels
        .iter()
        .map(|cancel| (cancel.only_unaccepted, cancel.tasks.iter().map(|task| task.index).collect()))
        .collect();
    assert_eq!(taken, [(true, vec![2])], "the accepted one goes on");
    bench.find(1, 2, task(operation, 2), not_started());
    let verdict = bench.verdict(operation, "c").expect("ended");
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::Skipped, Reason::BudgetSpent));
}

#[test]
fn a_withdrawal_is_said_again_until_it_is_answered_and_no_order_is() {
    let mut bench = Bench::with(FIVE);
    let operation = bench.start(careful(2, no_time_outs()));
    bench.find(1, 1, task(operation, 0), timed_out());
    bench.pass(5_000);
    assert!(bench.orders().is_empty());
    assert!(bench.cancels().iter().all(|cancel| cancel.only_unaccepted));
    assert_eq!(bench.cancels().len(), 1);
    bench.progress(1, task(operation, 1), Stage::Accepted);
    bench.pass(5_000);
    assert!(bench.cancels().is_empty(), "it was accepted, so it goes on");
}

#[test]
fn a_halted_operation_goes_on_with_a_larger_budget_only() {
    let mut bench = Bench::with(FIVE);
    let operation = bench.start(careful(1, no_time_outs()));
    bench.find(1, 1, task(operation, 0), timed_out());
    let refused = resume(&mut bench, operation, Budgets::default()).expect_err("still spent");
    assert!(refused.to_string().contains("--max-timed-out 1"), "{refused}");
    let larger = Budgets { timed_out: Some(Amount::Number(1)), ..Budgets::default() };
    assert_eq!(resume(&mut bench, operation, larger), Ok(OperationState::Running));
    assert_eq!(bench.ordered(), ["b"]);
    assert_eq!(events(&bench), [EventKind::Resumed]);
}

#[test]
fn what_is_still_queued_when_a_halted_operations_deadline_comes_is_skipped_for_its_budget() {
    let mut bench = Bench::with(FIVE);
    let operation = bench.start(OperationSpec { deadline_ms: 60_000, ..careful(1, no_time_outs()) });
    bench.find(1, 1, task(operation, 0), timed_out());
    bench.pass(60_000);
    let verdict = bench.verdict(operation, "e").expect("ended");
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::Skipped, Reason::BudgetSpent));
    assert_eq!(bench.operation(operation).state, OperationState::Ended);
}

#[test]
fn guests_that_are_refused_at_once_count_against_the_budget_before_anything_starts() {
    let mut bench = Bench::with(&[("h1", &["a"])]);
    let mut paused = crate::bench::guest("p");
    paused.power = curfew_types::PowerState::Paused;
    bench.inventory("h1", vec![crate::bench::guest("a"), paused]);
    let budgets = Budgets { refused: Some(Amount::Number(0)), ..Budgets::default() };
    let operation = bench.start(OperationSpec { budgets, ..OperationSpec::plain(all()) });
    assert!(bench.orders().is_empty());
    assert_eq!(bench.operation(operation).state, OperationState::Halted);
}

#[test]
fn a_paused_operation_starts_nothing_and_goes_on_where_it_was() {
    let mut bench = Bench::with(FIVE);
    let operation = bench.start(careful(1, Budgets::default()));
    let paused = bench.ask(|core, now| core.pause_operation(now, operation, "eve", "lunch")).expect("pauses");
    assert_eq!(
        (paused.state, paused.standing.why.as_str()),
        (OperationState::Paused, "paused by eve: lunch")
    );
    bench.find(1, 1, task(operation, 0), succeeded());
    assert!(bench.orders().is_empty() && bench.cancels().is_empty());
    assert_eq!(resume(&mut bench, operation, Budgets::default()), Ok(OperationState::Running));
    assert_eq!(bench.ordered(), ["b"]);
}

#[test]
fn a_hosts_absence_during_a_pause_is_not_held_against_it() {
    let mut bench = Bench::with(FIVE);
    let spec = OperationSpec { deliver_within_ms: 10_000, ..careful(1, Budgets::default()) };
    let operation = bench.start(spec);
    bench.find(1, 1, task(operation, 0), succeeded());
    bench.ask(|core, now| core.pause_operation(now, operation, "eve", "")).expect("pauses");
    bench.find(1, 2, task(operation, 1), succeeded());
    bench.detach("h1", 1);
    bench.pass(60_000);
    assert_eq!(bench.task(task(operation, 2)).stage, Stage::Queued);
    resume(&mut bench, operation, Budgets::default()).expect("resumes");
    bench.pass(9_000);
    assert_eq!(bench.task(task(operation, 2)).stage, Stage::Queued, "its time begins with the resumption");
    bench.pass(1_000);
    assert_eq!(bench.verdict(operation, "c").map(|verdict| verdict.outcome), Some(Outcome::Unreachable));
}

#[test]
fn pausing_works_while_the_store_is_away() {
    let mut bench = Bench::with(FIVE);
    let operation = bench.start(careful(1, Budgets::default()));
    bench.handle(Event::StoreAway);
    bench.ask(|core, now| core.pause_operation(now, operation, "eve", "")).expect("pauses");
    bench.find(1, 1, task(operation, 0), succeeded());
    bench.handle(Event::StoreBack);
    assert!(bench.orders().is_empty());
}

#[test]
fn what_has_ended_cannot_be_steered_and_says_what_can_be_done() {
    let mut bench = Bench::with(&[("h1", &["a"])]);
    let operation = bench.start_all();
    bench.find(1, 1, task(operation, 0), succeeded());
    let refused = bench.ask(|core, now| core.pause_operation(now, operation, "eve", "")).expect_err("ended");
    assert_eq!(refused, SteerError::Ended);
    assert!(refused.to_string().contains("curfew operation retry"));
}

#[test]
fn a_frozen_fleet_starts_nothing_and_says_who_and_why() {
    let mut bench = Bench::with(FIVE);
    let operation = bench.start(careful(1, Budgets::default()));
    bench.ask(|core, now| core.freeze(now, "eve", "trading hours", false));
    assert!(bench.cancels().is_empty(), "what runs finishes");
    bench.find(1, 1, task(operation, 0), succeeded());
    assert!(bench.orders().is_empty());
    assert!(bench.operation(operation).waiting_for.contains("eve froze the fleet: trading hours"));
    let refused = bench.try_start(OperationSpec::plain(all())).expect_err("frozen");
    assert_eq!(refused, StartError::Frozen { by: "eve".into(), reason: "trading hours".into() });
    bench.ask(|core, now| core.unfreeze(now, "eve"));
    assert_eq!(bench.ordered(), ["b"]);
}

#[test]
fn a_hard_freeze_cancels_what_runs_and_keeps_what_waits() {
    let mut bench = Bench::with(FIVE);
    let operation = bench.start(careful(1, Budgets::default()));
    bench.ask(|core, now| core.freeze(now, "eve", "now", true));
    let cancels = bench.cancels();
    assert_eq!((cancels.len(), cancels[0].only_unaccepted), (1, false));
    bench.find(1, 1, task(operation, 0), not_started());
    assert_eq!(bench.verdict(operation, "a").map(|verdict| verdict.reason), Some(Reason::NotStarted));
    assert_eq!(bench.task(task(operation, 1)).stage, Stage::Queued);
}

#[test]
fn a_freeze_survives_a_restart() {
    let mut bench = Bench::new();
    bench.ask(|core, now| core.freeze(now, "eve", "trading hours", false));
    let freeze = bench.records().into_iter().find_map(|record| match record {
        Record::FreezeChanged { freeze } => freeze,
        _ => None,
    });
    let mut again = Bench::recover(Recovered { freeze, ..Recovered::default() }, 1_000);
    assert!(matches!(again.try_start(OperationSpec::plain(all())), Err(StartError::Frozen { .. })));
}

#[test]
fn the_slowest_guests_are_named() {
    let mut bench = Bench::with(FIVE);
    let operation = bench.start_all();
    bench.pass(2_000);
    bench.find(1, 1, task(operation, 3), succeeded());
    bench.pass(1_000);
    let slowest = bench.core.slowest(bench.now(), operation).expect("in memory");
    let named: Vec<(&str, u64)> = slowest.iter().map(|slow| (slow.name.as_str(), slow.elapsed_ms)).collect();
    assert_eq!(named, [("a", 3_000), ("b", 3_000), ("c", 3_000), ("e", 3_000), ("d", 2_000)]);
}

#[test]
fn tasks_are_counted_by_reason() {
    let mut bench = Bench::with(FIVE);
    let operation = bench.start_all();
    bench.find(1, 1, task(operation, 0), succeeded());
    bench.find(1, 2, task(operation, 1), timed_out());
    bench.find(1, 3, task(operation, 2), succeeded());
    let reasons = bench.operation(operation).reasons;
    assert_eq!(
        reasons,
        [(Outcome::Succeeded, Reason::SessionsEnded, 2), (Outcome::TimedOut, Reason::SessionsRemain, 1)]
    );
}
