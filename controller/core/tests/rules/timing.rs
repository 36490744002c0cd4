//! Time running out, and when it does not.

use crate::bench::{Bench, all, succeeded, task};
use curfew_controller_core::Event;
use curfew_types::{Amount, OperationSpec, OperationState, Outcome, Reason};

/// The heartbeat of the default settings.
const HEARTBEAT_MS: u64 = 15_000;

fn short() -> OperationSpec {
    OperationSpec {
        max_in_flight: Some(Amount::Number(1)),
        deadline_ms: 60_000,
        ..OperationSpec::plain(all())
    }
}

#[test]
fn at_the_deadline_the_unstarted_is_skipped_and_one_heartbeat_later_the_unconfirmed_is_unknown() {
    let mut bench = Bench::with(&[("h1", &["vm-1", "vm-2"])]);
    bench.pass(60_000);
    let operation = bench.start(short());
    bench.pass(60_000);
    assert_eq!(bench.verdict(operation, "vm-2").expect("has ended").reason, Reason::DeadlineBeforeStart);
    assert_eq!(bench.verdict(operation, "vm-1"), None);
    bench.pass(HEARTBEAT_MS);
    let verdict = bench.verdict(operation, "vm-1").expect("has ended");
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::Unknown, Reason::NoReport));
    assert_eq!(bench.operation(operation).state, OperationState::Ended);
}

#[test]
fn nothing_starts_after_the_deadline() {
    let mut bench = Bench::with(&[("h1", &["vm-1", "vm-2"])]);
    let operation = bench.start(short());
    bench.ms += 60_000;
    bench.find(1, 1, task(operation, 0), succeeded());
    assert!(bench.orders().is_empty());
}

#[test]
fn no_time_runs_out_while_the_store_is_away_and_reports_come_first_when_it_is_back() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    bench.pass(60_000);
    let operation = bench.start(short());
    bench.handle(Event::StoreAway);
    assert_eq!(bench.core.poll_timeout(), None);
    bench.pass(600_000);
    assert_eq!(bench.verdict(operation, "vm-1"), None);
    bench.handle(Event::StoreBack);
    assert_eq!(bench.verdict(operation, "vm-1"), None);
    bench.find(1, 1, task(operation, 0), succeeded());
    assert_eq!(bench.verdict(operation, "vm-1"), Some(succeeded()));
}

#[test]
fn what_nobody_reports_after_the_store_is_back_ends_one_heartbeat_later() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    let operation = bench.start(short());
    bench.handle(Event::StoreAway);
    bench.pass(600_000);
    bench.handle(Event::StoreBack);
    bench.pass(HEARTBEAT_MS);
    assert_eq!(bench.verdict(operation, "vm-1").expect("has ended").outcome, Outcome::Unknown);
}

#[test]
fn nothing_new_starts_while_the_store_is_away_and_it_goes_on_when_it_is_back() {
    let mut bench = Bench::with(&[("h1", &["vm-1", "vm-2"])]);
    let operation = bench.start(short());
    bench.handle(Event::StoreAway);
    bench.find(1, 1, task(operation, 0), succeeded());
    assert!(bench.orders().is_empty());
    bench.handle(Event::StoreBack);
    assert_eq!(bench.ordered(), ["vm-2"]);
}

#[test]
fn the_core_asks_to_be_woken_for_what_comes_next() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    bench.start(short());
    let (at, why) = bench.core.poll_timeout().expect("a timer");
    assert_eq!((at.since(bench.now().mono), why), (5_000, "repeat orders and cancels"));
}
