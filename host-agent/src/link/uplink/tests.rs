//! What waits for a slow transport: newest progress, every finding, in order and once.

use super::*;
use curfew_types::agent::{LedgerMark, SafeguardsMark};
use curfew_types::{Outcome, Reason, SessionCounts, Stage, StatusCode, Verdict};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

fn operation() -> OperationId {
    OperationId::from_number(7).unwrap()
}

fn progress(index: u32, stage: Stage) -> TaskProgress {
    TaskProgress { operation: operation(), index, stage, sessions: SessionCounts::default() }
}

fn finding(index: u32) -> Finding {
    let guest = format!("h1/fake/{index}").parse().unwrap();
    let verdict = Verdict::new(Outcome::Succeeded, StatusCode::Ok, Reason::SessionsEnded, "");
    Finding { operation: operation(), index, guest, verdict: verdict.into(), late: false }
}

fn report(progress: Vec<TaskProgress>, first_sequence: u64, findings: Vec<Finding>) -> Report {
    Report {
        progress,
        first_sequence,
        findings,
        ledger: LedgerMark { incarnation: 1, counter: first_sequence },
        safeguards: SafeguardsMark { epoch: 1, revision: first_sequence },
        drains: None,
    }
}

/// Everything that can be taken now.
fn taken(uplink: &Arc<Uplink>) -> Vec<Message> {
    let mut messages = uplink.messages();
    let mut context = Context::from_waker(Waker::noop());
    let mut taken = Vec::new();
    while let Poll::Ready(Some(message)) = Pin::new(&mut messages).poll_next(&mut context) {
        taken.extend(message.message);
    }
    taken
}

fn reports(uplink: &Arc<Uplink>) -> Vec<wire::Report> {
    let report = |message| match message {
        Message::Report(report) => Some(report),
        _ => None,
    };
    taken(uplink).into_iter().filter_map(report).collect()
}

fn attached() -> Arc<Uplink> {
    let uplink = Uplink::new(wire::Hello::default());
    assert!(matches!(taken(&uplink)[..], [Message::Hello(_)]));
    uplink
}

fn indices(report: &wire::Report) -> Vec<u32> {
    report.findings.iter().map(|finding| finding.index).collect()
}

#[tokio::test]
async fn newer_progress_replaces_older_and_findings_add_up() {
    let uplink = attached();
    uplink.report(report(
        vec![progress(1, Stage::Accepted), progress(2, Stage::Accepted)],
        5,
        vec![finding(9)],
    ));
    uplink.report(report(vec![progress(2, Stage::Ending)], 6, vec![finding(1)]));

    let said = reports(&uplink);

    assert_eq!(said.len(), 1);
    assert_eq!((said[0].first_sequence, indices(&said[0])), (5, vec![9, 1]));
    // Task 1 has its outcome in the same message, so where it stood is no news.
    assert_eq!(said[0].progress, [progress(2, Stage::Ending).into()]);
    assert_eq!(said[0].ledger, Some(wire::LedgerMark { incarnation: 1, counter: 6 }));
}

#[tokio::test]
async fn a_finding_that_is_said_again_while_it_waits_is_said_once() {
    let uplink = attached();
    uplink.report(report(Vec::new(), 5, vec![finding(1), finding(2)]));
    uplink.report(report(Vec::new(), 5, vec![finding(1), finding(2), finding(3)]));
    let said = reports(&uplink);
    assert_eq!((said[0].first_sequence, indices(&said[0])), (5, vec![1, 2, 3]));

    // After what waits was acknowledged in part, the rest comes again from further on.
    uplink.report(report(Vec::new(), 5, vec![finding(1)]));
    uplink.report(report(Vec::new(), 8, vec![finding(4)]));
    let said = reports(&uplink);
    assert_eq!((said[0].first_sequence, indices(&said[0])), (8, vec![4]));
}

#[tokio::test]
async fn a_long_report_goes_in_several_messages_without_a_gap() {
    let uplink = attached();
    uplink.report(report(vec![progress(5000, Stage::Ending)], 5, (0..2500).map(finding).collect()));
    let said = reports(&uplink);
    let mut next = 5;
    for report in &said {
        assert_eq!(report.first_sequence, next);
        next += report.findings.len() as u64;
    }
    assert_eq!(next, 2505);
    assert_eq!(said.iter().map(|report| report.progress.len()).sum::<usize>(), 1);
    let (last, full) = said.split_last().expect("reports");
    assert!(full.iter().all(|report| (MESSAGE_BYTES..MESSAGE_BYTES + 512).contains(&report.encoded_len())));
    assert!(last.encoded_len() < MESSAGE_BYTES + 512);
}

#[tokio::test]
async fn findings_larger_than_a_message_go_one_by_one() {
    let uplink = attached();
    let mut large = finding(0);
    let result = curfew_types::SessionResult {
        id: "1".into(),
        user: "u".repeat(8000),
        fate: curfew_types::SessionFate::Remaining,
        notices: 0,
        why: String::new(),
    };
    std::sync::Arc::make_mut(&mut large.verdict).results = vec![result];
    uplink.report(report(Vec::new(), 1, vec![large; 900]));
    let said = reports(&uplink);
    assert_eq!(said.len(), 900);
    assert!(said.iter().all(|report| report.findings.len() == 1));
}

#[tokio::test]
async fn a_whole_inventory_replaces_the_changes_that_wait() {
    let uplink = attached();
    let change = |digest| wire::Inventory { digest, ..wire::Inventory::default() };
    for digest in 1..=CHANGES_MAX as u64 {
        assert!(uplink.change_inventory(change(digest)));
    }
    assert!(!uplink.change_inventory(change(99)), "so much waits that the whole would be shorter");
    uplink.replace_inventory(vec![change(100)]);
    let said = taken(&uplink);
    assert!(matches!(&said[..], [Message::Inventory(only)] if only.digest == 100), "{said:?}");
}

#[tokio::test]
async fn a_closed_way_up_ends_after_the_last_word() {
    let uplink = attached();
    uplink.beat();
    uplink.close();
    let mut messages = uplink.messages();
    let mut context = Context::from_waker(Waker::noop());
    let mut next = || Pin::new(&mut messages).poll_next(&mut context);
    assert!(matches!(next(), Poll::Ready(Some(_))));
    assert!(matches!(next(), Poll::Ready(None)));
}

#[tokio::test]
async fn the_transport_is_woken_by_the_first_word() {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let uplink = attached();
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&count));
    let mut messages = uplink.messages();
    assert!(Pin::new(&mut messages).poll_next(&mut Context::from_waker(&waker)).is_pending());
    uplink.beat();
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
}

#[test]
fn a_report_says_the_newest_safeguards_even_with_nothing_else_to_say() {
    let uplink = Uplink::new(wire::Hello::default());
    uplink.report(report(Vec::new(), 1, vec![finding(0)]));
    uplink.report(report(Vec::new(), 5, Vec::new()));
    uplink.report(report(Vec::new(), 6, Vec::new()));
    let said = reports(&uplink);
    assert_eq!((said.len(), said[0].findings.len()), (1, 1));
    assert_eq!(said[0].safeguards.unwrap().revision, 6);
    uplink.report(report(Vec::new(), 7, Vec::new()));
    assert_eq!(reports(&uplink)[0].safeguards.unwrap().revision, 7);
}

#[tokio::test]
async fn the_newest_drains_are_said_and_said_once() {
    let uplink = attached();
    let drain = |reason: &str| curfew_types::Drain {
        guest: "h1/fake/g1".parse().unwrap(),
        owner: curfew_types::DrainOwner::Hand,
        until: curfew_types::WallTime(1),
        by: String::new(),
        reason: reason.into(),
        state: curfew_types::DrainState::Pending,
        problem: String::new(),
    };
    uplink.report(Report { drains: Some(vec![drain("first")]), ..report(Vec::new(), 1, Vec::new()) });
    uplink.report(Report { drains: Some(vec![drain("second")]), ..report(Vec::new(), 1, Vec::new()) });
    uplink.report(report(Vec::new(), 1, Vec::new()));
    let said = reports(&uplink);
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].drains.as_ref().unwrap().drains[0].reason, "second");
    uplink.report(report(Vec::new(), 1, Vec::new()));
    assert_eq!(reports(&uplink)[0].drains, None);
}
