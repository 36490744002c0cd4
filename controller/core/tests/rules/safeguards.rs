//! Holds and protected users: who is told, what counts as confirmed, and what is left alone at once.

use crate::bench::{Bench, all, guest, hello, host, id, ledger, task};
use curfew_controller_core::record::{Record, Recovered};
use curfew_controller_core::{Event, FleetError};
use curfew_types::agent::{Report, SafeguardsMark};
use curfew_types::{Amount, OperationSpec, Outcome, Reason, WallTime};

fn hold(bench: &mut Bench, guest: &str, until: Option<WallTime>) -> Result<bool, FleetError> {
    bench.ask(|core, now| core.hold_guest(now, guest, "eve", "month end", until)).map(|hold| hold.confirmed)
}

fn confirm(bench: &mut Bench, name: &str, session: u64, mark: SafeguardsMark) {
    let report = Report { ledger: ledger(7, 10), safeguards: mark, ..Report::default() };
    bench.report(name, session, report);
}

#[test]
fn a_hold_is_pending_until_the_guests_host_confirms_it() {
    let mut bench = Bench::with(&[("h1", &["a"]), ("h2", &["b"])]);
    assert_eq!(hold(&mut bench, "a", None), Ok(false));
    let told = bench.safeguards();
    assert_eq!(
        told.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["h1", "h2"],
        "everybody is told"
    );
    assert!(told[0].1.holds(&id("a")) && !told[0].1.holds(&id("b")));
    let mark = told[0].1.mark;
    confirm(&mut bench, "h2", 2, mark);
    assert!(!bench.core.holds(None, 10)[0].confirmed, "another host's word does not count");
    confirm(&mut bench, "h1", 1, mark);
    assert!(bench.core.holds(None, 10)[0].confirmed);
}

#[test]
fn a_held_guest_is_left_out_with_the_reason_and_counts_as_ended_well() {
    let mut bench = Bench::with(&[("h1", &["a", "b"])]);
    hold(&mut bench, "a", None).expect("holds");
    let operation = bench.start_all();
    assert_eq!(bench.ordered(), ["b"]);
    let verdict = bench.verdict(operation, "a").expect("ended");
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::Skipped, Reason::Held));
    assert_eq!(verdict.message, "held by eve: month end");
    assert!(verdict.ended_well());
}

#[test]
fn a_hold_ends_what_waits_for_its_turn_and_leaves_what_runs_to_the_agent() {
    let mut bench = Bench::with(&[("h1", &["a", "b"])]);
    let spec = OperationSpec { max_in_flight: Some(Amount::Number(1)), ..OperationSpec::plain(all()) };
    let operation = bench.start(spec);
    hold(&mut bench, "b", None).expect("holds");
    assert_eq!(bench.verdict(operation, "b").map(|verdict| verdict.reason), Some(Reason::Held));
    hold(&mut bench, "a", None).expect("holds");
    assert_eq!(bench.verdict(operation, "a"), None);
}

#[test]
fn an_agent_that_attaches_is_told_before_it_gets_orders() {
    let mut bench = Bench::with(&[("h1", &["a", "b"])]);
    hold(&mut bench, "a", None).expect("holds");
    bench.start_all();
    bench.detach("h1", 1);
    bench.attach("h1");
    let frames = bench.frames();
    let place = |wanted: fn(&curfew_controller_core::Frame) -> bool| {
        frames.iter().position(|(_, frame, _)| wanted(frame))
    };
    let told = place(|frame| matches!(frame, curfew_controller_core::Frame::Safeguards(_))).expect("is told");
    let ordered =
        place(|frame| matches!(frame, curfew_controller_core::Frame::Order(_))).expect("gets its order");
    assert!(told < ordered);
    let mark = bench.orders()[0].safeguards;
    assert!(mark > SafeguardsMark::default(), "the order asks for the newest safeguards");
    // One that has them already is not told again.
    bench.detach("h1", 2);
    let mut knowing = hello();
    knowing.safeguards = mark;
    bench.attach_with("h1", &knowing).expect("attaches");
    assert!(bench.safeguards().is_empty());
}

#[test]
fn a_released_guest_is_anybodys_again() {
    let mut bench = Bench::with(&[("h1", &["a"])]);
    hold(&mut bench, "a", None).expect("holds");
    assert_eq!(bench.ask(|core, now| core.release_guest(now, "b")), Err(FleetError::NotHeld("b".into())));
    bench.ask(|core, now| core.release_guest(now, "a")).expect("releases");
    assert!(!bench.safeguards()[0].1.holds(&id("a")));
    bench.start_all();
    assert_eq!(bench.ordered(), ["a"]);
}

#[test]
fn a_hold_is_over_when_it_was_said_to_be() {
    let mut bench = Bench::with(&[("h1", &["a"])]);
    let until = bench.now().wall.plus(60_000);
    hold(&mut bench, "a", Some(until)).expect("holds");
    bench.pass(59_999);
    assert!(bench.core.is_held(&id("a")));
    bench.pass(1);
    assert!(!bench.core.is_held(&id("a")));
    assert!(bench.records().iter().any(|record| matches!(record, Record::Released { .. })));
    let past = bench.now().wall;
    assert_eq!(hold(&mut bench, "a", Some(past)), Err(FleetError::Past));
}

#[test]
fn a_hold_follows_its_guest_to_another_host() {
    let mut bench = Bench::with(&[("h1", &["a"]), ("h2", &["b"])]);
    hold(&mut bench, "a", None).expect("holds");
    bench.handle(Event::InventoryChanged {
        host: host("h1"),
        session: 1,
        replace: true,
        upserts: vec![],
        removed: vec![],
        digest: 2,
    });
    bench.handle(Event::InventoryChanged {
        host: host("h2"),
        session: 2,
        replace: false,
        upserts: vec![guest("a")],
        removed: vec![],
        digest: 2,
    });
    bench.start_all();
    assert_eq!(bench.ordered(), ["b"]);
}

#[test]
fn holds_and_protected_users_survive_a_restart_with_their_mark() {
    let mut bench = Bench::with(&[("h1", &["a"])]);
    hold(&mut bench, "a", None).expect("holds");
    let held = bench.records().into_iter().find_map(|record| match record {
        Record::Held { hold, mark } => Some((hold, mark)),
        _ => None,
    });
    let (hold, safeguards) = held.expect("written down");
    let mut again =
        Bench::recover(Recovered { epoch: 1, holds: vec![hold], safeguards, ..Recovered::default() }, 0);
    again.add(&[("h1", &["a"])]);
    let operation = again.start_all();
    assert_eq!(again.verdict(operation, "a").map(|verdict| verdict.reason), Some(Reason::Held));
    again.ask(|core, now| core.release_guest(now, "a")).expect("releases");
    assert!(again.safeguards()[0].1.mark > safeguards, "a later change has a later mark, whoever makes it");
}

/// An agent that has met a controller whose store is gone.
fn knowing(epoch: u64, revision: u64) -> curfew_types::agent::Hello {
    curfew_types::agent::Hello { safeguards: SafeguardsMark { epoch, revision }, ..hello() }
}

#[test]
fn a_hold_is_said_above_the_marks_of_a_controller_that_is_forgotten() {
    let mut bench = Bench::with(&[("h1", &["a"])]);
    bench.detach("h1", 1);
    bench.attach_with("h1", &knowing(1, 7)).expect("attaches");
    assert!(bench.safeguards().is_empty(), "what it enforces is kept until something is changed");
    assert_eq!(hold(&mut bench, "a", None), Ok(false), "its mark is no confirmation");
    let mark = bench.safeguards()[0].1.mark;
    assert!(mark > SafeguardsMark { epoch: 1, revision: 7 });
    let session = bench.last_session();
    confirm(&mut bench, "h1", session, mark);
    assert!(bench.core.holds(None, 10)[0].confirmed);
}

#[test]
fn a_host_that_comes_after_a_change_with_a_higher_mark_is_told_above_it() {
    let mut bench = Bench::with(&[("h1", &["a"]), ("h2", &["b"])]);
    bench.detach("h1", 1);
    hold(&mut bench, "a", None).expect("holds");
    bench.attach_with("h1", &knowing(1, 7)).expect("attaches");
    assert!(!bench.core.holds(None, 10)[0].confirmed);
    let told = bench.safeguards();
    assert!(told.iter().all(|(_, told)| told.holds(&id("a"))), "everybody is told");
    let mark = told.last().expect("is told").1.mark;
    assert!(mark > SafeguardsMark { epoch: 1, revision: 7 });
    assert!(
        bench
            .records()
            .iter()
            .any(|record| matches!(record, Record::Held { mark: said, .. } if *said == mark))
    );
    let session = bench.last_session();
    confirm(&mut bench, "h1", session, mark);
    assert!(bench.core.holds(None, 10)[0].confirmed);
}

#[test]
fn what_was_marked_in_an_epoch_that_a_forgotten_controller_has_used_is_said_again_in_the_next() {
    let mut bench = Bench::with(&[("h1", &["a"])]);
    hold(&mut bench, "a", None).expect("holds");
    let mark = bench.safeguards()[0].1.mark;
    confirm(&mut bench, "h1", 1, mark);
    // The same mark, and nobody knows of what.
    let hello = curfew_types::agent::Hello { epoch_seen: mark.epoch, safeguards: mark, ..hello() };
    bench.attach_with("h2", &hello).expect("attaches");
    assert!(!bench.core.holds(None, 10)[0].confirmed);
    let told = bench.safeguards();
    let names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"h1") && names.contains(&"h2"), "{names:?}");
    assert!(told.iter().all(|(_, told)| told.mark.epoch == mark.epoch + 1 && told.holds(&id("a"))));
}

#[test]
fn a_mark_that_this_store_never_had_confirms_nothing() {
    let held = curfew_controller_core::record::Hold {
        guest: id("a"),
        name: "a".into(),
        by: "eve".into(),
        reason: "month end".into(),
        since: WallTime(0),
        until: None,
    };
    let safeguards = SafeguardsMark { epoch: 3, revision: 2 };
    let stored = Recovered { epoch: 4, holds: vec![held], safeguards, ..Recovered::default() };
    let mut bench = Bench::recover(stored, 0);
    bench.add(&[("h1", &["a"]), ("h2", &["b"])]);
    bench.detach("h1", 1);
    // A change of its own is above what the forgotten controller said, and that is above what the store has.
    hold(&mut bench, "b", None).expect("holds");
    bench.attach_with("h1", &knowing(3, 5)).expect("attaches");
    let of_a = bench.core.holds(None, 10).into_iter().find(|view| view.hold.guest == id("a"));
    assert_eq!(of_a.map(|view| view.confirmed), Some(false), "(3, 5) may have released it");
    let mark = bench.safeguards().last().expect("is told").1.mark;
    let session = bench.last_session();
    confirm(&mut bench, "h1", session, mark);
    let of_a = bench.core.holds(None, 10).into_iter().find(|view| view.hold.guest == id("a"));
    assert_eq!(of_a.map(|view| view.confirmed), Some(true));
}

#[test]
fn users_are_protected_fleet_wide_and_told_at_once_while_the_store_is_away() {
    let mut bench = Bench::with(&[("h1", &["a"])]);
    bench.handle(Event::StoreAway);
    let pattern = || vec!["svc-*".parse().expect("a pattern")];
    let users = bench.ask(|core, now| core.protect_users(now, pattern(), "eve", "")).expect("protects");
    assert_eq!(users.len(), 1);
    assert!(bench.safeguards()[0].1.protects("CORP\\svc-backup"));
    assert!(bench.core.is_protected("svc-1") && !bench.core.is_protected("alice"));
    assert_eq!(bench.core.protected_users().1, 1, "h1 has not confirmed it");
    bench.handle(Event::StoreBack);
    bench.start_all();
    assert_eq!(
        bench.orders()[0].required_capabilities,
        ["protected_users"],
        "an agent from before refuses it"
    );
    let unknown = vec!["alice".parse().expect("a pattern")];
    assert!(bench.ask(|core, now| core.unprotect_users(now, &unknown)).is_err());
    assert!(bench.ask(|core, now| core.unprotect_users(now, &pattern())).expect("unprotects").is_empty());
}

#[test]
fn a_guest_that_moves_while_its_task_runs_is_taken_back_and_ends_as_moved() {
    let mut bench = Bench::with(&[("h1", &["a"]), ("h2", &[])]);
    let operation = bench.start_all();
    let moves = |bench: &mut Bench| {
        bench.handle(Event::InventoryChanged {
            host: host("h2"),
            session: 2,
            replace: false,
            upserts: vec![guest("a")],
            removed: vec![],
            digest: 3,
        });
        assert!(bench.cancels().is_empty(), "both claim it for a moment");
        bench.handle(Event::InventoryChanged {
            host: host("h1"),
            session: 1,
            replace: true,
            upserts: vec![],
            removed: vec![],
            digest: 3,
        });
    };
    moves(&mut bench);
    assert_eq!(bench.cancels().len(), 1, "its old host is to leave it");
    let stopped = curfew_types::Verdict::new(
        Outcome::Succeeded,
        curfew_types::StatusCode::Ok,
        Reason::GuestStopped,
        "the guest stopped",
    );
    bench.find(1, 1, task(operation, 0), stopped);
    let verdict = bench.verdict(operation, "a").expect("ended");
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::Failed, Reason::Moved));
    assert!(verdict.message.contains("host h2"), "{}", verdict.message);
}
