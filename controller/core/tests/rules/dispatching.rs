//! Which queued task starts when, and what goes down a stream.

use crate::bench::{Bench, all, hello, ids, ledger, progress, succeeded, task};
use curfew_controller_core::Settings;
use curfew_controller_core::record::{Record, Recovered};
use curfew_types::agent::{Report, TaskProgress};
use curfew_types::{
    Amount, Budgets, DrainFor, Logoff, Notice, OperationSpec, Outcome, Reason, SessionCounts, Stage,
};

fn windowed(limit: u32) -> OperationSpec {
    OperationSpec { max_in_flight: Some(Amount::Number(limit)), ..OperationSpec::plain(all()) }
}

#[test]
fn one_frame_carries_all_tasks_of_a_host() {
    let mut bench = Bench::with(&[("h1", &["vm-1", "vm-2"]), ("h2", &["vm-3"])]);
    bench.start_all();
    let sizes: Vec<usize> = bench.orders().iter().map(|order| order.tasks.len()).collect();
    assert_eq!(sizes, [2, 1]);
}

#[test]
fn an_order_is_never_sent_without_the_record_that_marks_it() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    let operation = bench.start_all();
    assert_eq!(bench.orders().len(), 1);
    let handed = |record: &Record| matches!(record, Record::Handed { operation: of, tasks, .. } if *of == operation && *tasks == [0]);
    assert!(bench.records().iter().any(handed), "in the same turn, which is appended before it is sent");
}

#[test]
fn an_order_carries_the_epoch_and_no_more_time_than_the_operation_has() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    bench.start(OperationSpec { deadline_ms: 5_000, ..OperationSpec::plain(all()) });
    let order = bench.orders().remove(0);
    assert_eq!((order.epoch, order.remaining_ms), (1, 5_000));
}

#[test]
fn an_order_says_how_people_are_logged_off_and_lives_for_the_grace_too() {
    let mut bench = Bench::with(&[("h1", &["vm-1", "vm-2"])]);
    let notice = Notice { text: "go home".into(), grace_ms: 3_600_000, repeat_ms: None };
    let logoff = Logoff { notice: Some(notice), force_after_ms: Some(60_000), ..Logoff::default() };
    let spec =
        OperationSpec { logoff: logoff.clone(), task_timeout_ms: 300_000, ..OperationSpec::plain(all()) };
    let operation = bench.start(spec);
    let order = bench.orders().remove(0);
    assert_eq!(order.logoff, logoff);
    assert_eq!(order.required_capabilities, ["notice", "force"]);
    // To find the guest ready, the grace, and from the act moment; the rest is for delivery and the last look.
    let life_ms = 300_000 + 3_600_000 + 300_000 + 10_000;
    assert_eq!(order.remaining_ms, life_ms);
    bench.progress(1, task(operation, 0), Stage::Warning);
    bench.pass(life_ms + 14_999);
    assert_eq!(bench.verdict(operation, "vm-1"), None, "a heartbeat is left for its report");
    bench.pass(1);
    assert_eq!(bench.verdict(operation, "vm-1").map(|verdict| verdict.reason), Some(Reason::NoReport));
}

#[test]
fn the_grace_is_no_reason_to_outlive_the_deadline() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    let notice = Notice { text: "go home".into(), grace_ms: 3_600_000, repeat_ms: None };
    let logoff = Logoff { notice: Some(notice), ..Logoff::default() };
    bench.start(OperationSpec { logoff, deadline_ms: 3_700_000, ..OperationSpec::plain(all()) });
    assert_eq!(bench.orders()[0].remaining_ms, 3_700_000);
}

#[test]
fn an_order_that_is_said_again_says_all_of_it_again() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    let logoff = Logoff { drain: Some(DrainFor::Ms(60_000)), ..Logoff::default() };
    bench.start(OperationSpec { logoff: logoff.clone(), ..OperationSpec::plain(all()) });
    bench.pass(5_000);
    let order = bench.orders().remove(0);
    assert_eq!((order.logoff, order.required_capabilities), (logoff, vec!["drain".to_owned()]));
}

#[test]
fn the_window_slides_past_a_straggler() {
    let mut bench = Bench::with(&[("h1", &["vm-1", "vm-2", "vm-3", "vm-4"])]);
    let operation = bench.start(windowed(2));
    assert_eq!(bench.ordered(), ["vm-1", "vm-2"]);
    bench.find(1, 1, task(operation, 1), succeeded());
    assert_eq!(bench.ordered(), ["vm-3"], "vm-1 holds its own place only");
    bench.find(1, 2, task(operation, 2), succeeded());
    assert_eq!(bench.ordered(), ["vm-4"]);
}

#[test]
fn hosts_take_turns_in_a_small_window() {
    let mut bench = Bench::with(&[("h1", &["vm-1", "vm-2"]), ("h2", &["vm-3", "vm-4"])]);
    bench.start(windowed(2));
    assert_eq!(bench.ordered(), ["vm-1", "vm-3"]);
}

#[test]
fn a_guest_in_another_operations_hands_waits_and_says_for_whom() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    let first = bench.start_all();
    bench.pass(1);
    let second = bench.start_all();
    assert!(bench.orders().is_empty());
    let waits = bench.task(task(second, 0)).waiting_for;
    assert!(waits.contains(&task(first, 0).to_string()), "{waits}");
    bench.find(1, 1, task(first, 0), succeeded());
    assert_eq!(bench.ordered(), ["vm-1"]);
    assert_eq!(bench.task(task(second, 0)).stage, Stage::Ordered);
}

#[test]
fn whoever_waits_behind_a_waiting_task_that_is_cancelled_gets_the_guest_all_the_same() {
    let mut bench = Bench::with(&[("h1", &["vm-1", "vm-2"])]);
    let holder = bench.start(OperationSpec::plain(ids(&["vm-1"])));
    bench.pass(1);
    // Its window is taken up by vm-2 when vm-1 becomes free.
    let busy = bench.start(OperationSpec {
        max_in_flight: Some(Amount::Number(1)),
        ..OperationSpec::plain(ids(&["vm-1", "vm-2"]))
    });
    bench.pass(1);
    let last = bench.start(OperationSpec::plain(ids(&["vm-1"])));
    assert_eq!(bench.task(task(busy, 1)).stage, Stage::Ordered);
    bench.find(1, 1, task(holder, 0), succeeded());
    assert_eq!(
        bench.task(task(last, 0)).stage,
        Stage::Ordered,
        "the guest is free and nobody else can use it"
    );
    bench.cancel(busy);
    bench.find(1, 2, task(last, 0), succeeded());
    assert_eq!(bench.operation(last).outcomes[Outcome::Succeeded.place()], 1);
}

#[test]
fn an_order_that_was_not_accepted_is_said_again_and_an_accepted_one_is_not() {
    let mut bench = Bench::with(&[("h1", &["vm-1", "vm-2"])]);
    let operation = bench.start_all();
    bench.progress(1, task(operation, 0), Stage::Accepted);
    bench.pass(5_000);
    assert_eq!(bench.ordered(), ["vm-2"]);
}

#[test]
fn an_agent_that_has_said_nothing_since_its_order_is_told_again_only_after_a_while() {
    let mut bench = Bench::with(&[("h1", &["vm-1", "vm-2"])]);
    bench.pass(1);
    let operation = bench.start_all();
    bench.pass(29_999);
    assert!(bench.ordered().is_empty(), "it has not come to it yet");
    bench.pass(1);
    assert_eq!(bench.ordered(), ["vm-1", "vm-2"]);
    bench.pass(1);
    bench.progress(1, task(operation, 0), Stage::Accepted);
    bench.pass(4_999);
    assert_eq!(bench.ordered(), ["vm-2"], "it has heard it, and did not take all of it");
}

#[test]
fn a_returning_agent_is_told_again_only_what_it_does_not_hold() {
    let mut bench = Bench::with(&[("h1", &["vm-1", "vm-2"])]);
    let operation = bench.start_all();
    bench.detach("h1", 1);
    let unfinished = vec![progress(task(operation, 1), Stage::Accepted)];
    bench.attach_with("h1", &curfew_types::agent::Hello { unfinished, ..hello() }).expect("attaches");
    assert_eq!(bench.ordered(), ["vm-1"]);
}

#[test]
fn a_host_that_returns_in_time_gets_its_order_and_one_that_does_not_is_unreachable() {
    for (away_ms, in_time) in [(50_000, true), (60_000, false)] {
        let mut bench = Bench::with(&[("h1", &["vm-1"])]);
        bench.pass(60_000);
        bench.detach("h1", 1);
        let operation = bench.start_all();
        assert!(bench.orders().is_empty());
        bench.pass(away_ms);
        if in_time {
            bench.attach("h1");
            assert_eq!(bench.ordered(), ["vm-1"]);
        } else {
            let verdict = bench.verdict(operation, "vm-1").expect("has ended");
            assert_eq!((verdict.outcome, verdict.reason), (Outcome::Unreachable, Reason::HostOffline));
        }
    }
}

#[test]
fn the_stages_never_go_back_and_what_was_seen_of_sessions_is_the_latest() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    let operation = bench.start_all();
    let mut say = |stage, ended| {
        let sessions = SessionCounts { found: 2, ended, ..SessionCounts::default() };
        let progress = vec![TaskProgress { sessions, ..progress(task(operation, 0), stage) }];
        bench.report("h1", 1, Report { progress, ledger: ledger(7, 10), ..Report::default() });
        let view = bench.task(task(operation, 0));
        (view.stage, view.sessions.ended)
    };
    assert_eq!(say(Stage::Warning, 0), (Stage::Warning, 0));
    assert_eq!(say(Stage::Accepted, 0), (Stage::Warning, 0));
    assert_eq!(say(Stage::Ending, 0), (Stage::Ending, 0));
    assert_eq!(say(Stage::Warning, 0), (Stage::Ending, 0));
    assert_eq!(say(Stage::Verifying, 0), (Stage::Verifying, 0));
    // It asks once more, and forces what is left.
    assert_eq!(say(Stage::Ending, 1), (Stage::Verifying, 1));
    assert_eq!(say(Stage::Forcing, 2), (Stage::Verifying, 2));
    assert_eq!(say(Stage::Done, 9), (Stage::Verifying, 2), "only a finding ends a task");
}

#[test]
fn progress_never_goes_back() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    let operation = bench.start_all();
    bench.progress(1, task(operation, 0), Stage::Verifying);
    bench.progress(1, task(operation, 0), Stage::Ending);
    assert_eq!(bench.task(task(operation, 0)).stage, Stage::Verifying);
}

fn in_slices_of(tasks: u32, fleet: &[(&str, &[&str])]) -> Bench {
    let settings = Settings { start_at_a_time: tasks, ..Settings::default() };
    let mut bench = Bench::with_settings(settings, Recovered::default(), 0);
    bench.add(fleet);
    bench
}

#[test]
fn a_large_operation_starts_in_slices_a_small_one_first_and_asks_to_be_woken_at_once_for_the_next() {
    let mut bench =
        in_slices_of(4, &[("h1", &["vm-1", "vm-2"]), ("h2", &["vm-3", "vm-4"]), ("h3", &["vm-5"])]);
    bench.start_all();
    assert_eq!(bench.ordered(), ["vm-1", "vm-2"]);
    let wake = bench.core.poll_timeout().map(|(at, _)| at);
    assert_eq!(wake, Some(bench.now().mono), "the next slice is due now");
    bench.pass(0);
    assert_eq!(bench.ordered(), ["vm-3", "vm-4", "vm-5"]);
    bench.pass(0);
    assert!(bench.ordered().is_empty());
}

#[test]
fn slices_are_cut_between_tasks_where_limits_are_looked_at() {
    let mut bench = in_slices_of(3, &[("h1", &["vm-1", "vm-2", "vm-3"]), ("h2", &["vm-4"])]);
    bench.start(windowed(4));
    assert_eq!(bench.ordered().len(), 1);
    bench.pass(0);
    assert_eq!(bench.ordered().len(), 3);
    bench.pass(0);
    assert!(bench.ordered().is_empty());
}

#[test]
fn an_operation_that_fits_into_one_slice_starts_in_one_turn() {
    let mut bench = in_slices_of(4, &[("h1", &["vm-1", "vm-2"]), ("h2", &["vm-3", "vm-4"])]);
    bench.start_all();
    assert_eq!(bench.ordered(), ["vm-1", "vm-2", "vm-3", "vm-4"]);
}

#[test]
fn what_is_cancelled_between_two_slices_is_never_ordered() {
    let mut bench = in_slices_of(1, &[("h1", &["vm-1"]), ("h2", &["vm-2"])]);
    let operation = bench.start_all();
    assert_eq!(bench.ordered(), ["vm-1"]);
    bench.cancel(operation);
    bench.pass(0);
    assert!(bench.ordered().is_empty());
    assert_eq!(bench.verdict(operation, "vm-2").map(|verdict| verdict.reason), Some(Reason::NotStarted));
}

#[test]
fn a_pause_between_two_slices_holds_the_rest_back_until_it_is_resumed() {
    let mut bench = in_slices_of(1, &[("h1", &["vm-1"]), ("h2", &["vm-2"])]);
    let operation = bench.start_all();
    bench.ask(|core, now| core.pause_operation(now, operation, "operator", "")).expect("pauses");
    bench.pass(0);
    assert!(bench.ordered().is_empty());
    bench
        .ask(|core, now| core.resume_operation(now, operation, "operator", "", Budgets::default()))
        .expect("resumes");
    assert_eq!(bench.ordered(), ["vm-2"]);
}
