//! How a task runs: look, fix the targets, ask them to end, look again.

use crate::bench::{Bench, REMAINING_MS, TIMEOUT_MS, error, key, listing, listing_of_boot, order};
use curfew_agent_core::call::{EndMode, EndReply, Error, Request};
use curfew_agent_core::{Entry, Event};
use curfew_types::agent::Order;
use curfew_types::{Outcome, Reason, SessionCounts, StatusCode};

#[test]
fn an_empty_guest_has_nothing_to_do() {
    let mut bench = Bench::new();
    bench.order(order(&["vm-1"]));
    bench.list(Ok(listing(&[])));
    let verdict = bench.verdict();
    assert_eq!((verdict.outcome, verdict.code), (Outcome::NothingToDo, StatusCode::NoSuchLogonSession));
}

#[test]
fn the_targets_are_in_the_ledger_before_the_first_is_ended() {
    let bench = Bench::acting(&["a", "b"]);
    let written = bench
        .writes()
        .into_iter()
        .find_map(|entry| if let Entry::Acting { targets, .. } = entry { Some(targets) } else { None });
    let sessions: Vec<_> = written.expect("is written").into_iter().map(|target| target.session).collect();
    assert_eq!(sessions, ["a", "b"].map(|id| key(id).into()));
    assert_eq!(bench.ends(), ("a".into(), EndMode::Graceful { attempt: 0 }));
}

#[test]
fn a_guest_is_done_only_when_looking_again_shows_its_sessions_gone() {
    let mut bench = Bench::asked(&["a", "b"]);
    assert!(bench.findings().is_empty());
    bench.list(Ok(listing(&["b"])));
    assert!(bench.findings().is_empty());
    bench.list(Ok(listing(&[])));
    let verdict = bench.verdict();
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::Succeeded, Reason::SessionsEnded));
    assert_eq!(verdict.sessions, SessionCounts { found: 2, ended: 2, ..SessionCounts::default() });
}

#[test]
fn a_session_that_began_after_the_act_moment_is_left_alone_and_counted() {
    let mut bench = Bench::asked(&["a"]);
    bench.list(Ok(listing(&["new"])));
    let verdict = bench.verdict();
    assert_eq!(verdict.outcome, Outcome::Succeeded);
    assert_eq!(verdict.sessions, SessionCounts { found: 1, ended: 1, new: 1, ..SessionCounts::default() });
}

#[test]
fn a_reused_session_id_is_another_session() {
    let mut bench = Bench::asked(&["a"]);
    let mut list = listing(&["a"]);
    list.sessions[0].key.began_us = 2;
    bench.list(Ok(list));
    assert_eq!(bench.verdict().outcome, Outcome::Succeeded);
}

#[test]
fn a_session_that_stays_is_asked_again_more_firmly() {
    let mut bench = Bench::asked(&["a"]);
    while matches!(bench.next_call().request, Request::List(_)) {
        bench.list(Ok(listing(&["a"])));
    }
    assert_eq!(bench.ends(), ("a".into(), EndMode::Graceful { attempt: 1 }));
}

#[test]
fn a_look_that_the_end_of_the_time_cuts_short_says_nothing_of_the_guest() {
    let failing_before_the_end = |left_ms: u64| {
        let mut bench = Bench::asked(&["a"]);
        bench.list(Ok(listing(&["a"])));
        bench.next_call();
        let gone_ms = bench.now().mono.since(Bench::new().now().mono);
        bench.pass(TIMEOUT_MS - gone_ms - left_ms);
        bench.list(Err(error(StatusCode::TimedOut)));
        bench.pass(left_ms);
        bench.verdict()
    };
    let cut_short = failing_before_the_end(10);
    assert_eq!((cut_short.reason, cut_short.sessions.remaining), (Reason::SessionsRemain, 1));
    assert_eq!(failing_before_the_end(2_000).reason, Reason::GuestSilent);
}

#[test]
fn a_session_that_will_not_go_times_out_and_is_named() {
    let mut bench = Bench::asked(&["a"]);
    bench.list(Ok(listing(&["a"])));
    bench.pass(TIMEOUT_MS);
    let verdict = bench.verdict();
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::TimedOut, Reason::SessionsRemain));
    assert_eq!(verdict.results[0].user, "user-a");
}

#[test]
fn a_tasks_time_counts_from_the_act_moment() {
    let mut bench = Bench::new();
    bench.order(order(&["vm-1"]));
    let look = bench.call();
    bench.ms += TIMEOUT_MS - 1;
    bench.handle(Event::Listed { call: look.call, result: Ok(listing(&["a"])) });
    bench.pass(TIMEOUT_MS - 1);
    assert!(bench.findings().is_empty());
    bench.pass(1);
    assert_eq!(bench.verdict().outcome, Outcome::TimedOut);
}

#[test]
fn no_call_has_more_time_than_the_order() {
    let mut bench = Bench::new();
    bench.order(Order { remaining_ms: 700, ..order(&["vm-1"]) });
    assert_eq!(bench.call().budget_ms, 700);
    bench.ms += 300;
    bench.list_now(&["a"]);
    assert_eq!(bench.call().budget_ms, 400);
}

#[test]
fn time_that_passes_within_a_turn_is_taken_off_its_calls() {
    let mut bench = Bench::new();
    bench.order(Order { remaining_ms: 700, ..order(&["vm-1"]) });
    let look = bench.call();
    bench.list_held(look.call, &["a", "b"]);
    bench.ms += 5;
    bench.end_turn();
    assert_eq!(bench.call().budget_ms, 695);
}

#[test]
fn a_task_that_ends_within_a_turn_asks_nothing_more_of_its_guest() {
    let mut bench = Bench::new();
    bench.order(Order { remaining_ms: 700, ..order(&["vm-1"]) });
    bench.list(Ok(listing(&["a", "b"])));
    let first = bench.call();
    bench.ms += 699;
    bench.hold(Event::Ended { call: first.call, result: Ok(EndReply::Asked) });
    bench.ms += 1;
    bench.end_turn();
    assert_eq!(bench.findings().len(), 1, "its time is over");
    assert!(bench.calls().is_empty());
}

#[test]
fn sessions_that_are_said_to_be_over_are_looked_at_at_once_and_gone_only_when_that_is_seen() {
    let mut bench = Bench::acting(&["a", "b"]);
    bench.ended(Ok(EndReply::Ended));
    bench.ended(Ok(EndReply::Ended));
    let asked = bench.ms;
    bench.list(Ok(listing(&["b"])));
    assert_eq!(bench.ms, asked, "it was looked at at once");
    assert!(bench.findings().is_empty(), "b is still there, whatever was said");
    bench.list(Ok(listing(&[])));
    assert_eq!((bench.verdict().outcome, bench.verdict().sessions.ended), (Outcome::Succeeded, 2));
}

#[test]
fn a_session_that_was_only_asked_is_given_a_moment_to_go() {
    let mut bench = Bench::acting(&["a", "b"]);
    bench.ended(Ok(EndReply::Ended));
    bench.ended(Ok(EndReply::Asked));
    assert!(bench.is_quiet_for(30));
}

#[test]
fn after_later_rounds_of_asking_the_first_look_comes_later() {
    let mut bench = Bench::acting(&["a"]);
    let mut pauses = Vec::new();
    for _ in 0..3 {
        bench.ended(Ok(EndReply::Asked));
        let asked = bench.ms;
        bench.next_call();
        pauses.push(bench.ms - asked);
        while matches!(bench.next_call().request, Request::List(_)) {
            bench.list(Ok(listing(&["a"])));
        }
    }
    assert_eq!(pauses, [30, 120, 480]);
}

#[test]
fn who_comes_late_to_a_look_makes_a_longer_pause_before_the_next() {
    for (late, pause) in [(0, 60), (15, 60), (200, 800), (1_000, 2_000)] {
        let mut bench = Bench::asked(&["a"]);
        bench.ms += 30 + late;
        bench.end_turn();
        bench.list(Ok(listing(&["a"])));
        let looked = bench.ms;
        bench.next_call();
        assert_eq!(bench.ms - looked, pause, "{late} ms late");
    }
}

#[test]
fn while_no_controller_listens_guests_are_looked_at_less_often() {
    let mut bench = Bench::asked(&["a"]);
    bench.handle(Event::Disconnected);
    bench.list(Ok(listing(&["a"])));
    assert!(bench.is_quiet_for(5_000));
    assert!(matches!(bench.next_call().request, Request::List(_)), "but they are");
}

#[test]
fn a_guest_that_is_not_available_yet_is_retried_and_refused_only_when_time_is_over() {
    let mut bench = Bench::new();
    bench.order(order(&["vm-1"]));
    for _ in 0..3 {
        bench.list(Err(error(StatusCode::AdditionsNotAvail)));
        assert!(bench.findings().is_empty());
    }
    bench.pass(TIMEOUT_MS);
    let verdict = bench.verdict();
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::Refused, Reason::AgentUnavailable));
    assert_eq!(verdict.code, StatusCode::AdditionsNotAvail);
}

#[test]
fn final_errors_before_the_act_moment_are_refusals_with_their_own_codes() {
    for (answer, reason) in [
        (error(StatusCode::VmNotRunning), Reason::NotRunning),
        (error(StatusCode::VmPaused), Reason::Paused),
        (error(StatusCode::VmUnknown), Reason::GuestUnknown),
        (error(StatusCode::AccessDenied), Reason::AccessDenied),
        (error(StatusCode::AdditionsFeatureNotAvail), Reason::FeatureMissing),
        (Error::unlistable("utmp proves nothing"), Reason::SessionsUnlistable),
    ] {
        let mut bench = Bench::new();
        bench.order(order(&["vm-1"]));
        let code = answer.code;
        bench.list(Err(answer));
        let verdict = bench.verdict();
        assert_eq!((verdict.outcome, verdict.code, verdict.reason), (Outcome::Refused, code, reason));
    }
}

#[test]
fn an_unexplained_error_is_retried_before_the_task_fails() {
    let mut bench = Bench::new();
    bench.order(order(&["vm-1"]));
    bench.list(Err(error(StatusCode::Unexpected)));
    bench.list(Err(error(StatusCode::Unexpected)));
    assert!(bench.findings().is_empty());
    bench.list(Err(error(StatusCode::Unexpected)));
    let verdict = bench.verdict();
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::Failed, Reason::ProviderFailed));
}

#[test]
fn a_silent_guest_times_out_without_anybody_logged_off() {
    let mut bench = Bench::new();
    bench.order(order(&["vm-1"]));
    bench.pass(TIMEOUT_MS);
    let verdict = bench.verdict();
    assert_eq!((verdict.outcome, verdict.code), (Outcome::TimedOut, StatusCode::TimedOut));
    assert_eq!(verdict.sessions, SessionCounts::default());
}

#[test]
fn a_guest_that_stops_or_reboots_after_the_act_moment_took_its_sessions_with_it() {
    let answers = [Ok(listing_of_boot("second", &["a"])), Err(error(StatusCode::VmNotRunning))];
    for answer in answers {
        let mut bench = Bench::asked(&["a"]);
        bench.list(answer);
        let verdict = bench.verdict();
        assert_eq!((verdict.outcome, verdict.reason), (Outcome::Succeeded, Reason::GuestStopped));
    }
}

#[test]
fn a_right_that_is_missing_for_every_session_is_a_refusal_and_for_some_a_failure() {
    let mut bench = Bench::acting(&["a"]);
    bench.ended(Err(error(StatusCode::AccessDenied)));
    assert_eq!(bench.verdict().outcome, Outcome::Refused);
    let mut bench = Bench::acting(&["a", "b"]);
    bench.ended(Ok(EndReply::Asked));
    bench.ended(Err(error(StatusCode::AccessDenied)));
    assert!(bench.findings().is_empty(), "one was told to end: it is looked at again");
}

#[test]
fn sessions_that_cannot_be_looked_at_any_more_are_unverified() {
    let mut bench = Bench::asked(&["a"]);
    bench.list(Err(Error::unlistable("logind is gone")));
    let verdict = bench.verdict();
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::Failed, Reason::Unverified));
}

#[test]
fn nobody_is_ended_once_the_order_has_expired() {
    let mut bench = Bench::new();
    bench.order(Order { task_timeout_ms: 10 * REMAINING_MS, ..order(&["vm-1"]) });
    let look = bench.call();
    bench.ms += REMAINING_MS;
    bench.hold(Event::Listed { call: look.call, result: Ok(listing(&["a"])) });
    bench.end_turn();
    assert!(bench.calls().is_empty());
    let verdict = bench.verdict();
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::TimedOut, Reason::OrderExpired));
}

impl Bench {
    fn list_now(&mut self, sessions: &[&str]) {
        let call = self.call().call;
        self.handle(Event::Listed { call, result: Ok(listing(sessions)) });
    }

    /// A listing comes, the act moment passes, and the first request is answered, all in one turn.
    fn list_held(&mut self, call: u64, sessions: &[&str]) {
        self.handle(Event::Listed { call, result: Ok(listing(sessions)) });
        let first = self.call();
        self.hold(Event::Ended { call: first.call, result: Ok(EndReply::Asked) });
    }
}
