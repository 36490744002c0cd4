//! The agent's stream with a controller that the test plays: heartbeats, silence, refusals, inventories, questions.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod fake;

use async_trait::async_trait;
use curfew_agent::provider::{
    DrainOrder, DrainReply, EndMode, EndReply, Error, Look, NoticeReply, Provider, SessionList, UndrainReply,
};
use curfew_proto::agent::v1 as wire;
use curfew_proto::v1;
use curfew_types::{Guest, GuestId, OnlyIf, SessionKey};
use fake::{Asked, Controller, Guests, guest_id, soon};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tonic::Status;
use wire::attach_request::Message as Up;
use wire::attach_response::Message as Down;

/// Short, so that three of them go by in a test.
const HEARTBEAT_MS: u32 = 60;

fn guests() -> Arc<Guests> {
    Arc::new(Guests::new(&[("g1", 2), ("g2", 0)]).0)
}

fn query(query: u64, guests: &[String]) -> Down {
    Down::Sessions(wire::SessionsQuery { query, guest_ids: guests.to_vec(), timeout_ms: 5000 })
}

#[tokio::test]
async fn the_hello_says_who_speaks_and_what_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let mut controller = Controller::start().await;
    let agent = controller.agent(dir.path(), guests());
    let stream = controller.accept().await;
    let hello = &stream.hello;
    assert_eq!((hello.protocol_version, hello.host.as_str()), (1, "h1"));
    assert_eq!(hello.agent_version, env!("CARGO_PKG_VERSION"));
    assert_eq!((hello.first_pending_sequence, hello.epoch_seen), (1, 0));
    assert_ne!(hello.ledger.unwrap().incarnation, 0);
    assert_ne!(hello.inventory_digest, 0);
    agent.kill().await;
}

#[tokio::test]
async fn the_inventory_is_sent_when_it_is_asked_for_and_not_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let mut controller = Controller::start().await;
    let agent = controller.agent(dir.path(), guests());
    let mut stream = controller.accept_unwelcomed().await;
    let digest = stream.hello.inventory_digest;
    stream.welcome(wire::Welcome { send_inventory: true, ..wire::Welcome::default() }).await;
    for _ in 0..2 {
        let inventory = loop {
            match stream.hear().await {
                Some(Up::Inventory(inventory)) => break inventory,
                Some(Up::Report(report)) => assert_eq!(report.drains, Some(wire::Drains::default())),
                other => panic!("no inventory: {other:?}"),
            }
        };
        let names: Vec<_> = inventory.upserts.iter().map(|guest| guest.name.as_str()).collect();
        assert_eq!((inventory.replace, names, inventory.digest), (true, vec!["g1", "g2"], digest));
        stream.say(Down::Inventory(wire::InventoryQuery {})).await;
    }
    drop(stream);

    let mut stream = controller.accept().await;
    assert_eq!(stream.hello.inventory_digest, digest);
    assert_eq!(stream.hello.drains, None, "there are none, and that is told");
    stream.say(query(1, &["nobody".into()])).await;
    // The next thing said is the answer, so there was neither an inventory before it nor a report.
    assert!(matches!(stream.hear().await, Some(Up::Sessions(_))));
    agent.kill().await;
}

#[tokio::test]
async fn heartbeats_go_up_and_a_controller_that_says_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let mut controller = Controller::start().await;
    let agent = controller.agent(dir.path(), guests());
    let mut stream = controller.accept_unwelcomed().await;
    stream.welcome(wire::Welcome { heartbeat_ms: HEARTBEAT_MS, ..wire::Welcome::default() }).await;

    let mut beats = 0;
    while let Some(message) = stream.hear().await {
        assert!(matches!(message, Up::Heartbeat(_)), "{message:?}");
        beats += 1;
    }
    assert!(beats >= 1, "the agent kept silent");
    // It comes back by itself.
    controller.accept().await;
    agent.kill().await;
}

#[tokio::test]
async fn a_controller_that_only_beats_keeps_its_agent() {
    let dir = tempfile::tempdir().unwrap();
    let mut controller = Controller::start().await;
    let agent = controller.agent(dir.path(), guests());
    let mut stream = controller.accept_unwelcomed().await;
    stream.welcome(wire::Welcome { heartbeat_ms: HEARTBEAT_MS, ..wire::Welcome::default() }).await;
    // Ten heartbeats are more than three times the silence that is borne.
    for _ in 0..10 {
        assert!(matches!(stream.hear().await, Some(Up::Heartbeat(_))));
        stream.say(Down::Heartbeat(wire::Heartbeat {})).await;
    }
    assert!(agent.is_attached());
    agent.kill().await;
}

#[tokio::test]
async fn an_agent_that_another_stream_shuts_out_comes_again() {
    let dir = tempfile::tempdir().unwrap();
    let refusals = vec![Status::already_exists("another stream of h1 lives"); 2];
    let mut controller = Controller::refusing(refusals).await;
    let agent = controller.agent(dir.path(), guests());
    let _stream = controller.accept().await;
    soon("welcome", agent.wait_until_attached()).await;
    agent.kill().await;
}

#[tokio::test]
async fn a_refused_agent_stops_without_waiting_for_its_pause() {
    let dir = tempfile::tempdir().unwrap();
    let refusals = vec![Status::permission_denied("the certificate names another host")];
    let controller = Controller::refusing(refusals).await;
    let agent = controller.agent(dir.path(), guests());
    soon("stop", agent.stop()).await;
}

#[tokio::test]
async fn a_second_agent_cannot_share_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let controller = Controller::start().await;
    let agent = controller.agent(dir.path(), guests());
    let error = controller.agent_parts(dir.path(), vec![guests()]).start().unwrap_err();
    assert!(error.to_string().contains("another agent uses the data directory"), "{error}");
    agent.kill().await;
    controller.agent(dir.path(), guests()).kill().await;
}

#[tokio::test]
async fn who_is_logged_on_is_answered_guest_by_guest() {
    let dir = tempfile::tempdir().unwrap();
    let mut controller = Controller::start().await;
    let agent = controller.agent(dir.path(), guests());
    let mut stream = controller.accept().await;
    let known = [guest_id("g1").to_string(), guest_id("g2").to_string(), "h1/fake/nobody".into()];

    stream.say(query(9, &known)).await;

    let mut answers = Vec::new();
    while answers.len() < 3 {
        if let Some(Up::Sessions(answer)) = stream.hear().await {
            assert_eq!(answer.query, 9);
            answers.push((answer.guest_id, answer.status.unwrap().code(), answer.sessions.len()));
        }
    }
    answers.sort_by_key(|(guest, ..)| guest.clone());
    let wanted = [
        (known[0].clone(), v1::StatusCode::Ok, 2),
        (known[1].clone(), v1::StatusCode::Ok, 0),
        (known[2].clone(), v1::StatusCode::VmUnknown, 0),
    ];
    assert_eq!(answers, wanted);
    agent.kill().await;
}

/// Guests that answer when they are let, and how many are asked at the same time.
struct Gated {
    guests: Guests,
    gate: Semaphore,
    now: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl Provider for Gated {
    fn name(&self) -> &'static str {
        "gated"
    }

    async fn discover(&self) -> Result<Vec<Guest>, Error> {
        self.guests.discover().await
    }

    async fn list_sessions(
        &self,
        guest: &GuestId,
        look: Look,
        budget: Duration,
    ) -> Result<SessionList, Error> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        let list = self.guests.list_sessions(guest, look, budget).await;
        self.gate.acquire().await.unwrap().forget();
        self.now.fetch_sub(1, Ordering::SeqCst);
        list
    }

    async fn notify(
        &self,
        _: &GuestId,
        _: &[SessionKey],
        _: &str,
        _: Duration,
    ) -> Result<Vec<NoticeReply>, Error> {
        unreachable!("nobody is told anything")
    }

    async fn drain(&self, _: &GuestId, _: &DrainOrder, _: Duration) -> Result<DrainReply, Error> {
        unreachable!("nobody drains")
    }

    async fn undrain(&self, _: &GuestId, _: Duration) -> Result<UndrainReply, Error> {
        unreachable!("nobody drains")
    }

    async fn end_session(
        &self,
        guest: &GuestId,
        session: &SessionKey,
        how: EndMode,
        only_if: OnlyIf,
        budget: Duration,
    ) -> Result<EndReply, Error> {
        self.guests.end_session(guest, session, how, only_if, budget).await
    }
}

#[tokio::test]
async fn a_question_about_many_guests_looks_at_a_bounded_number_at_once() {
    let names: Vec<String> = (0..100).map(|number| format!("g{number}")).collect();
    let list: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 0)).collect();
    let (guests, mut asked_rx) = Guests::new(&list);
    let gated = Arc::new(Gated {
        guests,
        gate: Semaphore::new(0),
        now: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
    });
    let dir = tempfile::tempdir().unwrap();
    let mut controller = Controller::start().await;
    let agent = controller.agent(dir.path(), Arc::clone(&gated) as Arc<dyn Provider>);
    let mut stream = controller.accept().await;
    let ids: Vec<String> = names.iter().map(|name| guest_id(name).to_string()).collect();

    stream.say(query(1, &ids)).await;
    for _ in 0..32 {
        assert!(matches!(soon("look", asked_rx.recv()).await, Some(Asked::List(_))));
    }
    gated.gate.add_permits(100);
    let mut answered = 0;
    while answered < 100 {
        answered += usize::from(matches!(stream.hear().await, Some(Up::Sessions(_))));
    }

    assert_eq!(gated.most.load(Ordering::SeqCst), 32);
    agent.kill().await;
}
