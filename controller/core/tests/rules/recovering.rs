//! Going on after a restart from what the store knows.

use crate::bench::{Bench, all, guest, hello, host, ledger, progress, succeeded, task};
use curfew_controller_core::record::{
    ClockFrame, Record, Recovered, RecoveredHost, RecoveredOperation, Started, TargetGuest, TargetHost,
};
use curfew_controller_core::{Core, Event, Settings};
use curfew_types::agent::Hello;
use curfew_types::label::Labels;
use curfew_types::operation::Standing;
use curfew_types::{
    Amount, Mono, Now, OperationId, OperationSpec, OperationState, Outcome, Reason, Stage, StatusCode,
    Verdict, WallTime,
};

const BEGAN: WallTime = WallTime(1_795_000_000_000);

fn operation_id() -> OperationId {
    OperationId::new(BEGAN, 1)
}

/// A store with one host, three guests, and a windowed operation over them whose first task was handed over.
fn stored() -> Recovered {
    let names = ["vm-1", "vm-2", "vm-3"];
    let spec = OperationSpec {
        max_in_flight: Some(Amount::Number(1)),
        deadline_ms: 100_000,
        ..OperationSpec::plain(all())
    };
    let targets =
        names.iter().map(|name| TargetGuest { id: guest(name).id, name: (*name).into(), wave: 0 }).collect();
    let started = Started {
        id: operation_id(),
        requester: "operator".into(),
        created: BEGAN,
        deadline: BEGAN.plus(spec.deadline_ms),
        digest: 1,
        seed: 1,
        standing: Standing::running(spec.budgets),
        hosts: [TargetHost { host: host("h1"), first: 0, guests: targets }].into(),
        spec,
    };
    let operation = RecoveredOperation {
        started,
        handed: vec![(0, BEGAN.plus(30_000))],
        finished: Vec::new(),
        cancelled_by: None,
        cancelled_tasks: Vec::new(),
        late_findings: 0,
    };
    let row = RecoveredHost {
        name: host("h1"),
        labels: Labels::new(),
        ledger: Some(ledger(7, 10)),
        acknowledged: 3,
        seen: Some(BEGAN),
        version: "1.0".into(),
        inventory_digest: 1,
        guests: names.iter().map(|name| guest(name)).collect(),
    };
    Recovered { epoch: 4, hosts: vec![row], operations: vec![operation], ..Recovered::default() }
}

fn with_operation(change: impl FnOnce(&mut RecoveredOperation)) -> Recovered {
    let mut recovered = stored();
    change(&mut recovered.operations[0]);
    recovered
}

#[test]
fn the_epoch_is_raised_before_anything_else() {
    let bench = Bench::recover(stored(), 1_000);
    assert_eq!(bench.records().first(), Some(&Record::EpochRaised { epoch: 5 }));
    assert_eq!(bench.core.epoch(), 5);
}

#[test]
fn a_wall_clock_that_was_set_ahead_between_two_starts_moves_no_deadline() {
    let six_hours = 6 * 60 * 60 * 1000;
    let recovered = || {
        let mut recovered = with_operation(|operation| operation.handed = vec![(0, BEGAN.plus(90_000))]);
        recovered.clock = Some(ClockFrame { boot: 7, wall_of_zero: BEGAN.0 - 1_000_000 });
        recovered
    };
    let stage_after = |boot| {
        let at = |ms: u64| Now { mono: Mono(1_000_000 + ms), wall: BEGAN.plus(ms + six_hours) };
        let settings = Settings { boot, ..Settings::default() };
        let mut core = Core::recover(at(1_000), settings, recovered());
        core.handle(at(60_000), Event::Tick);
        core.task(task(operation_id(), 0)).expect("in memory").stage
    };
    assert_eq!(stage_after(7), Stage::Ordered, "in the same boot the monotonic clock counts");
    assert_eq!(stage_after(8), Stage::Done, "after a reboot only the wall clock is left");
}

#[test]
fn the_window_holds_across_a_restart() {
    let mut bench = Bench::recover(stored(), 1_000);
    let unfinished = vec![progress(task(operation_id(), 0), Stage::Ending)];
    bench.attach_with("h1", &Hello { unfinished, first_pending_sequence: 4, ..hello() }).expect("attaches");
    assert!(bench.orders().is_empty());
    bench.find(1, 4, task(operation_id(), 0), succeeded());
    assert_eq!(bench.ordered(), ["vm-2"]);
}

#[test]
fn an_order_that_may_have_been_lost_in_the_crash_is_said_again_with_the_new_epoch() {
    let mut bench = Bench::recover(stored(), 1_000);
    bench.attach_with("h1", &Hello { first_pending_sequence: 4, ..hello() }).expect("attaches");
    let order = bench.orders().remove(0);
    assert_eq!((order.epoch, order.tasks[0].guest.as_str()), (5, "vm-1"));
    assert_eq!(order.remaining_ms, 14_000, "what was left of it, without the heartbeat kept for its report");
}

#[test]
fn what_had_ended_stays_as_it_was() {
    let recovered = with_operation(|operation| operation.finished = vec![(0, succeeded())]);
    let bench = Bench::recover(recovered, 1_000);
    assert_eq!(bench.verdict(operation_id(), "vm-1"), Some(succeeded()));
    assert_eq!(bench.operation(operation_id()).outcomes[Outcome::Succeeded.place()], 1);
}

#[test]
fn a_recorded_cancel_is_carried_on() {
    let recovered = with_operation(|operation| operation.cancelled_by = Some("operator".into()));
    let mut bench = Bench::recover(recovered, 1_000);
    assert_eq!(bench.operation(operation_id()).state, OperationState::Cancelling);
    assert_eq!(bench.verdict(operation_id(), "vm-2").expect("has ended").reason, Reason::NotStarted);
    bench.attach_with("h1", &Hello { first_pending_sequence: 4, ..hello() }).expect("attaches");
    assert_eq!((bench.orders().len(), bench.cancels().len()), (0, 1));
}

#[test]
fn agents_have_two_heartbeats_to_come_back_and_report_before_time_runs_out() {
    let mut bench = Bench::recover(stored(), 90_000);
    bench.pass(20_000);
    assert_eq!(bench.verdict(operation_id(), "vm-1"), None, "its time is over, but nobody could tell");
    assert_eq!(bench.verdict(operation_id(), "vm-2").expect("has ended").outcome, Outcome::Skipped);
    bench.pass(10_000);
    let verdict = bench.verdict(operation_id(), "vm-1").expect("has ended");
    assert_eq!((verdict.outcome, verdict.code), (Outcome::Unknown, StatusCode::Unexpected));
}

#[test]
fn a_wall_clock_that_was_set_back_does_not_prolong_an_operation() {
    let recovered = with_operation(|operation| {
        operation.started.deadline = BEGAN.plus(10_000_000);
        operation.handed.clear();
    });
    let mut bench = Bench::recover(recovered, 0);
    bench.pass(100_000);
    assert_eq!(bench.operation(operation_id()).state, OperationState::Ended);
}

#[test]
fn findings_that_the_store_has_are_not_asked_for_again() {
    let mut bench = Bench::recover(stored(), 1_000);
    bench.attach_with("h1", &Hello { first_pending_sequence: 3, ..hello() }).expect("attaches");
    assert_eq!(bench.acknowledged(), Some(3));
}

#[test]
fn revisions_grow_across_restarts() {
    let before = Bench::recover(stored(), 0).operation(operation_id()).revision;
    let after = Bench::recover(Recovered { epoch: 5, ..stored() }, 0).operation(operation_id()).revision;
    assert!(after > before);
}

#[test]
fn late_news_do_not_change_a_recovered_outcome() {
    let unknown = Verdict::new(Outcome::Unknown, StatusCode::Unexpected, Reason::NoReport, "no report");
    let recovered = with_operation(|operation| operation.finished = vec![(0, unknown.clone())]);
    let mut bench = Bench::recover(recovered, 1_000);
    bench.attach_with("h1", &Hello { first_pending_sequence: 4, ..hello() }).expect("attaches");
    bench.find(1, 4, task(operation_id(), 0), succeeded());
    assert_eq!(bench.verdict(operation_id(), "vm-1"), Some(unknown));
    assert_eq!(bench.operation(operation_id()).late_findings, 1);
}
