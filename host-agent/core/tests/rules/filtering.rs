//! Only the sessions that the request means are ended, and only while they still are as it asks.

use crate::bench::{Bench, listing, order};
use curfew_agent_core::call::{EndReply, Request, SessionList};
use curfew_types::agent::Order;
use curfew_types::{
    Logoff, OnlyIf, Outcome, SessionFate, SessionFilter, SessionState, StateFilter, StatusCode, Verdict,
};

fn only(sessions: SessionFilter) -> Order {
    Order { logoff: Logoff { sessions, ..Logoff::default() }, ..order(&["vm-1"]) }
}

fn excluding(user: &str) -> SessionFilter {
    SessionFilter { exclude_users: vec![user.parse().expect("a pattern")], ..SessionFilter::default() }
}

fn fates(verdict: &Verdict) -> Vec<(&str, SessionFate)> {
    verdict.results.iter().map(|result| (result.id.as_str(), result.fate)).collect()
}

fn disconnected(mut list: SessionList, ids: &[&str]) -> SessionList {
    for session in &mut list.sessions {
        if ids.contains(&session.key.id.as_str()) {
            session.state = SessionState::Disconnected;
        }
    }
    list
}

#[test]
fn an_excluded_user_is_left_alone_and_told_with_the_reason() {
    let mut bench = Bench::new();
    bench.order(only(excluding("user-b")));
    bench.list(Ok(listing(&["a", "b"])));
    assert_eq!(bench.ends().0, "a");
    bench.ended(Ok(EndReply::Asked));
    bench.list(Ok(listing(&["b"])));

    let verdict = bench.verdict();
    assert_eq!(
        (verdict.outcome, verdict.sessions.ended, verdict.sessions.excluded),
        (Outcome::Succeeded, 1, 1)
    );
    assert_eq!(fates(&verdict), [("a", SessionFate::Ended), ("b", SessionFate::Excluded)]);
    assert_eq!(verdict.results[1].why, "its user was excluded");
    assert_eq!(verdict.sessions.new, 0);
}

#[test]
fn a_guest_with_nobody_who_is_meant_has_nothing_to_do() {
    let mut bench = Bench::new();
    bench.order(only(SessionFilter { state: Some(StateFilter::Disconnected), ..SessionFilter::default() }));
    bench.list(Ok(listing(&["a"])));
    let verdict = bench.verdict();
    assert_eq!((verdict.outcome, verdict.code), (Outcome::NothingToDo, StatusCode::NoSuchLogonSession));
    assert_eq!(fates(&verdict), [("a", SessionFate::Excluded)]);
}

#[test]
fn what_can_change_is_asked_for_again_with_every_request_to_end() {
    let mut bench = Bench::new();
    bench.order(only(SessionFilter {
        state: Some(StateFilter::Disconnected),
        idle_at_least_ms: None,
        ..SessionFilter::default()
    }));
    bench.list(Ok(disconnected(listing(&["a"]), &["a"])));
    let Request::End { only_if, .. } = bench.call().request else { panic!("it must end a session") };
    assert_eq!(only_if, OnlyIf { state: Some(StateFilter::Disconnected), idle_at_least_ms: None });
}

#[test]
fn somebody_who_came_back_to_his_session_is_left_alone_for_good_also_after_a_restart() {
    let mut bench = Bench::new();
    let filter = SessionFilter { state: Some(StateFilter::Disconnected), ..SessionFilter::default() };
    bench.order(only(filter));
    bench.list(Ok(disconnected(listing(&["a", "b"]), &["a", "b"])));
    bench.ended(Ok(EndReply::NoLongerMatches));
    bench.ended(Ok(EndReply::Asked));
    let mut bench = bench.restart(10);
    // He is away again: that changes nothing for this task.
    bench.list(Ok(disconnected(listing(&["a", "b"]), &["a", "b"])));
    while matches!(bench.next_call().request, Request::List(_)) {
        bench.list(Ok(disconnected(listing(&["a", "b"]), &["a", "b"])));
    }
    let Request::End { session, .. } = bench.next_call().request else { panic!("it must end a session") };
    assert_eq!(session.id, "b");
    bench.ended(Ok(EndReply::Asked));
    bench.handle(curfew_agent_core::Event::Welcomed { epoch: 1, acknowledged: 0 });
    bench.list(Ok(listing(&["a"])));

    let verdict = bench.verdict();
    assert_eq!(
        (verdict.outcome, verdict.sessions.ended, verdict.sessions.excluded),
        (Outcome::Succeeded, 1, 1)
    );
}

#[test]
fn with_every_target_left_alone_there_was_nothing_to_do() {
    let mut bench = Bench::new();
    let filter = SessionFilter { state: Some(StateFilter::Disconnected), ..SessionFilter::default() };
    bench.order(only(filter));
    bench.list(Ok(disconnected(listing(&["a"]), &["a"])));
    bench.ended(Ok(EndReply::NoLongerMatches));
    bench.list(Ok(listing(&["a"])));
    let verdict = bench.verdict();
    assert_eq!((verdict.outcome, verdict.sessions.excluded), (Outcome::NothingToDo, 1));
}
