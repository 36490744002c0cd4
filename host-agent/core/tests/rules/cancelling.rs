//! Taking tasks back, and saying truthfully how far they had come.

use crate::bench::{Bench, COMPANY_MS, TIMEOUT_MS, cancel, error, listing, operation, order};
use curfew_agent_core::Event;
use curfew_agent_core::call::EndReply;
use curfew_types::agent::Cancel;
use curfew_types::{Outcome, Reason, StatusCode};

fn take_back(bench: &mut Bench) {
    bench.handle(Event::CancelAsked(cancel(&["vm-1"])));
}

#[test]
fn a_cancel_that_overtakes_its_order_is_confirmed_and_the_order_finds_that() {
    let mut bench = Bench::new();
    take_back(&mut bench);
    assert_eq!(bench.verdict().reason, Reason::NotStarted);
    bench.handle(Event::Acknowledged(1));
    bench.order(order(&["vm-1"]));
    assert!(bench.calls().is_empty());
    assert_eq!(bench.verdict().reason, Reason::NotStarted);
}

#[test]
fn the_memory_of_an_overtaking_cancel_outlives_a_restart() {
    let mut bench = Bench::new();
    take_back(&mut bench);
    let mut bench = bench.restart(1);
    bench.order(order(&["vm-1"]));
    assert!(bench.calls().is_empty());
}

#[test]
fn before_the_act_moment_nothing_had_started() {
    let mut bench = Bench::new();
    bench.order(order(&["vm-1"]));
    let look = bench.call();
    take_back(&mut bench);
    assert_eq!(bench.verdict().reason, Reason::NotStarted);
    bench.handle(Event::Listed { call: look.call, result: Ok(listing(&["a"])) });
    assert!(bench.calls().is_empty(), "what comes in later starts nothing");
}

#[test]
fn a_request_that_is_out_decides_what_a_cancel_may_say() {
    for (answer, reason) in [
        (Ok(EndReply::TooLate), Reason::BeforeAnySession),
        (Err(error(StatusCode::AdditionsNotAvail)), Reason::BeforeAnySession),
        (Ok(EndReply::Asked), Reason::AfterSomeSessions),
        (Err(error(StatusCode::TimedOut)), Reason::AfterSomeSessions),
        (Err(error(StatusCode::Unexpected)), Reason::AfterSomeSessions),
    ] {
        let mut bench = Bench::acting(&["a", "b"]);
        let request = bench.call();
        take_back(&mut bench);
        assert!(bench.findings().is_empty());
        bench.handle(Event::Ended { call: request.call, result: answer });
        if reason == Reason::AfterSomeSessions {
            bench.list(Ok(listing(&["a", "b"])));
        }
        let verdict = bench.verdict();
        assert_eq!((verdict.outcome, verdict.reason), (Outcome::Cancelled, reason));
    }
}

#[test]
fn a_request_that_is_never_answered_may_have_been_carried_out() {
    let mut bench = Bench::acting(&["a"]);
    take_back(&mut bench);
    bench.pass(TIMEOUT_MS);
    assert_eq!(bench.verdict().reason, Reason::AfterSomeSessions);
}

#[test]
fn after_a_restart_what_was_asked_before_is_not_denied() {
    let mut bench = Bench::acting(&["a"]).restart(1);
    bench.handle(Event::Welcomed { epoch: 1, acknowledged: 0 });
    take_back(&mut bench);
    bench.list(Ok(listing(&["a"])));
    assert_eq!(bench.verdict().reason, Reason::AfterSomeSessions);
}

#[test]
fn a_cancel_asks_nobody_else_and_reports_what_it_sees() {
    let mut bench = Bench::asked(&["a", "b"]);
    take_back(&mut bench);
    bench.list(Ok(listing(&["b"])));
    let verdict = bench.verdict();
    assert_eq!(verdict.reason, Reason::AfterSomeSessions);
    assert_eq!((verdict.sessions.ended, verdict.sessions.remaining), (1, 1));
}

#[test]
fn whoever_is_gone_by_the_time_of_a_cancel_was_logged_off_successfully() {
    let mut bench = Bench::asked(&["a"]);
    take_back(&mut bench);
    bench.list(Ok(listing(&[])));
    assert_eq!(bench.verdict().outcome, Outcome::Succeeded);
}

#[test]
fn a_cancel_of_a_finished_task_is_answered_with_its_outcome() {
    let mut bench = Bench::new();
    bench.order(order(&["vm-1"]));
    bench.list(Ok(listing(&[])));
    bench.handle(Event::Acknowledged(1));
    take_back(&mut bench);
    assert_eq!(bench.verdict().outcome, Outcome::NothingToDo);
}

#[test]
fn a_task_that_waits_for_its_guest_is_taken_back_without_a_look() {
    let mut bench = Bench::new();
    bench.order(order(&["vm-1"]));
    let second = curfew_types::agent::Order { operation: operation(2), ..order(&["vm-1"]) };
    bench.order(second);
    bench.handle(Event::CancelAsked(Cancel { operation: operation(2), ..cancel(&["vm-1"]) }));
    assert_eq!(bench.verdict().reason, Reason::NotStarted);
    assert!(bench.calls().is_empty());
}

/// A withdrawal: only what the agent has not accepted is taken back.
fn withdraw(bench: &mut Bench) {
    bench.handle(Event::CancelAsked(Cancel { only_unaccepted: true, ..cancel(&["vm-1"]) }));
}

#[test]
fn an_accepted_task_goes_on_when_only_unaccepted_ones_are_taken_back() {
    let mut bench = Bench::acting(&["a"]);
    withdraw(&mut bench);
    assert!(bench.findings().is_empty());
    bench.pass(COMPANY_MS);
    assert_eq!(bench.reports()[0].progress[0].stage, curfew_types::Stage::Ending);
    bench.ended(Ok(EndReply::Asked));
    bench.list(Ok(listing(&[])));
    assert_eq!(bench.verdict().outcome, Outcome::Succeeded);
}

#[test]
fn a_task_that_never_came_is_taken_back_and_its_order_finds_that() {
    let mut bench = Bench::new();
    withdraw(&mut bench);
    assert_eq!(bench.verdict().reason, Reason::NotStarted);
    bench.order(order(&["vm-1"]));
    assert!(bench.calls().is_empty());
}

#[test]
fn a_finished_task_says_its_outcome_again_when_only_unaccepted_ones_are_taken_back() {
    let mut bench = Bench::new();
    bench.order(order(&["vm-1"]));
    bench.list(Ok(listing(&[])));
    bench.handle(Event::Acknowledged(1));
    withdraw(&mut bench);
    assert_eq!(bench.verdict().outcome, Outcome::NothingToDo);
}
