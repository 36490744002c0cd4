//! Guests that refuse new logons: told first, told again, and always let go, whatever is killed meanwhile.

use crate::bench::{Bench, COMPANY_MS, REMAINING_MS, TIMEOUT_MS, cancel, error, id, listing, order};
use curfew_agent_core::call::{DrainReply, EndReply, Request, UndrainReply};
use curfew_agent_core::{Entry, Event};
use curfew_types::agent::{Order, Safeguards, SafeguardsMark};
use curfew_types::{
    Drain, DrainAsk, DrainFor, DrainOwner, DrainState, DrainWish, Logoff, Outcome, Reason, StatusCode,
};

const HOUR_MS: u64 = 3_600_000;

fn draining(drain: DrainFor) -> Order {
    Order { logoff: Logoff { drain: Some(drain), ..Logoff::default() }, ..order(&["vm-1"]) }
}

fn by_hand(what: DrainWish) -> Event {
    Event::DrainAsked(DrainAsk { guest: id("vm-1"), what })
}

fn set(for_ms: u64) -> Event {
    by_hand(DrainWish::Set { for_ms, by: "alice".into(), reason: "patching".into() })
}

/// The drains as reports told them last, a moment from now.
fn told(bench: &mut Bench) -> Vec<Drain> {
    bench.pass(COMPANY_MS);
    bench.drains.clone()
}

#[test]
fn new_logons_are_refused_before_anybody_is_looked_at() {
    let mut bench = Bench::new();
    bench.order(draining(DrainFor::TheTask));
    assert_eq!(bench.drained(Ok(DrainReply::InForce)), REMAINING_MS);
    bench.list(Ok(listing(&["a"])));
    assert_eq!(bench.ends().0, "a");
}

#[test]
fn the_drain_of_a_task_is_lifted_when_the_task_ends() {
    let mut bench = Bench::new();
    bench.order(draining(DrainFor::TheTask));
    bench.drained(Ok(DrainReply::InForce));
    bench.list(Ok(listing(&[])));
    assert_eq!(bench.verdict().outcome, Outcome::NothingToDo);
    bench.undrained(Ok(UndrainReply::Lifted));
    assert_eq!(told(&mut bench), []);
    assert!(bench.is_quiet_for(HOUR_MS));
}

#[test]
fn a_drain_for_a_time_outlives_its_task_and_ends_by_itself() {
    let mut bench = Bench::new();
    bench.order(draining(DrainFor::Ms(HOUR_MS)));
    assert_eq!(bench.drained(Ok(DrainReply::InForce)), HOUR_MS);
    bench.list(Ok(listing(&[])));
    assert_eq!(told(&mut bench)[0].state, DrainState::InForce);
    while let Request::Drain(_) = bench.next_call().request {
        // Told again now and then, since a guest that was rebooted has forgotten.
        bench.drained(Ok(DrainReply::InForce));
    }
    assert_eq!(bench.ms, HOUR_MS);
    bench.undrained(Ok(UndrainReply::Lifted));
    assert!(bench.is_quiet_for(HOUR_MS));
}

#[test]
fn a_drain_is_lifted_by_an_agent_that_was_killed_and_never_meets_a_controller_again() {
    let mut bench = Bench::new();
    bench.order(draining(DrainFor::Ms(HOUR_MS)));
    bench.drained(Ok(DrainReply::InForce));
    let mut bench = bench.restart(HOUR_MS / 2);
    assert!(bench.drained(Ok(DrainReply::InForce)) <= HOUR_MS / 2);
    let mut bench = Bench::recover(bench.core.summary(), bench.ms + HOUR_MS, "boot-1");
    bench.undrained(Ok(UndrainReply::Lifted));
}

#[test]
fn after_a_reboot_of_the_host_the_wall_clock_says_when_a_drain_ends() {
    let mut bench = Bench::new();
    bench.handle(set(HOUR_MS));
    bench.drained(Ok(DrainReply::InForce));
    let mut bench = Bench::recover(bench.read_back(), bench.ms + HOUR_MS / 4, "boot-2");
    assert_eq!(bench.drained(Ok(DrainReply::InForce)), HOUR_MS * 3 / 4);
    let mut bench = Bench::recover(bench.read_back(), bench.ms + HOUR_MS, "boot-3");
    bench.undrained(Ok(UndrainReply::Lifted));
}

#[test]
fn a_wall_clock_that_was_set_back_before_a_reboot_makes_no_drain_longer_than_it_was_asked_for() {
    let mut bench = Bench::new();
    bench.pass(2 * HOUR_MS);
    bench.handle(set(HOUR_MS));
    bench.drained(Ok(DrainReply::InForce));
    let mut bench = Bench::recover(bench.read_back(), 0, "boot-2");
    assert_eq!(bench.drained(Ok(DrainReply::InForce)), HOUR_MS);
    // Nor do restarts.
    let mut bench = bench.restart(HOUR_MS / 2);
    assert_eq!(bench.drained(Ok(DrainReply::InForce)), HOUR_MS / 2);
}

#[test]
fn a_guest_that_cannot_be_told_to_take_logons_again_is_told_at_the_first_contact() {
    let mut bench = Bench::new();
    bench.handle(set(1_000));
    bench.drained(Ok(DrainReply::InForce));
    for code in [StatusCode::VmNotRunning, StatusCode::TimedOut, StatusCode::AdditionsNotAvail] {
        bench.undrained(Err(error(code)));
        let told = told(&mut bench);
        let lifting = (told[0].owner, told[0].state, told[0].problem.as_str());
        assert_eq!(lifting, (DrainOwner::Hand, DrainState::Lifting, "the guest said no"));
    }
    let mut bench = Bench::recover(bench.core.summary(), bench.ms + 10, "boot-1");
    bench.handle(Event::Welcomed { epoch: 1, acknowledged: 0 });
    assert_eq!((bench.drains[0].state, bench.drains[0].by.as_str()), (DrainState::Lifting, "alice"));
    bench.undrained(Ok(UndrainReply::Lifted));
    // What the process before this one had asked may be carried out after that, so it is said once more.
    bench.undrained(Ok(UndrainReply::Lifted));
    assert!(bench.is_quiet_for(HOUR_MS));
}

#[test]
fn a_restart_does_not_lengthen_an_operations_drain() {
    let mut bench = Bench::new();
    bench.order(draining(DrainFor::Ms(HOUR_MS)));
    let mut bench = bench.restart(10_000);
    assert_eq!(bench.drained(Ok(DrainReply::InForce)), HOUR_MS - 10_000);
    bench.list(Ok(listing(&["a"])));
    assert_eq!(bench.ends().0, "a");
}

#[test]
fn a_task_that_begins_its_drain_as_the_agent_starts_drains_beside_what_is_kept() {
    let mut bench = Bench::new();
    bench.handle(set(HOUR_MS));
    bench.drained(Ok(DrainReply::InForce));
    bench.order(draining(DrainFor::Ms(2 * HOUR_MS)));
    // The process dies after the order is on disk, and before the drain that the task began is.
    let begun = bench.ledger.pop();
    assert!(matches!(begun, Some(Entry::DrainBegun { .. })), "{begun:?}");
    let mut bench = bench.restart(10);
    assert_eq!(bench.drained(Ok(DrainReply::InForce)), 2 * HOUR_MS);
    bench.handle(Event::Welcomed { epoch: 1, acknowledged: 0 });
    assert_eq!(bench.drains.len(), 2, "{:?}", bench.drains);
}

#[test]
fn a_rewritten_ledger_does_not_lengthen_an_operations_drain() {
    let mut bench = Bench::new();
    bench.order(draining(DrainFor::Ms(HOUR_MS)));
    bench.pass(5_000);
    let mut bench = Bench::recover(bench.core.summary(), bench.ms + 1_000, "boot-1");
    assert_eq!(bench.drained(Ok(DrainReply::InForce)), HOUR_MS - 6_000);
}

#[test]
fn a_drain_that_is_over_is_not_begun_again_by_the_next_process() {
    let mut bench = Bench::new();
    bench.order(draining(DrainFor::Ms(1_000)));
    bench.drained(Ok(DrainReply::InForce));
    bench.pass(2_000);
    let mut bench = Bench::recover(bench.core.summary(), bench.ms, "boot-1");
    let mut asked = Vec::new();
    while bench.ms < 30_000 {
        let call = bench.next_call();
        asked.push(call.request.clone());
        match call.request {
            Request::Undrain => bench.undrained(Ok(UndrainReply::Lifted)),
            Request::List(_) => bench.list(Ok(listing(&["a"]))),
            _ => break,
        }
    }
    assert!(asked.iter().all(|request| !matches!(request, Request::Drain(_))), "{asked:?}");
    assert!(matches!(asked.last(), Some(Request::End { .. })), "{asked:?}");
}

#[test]
fn a_task_whose_drain_is_lifted_by_hand_while_it_waits_for_it_goes_on_without() {
    let mut bench = Bench::new();
    bench.order(draining(DrainFor::Ms(HOUR_MS)));
    let operation = DrainOwner::Operation(curfew_types::OperationId::from_number(1).expect("fits"));
    bench.handle(by_hand(DrainWish::Lift(operation)));
    bench.drained(Ok(DrainReply::InForce));
    bench.list(Ok(listing(&["a"])));
    assert_eq!(bench.ends().0, "a");
    bench.undrained(Ok(UndrainReply::Lifted));
    bench.ended(Ok(EndReply::Asked));
}

#[test]
fn a_guest_whose_agent_never_answers_the_drain_ends_with_that_reason() {
    let mut bench = Bench::new();
    bench.order(draining(DrainFor::TheTask));
    while bench.findings().is_empty() && bench.ms < 2 * TIMEOUT_MS {
        if matches!(bench.next_call().request, Request::Drain(_)) {
            bench.drained(Err(error(StatusCode::AdditionsNotAvail)));
        } else {
            break;
        }
    }
    assert_eq!(bench.past_verdict().reason, Reason::AgentUnavailable);
}

#[test]
fn whoever_is_let_in_again_after_the_drain_is_left_alone() {
    let mut bench = Bench::new();
    bench.order(draining(DrainFor::Ms(1_000)));
    bench.drained(Ok(DrainReply::InForce));
    bench.list(Ok(listing(&["a"])));
    bench.ended(Ok(EndReply::Asked));
    bench.pass(1_500);
    bench.undrained(Ok(UndrainReply::Lifted));
    bench.run_out(&listing(&["b"]));
    assert_eq!((bench.verdict().sessions.ended, bench.verdict().sessions.new), (1, 1));
}

#[test]
fn logons_return_when_the_last_drain_is_lifted() {
    let mut bench = Bench::new();
    bench.handle(set(HOUR_MS));
    bench.drained(Ok(DrainReply::InForce));
    bench.order(draining(DrainFor::Ms(2 * HOUR_MS)));
    assert_eq!(bench.drained(Ok(DrainReply::InForce)), 2 * HOUR_MS);
    bench.list(Ok(listing(&[])));
    assert_eq!(told(&mut bench).len(), 2);
    let operation = DrainOwner::Operation(curfew_types::OperationId::from_number(1).expect("fits"));
    bench.handle(by_hand(DrainWish::Lift(operation)));
    assert_eq!(bench.drained(Ok(DrainReply::InForce)), HOUR_MS - COMPANY_MS);
    bench.handle(by_hand(DrainWish::LiftAll));
    bench.undrained(Ok(UndrainReply::Lifted));
    assert_eq!(told(&mut bench), []);
}

#[test]
fn a_drain_that_was_lifted_while_the_guest_was_being_told_is_lifted_after_that() {
    let mut bench = Bench::new();
    bench.handle(set(HOUR_MS));
    bench.handle(by_hand(DrainWish::Lift(DrainOwner::Hand)));
    bench.drained(Ok(DrainReply::InForce));
    bench.undrained(Ok(UndrainReply::Lifted));
}

#[test]
fn what_somebody_else_refuses_counts_as_refused() {
    let mut bench = Bench::new();
    bench.order(draining(DrainFor::TheTask));
    bench.drained(Ok(DrainReply::SomebodyElses));
    assert_eq!(told(&mut bench)[0].state, DrainState::SomebodyElses);
    bench.list(Ok(listing(&["a"])));
    assert_eq!(bench.ends().0, "a");
}

#[test]
fn a_guest_that_cannot_refuse_logons_is_refused_and_nobody_is_logged_off() {
    let mut bench = Bench::new();
    bench.order(draining(DrainFor::Ms(HOUR_MS)));
    bench.drained(Err(error(StatusCode::AdditionsFeatureNotAvail)));
    let verdict = bench.verdict();
    assert_eq!((verdict.outcome, verdict.code), (Outcome::Refused, StatusCode::AdditionsFeatureNotAvail));
    bench.undrained(Ok(UndrainReply::Lifted));
}

#[test]
fn a_guest_that_is_not_ready_yet_is_told_again() {
    let mut bench = Bench::new();
    bench.order(draining(DrainFor::TheTask));
    bench.drained(Err(error(StatusCode::AdditionsNotAvail)));
    assert_eq!(bench.findings(), []);
    bench.drained(Ok(DrainReply::InForce));
    bench.list(Ok(listing(&["a"])));
    assert_eq!(bench.ends().0, "a");
}

#[test]
fn a_cancelled_task_lifts_its_drain_also_one_for_a_time() {
    let mut bench = Bench::new();
    bench.order(draining(DrainFor::Ms(HOUR_MS)));
    bench.drained(Ok(DrainReply::InForce));
    bench.handle(Event::CancelAsked(cancel(&["vm-1"])));
    assert_eq!(bench.verdict().outcome, Outcome::Cancelled);
    // The look that was out finds nobody waiting for it.
    bench.list(Ok(listing(&["a"])));
    bench.undrained(Ok(UndrainReply::Lifted));
}

#[test]
fn under_a_drain_whoever_came_after_the_act_moment_is_ended_too_but_not_for_ever() {
    let mut bench = Bench::new();
    bench.order(draining(DrainFor::TheTask));
    bench.drained(Ok(DrainReply::InForce));
    bench.list(Ok(listing(&["s0"])));
    let mut ended = Vec::new();
    for round in 1..40 {
        let name = format!("s{round}");
        while let Request::End { session, .. } = bench.next_call().request {
            ended.push(session.id.clone());
            bench.ended(Ok(EndReply::Asked));
        }
        if !bench.findings().is_empty() {
            break;
        }
        bench.list(Ok(listing(&[name.as_str()])));
        if !bench.findings().is_empty() {
            break;
        }
    }
    let verdict = bench.verdict();
    assert_eq!(ended, ["s0", "s1", "s2", "s3", "s4", "s5"]);
    assert_eq!((verdict.outcome, verdict.sessions.ended, verdict.sessions.new), (Outcome::Succeeded, 6, 1));
}

#[test]
fn a_held_guest_is_not_told_again_and_is_let_go_all_the_same() {
    let mut bench = Bench::new();
    bench.handle(set(HOUR_MS));
    bench.drained(Ok(DrainReply::InForce));
    let mark = SafeguardsMark { epoch: 1, revision: 1 };
    bench.handle(Event::Safeguarded(Safeguards { mark, held: vec![id("vm-1")], ..Safeguards::default() }));
    assert!(bench.is_quiet_for(HOUR_MS));
    bench.undrained(Ok(UndrainReply::Lifted));
}

#[test]
fn a_guest_that_came_here_drained_is_let_go_when_all_of_its_drains_are_lifted() {
    let mut bench = Bench::new();
    bench.handle(by_hand(DrainWish::LiftAll));
    bench.undrained(Ok(UndrainReply::Lifted));
    assert!(bench.is_quiet_for(HOUR_MS));
}

#[test]
fn a_controller_is_told_all_drains_first_on_every_stream() {
    let mut bench = Bench::new();
    assert_eq!(told(&mut bench), []);
    bench.handle(set(HOUR_MS));
    bench.drained(Ok(DrainReply::InForce));
    bench.handle(Event::Disconnected);
    bench.handle(Event::Welcomed { epoch: 2, acknowledged: 0 });
    let drains = &bench.drains;
    assert_eq!((drains[0].by.as_str(), drains[0].reason.as_str()), ("alice", "patching"));
}
