//! People are told before they are logged off, as often as was asked and not more; leaving ends the wait.

use crate::bench::{Bench, COMPANY_MS, TIMEOUT_MS, cancel, listing, listing_of_boot, order};
use curfew_agent_core::Event;
use curfew_agent_core::call::{EndReply, NoticeReply, Request};
use curfew_types::agent::Order;
use curfew_types::{Logoff, Notice, Outcome, Reason, SessionFate, Stage, StatusCode};

const GRACE_MS: u64 = 60_000;

fn telling(grace_ms: u64, repeat_ms: Option<u64>) -> Order {
    let notice = Notice { text: "off in {seconds} s".into(), grace_ms, repeat_ms };
    Order {
        logoff: Logoff { notice: Some(notice), ..Logoff::default() },
        remaining_ms: 10 * GRACE_MS,
        ..order(&["vm-1"])
    }
}

/// A guest whose sessions were told once.
fn told(sessions: &[&str], repeat_ms: Option<u64>) -> Bench {
    let mut bench = Bench::new();
    bench.order(telling(GRACE_MS, repeat_ms));
    bench.list(Ok(listing(sessions)));
    bench.notified(NoticeReply::Shown);
    bench
}

/// Lets the grace pass with these sessions there; returns the notices on the way: when, to whom, and what.
fn pass_grace(bench: &mut Bench, sessions: &[&str]) -> Vec<(u64, Vec<String>, String)> {
    let mut notices = Vec::new();
    loop {
        match bench.next_call().request {
            Request::List(_) => bench.list(Ok(listing(sessions))),
            Request::Notify { .. } => {
                let at = bench.ms;
                let (who, text) = bench.notified(NoticeReply::Shown);
                notices.push((at, who, text));
            }
            _ => return notices,
        }
    }
}

#[test]
fn nobody_is_asked_to_end_before_the_grace_is_over() {
    let mut bench = told(&["a", "b"], None);
    let notices = pass_grace(&mut bench, &["a", "b"]);
    assert_eq!(notices, []);
    assert_eq!(bench.ms, GRACE_MS);
    assert_eq!(bench.ends().0, "a");
}

#[test]
fn the_first_notice_says_the_whole_time_and_the_task_says_that_it_warns() {
    let mut bench = Bench::new();
    bench.order(telling(GRACE_MS, None));
    bench.list(Ok(listing(&["a", "b"])));
    let (who, text) = bench.notified(NoticeReply::Shown);
    bench.pass(COMPANY_MS);
    let stages: Vec<Stage> =
        bench.reports().iter().flat_map(|report| &report.progress).map(|told| told.stage).collect();
    assert_eq!(stages, [Stage::Warning]);
    assert_eq!((who.as_slice(), text.as_str()), (["a".to_owned(), "b".to_owned()].as_slice(), "off in 60 s"));
}

#[test]
fn a_notice_is_repeated_with_the_time_that_is_left() {
    let mut bench = told(&["a"], Some(25_000));
    let notices = pass_grace(&mut bench, &["a"]);
    let said: Vec<(u64, &str)> = notices.iter().map(|(at, _, text)| (*at, text.as_str())).collect();
    assert_eq!(said, [(25_000, "off in 35 s"), (50_000, "off in 10 s")]);
}

#[test]
fn a_repeat_that_is_no_multiple_of_the_looks_comes_in_time() {
    let mut bench = told(&["a"], Some(7_300));
    let notices = pass_grace(&mut bench, &["a"]);
    let told_at: Vec<u64> = notices.iter().map(|(at, ..)| *at).collect();
    assert_eq!(told_at, [7_300, 14_600, 21_900, 29_200, 36_500, 43_800, 51_100, 58_400]);
}

#[test]
fn a_session_that_comes_while_others_have_time_is_told_at_once() {
    let mut bench = told(&["a"], None);
    bench.list(Ok(listing(&["a", "late"])));
    let (who, text) = bench.notified(NoticeReply::Shown);
    assert_eq!((who.as_slice(), text.as_str()), (["late".to_owned()].as_slice(), "off in 59 s"));
}

#[test]
fn when_all_have_left_the_task_goes_on_at_once_and_ends_well() {
    let mut bench = told(&["a", "b"], None);
    bench.list(Ok(listing(&["b"])));
    bench.list(Ok(listing(&[])));
    assert!(bench.ms < GRACE_MS / 10, "{}", bench.ms);
    let verdict = bench.verdict();
    assert_eq!((verdict.outcome, verdict.code), (Outcome::Succeeded, StatusCode::Ok));
    assert_eq!((verdict.sessions.found, verdict.sessions.ended), (2, 2));
    assert!(verdict.results.iter().all(|it| it.fate == SessionFate::LeftByItself && it.notices == 1));
}

#[test]
fn who_left_in_time_is_told_apart_from_who_was_ended() {
    let mut bench = told(&["a", "b"], None);
    pass_grace(&mut bench, &["b"]);
    bench.ended(Ok(EndReply::Asked));
    bench.list(Ok(listing(&[])));
    let verdict = bench.verdict();
    let fates: Vec<_> = verdict.results.iter().map(|it| (it.id.as_str(), it.fate, it.notices)).collect();
    assert_eq!(fates, [("b", SessionFate::Ended, 1), ("a", SessionFate::LeftByItself, 1)]);
}

#[test]
fn a_tasks_time_counts_from_the_end_of_the_grace() {
    let mut bench = told(&["a"], None);
    pass_grace(&mut bench, &["a"]);
    bench.run_out(&listing(&["a"]));
    assert_eq!(bench.verdict().reason, Reason::SessionsRemain);
    assert!(bench.ms >= GRACE_MS + TIMEOUT_MS, "{}", bench.ms);
}

#[test]
fn a_session_that_could_not_be_told_is_ended_all_the_same_and_the_result_says_so() {
    let mut bench = Bench::new();
    bench.order(telling(GRACE_MS, None));
    bench.list(Ok(listing(&["a"])));
    bench.notified(NoticeReply::NotShown("it has no terminal".into()));
    pass_grace(&mut bench, &["a"]);
    bench.ended(Ok(EndReply::Asked));
    bench.list(Ok(listing(&[])));
    let result = bench.verdict().results[0].clone();
    assert_eq!((result.fate, result.notices), (SessionFate::Ended, 0));
    assert_eq!(result.why, "could not be shown a notice: it has no terminal");
}

#[test]
fn an_agent_that_is_killed_tells_nobody_twice_and_keeps_the_end_of_the_grace() {
    let mut bench = Bench::new();
    bench.order(telling(GRACE_MS, None));
    bench.list(Ok(listing(&["a"])));
    // It is killed while the notice is on its way: whether it was shown is not known.
    let mut bench = bench.restart(5_000);
    let notices = pass_grace(&mut bench, &["a"]);
    assert_eq!(notices, []);
    assert_eq!(bench.ms, GRACE_MS);
    bench.handle(Event::Welcomed { epoch: 1, acknowledged: 0 });
    bench.ended(Ok(EndReply::Asked));
    bench.list(Ok(listing(&[])));
    let result = bench.verdict().results[0].clone();
    assert_eq!(result.notices, 0);
    assert!(result.why.contains("restarted"), "{}", result.why);
}

#[test]
fn a_rewritten_ledger_knows_who_was_told_and_how_often() {
    let mut bench = told(&["a"], Some(25_000));
    while bench.ms < 30_000 {
        match bench.next_call().request {
            Request::List(_) => bench.list(Ok(listing(&["a"]))),
            _ => drop(bench.notified(NoticeReply::Shown)),
        }
    }
    let mut bench = Bench::recover(bench.core.summary(), bench.ms + 1_000, "boot-1");
    let notices = pass_grace(&mut bench, &["a"]);
    assert_eq!(notices.iter().map(|(at, ..)| *at).collect::<Vec<_>>(), [50_000]);
    bench.handle(Event::Welcomed { epoch: 1, acknowledged: 0 });
    bench.ended(Ok(EndReply::Asked));
    bench.list(Ok(listing(&[])));
    assert_eq!(bench.verdict().results[0].notices, 3);
}

#[test]
fn a_cancel_in_the_grace_ends_nobody_and_tells_people_that_they_may_stay() {
    let mut bench = told(&["a"], None);
    bench.handle(Event::CancelAsked(cancel(&["vm-1"])));
    let verdict = bench.verdict();
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::Cancelled, Reason::BeforeAnySession));
    let (who, text) = bench.notified(NoticeReply::Shown);
    assert_eq!(who, ["a"]);
    assert!(text.contains("called off"), "{text}");
}

#[test]
fn people_who_are_being_told_when_the_cancel_comes_are_told_that_they_may_stay() {
    let mut bench = Bench::new();
    bench.order(telling(GRACE_MS, None));
    bench.list(Ok(listing(&["a"])));
    bench.handle(Event::CancelAsked(cancel(&["vm-1"])));
    let texts: Vec<String> =
        std::iter::repeat_with(|| bench.notified(NoticeReply::Shown).1).take(2).collect();
    assert!(texts[1].contains("called off"), "{texts:?}");
}

#[test]
fn an_order_that_is_over_before_the_grace_ends_nobody_and_says_so() {
    let mut bench = Bench::new();
    bench.order(Order { remaining_ms: 10_000, ..telling(GRACE_MS, None) });
    bench.list(Ok(listing(&["a"])));
    bench.notified(NoticeReply::Shown);
    while bench.ms < 10_000 {
        match bench.next_call().request {
            Request::List(_) => bench.list(Ok(listing(&["a"]))),
            _ => break,
        }
    }
    let verdict = bench.past_verdict();
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::TimedOut, Reason::OrderExpired));
    assert!(bench.notified(NoticeReply::Shown).1.contains("called off"));
}

#[test]
fn a_reboot_in_the_grace_gives_those_who_log_on_anew_a_notice_and_the_rest_of_the_time() {
    let mut bench = told(&["a"], None);
    bench.list(Ok(listing_of_boot("second", &["a"])));
    let (who, text) = bench.notified(NoticeReply::Shown);
    assert_eq!((who.as_slice(), text.as_str()), (["a".to_owned()].as_slice(), "off in 59 s"));
}

#[test]
fn without_a_grace_people_are_told_and_logged_off_at_once() {
    let mut bench = Bench::new();
    bench.order(telling(0, None));
    bench.list(Ok(listing(&["a"])));
    assert_eq!(bench.notified(NoticeReply::Shown).1, "off in 0 s");
    bench.list(Ok(listing(&["a"])));
    assert_eq!((bench.ends().0.as_str(), bench.ms), ("a", 0));
}

#[test]
fn a_guest_with_nobody_logged_on_waits_for_nothing() {
    let mut bench = Bench::new();
    bench.order(telling(GRACE_MS, None));
    bench.list(Ok(listing(&[])));
    assert_eq!(bench.verdict().outcome, Outcome::NothingToDo);
}
