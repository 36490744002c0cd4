//! An agent with a controller that the test plays: orders, the ledger before the act, findings until acknowledged.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod fake;

use curfew_agent::provider::Provider;
use curfew_proto::agent::v1 as wire;
use curfew_types::agent::Order;
use curfew_types::{DrainFor, Logoff, Outcome, Reason, Stage};
use fake::{Asked, Controller, Guests, guest_id, operation, soon};
use std::sync::Arc;
use tokio::sync::Semaphore;
use wire::attach_response::Message as Down;

#[tokio::test]
async fn an_order_runs_to_its_finding() {
    let dir = tempfile::tempdir().unwrap();
    let mut controller = Controller::start().await;
    let (guests, _asked_rx) = Guests::new(&[("g1", 2), ("g2", 0)]);
    let agent = controller.agent(dir.path(), Arc::new(guests));
    let mut stream = controller.accept().await;

    stream.order(operation(7), &[&guest_id("g1"), &guest_id("g2")]).await;

    let mut outcomes = Vec::new();
    while outcomes.len() < 2 {
        let (_, findings) = stream.findings().await;
        outcomes.extend(findings.into_iter().map(|f| (f.index, f.verdict.outcome, f.verdict.sessions.ended)));
    }
    outcomes.sort_by_key(|(index, ..)| *index);
    assert_eq!(outcomes, [(0, Outcome::Succeeded, 2), (1, Outcome::NothingToDo, 0)]);
    agent.kill().await;
}

#[tokio::test]
async fn the_ledger_knows_of_everything_before_a_provider_does() {
    let dir = tempfile::tempdir().unwrap();
    let mut controller = Controller::start().await;
    let (mut guests, _asked_rx) = Guests::new(&[("g1", 1)]);
    let ledger = dir.path().join("agent/ledger");
    guests.probe = Box::new(move |asked| {
        let text = std::fs::read_to_string(&ledger).unwrap();
        let wanted = match asked {
            Asked::List(_) => "\"entry\":\"accepted\"",
            Asked::End(..) => "\"entry\":\"acting\"",
            Asked::Drain(_) => "\"entry\":\"drain_begun\"",
            Asked::Undrain(_) => "\"entry\":\"drain_over\"",
        };
        assert!(text.contains(wanted), "{asked:?} came before the ledger had {wanted}");
    });
    let agent = controller.agent(dir.path(), Arc::new(guests));
    let mut stream = controller.accept().await;

    let order = stream.plain_order(operation(7), &[&guest_id("g1")]);
    let logoff = Logoff { drain: Some(DrainFor::TheTask), ..Logoff::default() };
    stream.say(Down::Order(Order { logoff, ..order }.into())).await;

    // A probe that fails is a provider that panics, and the outcome would say so.
    let (_, finding) = stream.finding().await;
    assert_eq!(finding.verdict.outcome, Outcome::Succeeded, "{:?}", finding.verdict);
    agent.kill().await;
}

#[tokio::test]
async fn a_finding_is_said_again_on_the_next_stream_until_it_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut controller = Controller::start().await;
    let (guests, _asked_rx) = Guests::new(&[("g1", 1)]);
    let agent = controller.agent(dir.path(), Arc::new(guests));
    let mut stream = controller.accept().await;
    stream.order(operation(7), &[&guest_id("g1")]).await;
    let said = stream.finding().await;

    drop(stream);
    let mut stream = controller.accept().await;
    assert_eq!(stream.hello.first_pending_sequence, said.0);
    assert_eq!(stream.finding().await, said);

    stream.acknowledge(said.0).await;
    // A second order is the proof that the acknowledgement was heard: words come in order.
    stream.order(operation(8), &[&guest_id("g1")]).await;
    assert_eq!(stream.finding().await.0, said.0 + 1);
    drop(stream);
    let stream = controller.accept().await;
    assert_eq!(stream.hello.first_pending_sequence, said.0 + 1);
    agent.kill().await;
}

#[tokio::test]
async fn a_finding_outlives_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let mut controller = Controller::start().await;
    let (guests, mut asked_rx) = Guests::new(&[("g1", 1)]);
    let guests: Arc<dyn Provider> = Arc::new(guests);
    let agent = controller.agent(dir.path(), Arc::clone(&guests));
    let mut stream = controller.accept().await;
    let first_ledger = stream.hello.ledger;
    stream.order(operation(7), &[&guest_id("g1")]).await;
    let said = stream.finding().await;

    agent.kill().await;
    while asked_rx.try_recv().is_ok() {}
    let agent = controller.agent(dir.path(), guests);
    let mut stream = controller.accept().await;

    let ledger = stream.hello.ledger.unwrap();
    assert_eq!(ledger.incarnation, first_ledger.unwrap().incarnation);
    assert!(ledger.counter > first_ledger.unwrap().counter);
    assert_eq!(stream.finding().await, said);
    assert!(asked_rx.try_recv().is_err(), "a finished task was run again");
    agent.kill().await;
}

#[tokio::test]
async fn two_orders_for_one_guest_run_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut controller = Controller::start().await;
    let (mut guests, mut asked_rx) = Guests::new(&[("g1", 1)]);
    guests.ends = Semaphore::new(0);
    let guests = Arc::new(guests);
    let agent = controller.agent(dir.path(), Arc::clone(&guests) as Arc<dyn Provider>);
    let mut stream = controller.accept().await;
    let guest = guest_id("g1");

    stream.order(operation(7), &[&guest]).await;
    assert_eq!(soon("look", asked_rx.recv()).await, Some(Asked::List(guest.clone())));
    assert_eq!(soon("end", asked_rx.recv()).await, Some(Asked::End(guest.clone(), "1".into())));
    stream.order(operation(8), &[&guest]).await;
    while !stream.progress().await.iter().any(|p| p.operation == operation(8) && p.stage == Stage::Accepted) {
    }
    // The second is accepted, and its guest is not asked anything while the first one ends a session there.
    assert!(asked_rx.try_recv().is_err());
    guests.ends.add_permits(1);

    let mut outcomes = Vec::new();
    while outcomes.len() < 2 {
        let (_, findings) = stream.findings().await;
        outcomes.extend(findings.into_iter().map(|f| (f.operation, f.verdict.outcome)));
    }
    assert_eq!(outcomes, [(operation(7), Outcome::Succeeded), (operation(8), Outcome::NothingToDo)]);
    agent.kill().await;
}

#[tokio::test]
async fn an_agent_that_stops_lets_a_task_end_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut controller = Controller::start().await;
    let (mut guests, mut asked_rx) = Guests::new(&[("g1", 1), ("empty", 0)]);
    guests.ends = Semaphore::new(0);
    let guests = Arc::new(guests);
    let agent = controller.agent(dir.path(), Arc::clone(&guests) as Arc<dyn Provider>);
    let mut stream = controller.accept().await;
    stream.order(operation(7), &[&guest_id("g1")]).await;
    while !matches!(soon("end", asked_rx.recv()).await, Some(Asked::End(..))) {}

    let stopping = tokio::spawn(agent.stop());
    // Orders are taken until the driver has seen the stop, and refused from then on.
    for number in 100.. {
        stream.order(operation(number), &[&guest_id("empty")]).await;
        let (_, finding) = stream.finding().await;
        assert_eq!(finding.operation, operation(number));
        if finding.verdict.reason == Reason::ShuttingDown {
            break;
        }
    }
    assert!(!stopping.is_finished(), "a task still runs");
    guests.ends.add_permits(1);

    let (_, finding) = stream.finding().await;
    assert_eq!((finding.operation, finding.verdict.outcome), (operation(7), Outcome::Succeeded));
    assert_eq!(stream.hear().await, None, "the agent ends the stream in good order");
    drop(stream);
    soon("stop", stopping).await.unwrap();
}

#[tokio::test]
async fn an_order_of_an_older_epoch_is_refused_even_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut controller = Controller::start().await;
    let (guests, mut asked_rx) = Guests::new(&[("g1", 1)]);
    let guests: Arc<dyn Provider> = Arc::new(guests);
    let agent = controller.agent(dir.path(), Arc::clone(&guests));
    let stream = controller.accept_unwelcomed().await;
    stream.welcome(wire::Welcome { epoch: 5, ..wire::Welcome::default() }).await;
    agent.wait_until_attached().await;
    // The epoch is on disk when the agent answers the next question.
    drop(stream);
    let stream = controller.accept_unwelcomed().await;
    assert_eq!(stream.hello.epoch_seen, 5);
    agent.kill().await;

    let agent = controller.agent(dir.path(), guests);
    let stream = controller.accept().await;
    assert_eq!(stream.hello.epoch_seen, 5);
    // Orders of the fake have epoch 1.
    stream.order(operation(7), &[&guest_id("g1")]).await;
    stream.say(wire::attach_response::Message::Inventory(wire::InventoryQuery {})).await;
    let mut stream = stream;
    while !matches!(stream.hear().await, Some(wire::attach_request::Message::Inventory(_))) {}
    agent.kill().await;
    assert!(asked_rx.try_recv().is_err(), "an order of an older epoch was carried out");
}
