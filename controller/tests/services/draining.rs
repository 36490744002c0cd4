//! Guests that refuse new logons: by hand, told by their agents, and after a restart.

use crate::agent::{Agent, now};
use crate::rig::{Fleet, Rig, everybody, refused, start, until, wrong_field};
use crate::safeguarding::{freeze, hold};
use curfew_proto::convert::duration;
use curfew_proto::v1;
use curfew_types::{Drain, DrainOwner, DrainState, DrainWish, OperationId, StatusCode};
use tonic::Code;

fn drain(guest: &str, for_ms: u64) -> v1::DrainGuestRequest {
    let drain_for = Some(duration(for_ms));
    v1::DrainGuestRequest { guest: guest.into(), drain_for, reason: "patching".into() }
}

fn undrain(guest: &str) -> v1::UndrainGuestRequest {
    v1::UndrainGuestRequest { guest: guest.into(), ..v1::UndrainGuestRequest::default() }
}

async fn listed(fleet: &mut Fleet) -> v1::ListDrainsResponse {
    fleet.list_drains(v1::ListDrainsRequest::default()).await.expect("drains").into_inner()
}

async fn guest(fleet: &mut Fleet, name: &str) -> v1::Guest {
    let request = v1::GetGuestRequest { guest: name.into() };
    fleet.get_guest(request).await.expect("an answer").into_inner().guest.expect("a guest")
}

fn of_operation(guest: &str, number: u64) -> (OperationId, Drain) {
    let id = OperationId::new(now(), number);
    let (owner, until) = (DrainOwner::Operation(id), now().plus(3_600_000));
    let guest = guest.parse().expect("an id");
    let (by, reason, problem) = (String::new(), String::new(), String::new());
    (id, Drain { guest, owner, until, by, reason, state: DrainState::InForce, problem })
}

/// What it was asked last.
fn last_wish(agent: &Agent) -> DrainWish {
    agent.state.lock().expect("the state").asked.last().expect("an ask").what.clone()
}

#[tokio::test]
async fn a_guest_is_drained_by_hand_shown_so_and_undrained() {
    let rig = Rig::start().await;
    let agent = rig.agent("h1", 2).await;
    let mut fleet = rig.fleet().await;
    let answer = fleet.drain_guest(drain("h1-vm-1", 60_000)).await.expect("a drain").into_inner();
    let drained = answer.drain.expect("the drain");
    assert_eq!((drained.guest_id.as_str(), drained.guest_name.as_str()), ("h1/sim/vm-1", "h1-vm-1"));
    assert_eq!((drained.host.as_str(), drained.operation_id.as_str()), ("h1", ""));
    assert_eq!((drained.requester.as_str(), drained.reason.as_str()), ("alice", "patching"));
    assert_eq!((drained.state(), drained.problem.as_str()), (v1::DrainState::InForce, ""));
    let set = DrainWish::Set { for_ms: 60_000, by: "alice".into(), reason: "patching".into() };
    assert_eq!(last_wish(&agent), set);
    assert_eq!(guest(&mut fleet, "h1-vm-1").await.drain_expire_time, drained.expire_time);
    assert_eq!(guest(&mut fleet, "h1-vm-0").await.drain_expire_time, None);
    let all = listed(&mut fleet).await;
    assert_eq!((all.drains.as_slice(), all.unconnected_host_count), (&[drained.clone()][..], 0));

    let longer = fleet.drain_guest(drain("h1/sim/vm-1", 120_000)).await.expect("a drain").into_inner();
    assert_ne!(longer.drain.expect("the drain").expire_time, drained.expire_time, "it is the new one");
    let left = fleet.undrain_guest(undrain("h1-vm-1")).await.expect("an answer").into_inner().drains;
    assert_eq!(left, []);
    assert_eq!(last_wish(&agent), DrainWish::Lift(DrainOwner::Hand));
    assert_eq!(guest(&mut fleet, "h1-vm-1").await.drain_expire_time, None);
}

#[tokio::test]
async fn a_lift_names_whose_drain_and_answers_with_what_is_left() {
    let rig = Rig::start().await;
    let agent = rig.agent("h1", 1).await;
    let (first, one) = of_operation("h1/sim/vm-0", 1);
    let (second, other) = of_operation("h1/sim/vm-0", 2);
    agent.set(|agent| agent.drains = vec![one, other]).await;
    let mut fleet = rig.fleet().await;
    fleet.drain_guest(drain("h1-vm-0", 60_000)).await.expect("a drain");
    let of = v1::UndrainGuestRequest { operation_id: first.to_string(), ..undrain("h1-vm-0") };
    let left = fleet.undrain_guest(of.clone()).await.expect("an answer").into_inner().drains;
    let owners: Vec<&str> = left.iter().map(|drain| drain.operation_id.as_str()).collect();
    assert_eq!(owners, ["", &second.to_string()]);
    assert_eq!(last_wish(&agent), DrainWish::Lift(DrainOwner::Operation(first)));
    // Doing it again is no error.
    assert_eq!(fleet.undrain_guest(of.clone()).await.expect("an answer").into_inner().drains, left);
    let all = v1::UndrainGuestRequest { all: true, ..undrain("h1-vm-0") };
    assert_eq!(fleet.undrain_guest(all).await.expect("an answer").into_inner().drains, []);
    assert_eq!(last_wish(&agent), DrainWish::LiftAll);
    assert_eq!(wrong_field(fleet.undrain_guest(v1::UndrainGuestRequest { all: true, ..of }).await), "all");
}

#[tokio::test]
async fn drains_are_told_again_after_a_restart_and_kept_in_mind_while_their_host_is_away() {
    let mut rig = Rig::start().await;
    let agent = rig.agent("h1", 1).await;
    let mut fleet = rig.fleet().await;
    fleet.drain_guest(drain("h1-vm-0", 60_000)).await.expect("a drain");
    let before = listed(&mut fleet).await;
    rig.restart().await;
    rig.wait_for_guests(&agent, 1).await;
    let mut fleet = rig.fleet().await;
    until("the agent has told its drains", async || (listed(&mut fleet).await == before).then_some(())).await;

    drop(agent);
    until("the host is away", async || (listed(&mut fleet).await.unconnected_host_count == 1).then_some(()))
        .await;
    assert_eq!(listed(&mut fleet).await.drains, before.drains, "as it was told last");
    let text = refused(fleet.drain_guest(drain("h1-vm-0", 60_000)).await, Code::Unavailable, None);
    assert!(text.contains("host h1 is not connected"), "{text}");
    refused(fleet.undrain_guest(undrain("h1-vm-0")).await, Code::Unavailable, None);

    rig.restart().await;
    let mut fleet = rig.fleet().await;
    let after = listed(&mut fleet).await;
    assert_eq!((after.drains.len(), after.unconnected_host_count), (0, 1), "nothing is known of it yet");
}

#[tokio::test]
async fn drains_by_hand_need_no_store() {
    let rig = Rig::start().await;
    let _agent = rig.agent("h1", 1).await;
    let mut fleet = rig.fleet().await;
    rig.set_store_away(true);
    // The driver learns of it from its next append.
    fleet.freeze(freeze("look", false)).await.expect("an answer");
    let answer = fleet.drain_guest(drain("h1-vm-0", 60_000)).await.expect("a drain").into_inner();
    assert_eq!(answer.drain.expect("the drain").state(), v1::DrainState::InForce);
    assert_eq!(fleet.undrain_guest(undrain("h1-vm-0")).await.expect("an answer").into_inner().drains, []);
}

#[tokio::test]
async fn an_agent_that_cannot_drain_in_time_answers_as_it_stands_and_a_silent_one_not_at_all() {
    let rig = Rig::start().await;
    let (slow, silent) = (rig.agent("h1", 1).await, rig.agent("h2", 1).await);
    slow.set(|agent| agent.drains_so = Some(DrainState::Pending)).await;
    silent.set(|agent| agent.drains_so = None).await;
    let (mut one, mut other) = (rig.fleet().await, rig.fleet().await);
    let (pending, nothing) =
        tokio::join!(one.drain_guest(drain("h1-vm-0", 60_000)), other.drain_guest(drain("h2-vm-0", 60_000)));
    let pending = pending.expect("an answer").into_inner().drain.expect("the drain");
    assert_eq!(pending.state(), v1::DrainState::Pending);
    assert_eq!(pending.problem, "the guest does not answer");
    let text = refused(nothing, Code::DeadlineExceeded, Some(StatusCode::TimedOut));
    assert!(text.contains("host h2"), "{text}");
}

#[tokio::test]
async fn what_cannot_be_drained_is_refused_with_the_reason() {
    let rig = Rig::start().await;
    let agent = rig.agent("h1", 2).await;
    let mut fleet = rig.fleet().await;
    assert_eq!(wrong_field(fleet.drain_guest(drain("", 60_000)).await), "guest");
    assert_eq!(wrong_field(fleet.drain_guest(drain("h1-vm-0", 999)).await), "drain_for");
    assert_eq!(wrong_field(fleet.drain_guest(drain("h1-vm-0", 7 * 86_400_000 + 1)).await), "drain_for");
    let endless = v1::DrainGuestRequest { drain_for: None, ..drain("h1-vm-0", 0) };
    assert_eq!(wrong_field(fleet.drain_guest(endless).await), "drain_for");
    for reason in ["a\u{1b}[2J".to_owned(), "two\nlines".to_owned(), "x".repeat(1025)] {
        let wordy = v1::DrainGuestRequest { reason, ..drain("h1-vm-0", 60_000) };
        assert_eq!(wrong_field(fleet.drain_guest(wordy).await), "reason");
    }
    assert_eq!(wrong_field(fleet.undrain_guest(undrain("")).await), "guest");
    let malformed = v1::UndrainGuestRequest { operation_id: "what".into(), ..undrain("h1-vm-0") };
    assert_eq!(wrong_field(fleet.undrain_guest(malformed).await), "operation_id");
    refused(fleet.drain_guest(drain("nobody", 60_000)).await, Code::NotFound, Some(StatusCode::VmUnknown));
    fleet.hold_guest(hold("h1-vm-1", "a surgeon works on it")).await.expect("a hold");
    let text = refused(fleet.drain_guest(drain("h1-vm-1", 60_000)).await, Code::FailedPrecondition, None);
    assert!(text.contains("a surgeon works on it") && text.contains("release"), "{text}");
    fleet.undrain_guest(undrain("h1-vm-1")).await.expect("a hold keeps nobody from lifting");
    assert_eq!(agent.state.lock().expect("the state").asked.len(), 1, "nothing else was asked for");
}

#[tokio::test]
async fn an_agent_from_before_is_told_of_and_not_asked() {
    let rig = Rig::start().await;
    let agent = rig.agent_knowing("h1", 1, &["protected_users", "notice"]).await;
    let (mut fleet, mut operations) = (rig.fleet().await, rig.operations("bob").await);
    let missing = Some(StatusCode::AdditionsFeatureNotAvail);
    let text = refused(fleet.drain_guest(drain("h1-vm-0", 60_000)).await, Code::FailedPrecondition, missing);
    assert!(text.contains("host h1 does not know drain; upgrade it"), "{text}");
    assert!(agent.state.lock().expect("the state").asked.is_empty());
    let spec = v1::OperationSpec {
        drain: Some(v1::DrainOptions::default()),
        force_after: Some(duration(1_000)),
        notice: Some(v1::Notice::default()),
        ..everybody()
    };
    let preview =
        v1::PreviewOperationRequest { spec: Some(spec.clone()), ..v1::PreviewOperationRequest::default() };
    let page = operations.preview_operation(preview).await.expect("a preview").into_inner();
    assert_eq!(page.guests[0].note, "its agent does not know force, drain and will refuse; upgrade it");
    // What it refuses is its own to say.
    let started = start(&mut operations, spec).await;
    until("it was ordered", async || {
        let state = agent.state.lock().expect("the state");
        state.ordered.iter().any(|order| order.operation.to_string() == started.id).then_some(())
    })
    .await;
    let order = agent.state.lock().expect("the state").ordered.remove(0);
    assert_eq!(order.required_capabilities, ["notice", "force", "drain"]);
    assert_eq!(order.logoff.force_after_ms, Some(1_000));
}

#[tokio::test]
async fn drains_are_listed_page_by_page() {
    let rig = Rig::start().await;
    let (one, other) = (rig.agent("h1", 2).await, rig.agent("h2", 1).await);
    let of = |guest: &str, number| of_operation(guest, number).1;
    let set = vec![of("h1/sim/vm-0", 1), of("h1/sim/vm-0", 2), of("h1/sim/vm-1", 1)];
    one.set(|agent| agent.drains = set).await;
    other.set(|agent| agent.drains = vec![of("h2/sim/vm-0", 1)]).await;
    let mut fleet = rig.fleet().await;
    fleet.drain_guest(drain("h1-vm-0", 60_000)).await.expect("a drain");
    fleet.drain_guest(drain("h2-vm-0", 60_000)).await.expect("a drain");
    let all = listed(&mut fleet).await.drains;
    assert_eq!(all.len(), 6);
    let mut request = v1::ListDrainsRequest { page_size: 4, page_token: String::new() };
    let mut paged = Vec::new();
    loop {
        let page = fleet.list_drains(request.clone()).await.expect("a page").into_inner();
        paged.extend(page.drains);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
        // One that ends at a drain by hand, and one that ends at an operation's.
        request.page_size = 1;
    }
    assert_eq!(paged, all);
    request.page_token = "zz".into();
    assert_eq!(wrong_field(fleet.list_drains(request).await), "page_token");
}
