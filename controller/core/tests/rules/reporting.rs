//! What an agent's report means.

use crate::bench::{Bench, all, guest, hello, host, id, ledger, succeeded, task, timed_out};
use curfew_controller_core::record::Record;
use curfew_controller_core::{Action, Event};
use curfew_types::agent::{Finding, Hello, Report};
use curfew_types::{NotRunning, OperationSpec, OperationState, Outcome, Reason, StatusCode, TaskId, Verdict};

fn finding(task: TaskId, guest: &str, verdict: Verdict, late: bool) -> Finding {
    Finding { operation: task.operation, index: task.index, guest: id(guest), verdict: verdict.into(), late }
}

fn report(first_sequence: u64, findings: Vec<Finding>) -> Report {
    Report { first_sequence, findings, ledger: ledger(7, 20), ..Report::default() }
}

fn is_late(record: &Record) -> bool {
    matches!(record, Record::Late { .. })
}

#[test]
fn a_task_ends_once_and_what_comes_later_is_kept_beside_it() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    let operation = bench.start_all();
    bench.find(1, 1, task(operation, 0), timed_out());
    let late = finding(task(operation, 0), "vm-1", succeeded(), true);
    bench.report("h1", 1, report(2, vec![late]));
    assert_eq!(bench.verdict(operation, "vm-1"), Some(timed_out()));
    assert_eq!(bench.operation(operation).late_findings, 1);
    assert!(bench.records().iter().any(is_late));
    assert_eq!(bench.acknowledged(), Some(2));
}

#[test]
fn a_repeated_finding_is_acknowledged_again_and_written_once() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    let operation = bench.start_all();
    bench.find(1, 1, task(operation, 0), succeeded());
    bench.find(1, 1, task(operation, 0), succeeded());
    assert!(bench.records().is_empty());
    assert_eq!(bench.acknowledged(), Some(1));
}

#[test]
fn the_same_outcome_under_a_new_number_is_no_late_news() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    let operation = bench.start_all();
    bench.find(1, 1, task(operation, 0), succeeded());
    bench.find(1, 2, task(operation, 0), succeeded());
    assert!(!bench.records().iter().any(is_late));
    assert_eq!(bench.acknowledged(), Some(2));
}

#[test]
fn nothing_is_taken_from_a_report_after_a_gap() {
    let mut bench = Bench::with(&[("h1", &["vm-1", "vm-2"])]);
    let operation = bench.start_all();
    bench.find(1, 2, task(operation, 1), succeeded());
    assert_eq!(bench.verdict(operation, "vm-2"), None);
    assert_eq!(bench.acknowledged(), None);
}

#[test]
fn a_finding_is_recorded_in_the_turn_that_acknowledges_it_and_the_acknowledgement_is_not_urgent() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    let operation = bench.start_all();
    bench.find(1, 1, task(operation, 0), succeeded());
    assert!(bench.records().iter().any(|record| matches!(record, Record::Finished { .. })));
    assert!(bench.records().iter().any(|record| matches!(record, Record::Ended { .. })));
    assert!(bench.frames().iter().all(|(_, _, urgent)| !urgent));
}

#[test]
fn a_report_about_another_hosts_guest_is_refused_and_the_stream_ended() {
    let mut bench = Bench::with(&[("h1", &["vm-1"]), ("h2", &["vm-2"])]);
    let operation = bench.start_all();
    let foreign = finding(task(operation, 1), "vm-2", succeeded(), false);
    bench.report("h1", 1, report(1, vec![foreign]));
    assert_eq!(bench.verdict(operation, "vm-2"), None);
    assert!(
        bench
            .actions
            .iter()
            .any(|action| matches!(action, Action::Disconnect { host: of, .. } if *of == host("h1")))
    );
    assert_eq!(bench.acknowledged(), Some(0), "nothing of it is taken");
}

#[test]
fn a_frame_of_an_older_attachment_means_nothing() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    let operation = bench.start_all();
    bench.detach("h1", 1);
    bench.attach("h1");
    bench.find(1, 1, task(operation, 0), succeeded());
    assert_eq!(bench.verdict(operation, "vm-1"), None);
    bench.detach("h1", 1);
    assert!(bench.core.host(&host("h1")).expect("known").connected);
}

#[test]
fn a_finding_of_an_operation_that_left_memory_is_kept_for_the_store() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    let operation = bench.start_all();
    bench.find(1, 1, task(operation, 0), timed_out());
    bench.pass(60_000);
    assert_eq!(bench.core.operation(operation), None);
    let late = finding(task(operation, 0), "vm-1", succeeded(), true);
    bench.report("h1", 1, report(2, vec![late]));
    assert!(bench.records().iter().any(is_late));
    assert_eq!(bench.acknowledged(), Some(2));
}

#[test]
fn a_guest_that_stopped_before_its_order_ends_as_the_request_says_of_such_guests() {
    let refused = Verdict::new(Outcome::Refused, StatusCode::VmNotRunning, Reason::NotRunning, "off");
    for (not_running, outcome) in
        [(NotRunning::Skip, Outcome::Skipped), (NotRunning::Refuse, Outcome::Refused)]
    {
        let mut bench = Bench::with(&[("h1", &["vm-1"])]);
        let operation = bench.start(OperationSpec { not_running, ..OperationSpec::plain(all()) });
        bench.find(1, 1, task(operation, 0), refused.clone());
        assert_eq!(bench.verdict(operation, "vm-1").expect("has ended").outcome, outcome);
    }
}

#[test]
fn the_books_of_an_operation_agree_with_its_tasks() {
    let mut bench = Bench::with(&[("h1", &["vm-1", "vm-2", "vm-3"])]);
    let operation = bench.start_all();
    assert_eq!(bench.operation(operation).percent(), 0);
    bench.find(1, 1, task(operation, 0), succeeded());
    bench.find(1, 2, task(operation, 1), timed_out());
    let view = bench.operation(operation);
    assert_eq!((view.percent(), view.ended_well, view.state), (66, 1, OperationState::Running));
    bench.find(1, 3, task(operation, 2), succeeded());
    let view = bench.operation(operation);
    assert_eq!((view.percent(), view.ended_well, view.state), (100, 2, OperationState::Ended));
}

#[test]
fn a_watcher_that_resumes_sees_every_task_that_changed_since_and_no_other() {
    let mut bench = Bench::with(&[("h1", &["vm-1", "vm-2"])]);
    let operation = bench.start_all();
    let seen = bench.operation(operation).revision;
    bench.find(1, 1, task(operation, 1), succeeded());
    let changed = bench.core.changed_tasks(operation, seen).expect("in memory");
    assert_eq!(changed.iter().map(|task| task.id.index).collect::<Vec<_>>(), [1]);
    let of_another_epoch = bench.core.changed_tasks(operation, 0).expect("in memory");
    assert_eq!(of_another_epoch.len(), 2);
}

#[test]
fn an_inventory_with_another_hosts_ids_is_cut() {
    let mut bench = Bench::with(&[("h1", &[]), ("h2", &[])]);
    bench.handle(Event::InventoryChanged {
        host: host("h1"),
        session: 1,
        replace: true,
        upserts: vec![guest("h2/logind/self"), guest("vm-1")],
        removed: Vec::new(),
        digest: 5,
    });
    assert!(bench.core.guest("h2/logind/self").is_err());
    assert!(bench.core.guest("vm-1").is_ok());
    let same = Hello { inventory_digest: 5, ..hello() };
    bench.detach("h1", 1);
    assert!(!bench.attach_with("h1", &same).expect("attaches").send_inventory);
}
