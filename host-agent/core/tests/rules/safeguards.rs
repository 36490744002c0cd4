//! What no operation may touch: held guests and protected users, and when the agent says that it heeds them.

use crate::bench::{Bench, REMAINING_MS, TIMEOUT_MS, as_read_back, id, listing, operation, order};
use curfew_agent_core::call::{EndReply, Request};
use curfew_agent_core::{Entry, Event};
use curfew_types::agent::{Order, Safeguards, SafeguardsMark};
use curfew_types::{Outcome, Reason, StatusCode};

/// In force before any came.
const NONE: SafeguardsMark = SafeguardsMark { epoch: 0, revision: 0 };

fn mark(revision: u64) -> SafeguardsMark {
    SafeguardsMark { epoch: 1, revision }
}

fn safeguards(revision: u64, held: &[&str], protected: &[&str]) -> Safeguards {
    let protected_users = protected.iter().map(|user| user.parse().expect("a pattern")).collect();
    Safeguards { mark: mark(revision), held: held.iter().map(|guest| id(guest)).collect(), protected_users }
}

impl Bench {
    fn hold_guests(&mut self, revision: u64, held: &[&str]) {
        self.handle(Event::Safeguarded(safeguards(revision, held, &[])));
    }

    fn protect(&mut self, revision: u64, users: &[&str]) {
        self.handle(Event::Safeguarded(safeguards(revision, &[], users)));
    }

    /// The marks that the last turn's reports carry.
    fn told(&self) -> Vec<SafeguardsMark> {
        self.reports().iter().map(|report| report.safeguards).collect()
    }

    fn in_force(&self) -> SafeguardsMark {
        self.core.hello(Vec::new(), 0).safeguards
    }
}

fn welcomed(mut bench: Bench) -> Bench {
    bench.handle(Event::Welcomed { epoch: 1, acknowledged: 0 });
    bench
}

#[test]
fn safeguards_are_written_down_and_confirmed_in_a_report_of_their_own() {
    let mut bench = Bench::new();
    bench.hold_guests(1, &["vm-1"]);
    assert_eq!(bench.writes(), [Entry::Safeguarded { safeguards: safeguards(1, &["vm-1"], &[]) }]);
    assert_eq!(bench.told(), [mark(1)]);
    assert_eq!(bench.in_force(), mark(1));
}

#[test]
fn older_safeguards_are_never_taken_and_the_same_again_are_only_confirmed_again() {
    let mut bench = Bench::new();
    bench.hold_guests(3, &["vm-1"]);
    for again in [safeguards(3, &[], &[]), safeguards(2, &[], &[])] {
        bench.handle(Event::Safeguarded(again));
        assert!(bench.writes().is_empty());
        assert_eq!(bench.told(), [mark(3)]);
    }
    bench.order(order(&["vm-1"]));
    assert_eq!(bench.verdict().reason, Reason::Held);
    let newer_epoch = SafeguardsMark { epoch: 2, revision: 1 };
    bench.handle(Event::Safeguarded(Safeguards { mark: newer_epoch, ..Safeguards::default() }));
    assert_eq!(bench.told(), [newer_epoch]);
}

#[test]
fn what_came_into_force_while_no_controller_was_there_is_told_to_the_next() {
    let mut bench = Bench::acting(&["a"]);
    bench.hold_guests(1, &["vm-1"]);
    bench.handle(Event::Disconnected);
    bench.pass(TIMEOUT_MS);
    assert!(bench.told().is_empty());
    assert_eq!(bench.in_force(), mark(1));
    let bench = welcomed(bench);
    assert!(bench.told().contains(&mark(1)));
}

#[test]
fn an_order_given_under_safeguards_that_did_not_come_yet_is_left_and_taken_later() {
    let mut bench = Bench::new();
    let guarded = Order { safeguards: mark(1), ..order(&["vm-1"]) };
    bench.order(guarded.clone());
    assert!(bench.writes().is_empty() && bench.calls().is_empty() && bench.reports().is_empty());
    bench.hold_guests(1, &["vm-2"]);
    bench.order(guarded);
    assert!(matches!(bench.call().request, Request::List(_)));
}

#[test]
fn a_task_of_a_held_guest_is_skipped_without_a_look() {
    let mut bench = Bench::new();
    bench.hold_guests(1, &["vm-1"]);
    bench.order(order(&["vm-1", "vm-2"]));
    let verdict = bench.verdict();
    assert_eq!(
        (verdict.outcome, verdict.code, verdict.reason),
        (Outcome::Skipped, StatusCode::Ok, Reason::Held)
    );
    assert_eq!(bench.call().guest, id("vm-2"));
}

#[test]
fn a_released_guest_is_worked_on_again() {
    let mut bench = Bench::new();
    bench.hold_guests(1, &["vm-1"]);
    bench.hold_guests(2, &[]);
    bench.order(order(&["vm-1"]));
    assert!(matches!(bench.call().request, Request::List(_)));
}

#[test]
fn a_hold_before_the_act_moment_skips_the_task_and_what_the_look_shows_starts_nothing() {
    let mut bench = Bench::new();
    bench.order(order(&["vm-1"]));
    let look = bench.call();
    bench.hold_guests(1, &["vm-1"]);
    assert_eq!((bench.verdict().outcome, bench.verdict().reason), (Outcome::Skipped, Reason::Held));
    assert_eq!(bench.in_force(), mark(1));
    bench.handle(Event::Listed { call: look.call, result: Ok(listing(&["a"])) });
    assert!(bench.calls().is_empty());
}

#[test]
fn a_hold_skips_the_tasks_that_wait_for_their_guest_too() {
    let mut bench = Bench::new();
    bench.order(order(&["vm-1"]));
    bench.order(Order { operation: operation(2), ..order(&["vm-1"]) });
    bench.hold_guests(1, &["vm-1"]);
    let reasons: Vec<_> = bench.findings().iter().map(|finding| finding.verdict.reason).collect();
    assert_eq!(reasons, [Reason::Held, Reason::Held]);
    assert!(bench.calls().is_empty());
}

#[test]
fn a_request_that_is_out_decides_what_a_hold_may_say_and_when_it_is_in_force() {
    for (answer, outcome, reason) in [
        (EndReply::TooLate, Outcome::Skipped, Reason::Held),
        (EndReply::Asked, Outcome::Cancelled, Reason::AfterSomeSessions),
    ] {
        let mut bench = Bench::acting(&["a", "b"]);
        let request = bench.call();
        bench.hold_guests(1, &["vm-1"]);
        assert!(bench.findings().is_empty());
        assert_eq!(bench.in_force(), NONE, "a request is out");
        bench.handle(Event::Ended { call: request.call, result: Ok(answer) });
        if answer == EndReply::Asked {
            assert_eq!(bench.in_force(), NONE, "the task has one more look");
            bench.list(Ok(listing(&["b"])));
        }
        let verdict = bench.verdict();
        assert_eq!((verdict.outcome, verdict.reason), (outcome, reason));
        assert_eq!(bench.told(), [mark(1)]);
    }
}

#[test]
fn a_hold_that_stops_a_task_after_some_sessions_says_so_and_counts_what_it_sees() {
    let mut bench = Bench::asked(&["a", "b"]);
    bench.hold_guests(1, &["vm-1"]);
    bench.list(Ok(listing(&["b"])));
    let verdict = bench.verdict();
    assert!(verdict.message.contains("hold"), "{}", verdict.message);
    assert_eq!((verdict.sessions.ended, verdict.sessions.remaining), (1, 1));
}

#[test]
fn a_request_that_is_never_answered_keeps_a_hold_pending_until_its_time_is_over() {
    let mut bench = Bench::acting(&["a"]);
    bench.hold_guests(1, &["vm-1"]);
    bench.pass(TIMEOUT_MS - 1);
    assert_eq!(bench.in_force(), NONE);
    bench.pass(1);
    assert_eq!(bench.verdict().reason, Reason::AfterSomeSessions);
    assert_eq!(bench.in_force(), mark(1));
}

#[test]
fn a_hold_of_another_guest_changes_nothing() {
    let mut bench = Bench::acting(&["a", "b"]);
    bench.hold_guests(1, &["vm-2"]);
    assert_eq!(bench.in_force(), mark(1));
    bench.ended(Ok(EndReply::Asked));
    assert_eq!(bench.ends().0, "b");
}

#[test]
fn a_look_after_a_timeout_goes_on_in_a_held_guest() {
    let mut bench = Bench::asked(&["a"]);
    bench.list(Ok(listing(&["a"])));
    bench.pass(TIMEOUT_MS);
    assert_eq!(bench.verdict().reason, Reason::SessionsRemain);
    bench.hold_guests(1, &["vm-1"]);
    assert_eq!(bench.in_force(), mark(1));
    bench.list(Ok(listing(&[])));
    assert!(bench.findings()[0].late);
}

#[test]
fn sessions_of_protected_users_are_no_targets_and_are_counted_as_excluded() {
    let mut bench = Bench::new();
    bench.protect(1, &["user-a"]);
    bench.order(order(&["vm-1"]));
    bench.list(Ok(listing(&["a", "b"])));
    assert_eq!(bench.ends().0, "b");
    bench.ended(Ok(EndReply::Asked));
    bench.list(Ok(listing(&["a"])));
    let verdict = bench.verdict();
    let counts = verdict.sessions;
    assert_eq!(verdict.outcome, Outcome::Succeeded);
    assert_eq!((counts.found, counts.ended, counts.excluded, counts.new, counts.remaining), (1, 1, 1, 0, 0));
    assert!(verdict.message.contains("protected"), "{}", verdict.message);
}

#[test]
fn where_only_protected_users_are_logged_on_there_is_nothing_to_do() {
    let mut bench = Bench::new();
    bench.protect(1, &["USER-*"]);
    bench.order(order(&["vm-1"]));
    bench.list(Ok(listing(&["a", "b"])));
    let verdict = bench.verdict();
    assert_eq!((verdict.outcome, verdict.sessions.excluded), (Outcome::NothingToDo, 2));
    assert!(verdict.message.contains("2 sessions of protected users"), "{}", verdict.message);
}

#[test]
fn a_user_protected_in_the_middle_is_not_asked_any_more_and_holds_nothing_up() {
    let mut bench = Bench::acting(&["a", "b"]);
    bench.protect(1, &["user-b"]);
    assert_eq!(bench.in_force(), mark(1), "the request that is out is for another user's session");
    bench.ended(Ok(EndReply::Asked));
    bench.list(Ok(listing(&["b"])));
    let verdict = bench.verdict();
    let counts = verdict.sessions;
    assert_eq!(verdict.outcome, Outcome::Succeeded);
    assert_eq!((counts.ended, counts.remaining, counts.excluded), (1, 0, 1));
    assert!(verdict.results_of(curfew_types::SessionFate::Remaining).next().is_none());
}

#[test]
fn protection_is_in_force_once_no_request_for_such_a_session_is_out() {
    let mut bench = Bench::acting(&["a"]);
    bench.protect(1, &["user-a"]);
    assert_eq!(bench.in_force(), NONE);
    assert!(bench.told().is_empty());
    bench.ended(Ok(EndReply::Asked));
    assert_eq!(bench.told(), [mark(1)]);
    assert!(bench.calls().is_empty());
    bench.list(Ok(listing(&["a"])));
    let verdict = bench.verdict();
    assert_eq!((verdict.outcome, verdict.sessions.excluded), (Outcome::Succeeded, 1));
}

#[test]
fn when_everybody_is_protected_before_the_first_request_there_was_nothing_to_do() {
    let mut bench = Bench::acting(&["a", "b"]);
    bench.protect(1, &["user-*"]);
    bench.ended(Ok(EndReply::TooLate));
    bench.list(Ok(listing(&["a", "b"])));
    let verdict = bench.verdict();
    assert_eq!((verdict.outcome, verdict.sessions.excluded), (Outcome::NothingToDo, 2));
}

#[test]
fn whoever_was_spared_stays_so_when_the_protection_is_lifted() {
    let mut bench = Bench::acting(&["a", "b"]);
    bench.protect(1, &["user-b"]);
    bench.protect(2, &[]);
    bench.ended(Ok(EndReply::Asked));
    bench.list(Ok(listing(&["b"])));
    assert_eq!(bench.verdict().sessions.excluded, 1);
}

#[test]
fn after_a_restart_the_same_safeguards_are_heeded_and_in_force() {
    let mut bench = Bench::new();
    bench.handle(Event::Safeguarded(safeguards(1, &["vm-1"], &["user-a"])));
    let mut bench = bench.restart(1);
    assert_eq!(bench.in_force(), mark(1));
    bench.order(Order { safeguards: mark(1), ..order(&["vm-1", "vm-2"]) });
    assert_eq!(bench.call().guest, id("vm-2"));
    bench.list(Ok(listing(&["a", "b"])));
    assert_eq!(bench.ends().0, "b");
}

#[test]
fn a_crash_between_a_hold_and_its_outcome_loses_neither() {
    let mut bench = Bench::asked(&["a"]);
    bench.hold_guests(1, &["vm-1"]);
    let mut bench = welcomed(bench.restart(1));
    assert_eq!(bench.in_force(), NONE, "what was asked before the crash may still be carried out");
    bench.list(Ok(listing(&["a"])));
    let verdict = bench.verdict();
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::Cancelled, Reason::AfterSomeSessions));
    let (at, _) = bench.core.poll_timeout().expect("it comes into force by itself");
    bench.pass(at.since(bench.now().mono));
    while bench.in_force() != mark(1) {
        assert!(bench.ms < REMAINING_MS);
        bench.pass(1_000);
    }
}

#[test]
fn what_an_agent_hears_after_a_restart_is_in_force_once_no_request_of_before_can_be_carried_out() {
    let mut bench = welcomed(Bench::asked(&["a"]).restart(1));
    bench.list(Ok(listing(&[])));
    assert_eq!(bench.verdict().outcome, Outcome::Succeeded);
    bench.hold_guests(1, &["vm-1"]);
    assert_eq!(bench.in_force(), NONE, "what the dead process asked for may still be carried out");
    bench.pass(10_000);
    assert_eq!(bench.in_force(), mark(1));
    assert_eq!(bench.told().last(), Some(&mark(1)), "and that is said");
}

#[test]
fn a_held_guests_task_that_had_not_begun_is_skipped_after_a_restart() {
    let mut before = Bench::new();
    before.order(order(&["vm-1"]));
    let mut ledger = before.read_back();
    ledger.push(Entry::Safeguarded { safeguards: safeguards(1, &["vm-1"], &[]) });
    let bench = Bench::recover(ledger, 1, "boot-1");
    assert!(bench.calls().is_empty());
    assert_eq!(bench.in_force(), mark(1));
    assert_eq!(welcomed(bench).verdict().reason, Reason::Held);
}

#[test]
fn after_a_restart_protected_sessions_are_still_neither_targets_nor_new() {
    let mut bench = Bench::new();
    bench.protect(1, &["user-a"]);
    bench.order(order(&["vm-1"]));
    bench.list(Ok(listing(&["a", "b", "c"])));
    bench.protect(2, &["user-a", "user-c"]);
    let ms = bench.ms + 1;
    for ledger in [bench.read_back(), bench.core.summary()] {
        let ledger = as_read_back(&ledger);
        let mut bench = welcomed(Bench::recover(ledger, ms, "boot-1"));
        bench.list(Ok(listing(&["a", "c"])));
        let verdict = bench.verdict();
        let counts = verdict.sessions;
        assert_eq!(verdict.outcome, Outcome::Succeeded);
        assert_eq!((counts.found, counts.ended, counts.excluded, counts.new), (2, 1, 2, 0));
    }
}

#[test]
fn a_rewritten_ledger_keeps_the_safeguards() {
    let mut bench = Bench::new();
    bench.handle(Event::Safeguarded(safeguards(4, &["vm-1"], &["root"])));
    let summary = bench.core.summary();
    let again = Bench::recover(summary.clone(), bench.ms, "boot-1");
    assert_eq!(again.in_force(), mark(4));
    assert_eq!(again.core.summary(), summary);
    assert_eq!(again.core.hello(Vec::new(), 0).ledger, bench.core.hello(Vec::new(), 0).ledger);
}

#[test]
fn a_ledger_from_before_there_were_safeguards_still_reads() {
    let before = r#"[
        {"entry":"accepted","operation":"op-0000000000001","boot":"boot-1","at":500000,"expires":560000,
         "task_timeout_ms":20000,"tasks":[{"index":0,"guest":"vm-1"}]},
        {"entry":"acting","operation":"op-0000000000001","index":0,"at":500000,"guest_boot":"first",
         "targets":[{"session":{"boot":"first","id":"a","began_us":1},"user":"user-a"}]}
    ]"#;
    let written = serde_json::to_value(&Bench::acting(&["a"]).ledger[..]).expect("JSON");
    let operation = written[1]["operation"].as_str().expect("a word");
    let before = before.replace("op-0000000000001", operation);
    let ledger: Vec<Entry> = serde_json::from_str(&before).expect("reads");
    assert_eq!(serde_json::to_value(&ledger).expect("JSON")[1], written.as_array().expect("a list")[2]);
    let mut bench = welcomed(Bench::recover(ledger, 1, "boot-1"));
    assert_eq!(bench.in_force(), NONE);
    bench.list(Ok(listing(&[])));
    assert_eq!(bench.verdict().outcome, Outcome::Succeeded);
}
