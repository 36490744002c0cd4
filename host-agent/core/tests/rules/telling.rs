//! What the controller is told at once, and what waits a moment for company.

use crate::bench::{Bench, COMPANY_MS, id, listing, order};
use curfew_agent_core::Event;
use curfew_agent_core::call::{EndReply, Request};
use curfew_types::agent::{Safeguards, SafeguardsMark};
use curfew_types::{DrainAsk, DrainWish, Stage};

#[test]
fn a_quick_logoff_is_told_in_one_report() {
    let mut bench = Bench::acting(&["a"]);
    assert!(bench.reports().is_empty());
    bench.ended(Ok(EndReply::Asked));
    assert!(bench.reports().is_empty());
    bench.list(Ok(listing(&[])));
    let reports = bench.reports();
    assert_eq!((reports.len(), reports[0].findings.len(), reports[0].progress.len()), (1, 1, 0));
}

#[test]
fn progress_waits_a_moment_and_no_longer() {
    let mut bench = Bench::new();
    bench.order(order(&["vm-1", "vm-2"]));
    let calls = bench.calls();
    assert!(bench.reports().is_empty());
    bench.pass(COMPANY_MS - 1);
    assert!(bench.reports().is_empty());
    // What is new meanwhile does not put it off, and goes along.
    bench.handle(Event::Listed { call: calls[0].call, result: Ok(listing(&["a"])) });
    bench.pass(1);
    let stages: Vec<Stage> = bench.reports()[0].progress.iter().map(|told| told.stage).collect();
    assert_eq!(stages, [Stage::Ending, Stage::Accepted]);
}

#[test]
fn the_core_asks_to_be_woken_for_what_waits() {
    let mut bench = Bench::new();
    bench.order(order(&["vm-1"]));
    let (at, _) = bench.core.poll_timeout().expect("a moment");
    assert_eq!(at, bench.now().mono.plus(COMPANY_MS));
}

#[test]
fn an_outcome_goes_at_once_and_takes_what_waits_along() {
    let mut bench = Bench::new();
    bench.order(order(&["vm-1", "vm-2"]));
    let calls = bench.calls();
    bench.handle(Event::Listed { call: calls[0].call, result: Ok(listing(&[])) });
    let reports = bench.reports();
    assert_eq!((reports.len(), reports[0].findings.len()), (1, 1));
    let others: Vec<u32> = reports[0].progress.iter().map(|told| told.index).collect();
    assert_eq!(others, [1], "an outcome says more than its task's progress");
    bench.pass(COMPANY_MS);
    assert!(bench.reports().is_empty(), "nothing is left to tell");
}

#[test]
fn that_safeguards_are_in_force_is_told_at_once() {
    let mut bench = Bench::new();
    let mark = SafeguardsMark { epoch: 1, revision: 1 };
    let safeguards = Safeguards { mark, held: vec![id("vm-1")], ..Safeguards::default() };
    bench.handle(Event::Safeguarded(safeguards));
    assert_eq!(bench.reports()[0].safeguards, mark);
}

/// An agent with a task under way and a drain by hand, whose stream has just ended.
fn parted() -> Bench {
    let mut bench = Bench::new();
    bench.order(order(&["vm-1"]));
    bench.handle(drain("vm-2"));
    bench.handle(Event::Disconnected);
    bench
}

fn drain(guest: &str) -> Event {
    let what = DrainWish::Set { for_ms: 60_000, by: "alice".into(), reason: String::new() };
    Event::DrainAsked(DrainAsk { guest: id(guest), what })
}

#[test]
fn what_the_hello_has_told_is_not_told_again() {
    let mut bench = parted();
    let hello = bench.core.hello(Vec::new(), 0);
    assert_eq!((hello.unfinished.len(), hello.drains.len()), (1, 1));
    bench.core.said_hello();
    bench.handle(Event::Welcomed { epoch: 1, acknowledged: 0 });
    bench.pass(COMPANY_MS);
    assert!(bench.reports().is_empty());
}

#[test]
fn what_has_changed_since_the_hello_is_told_with_the_welcome() {
    let mut bench = parted();
    bench.core.said_hello();
    bench.handle(drain("vm-3"));
    bench.handle(Event::Welcomed { epoch: 1, acknowledged: 0 });
    assert_eq!(bench.reports()[0].drains.as_ref().map(Vec::len), Some(2));
}

#[test]
fn drains_are_told_again_to_a_controller_that_did_not_know_the_guests() {
    let mut bench = parted();
    bench.core.said_hello();
    bench.core.tell_drains_again();
    bench.handle(Event::Welcomed { epoch: 1, acknowledged: 0 });
    assert_eq!(bench.reports()[0].drains.as_ref().map(Vec::len), Some(1));
}

#[test]
fn what_waits_when_a_stream_ends_is_told_on_the_next_one() {
    let mut bench = Bench::new();
    bench.order(order(&["vm-1"]));
    bench.handle(drain("vm-2"));
    bench.handle(Event::Disconnected);
    bench.pass(COMPANY_MS);
    assert!(bench.reports().is_empty());
    let unfinished = bench.core.hello(Vec::new(), 0).unfinished;
    assert_eq!(unfinished.iter().map(|told| told.stage).collect::<Vec<_>>(), [Stage::Accepted]);
    bench.handle(Event::Welcomed { epoch: 1, acknowledged: 0 });
    assert_eq!(bench.reports()[0].drains.as_ref().map(Vec::len), Some(1));
    assert_eq!(bench.reports()[0].progress.len(), 1);
}

#[test]
fn somebody_who_stays_is_asked_again_without_another_word() {
    let mut bench = Bench::acting(&["a"]);
    let (mut told, mut asked) = (Vec::new(), 0);
    while asked < 4 {
        told.extend(bench.reports().into_iter().flat_map(|report| report.progress));
        match bench.calls().first().map(|call| call.request.clone()) {
            Some(Request::List(_)) => bench.list(Ok(listing(&["a"]))),
            Some(Request::End { .. }) => {
                asked += 1;
                bench.ended(Ok(EndReply::Asked));
            }
            Some(other) => panic!("it asks for something else: {other:?}"),
            None => {
                let (at, _) = bench.core.poll_timeout().expect("a moment");
                bench.pass(at.since(bench.now().mono));
            }
        }
    }
    let told: Vec<Stage> = told.iter().map(|told| told.stage).collect();
    assert_eq!(told, [Stage::Verifying]);
}
