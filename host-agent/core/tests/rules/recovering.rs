//! Beginning again from the ledger.

use crate::bench::{Bench, REMAINING_MS, TIMEOUT_MS, as_read_back, id, key, listing, operation, order};
use curfew_agent_core::acting::{LeftAlone, LeftEarly, Target};
use curfew_agent_core::call::{EndMode, EndReply, Request};
use curfew_agent_core::{Entry, Event, ledger};
use curfew_types::{Mono, Now, Outcome, Reason, SessionKey, StatusCode, Verdict, WallTime};

fn welcomed(mut bench: Bench) -> Bench {
    bench.handle(Event::Welcomed { epoch: 1, acknowledged: 0 });
    bench
}

#[test]
fn a_task_that_was_accepted_is_begun_after_a_restart() {
    let mut bench = Bench::new();
    bench.order(order(&["vm-1"]));
    let bench = bench.restart(1_000);
    assert!(matches!(bench.call().request, Request::List(_)));
}

#[test]
fn the_targets_of_the_act_moment_stay_the_targets_after_a_restart() {
    let mut bench = Bench::acting(&["a"]).restart(3_000);
    bench.list(Ok(listing(&["a", "later"])));
    let (session, how) = bench.next_end();
    assert_eq!((session.as_str(), how), ("a", EndMode::Graceful { attempt: 1 }));
    let mut bench = welcomed(Bench::acting(&["a"]).restart(3_000));
    let look = bench.next_call();
    bench.handle(Event::Listed { call: look.call, result: Ok(listing(&["later"])) });
    assert_eq!(bench.verdict().outcome, Outcome::Succeeded);
}

#[test]
fn after_a_reboot_nobody_is_ended_and_what_is_seen_is_reported() {
    let mut before = Bench::new();
    before.order(order(&["vm-1"]));
    let mut bench = Bench::recover(before.read_back(), 10_000, "boot-2");
    bench.list(Ok(listing(&["a"])));
    assert!(bench.calls().is_empty());
    let bench = welcomed(bench);
    let verdict = bench.verdict();
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::TimedOut, Reason::OrderExpired));
}

#[test]
fn an_order_that_expired_while_the_agent_was_down_ends_nobody() {
    for past_ms in [TIMEOUT_MS, REMAINING_MS] {
        let mut bench = Bench::new();
        bench.order(order(&["vm-1"]));
        let mut bench = bench.restart(past_ms);
        bench.list(Ok(listing(&["a"])));
        assert!(bench.calls().is_empty());
        assert_eq!(welcomed(bench).verdict().reason, Reason::OrderExpired);
    }
}

#[test]
fn a_task_whose_time_passed_while_the_agent_was_down_is_looked_at_before_it_ends() {
    let mut bench = Bench::asked(&["a"]).restart(TIMEOUT_MS);
    bench.list(Ok(listing(&[])));
    assert_eq!(welcomed(bench).verdict().outcome, Outcome::Succeeded);
}

#[test]
fn the_ledger_in_fewer_entries_comes_to_the_same() {
    let mut bench = Bench::asked(&["a"]);
    let second = curfew_types::agent::Order {
        tasks: vec![curfew_types::agent::OrderedTask { index: 1, guest: crate::bench::id("vm-2") }],
        ..order(&[])
    };
    bench.order(second);
    bench.list(Ok(listing(&[])));
    bench.ms += 1_500;
    let summary = bench.core.summary();
    let summary = as_read_back(&summary);
    let one = Bench::recover(bench.read_back(), bench.ms, "boot-1");
    let other = Bench::recover(summary, bench.ms, "boot-1");
    assert_eq!(one.core.hello(Vec::new(), 0), other.core.hello(Vec::new(), 0));
    assert_eq!(one.core.summary(), other.core.summary());
}

#[test]
fn rewriting_the_ledger_does_not_move_the_act_moment() {
    let mut bench = Bench::acting(&["a"]);
    let acted = act_moment(&bench.ledger);
    bench.ms += 2_500;
    bench.ended(Ok(EndReply::Asked));
    assert_eq!(act_moment(&bench.core.summary()), acted);
}

#[test]
fn a_rewritten_ledgers_counter_never_goes_back() {
    let mut bench = Bench::asked(&["a"]);
    bench.order(order(&["vm-1", "vm-2", "vm-3", "vm-4"]));
    let before = bench.core.hello(Vec::new(), 0).ledger.counter;
    let after =
        Bench::recover(bench.core.summary(), bench.ms, "boot-1").core.hello(Vec::new(), 0).ledger.counter;
    assert!(after >= before, "{before} {after}");
}

#[test]
fn what_is_written_after_the_start_does_not_hide_that_the_ledger_was_rolled_back() {
    let mut before = Bench::new();
    before.order(order(&["vm-1"]));
    let kept = before.core.hello(Vec::new(), 0).ledger.counter;
    before.list(Ok(listing(&[])));
    let told = before.core.hello(Vec::new(), 0).ledger.counter;
    let mut rolled_back = before.read_back();
    rolled_back.truncate(usize::try_from(kept).expect("fits"));
    let mut bench = Bench::recover(rolled_back, 1, "boot-2");
    bench.list(Ok(listing(&[])));
    assert!(bench.core.hello(Vec::new(), 0).ledger.counter < told);
    let bench = welcomed(bench);
    assert_eq!(bench.core.hello(Vec::new(), 0).ledger.counter, told, "judged once, it counts as it stands");
}

/// Runs a task to its end, lets the clocks go on, and tells whether its outcome is still known then.
fn is_remembered_after(mono_days: u64, wall_days: u64) -> bool {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let mut bench = Bench::new();
    bench.order(order(&["vm-1"]));
    bench.list(Ok(listing(&[])));
    bench.handle(Event::Acknowledged(1));
    let Now { mono, wall } = bench.now();
    bench.core.forget_old(Now { mono: mono.plus(mono_days * DAY_MS), wall: wall.plus(wall_days * DAY_MS) });
    bench.order(order(&["vm-1"]));
    bench.calls().is_empty() && bench.verdict().outcome == Outcome::NothingToDo
}

#[test]
fn an_outcome_is_forgotten_by_age_and_not_by_a_wall_clock_that_was_set() {
    assert!(!is_remembered_after(30, 30));
    assert!(is_remembered_after(1, 1));
    assert!(is_remembered_after(1, 30), "the wall clock was set ahead");
    assert!(is_remembered_after(30, 1), "the wall clock was set back");
}

fn act_moment(entries: &[Entry]) -> curfew_types::Mono {
    let at = |entry: &Entry| if let Entry::Acting { at, .. } = entry { Some(*at) } else { None };
    entries.iter().find_map(at).expect("has one")
}

impl Bench {
    /// The next request to end a session, with the listings before it answered as they were.
    fn next_end(&mut self) -> (String, EndMode) {
        while matches!(self.next_call().request, Request::List(_)) {
            self.list(Ok(listing(&["a", "later"])));
        }
        self.ends()
    }
}

#[test]
fn what_is_written_of_many_guests_at_once_is_one_line_and_reads_back_as_it_was() {
    let guests = ["vm-1", "vm-2", "vm-3"];
    let mut bench = Bench::new();
    bench.order(order(&guests));
    for (call, session) in bench.calls().into_iter().zip(["a", "b", "c"]) {
        bench.hold(Event::Listed { call: call.call, result: Ok(listing(&[session])) });
    }
    bench.end_turn();
    for call in bench.calls() {
        bench.hold(Event::Ended { call: call.call, result: Ok(EndReply::Ended) });
    }
    bench.end_turn();
    for call in bench.calls() {
        bench.hold(Event::Listed { call: call.call, result: Ok(listing(&[])) });
    }
    bench.end_turn();

    let written = &bench.ledger;
    let of = |kind: fn(&Entry) -> bool| written.iter().filter(|entry| kind(entry)).count();
    assert_eq!(of(|entry| matches!(entry, Entry::Acting { .. })), guests.len());
    assert_eq!(of(|entry| matches!(entry, Entry::Finished { .. })), guests.len());
    let lines = ledger::lines(written).count();
    assert_eq!(lines, written.len() - 2 * (guests.len() - 1), "{written:?}");
    let mut expected = written.clone();
    for entry in &mut expected {
        if let Entry::Acting { targets, .. } = entry {
            targets.iter_mut().for_each(|target| target.asked = 0);
        }
    }
    assert_eq!(as_read_back(written), expected);
}

#[test]
fn what_differs_in_more_than_names_has_lines_of_its_own() {
    let finished = |index: u32, message: &str, sequence: u64, follow_up: bool| Entry::Finished {
        operation: operation(1),
        index,
        guest: id("vm-1"),
        verdict: Verdict::new(Outcome::Failed, StatusCode::Unexpected, Reason::Unverified, message).into(),
        sequence,
        at: WallTime(1),
        follow_up,
    };
    let cases: [(&str, [Entry; 2], usize); 5] = [
        ("the same", [finished(0, "x", 1, false), finished(1, "x", 2, false)], 1),
        ("acknowledged before", [finished(0, "x", 0, false), finished(1, "x", 0, false)], 1),
        ("another message", [finished(0, "x", 1, false), finished(1, "y", 2, false)], 2),
        ("a gap in the numbers", [finished(0, "x", 1, false), finished(1, "x", 3, false)], 2),
        ("a follow-up", [finished(0, "x", 1, true), finished(1, "x", 2, true)], 2),
    ];
    for (what, entries, lines) in cases {
        assert_eq!(ledger::lines(&entries).count(), lines, "{what}");
        assert_eq!(as_read_back(&entries), entries, "{what}");
    }
}

#[test]
fn an_act_moment_of_which_there_is_more_to_say_than_its_targets_has_a_line_of_its_own() {
    let plain = |session: &str| Target::new(listing(&[session]).sessions.remove(0));
    let acting = |at: u64, target: Target, additions: u32| Entry::Acting {
        operation: operation(1),
        index: 0,
        at: Mono(at),
        guest_boot: "first".into(),
        targets: vec![target],
        additions,
        left_early: Vec::new(),
        left_alone: Vec::new(),
    };
    let with = |early: &[LeftEarly], alone: &[LeftAlone]| {
        let mut entry = acting(1, plain("a"), 0);
        if let Entry::Acting { left_early, left_alone, .. } = &mut entry {
            (*left_early, *left_alone) = (early.to_vec(), alone.to_vec());
        }
        entry
    };
    let early = LeftEarly { id: "b".into(), user: "bob".into(), notices: 1 };
    let alone = LeftAlone { session: key("c"), user: "eve".into(), why: "protected".into(), notices: 0 };
    let of_another_boot = SessionKey { boot: "second".into(), ..key("a") };
    let cases = [
        ("another moment", acting(2, plain("a"), 0)),
        ("somebody added", acting(1, plain("a"), 1)),
        ("told", acting(1, Target { notices: 1, ..plain("a") }, 0)),
        ("not to be told", acting(1, Target { unnoticed: "no terminal".into(), ..plain("a") }, 0)),
        ("killed", acting(1, Target { forced: true, ..plain("a") }, 0)),
        ("spared", acting(1, Target { spared: true, ..plain("a") }, 0)),
        ("unmatched", acting(1, Target { unmatched: true, ..plain("a") }, 0)),
        ("another boot", acting(1, Target { session: of_another_boot.into(), ..plain("a") }, 0)),
        ("left early", with(&[early], &[])),
        ("left alone", with(&[], &[alone])),
    ];
    for (what, entry) in cases {
        for entries in [[acting(1, plain("a"), 0), entry.clone()], [entry, acting(1, plain("a"), 0)]] {
            assert_eq!(ledger::lines(&entries).count(), 2, "{what}");
            assert_eq!(as_read_back(&entries), entries, "{what}");
        }
    }
}

#[test]
fn a_line_of_several_entries_that_does_not_hold_is_refused_in_its_own_words() {
    let line = r#"{"entry":"finished_together","operation":"op-0000000000001","at":1,"sequence":1,"verdict":
        {"outcome":"succeeded","code":"S_OK","reason":"sessions_ended","message":"","sessions":{}},
        "tasks":[[0,"vm-1",[["1","ann"]]]]}"#;
    let error = ledger::entries(line.as_bytes()).expect_err("it has a session too many");
    assert!(error.to_string().contains("other sessions than its task"), "{error}");
    let error = ledger::entries(br#"{"entry":"acting_together","tasks":[]}"#).expect_err("it lacks fields");
    assert!(error.to_string().contains("missing field `operation`"), "{error}");
}
