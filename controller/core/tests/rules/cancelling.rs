//! Taking things back: what never left ends at once, what left is asked for, and the answer decides.

use crate::bench::{Bench, all, succeeded, task};
use curfew_controller_core::{CancelError, Event};
use curfew_types::{Amount, OperationSpec, OperationState, Outcome, Reason, StatusCode, Verdict};

fn taken_back() -> Verdict {
    Verdict::new(Outcome::Cancelled, StatusCode::Ok, Reason::BeforeAnySession, "cancelled")
}

#[test]
fn what_never_left_is_cancelled_at_once_and_what_left_is_asked_for() {
    let mut bench = Bench::with(&[("h1", &["vm-1", "vm-2"])]);
    let operation =
        bench.start(OperationSpec { max_in_flight: Some(Amount::Number(1)), ..OperationSpec::plain(all()) });
    bench.cancel(operation);
    assert_eq!(bench.verdict(operation, "vm-1"), None, "its agent has not answered");
    assert_eq!(bench.verdict(operation, "vm-2").expect("has ended").reason, Reason::NotStarted);
    assert_eq!(bench.cancels().remove(0).tasks.len(), 1);
    assert_eq!(bench.operation(operation).state, OperationState::Cancelling);
    bench.find(1, 1, task(operation, 0), taken_back());
    assert_eq!(bench.operation(operation).state, OperationState::Ended);
}

#[test]
fn an_agent_that_was_faster_than_the_cancel_is_believed() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    let operation = bench.start_all();
    bench.cancel(operation);
    bench.find(1, 1, task(operation, 0), succeeded());
    assert_eq!(bench.verdict(operation, "vm-1"), Some(succeeded()));
}

#[test]
fn an_unanswered_cancel_is_said_again_instead_of_the_order() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    let operation = bench.start_all();
    bench.cancel(operation);
    bench.pass(5_000);
    assert_eq!((bench.orders().len(), bench.cancels().len()), (0, 1));
    bench.detach("h1", 1);
    bench.attach("h1");
    assert_eq!((bench.orders().len(), bench.cancels().len()), (0, 1));
}

#[test]
fn asking_twice_is_no_error_and_asking_after_the_end_is() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    let operation = bench.start_all();
    bench.cancel(operation);
    bench.cancel(operation);
    bench.find(1, 1, task(operation, 0), taken_back());
    let again = bench.core.cancel_operation(bench.now(), operation, "operator", "");
    assert_eq!(again.map(|view| view.id), Err(CancelError::Ended));
    let again = bench.core.cancel_task(bench.now(), task(operation, 0), "operator");
    assert_eq!(again.map(|view| view.id), Err(CancelError::Ended));
    let unknown = bench.core.cancel_task(bench.now(), task(operation, 9), "operator");
    assert_eq!(unknown.map(|view| view.id), Err(CancelError::NotInMemory));
}

#[test]
fn one_task_is_cancelled_without_the_others() {
    let mut bench = Bench::with(&[("h1", &["vm-1", "vm-2"])]);
    let operation =
        bench.start(OperationSpec { max_in_flight: Some(Amount::Number(1)), ..OperationSpec::plain(all()) });
    bench.core.cancel_task(bench.now(), task(operation, 1), "operator").expect("cancels");
    assert_eq!(bench.verdict(operation, "vm-2").expect("has ended").reason, Reason::NotStarted);
    assert_eq!(bench.operation(operation).state, OperationState::Running);
}

#[test]
fn a_cancel_is_sent_at_once_while_the_store_is_away() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    let operation = bench.start_all();
    bench.handle(Event::StoreAway);
    bench.cancel(operation);
    assert!(bench.frames().iter().all(|(_, _, urgent)| *urgent));
    assert_eq!(bench.cancels().len(), 1);
}
