//! Findings are kept and said again until the controller has stored them.

use crate::bench::{Bench, listing, order};
use curfew_agent_core::Event;
use curfew_types::agent::LedgerMark;

fn with_finding() -> Bench {
    with_finding_of(&["vm-1", "vm-2"])
}

/// The first of these guests has its outcome, the others do not answer.
fn with_finding_of(guests: &[&str]) -> Bench {
    let mut bench = Bench::new();
    bench.order(order(guests));
    let calls = bench.calls();
    bench.handle(Event::Listed { call: calls[0].call, result: Ok(listing(&[])) });
    assert_eq!(bench.reports()[0].first_sequence, 1);
    bench
}

#[test]
fn a_finding_is_said_again_until_it_is_acknowledged() {
    let mut bench = with_finding_of(&["vm-1"]);
    bench.pass(60_000);
    assert_eq!(bench.findings().len(), 1);
    bench.handle(Event::Acknowledged(1));
    bench.pass(60_000);
    assert!(bench.findings().is_empty());
}

#[test]
fn reports_of_progress_do_not_put_the_saying_again_off() {
    let mut bench = with_finding();
    let mut said_again = false;
    for _ in 0..10 {
        // The controller repeats an order that it has not seen accepted: each time it is told how things stand.
        bench.ms += 10_000;
        bench.order(order(&["vm-1", "vm-2"]));
        said_again |= !bench.findings().is_empty();
    }
    assert!(said_again);
}

#[test]
fn a_finding_outlives_a_restart_under_its_number() {
    let mut bench = with_finding().restart(1);
    assert_eq!(bench.core.hello(Vec::new(), 0).first_pending_sequence, 1);
    bench.handle(Event::Welcomed { epoch: 1, acknowledged: 0 });
    assert_eq!(bench.reports()[0].first_sequence, 1);
    assert_eq!(bench.findings().len(), 1);
}

#[test]
fn an_acknowledged_finding_stays_acknowledged_across_a_restart() {
    let mut bench = with_finding();
    bench.handle(Event::Acknowledged(1));
    let bench = bench.restart(1);
    assert_eq!(bench.core.hello(Vec::new(), 0).first_pending_sequence, 2);
}

#[test]
fn nothing_is_sent_before_the_welcome_or_after_the_stream_has_ended() {
    let mut bench = with_finding();
    bench.handle(Event::Disconnected);
    bench.pass(60_000);
    assert!(bench.reports().is_empty());
}

#[test]
fn a_hello_tells_the_ledgers_age_and_what_is_unfinished() {
    let bench = with_finding();
    let hello = bench.core.hello(Vec::new(), 9);
    assert_eq!(hello.ledger, LedgerMark { incarnation: 7, counter: bench.ledger.len() as u64 });
    assert_eq!(hello.unfinished.iter().map(|progress| progress.index).collect::<Vec<_>>(), [1]);
    assert_eq!(hello.inventory_digest, 9);
}
