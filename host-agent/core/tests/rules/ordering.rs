//! Which orders are taken, and how often.

use crate::bench::{Bench, COMPANY_MS, id, listing, operation, order};
use curfew_agent_core::{Entry, Event};
use curfew_types::agent::{Order, OrderedTask};
use curfew_types::{Mono, Outcome, Reason, Stage, StatusCode};

fn accepted(entry: &Entry) -> bool {
    matches!(entry, Entry::Accepted { .. })
}

#[test]
fn an_order_is_in_the_ledger_before_any_guest_is_asked() {
    let mut bench = Bench::new();
    bench.order(order(&["vm-1"]));
    assert!(bench.writes().iter().any(accepted));
    assert_eq!(bench.call().guest, id("vm-1"), "in the same turn, whose entries are written first");
}

#[test]
fn an_order_of_an_older_epoch_is_refused() {
    let mut bench = Bench::new();
    bench.order(Order { epoch: 5, ..order(&["vm-1"]) });
    bench.order(Order { epoch: 4, operation: operation(2), ..order(&["vm-2"]) });
    assert!(bench.writes().is_empty());
    assert!(bench.calls().is_empty());
}

#[test]
fn the_epoch_of_a_welcome_counts_too_and_is_remembered_across_a_restart() {
    let mut bench = Bench::new();
    bench.handle(Event::Welcomed { epoch: 5, acknowledged: 0 });
    let mut bench = bench.restart(1);
    assert_eq!(bench.core.hello(Vec::new(), 0).epoch_seen, 5);
    bench.order(Order { epoch: 4, ..order(&["vm-1"]) });
    assert!(bench.writes().is_empty());
}

#[test]
fn an_expired_order_is_refused() {
    let mut bench = Bench::new();
    bench.order(Order { remaining_ms: 0, ..order(&["vm-1"]) });
    assert!(bench.writes().is_empty());
}

#[test]
fn the_same_order_twice_is_accepted_once() {
    let mut bench = Bench::new();
    bench.order(order(&["vm-1"]));
    bench.order(order(&["vm-1"]));
    assert!(bench.writes().is_empty());
    bench.pass(COMPANY_MS);
    assert_eq!(
        bench.reports()[0].progress[0].stage,
        Stage::Accepted,
        "the controller is told that it is held"
    );
}

#[test]
fn a_repeated_order_for_a_finished_task_is_answered_with_its_outcome() {
    let mut bench = Bench::new();
    bench.order(order(&["vm-1"]));
    bench.list(Ok(listing(&[])));
    let before = bench.verdict();
    bench.handle(Event::Acknowledged(1));
    bench.order(order(&["vm-1"]));
    assert!(!bench.writes().iter().any(accepted));
    assert_eq!(bench.verdict(), before);
}

#[test]
fn an_option_that_this_agent_does_not_know_is_refused_and_not_ignored() {
    let mut bench = Bench::new();
    bench.order(Order { required_capabilities: vec!["teleport".into()], ..order(&["vm-1"]) });
    let verdict = bench.verdict();
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::Refused, Reason::UnsupportedOption));
    assert!(bench.calls().is_empty());
}

#[test]
fn an_agent_that_stops_takes_nothing_new_and_goes_on_with_what_runs() {
    let mut bench = Bench::new();
    bench.order(order(&["vm-1"]));
    bench.core.begin_stop();
    let tasks = vec![OrderedTask { index: 1, guest: id("vm-2") }];
    bench.order(Order { tasks, ..order(&[]) });
    assert_eq!(bench.verdict().code, StatusCode::AppShuttingDown);
    assert!(!bench.core.is_idle());
}

#[test]
fn the_second_task_of_a_guest_waits_for_the_first() {
    let mut bench = Bench::new();
    bench.order(order(&["vm-1"]));
    let first = bench.call();
    bench.order(Order { operation: operation(2), ..order(&["vm-1"]) });
    assert!(bench.calls().is_empty());
    bench.handle(Event::Listed { call: first.call, result: Ok(listing(&[])) });
    assert_eq!(bench.call().guest, id("vm-1"), "the second looks now");
}

#[test]
fn an_order_expires_on_this_machines_own_clock() {
    let mut bench = Bench::new();
    bench.order(Order { remaining_ms: 1_234, ..order(&["vm-1"]) });
    let expires = bench
        .writes()
        .into_iter()
        .find_map(|entry| if let Entry::Accepted { expires, .. } = entry { Some(expires) } else { None });
    assert_eq!(expires, Some(Mono(bench.now().mono.0 + 1_234)));
}
