//! Drains asked for by hand, on the wire: written down, kept in force, told, and lifted by the next process, too.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod fake;

use curfew_agent::provider::Provider;
use curfew_proto::agent::v1 as wire;
use curfew_proto::v1;
use fake::{Asked, Controller, Guests, Stream, guest_id, soon};
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedReceiver;
use wire::attach_request::Message as Up;
use wire::attach_response::Message as Down;
use wire::drain_request::Wish;

fn drain(guest: &str, wish: Wish) -> Down {
    Down::Drain(wire::DrainRequest { guest_id: guest_id(guest).to_string(), wish: Some(wish) })
}

fn for_ms(for_ms: u64) -> Wish {
    Wish::Set(wire::SetDrain { for_ms, requester: "alice".into(), reason: "patching".into() })
}

/// The drains of the next report that tells them.
async fn told(stream: &mut Stream) -> Vec<v1::Drain> {
    loop {
        match stream.hear().await {
            Some(Up::Report(wire::Report { drains: Some(drains), .. })) => return drains.drains,
            Some(_) => {}
            None => panic!("the agent ended the stream"),
        }
    }
}

/// The next thing that a provider is asked about drains.
async fn asked(asked_rx: &mut UnboundedReceiver<Asked>) -> Asked {
    loop {
        match soon("request", asked_rx.recv()).await.unwrap() {
            Asked::List(_) | Asked::End(..) => {}
            drains => return drains,
        }
    }
}

#[tokio::test]
async fn a_drain_by_hand_reaches_the_guest_and_is_told_with_how_it_stands() {
    let dir = tempfile::tempdir().unwrap();
    let mut controller = Controller::start().await;
    let (guests, mut asked_rx) = Guests::new(&[("g1", 1)]);
    let agent = controller.agent(dir.path(), Arc::new(guests));
    let mut stream = controller.accept().await;
    assert_eq!(stream.hello.drains, None);

    stream.say(drain("g1", for_ms(3_600_000))).await;

    assert_eq!(asked(&mut asked_rx).await, Asked::Drain(guest_id("g1")));
    let in_force = loop {
        let drains = told(&mut stream).await;
        if drains[0].state() == v1::DrainState::InForce {
            break drains;
        }
    };
    assert_eq!((in_force[0].requester.as_str(), in_force[0].reason.as_str()), ("alice", "patching"));
    stream.say(drain("g1", Wish::LiftByHand(true))).await;
    assert_eq!(asked(&mut asked_rx).await, Asked::Undrain(guest_id("g1")));
    while !told(&mut stream).await.is_empty() {}
    agent.kill().await;
}

#[tokio::test]
async fn a_drain_of_an_agent_that_was_killed_is_lifted_by_the_next_process_without_a_controller() {
    let dir = tempfile::tempdir().unwrap();
    let mut controller = Controller::start().await;
    let (guests, mut asked_rx) = Guests::new(&[("g1", 1)]);
    let guests: Arc<dyn Provider> = Arc::new(guests);
    let agent = controller.agent(dir.path(), Arc::clone(&guests));
    let stream = controller.accept().await;
    stream.say(drain("g1", for_ms(1_500))).await;
    assert_eq!(asked(&mut asked_rx).await, Asked::Drain(guest_id("g1")));
    agent.kill().await;
    drop(stream);
    drop(controller);

    let alone = Controller::refusing(Vec::new()).await;
    let agent = alone.agent(dir.path(), guests);
    let mut last = asked(&mut asked_rx).await;
    while last == Asked::Drain(guest_id("g1")) {
        last = asked(&mut asked_rx).await;
    }
    assert_eq!(last, Asked::Undrain(guest_id("g1")));
    agent.kill().await;
}
