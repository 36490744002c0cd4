//! The second person: what waits for approval, who may give it, and for which set.

use crate::bench::{Bench, all, guest, request, task};
use curfew_controller_core::record::{Record, Recovered, RecoveredOperation};
use curfew_controller_core::{ApprovalRule, Event, Settings, SteerError};
use curfew_types::{
    Now, OperationId, OperationSpec, OperationState, Outcome, PowerState, Reason, Selection, Stage,
};

fn two_persons() -> Bench {
    let approval = ApprovalRule { above_guests: Some(2), above_percent: None, expires_ms: 60_000 };
    let settings = Settings { approval, ..Settings::default() };
    let mut bench = Bench::with_settings(settings, Recovered::default(), 0);
    bench.add(&[("h1", &["a", "b", "c"])]);
    bench
}

fn approve(
    bench: &mut Bench,
    operation: OperationId,
    by: &str,
    digest: u64,
) -> Result<(OperationState, Vec<String>), SteerError> {
    let approved = bench.ask(|core, now| core.approve_operation(now, operation, by, "", digest))?;
    Ok((approved.operation.state, approved.new_guests))
}

#[test]
fn a_large_operation_starts_nothing_until_somebody_else_approves_it() {
    let mut bench = two_persons();
    let operation = bench.start_all();
    assert!(bench.orders().is_empty());
    let view = bench.operation(operation);
    assert_eq!(view.state, OperationState::AwaitingApproval);
    assert!(
        view.waiting_for.contains(&format!("curfew operation approve {operation}")),
        "{}",
        view.waiting_for
    );
    assert_eq!(approve(&mut bench, operation, "operator", view.digest), Err(SteerError::OwnRequest));
    assert!(approve(&mut bench, operation, "eve", view.digest + 1).is_err(), "another set's digest");
    assert_eq!(approve(&mut bench, operation, "eve", view.digest), Ok((OperationState::Running, vec![])));
    assert_eq!(bench.ordered(), ["a", "b", "c"]);
    assert_eq!(bench.operation(operation).standing.approved_by.as_deref(), Some("eve"));
    assert!(approve(&mut bench, operation, "eve", view.digest).is_err(), "it waits no more");
}

#[test]
fn a_small_operation_needs_nobody_else() {
    let mut bench = two_persons();
    bench.start(OperationSpec::plain(crate::bench::ids(&["a", "b"])));
    assert_eq!(bench.ordered(), ["a", "b"]);
}

#[test]
fn a_share_of_the_fleet_counts_as_a_size() {
    let rule = ApprovalRule { above_guests: None, above_percent: Some(50), expires_ms: 1 };
    assert!(!rule.applies(50, 100) && rule.applies(51, 100));
    assert!(!ApprovalRule::default().applies(1_000_000, 1_000_000));
}

#[test]
fn a_set_that_has_grown_is_shown_and_asked_for_again() {
    let mut bench = two_persons();
    let operation = bench.start_all();
    let digest = bench.operation(operation).digest;
    bench.inventory("h1", ["a", "b", "c", "d"].map(guest).into());
    assert_eq!(
        approve(&mut bench, operation, "eve", digest),
        Ok((OperationState::AwaitingApproval, vec!["d".to_owned()]))
    );
    assert!(bench.orders().is_empty());
    assert!(
        bench
            .records()
            .iter()
            .any(|record| matches!(record, Record::Replanned(started) if started.task_count() == 4))
    );
    let larger = bench.operation(operation).digest;
    assert_ne!(larger, digest);
    assert!(approve(&mut bench, operation, "eve", digest).is_err(), "the smaller set is not this one");
    assert_eq!(approve(&mut bench, operation, "eve", larger), Ok((OperationState::Running, vec![])));
    assert_eq!(bench.ordered(), ["a", "b", "c", "d"]);
}

#[test]
fn whoever_follows_an_operation_sees_all_tasks_of_a_set_that_has_grown() {
    let mut bench = two_persons();
    let operation = bench.start_all();
    let seen = bench.operation(operation);
    bench.inventory("h1", ["a", "b", "c", "d"].map(guest).into());
    approve(&mut bench, operation, "eve", seen.digest).expect("asks again");
    let changed = bench.core.changed_tasks(operation, seen.revision).expect("is in memory");
    assert_eq!(changed.iter().map(|task| task.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
}

#[test]
fn a_guest_that_is_held_while_it_waits_is_left_out_once_it_is_approved() {
    let mut bench = two_persons();
    let operation = bench.start_all();
    let digest = bench.operation(operation).digest;
    bench.ask(|core, now| core.hold_guest(now, "a", "eve", "month end", None)).expect("holds");
    assert_eq!(bench.verdict(operation, "a"), None, "its set can still become another one");
    bench.inventory("h1", ["a", "b", "c", "d"].map(guest).into());
    assert_eq!(
        approve(&mut bench, operation, "eve", digest),
        Ok((OperationState::AwaitingApproval, vec!["d".to_owned()]))
    );
    let larger = bench.operation(operation).digest;
    assert_eq!(approve(&mut bench, operation, "eve", larger), Ok((OperationState::Running, vec![])));
    assert_eq!(bench.verdict(operation, "a").map(|verdict| verdict.reason), Some(Reason::Held));
    assert_eq!(bench.ordered(), ["b", "c", "d"]);
}

#[test]
fn an_outcome_that_came_while_it_waits_is_never_forgotten() {
    let mut bench = two_persons();
    let operation = bench.start_all();
    let digest = bench.operation(operation).digest;
    bench.ask(|core, now| core.cancel_task(now, task(operation, 0), "eve")).expect("is cancelled");
    bench.inventory("h1", ["a", "b", "c", "d"].map(guest).into());
    let refused = approve(&mut bench, operation, "eve", digest).expect_err("there is no new set for it");
    assert!(refused.to_string().contains(&format!("reject {operation} and start it again")), "{refused}");
    assert_eq!(bench.verdict(operation, "a").map(|verdict| verdict.reason), Some(Reason::NotStarted));
}

#[test]
fn a_guest_that_was_left_out_and_runs_by_now_makes_the_set_grow() {
    let mut bench = two_persons();
    let stopped = curfew_types::Guest { power: PowerState::Stopped, ..guest("d") };
    bench.inventory("h1", vec![guest("a"), guest("b"), guest("c"), stopped]);
    let operation = bench.start_all();
    let digest = bench.operation(operation).digest;
    bench.inventory("h1", ["a", "b", "c", "d"].map(guest).into());
    let (state, new) = approve(&mut bench, operation, "eve", digest).expect("answers");
    assert_eq!((state, new), (OperationState::AwaitingApproval, vec!["d".to_owned()]));
}

#[test]
fn what_is_left_out_is_never_ordered_even_if_it_leaves_the_fleet_meanwhile() {
    let mut bench = two_persons();
    let selection = Selection { exclude: vec!["c".parse().expect("a pattern")], ..all() };
    bench.inventory("h1", ["a", "b", "c", "d"].map(guest).into());
    let operation = bench.start(OperationSpec::plain(selection));
    let digest = bench.operation(operation).digest;
    bench.inventory("h1", ["a", "b", "d"].map(guest).into());
    approve(&mut bench, operation, "eve", digest).expect("approves");
    assert_eq!(bench.ordered(), ["a", "b", "d"]);
    assert_eq!(bench.task(crate::bench::task(operation, 2)).stage, Stage::Done);
}

#[test]
fn rejected_or_forgotten_it_ends_with_every_guest_skipped() {
    for forgotten in [false, true] {
        let mut bench = two_persons();
        let operation = bench.start_all();
        if forgotten {
            bench.pass(60_000);
        } else {
            bench
                .ask(|core, now| core.reject_operation(now, operation, "eve", "not tonight"))
                .expect("rejects");
        }
        let verdict = bench.verdict(operation, "a").expect("ended");
        assert_eq!((verdict.outcome, verdict.reason), (Outcome::Skipped, Reason::NotApproved));
        assert!(!verdict.ended_well());
        assert_eq!(bench.operation(operation).state, OperationState::Ended);
    }
}

#[test]
fn a_wall_clock_that_was_set_ahead_leaves_the_time_for_an_approval_as_it_is() {
    let mut bench = two_persons();
    let ahead = |now: Now| Now { wall: now.wall.plus(6 * 60 * 60 * 1000), ..now };
    let asked = request(OperationSpec::plain(all()), 1);
    let operation = bench.ask(|core, now| core.start(ahead(now), asked)).expect("starts").id;
    for (ms, state) in [(59_000, OperationState::AwaitingApproval), (1_000, OperationState::Ended)] {
        bench.ms += ms;
        let now = ahead(bench.now());
        bench.core.handle(now, Event::Tick);
        assert_eq!(bench.operation(operation).state, state);
    }
}

#[test]
fn it_can_be_cancelled_while_it_waits() {
    let mut bench = two_persons();
    let operation = bench.start_all();
    bench.cancel(operation);
    assert_eq!(bench.operation(operation).state, OperationState::Ended);
    assert_eq!(bench.verdict(operation, "a").map(|verdict| verdict.reason), Some(Reason::NotStarted));
}

#[test]
fn it_still_waits_after_a_restart() {
    let mut bench = two_persons();
    let operation =
        bench.ask(|core, now| core.start(now, request(OperationSpec::plain(all()), 1))).expect("starts").id;
    let mut started = bench
        .records()
        .into_iter()
        .find_map(|record| if let Record::Started(started) = record { Some(*started) } else { None })
        .expect("written down");
    started.standing = bench.operation(operation).standing;
    let row = RecoveredOperation {
        started,
        handed: Vec::new(),
        finished: Vec::new(),
        cancelled_by: None,
        cancelled_tasks: Vec::new(),
        late_findings: 0,
    };
    let mut again = Bench::recover(Recovered { operations: vec![row], ..Recovered::default() }, 1_000);
    again.add(&[("h1", &["a", "b", "c"])]);
    assert!(again.orders().is_empty());
    let digest = again.operation(operation).digest;
    assert_eq!(approve(&mut again, operation, "eve", digest), Ok((OperationState::Running, vec![])));
    again.pass(60_000);
    assert_ne!(again.operation(operation).state, OperationState::Ended, "an approved one does not expire");
}
