//! What does not end by itself is killed only where that was asked for, and not before its time.

use crate::bench::{Bench, TIMEOUT_MS, error, listing, order};
use curfew_agent_core::Event;
use curfew_agent_core::call::{DrainReply, EndMode, EndReply, Request, SessionList};
use curfew_types::agent::Order;
use curfew_types::{DrainFor, Logoff, Outcome, Reason, SessionFate, Stage, StatusCode};

fn forcing_after(force_after_ms: Option<u64>) -> Order {
    Order { logoff: Logoff { force_after_ms, ..Logoff::default() }, ..order(&["vm-1"]) }
}

/// Lets time pass, with sessions that do not go, until a session is killed. Returns when that was, from the act moment.
fn killed_after(bench: &mut Bench, sessions: &[&str]) -> Option<u64> {
    let began = bench.ms;
    while bench.ms < began + TIMEOUT_MS - 3_000 {
        match bench.next_call().request {
            Request::List(_) => bench.list(Ok(listing(sessions))),
            Request::End { how: EndMode::Force, .. } => return Some(bench.ms - began),
            Request::End { .. } => bench.ended(Ok(EndReply::Asked)),
            other => panic!("{other:?}"),
        }
    }
    None
}

#[test]
fn nothing_is_killed_unless_it_was_asked_for() {
    let mut bench = Bench::new();
    bench.order(forcing_after(None));
    bench.list(Ok(listing(&["a"])));
    assert_eq!(killed_after(&mut bench, &["a"]), None);
}

#[test]
fn what_does_not_go_is_killed_when_its_time_is_over_and_not_before() {
    let mut bench = Bench::new();
    bench.order(forcing_after(Some(5_000)));
    bench.list(Ok(listing(&["a", "b"])));
    assert_eq!(killed_after(&mut bench, &["a"]), Some(5_000));
    bench.ended(Ok(EndReply::Asked));
    let stages: Vec<Stage> =
        bench.reports().iter().flat_map(|report| &report.progress).map(|told| told.stage).collect();
    assert!(stages.iter().all(|stage| *stage == Stage::Forcing), "{stages:?}");
    bench.list(Ok(listing(&[])));

    let verdict = bench.verdict();
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::Succeeded, Reason::SessionsEnded));
    assert_eq!((verdict.sessions.ended, verdict.sessions.forced), (2, 1));
    let fates: Vec<_> = verdict.results.iter().map(|it| (it.id.as_str(), it.fate)).collect();
    assert_eq!(fates, [("a", SessionFate::Forced), ("b", SessionFate::Ended)]);
    assert_eq!(verdict.message, "2 sessions ended, 1 of them by force");
}

#[test]
fn with_no_time_at_all_it_is_killed_at_once() {
    let mut bench = Bench::new();
    bench.order(forcing_after(Some(0)));
    bench.list(Ok(listing(&["a"])));
    assert_eq!(bench.ends().1, EndMode::Force);
}

#[test]
fn what_a_process_before_this_one_killed_is_told_as_forced() {
    let mut bench = Bench::new();
    bench.order(forcing_after(Some(1_000)));
    bench.list(Ok(listing(&["a"])));
    killed_after(&mut bench, &["a"]);
    let mut bench = bench.restart(10);
    bench.handle(Event::Welcomed { epoch: 1, acknowledged: 0 });
    bench.list(Ok(listing(&[])));
    assert_eq!(bench.verdict().sessions.forced, 1);
}

#[test]
fn a_rewritten_ledger_knows_that_what_is_left_is_being_killed() {
    let mut bench = Bench::new();
    bench.order(forcing_after(Some(1_000)));
    bench.list(Ok(listing(&["a"])));
    killed_after(&mut bench, &["a"]);
    let mut bench = Bench::recover(bench.core.summary(), bench.ms + 10, "boot-1");
    bench.handle(Event::Welcomed { epoch: 1, acknowledged: 0 });
    bench.list(Ok(listing(&[])));
    assert_eq!(bench.verdict().sessions.forced, 1);
}

#[test]
fn what_may_have_been_killed_when_the_tasks_time_is_over_is_told_as_forced_once_it_is_gone() {
    let mut bench = Bench::new();
    bench.order(forcing_after(Some(0)));
    bench.list(Ok(listing(&["a"])));
    assert_eq!(bench.ends().1, EndMode::Force);
    // The guest does not answer until then, and what it was asked is carried out.
    bench.pass(TIMEOUT_MS);
    assert_eq!(bench.verdict().reason, Reason::SessionsRemain);
    bench.ended(Err(error(StatusCode::TimedOut)));
    bench.list(Ok(listing(&[])));
    let finding = bench.findings().remove(0);
    assert!(finding.late);
    assert_eq!(finding.verdict.results[0].fate, SessionFate::Forced);
}

#[test]
fn whoever_is_killed_that_came_under_a_drain_is_told_as_forced_also_after_a_restart() {
    let mut bench = Bench::new();
    let logoff = Logoff { force_after_ms: Some(0), drain: Some(DrainFor::TheTask), ..Logoff::default() };
    bench.order(Order { logoff, ..order(&["vm-1"]) });
    bench.drained(Ok(DrainReply::InForce));
    bench.list(Ok(listing(&["a"])));
    bench.ended(Ok(EndReply::Asked));
    bench.list(Ok(listing(&["late"])));
    assert_eq!(bench.ends(), ("late".into(), EndMode::Force));
    let mut bench = bench.restart(10);
    bench.handle(Event::Welcomed { epoch: 1, acknowledged: 0 });
    bench.drained(Ok(DrainReply::InForce));
    bench.list(Ok(listing(&[])));
    assert_eq!(bench.verdict().sessions.forced, 2);
}

#[test]
fn what_remains_is_told_with_the_processes_that_hold_it() {
    let mut bench = Bench::asked(&["a"]);
    let holding = SessionList {
        processes: [("a".to_owned(), vec!["vim".to_owned(), "make".to_owned()])].into(),
        ..listing(&["a"])
    };
    let verdict = bench.run_out(&holding);
    assert_eq!(verdict.reason, Reason::SessionsRemain);
    assert_eq!(
        (verdict.results[0].fate, verdict.results[0].why.as_str()),
        (SessionFate::Remaining, "held by vim, make")
    );
}

#[test]
fn processes_are_asked_for_only_when_sessions_do_not_go_at_once() {
    let mut bench = Bench::asked(&["a"]);
    let mut looks = Vec::new();
    while bench.ms < 5_000 {
        match bench.next_call().request {
            Request::List(look) => {
                looks.push((bench.ms, look.processes));
                bench.list(Ok(listing(&["a"])));
            }
            _ => bench.ended(Ok(EndReply::Asked)),
        }
    }
    assert!(looks.iter().all(|(at, processes)| *processes == (*at >= 1_000)), "{looks:?}");
}
