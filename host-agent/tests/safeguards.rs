//! Safeguards on the wire: written down before they are confirmed, heeded, and remembered by the next process.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod fake;

use curfew_agent::provider::Provider;
use curfew_proto::agent::v1 as wire;
use curfew_types::{Outcome, Reason};
use fake::{Asked, Controller, Guests, Stream, guest_id, operation};
use std::sync::Arc;
use tokio::sync::Semaphore;
use wire::attach_request::Message as Up;
use wire::attach_response::Message as Down;

const MARK: wire::SafeguardsMark = wire::SafeguardsMark { epoch: 1, revision: 1 };

fn safeguards(held: &[&str], users: &[&str]) -> Down {
    Down::Safeguards(wire::Safeguards {
        mark: Some(MARK),
        held_guest_ids: held.iter().map(|name| guest_id(name).to_string()).collect(),
        protected_users: users.iter().map(|user| (*user).into()).collect(),
    })
}

/// The next report that says that the safeguards are in force.
async fn confirmed(stream: &mut Stream) -> wire::Report {
    loop {
        match stream.hear().await {
            Some(Up::Report(report)) if report.safeguards == Some(MARK) => return report,
            Some(_) => {}
            None => panic!("the agent ended the stream"),
        }
    }
}

#[tokio::test]
async fn safeguards_are_on_disk_before_they_are_confirmed_and_outlive_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let mut controller = Controller::start().await;
    let guests: Arc<dyn Provider> = Arc::new(Guests::new(&[("g1", 1)]).0);
    let agent = controller.agent(dir.path(), Arc::clone(&guests));
    let mut stream = controller.accept().await;
    assert_eq!(stream.hello.safeguards, Some(wire::SafeguardsMark::default()));

    stream.say(safeguards(&["g1"], &[])).await;
    confirmed(&mut stream).await;

    let text = std::fs::read_to_string(dir.path().join("agent/ledger")).unwrap();
    assert!(text.contains("\"entry\":\"safeguarded\""), "{text}");
    agent.kill().await;
    let agent = controller.agent(dir.path(), guests);
    let mut stream = controller.accept().await;
    assert_eq!(stream.hello.safeguards, Some(MARK));
    stream.order(operation(7), &[&guest_id("g1")]).await;
    let (_, finding) = stream.finding().await;
    assert_eq!((finding.verdict.outcome, finding.verdict.reason), (Outcome::Skipped, Reason::Held));
    agent.kill().await;
}

#[tokio::test]
async fn a_hold_is_confirmed_only_when_the_request_that_is_out_was_answered() {
    let dir = tempfile::tempdir().unwrap();
    let mut controller = Controller::start().await;
    let (mut guests, mut asked_rx) = Guests::new(&[("g1", 2), ("g2", 0)]);
    guests.ends = Semaphore::new(0);
    let guests = Arc::new(guests);
    let agent = controller.agent(dir.path(), Arc::clone(&guests) as Arc<dyn Provider>);
    let mut stream = controller.accept().await;
    stream.order(operation(7), &[&guest_id("g1")]).await;
    while !matches!(asked_rx.recv().await.unwrap(), Asked::End(..)) {}

    stream.say(safeguards(&["g1"], &[])).await;
    // What happens after them is reported without a confirmation.
    stream.order(operation(8), &[&guest_id("g2")]).await;
    loop {
        let heard = stream.hear().await;
        let Some(Up::Report(report)) = heard else { panic!("{heard:?}") };
        assert_eq!(report.safeguards, Some(wire::SafeguardsMark::default()));
        if !report.findings.is_empty() {
            break;
        }
    }
    guests.ends.add_permits(1);

    let report = confirmed(&mut stream).await;
    let verdict = report.findings[0].verdict.clone().unwrap();
    let verdict: curfew_types::Verdict = verdict.try_into().unwrap();
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::Cancelled, Reason::AfterSomeSessions));
    assert_eq!((verdict.sessions.ended, verdict.sessions.remaining), (1, 1));
    while let Ok(asked) = asked_rx.try_recv() {
        assert!(matches!(asked, Asked::List(_)), "{asked:?}");
    }
    agent.kill().await;
}

#[tokio::test]
async fn a_protected_users_session_is_left_alone_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut controller = Controller::start().await;
    let agent = controller.agent(dir.path(), Arc::new(Guests::new(&[("g1", 2)]).0));
    let mut stream = controller.accept().await;
    stream.say(safeguards(&[], &["USER1"])).await;
    confirmed(&mut stream).await;

    stream.order(operation(7), &[&guest_id("g1")]).await;

    let (_, finding) = stream.finding().await;
    let counts = finding.verdict.sessions;
    assert_eq!((finding.verdict.outcome, counts.ended, counts.excluded), (Outcome::Succeeded, 1, 1));
    agent.kill().await;
}
