//! Late news: looking again after an outcome that left a question open. Nobody is ended by it.

use crate::bench::{Bench, TIMEOUT_MS, error, listing, listing_of_boot, order};
use curfew_agent_core::Entry;
use curfew_agent_core::call::Request;
use curfew_types::{Outcome, Reason, StatusCode};

/// A guest that froze before anybody was logged off, and whose task has timed out.
fn frozen() -> Bench {
    let mut bench = Bench::new();
    bench.order(order(&["vm-1"]));
    bench.pass(TIMEOUT_MS);
    assert_eq!(bench.verdict().reason, Reason::GuestSilent);
    // The answer to the look of the task itself comes too late to mean anything.
    bench.list(Err(error(StatusCode::TimedOut)));
    bench
}

#[test]
fn a_guest_that_thaws_is_late_news_and_nobody_on_it_is_ended() {
    let mut bench = frozen();
    bench.list(Ok(listing(&["later"])));
    let finding = bench.findings().remove(0);
    assert!(finding.late);
    assert_eq!(finding.verdict.sessions.new, 1);
    assert!(bench.calls().is_empty());
    assert_eq!(bench.core.poll_timeout().map(|(_, why)| why), Some("findings were not acknowledged"));
}

#[test]
fn a_guest_that_stays_silent_is_looked_at_again_and_again() {
    let mut bench = frozen();
    for _ in 0..5 {
        bench.list(Err(error(StatusCode::TimedOut)));
        assert!(bench.findings().iter().all(|finding| !finding.late));
    }
    assert!(matches!(bench.next_call().request, Request::List(_)));
}

#[test]
fn sessions_that_remained_and_go_later_are_late_news() {
    let mut bench = Bench::asked(&["a"]);
    bench.list(Ok(listing(&["a"])));
    bench.pass(TIMEOUT_MS);
    bench.list(Ok(listing(&["a"])));
    assert!(bench.findings().is_empty(), "that they remain was told already");
    bench.list(Ok(listing(&[])));
    let finding = bench.findings().remove(0);
    assert!(finding.late);
    assert_eq!(finding.verdict.outcome, Outcome::Succeeded);
}

#[test]
fn a_reboot_is_late_news_too() {
    let mut bench = Bench::asked(&["a"]);
    bench.list(Ok(listing(&["a"])));
    bench.pass(TIMEOUT_MS);
    bench.list(Ok(listing_of_boot("second", &[])));
    assert_eq!(bench.findings().remove(0).verdict.reason, Reason::GuestStopped);
}

#[test]
fn a_follow_up_goes_on_after_a_restart() {
    let mut bench = frozen().restart(1_000);
    assert!(matches!(bench.next_call().request, Request::List(_)));
}

#[test]
fn a_follow_up_is_given_up_in_the_end_and_not_begun_again() {
    let mut bench = frozen();
    bench.ms += 25 * 60 * 60 * 1000;
    bench.pass(0);
    if let Some(call) = bench.calls().pop() {
        let result = Err(error(StatusCode::TimedOut));
        bench.handle(curfew_agent_core::Event::Listed { call: call.call, result });
        bench.pass(60_000);
    }
    assert!(bench.writes().iter().any(|entry| matches!(entry, Entry::FollowUpOver { .. })));
    let mut bench = bench.restart(1);
    bench.pass(60_000);
    assert!(bench.calls().is_empty());
}
