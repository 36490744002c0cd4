//! What goes on while the store is away: everything that makes things safer, and nothing else.

use crate::agent::Does;
use crate::approving::{approve, reject, strict};
use crate::rig::{Rig, events, everybody, get, needs_store, start, until};
use crate::safeguarding::{freeze, frozen, hold, holds, protect, protected, unprotect};
use crate::steering::{pause, promote, resume, retry};
use curfew_proto::v1;
use curfew_proto::v1::OperationState;

#[tokio::test]
async fn what_makes_things_safer_goes_on_while_the_store_is_away_and_is_kept_once_it_is_back() {
    let mut rig = Rig::with(strict()).await;
    let agent = rig.agent("h1", 3).await;
    agent.set(|agent| agent.does = Does::Nothing).await;
    let (mut fleet, mut bob) = (rig.fleet().await, rig.operations("bob").await);
    let one = |name: &str| v1::OperationSpec {
        selection: Some(v1::Selection { guests: vec![name.to_owned()], ..v1::Selection::default() }),
        ..everybody()
    };
    let paused = start(&mut bob, one("h1-vm-0")).await.id;
    let cancelled = start(&mut bob, one("h1-vm-1")).await.id;
    let waiting = start(&mut bob, everybody()).await;
    rig.set_store_away(true);

    let first = fleet.hold_guest(hold("h1-vm-2", "a surgeon")).await.expect("a hold").into_inner();
    assert!(!first.recorded);
    assert!(!fleet.protect_users(protect(&["svc-*"])).await.expect("an answer").into_inner().recorded);
    let operation = bob.pause_operation(pause(&paused)).await.expect("a pause").into_inner().operation;
    let operation = operation.expect("an operation");
    assert_eq!((operation.state(), operation.recorded), (OperationState::Paused, false));
    let cancel = v1::CancelOperationRequest { operation_id: cancelled.clone(), reason: String::new() };
    let operation = bob.cancel_operation(cancel).await.expect("a cancel").into_inner().operation;
    assert!(!operation.expect("an operation").recorded);
    assert!(!fleet.freeze(freeze("a storm", false)).await.expect("an answer").into_inner().recorded);
    // The agent is told at once.
    until("the agent has heard of all that", async || {
        let state = agent.state.lock().expect("the state");
        let holds = state.safeguards.holds(&"h1/sim/vm-2".parse().expect("an id"));
        (holds && state.safeguards.protects("svc-1") && state.cancelled == 1).then_some(())
    })
    .await;

    let mut carol = rig.operations("carol").await;
    needs_store(fleet.release_guest(v1::ReleaseGuestRequest { guest: "h1-vm-2".into() }).await);
    needs_store(fleet.unprotect_users(unprotect(&["svc-*"])).await);
    needs_store(fleet.unfreeze(v1::UnfreezeRequest {}).await);
    needs_store(bob.resume_operation(resume(&paused)).await);
    needs_store(bob.promote_operation(promote(&paused, 0)).await);
    needs_store(carol.approve_operation(approve(&waiting)).await);
    needs_store(carol.reject_operation(reject(&waiting.id)).await);
    let request =
        v1::StartOperationRequest { spec: Some(one("h1-vm-0")), ..v1::StartOperationRequest::default() };
    needs_store(bob.start_operation(request).await);
    // Looking goes on.
    assert!(frozen(&mut fleet).await.is_some());
    assert_eq!(get(&mut bob, &paused).await.state(), OperationState::Paused);

    rig.set_store_away(false);
    until("the store is used again", async || get(&mut bob, &paused).await.recorded.then_some(())).await;
    rig.restart().await;
    rig.wait_for_guests(&agent, 3).await;
    let (mut fleet, mut bob) = (rig.fleet().await, rig.operations("bob").await);
    assert_eq!(holds(&mut fleet).await.len(), 1);
    assert_eq!(protected(&mut fleet).await.0, ["svc-*"]);
    assert_eq!(frozen(&mut fleet).await.map(|freeze| freeze.reason).as_deref(), Some("a storm"));
    let kept = get(&mut bob, &paused).await;
    assert_eq!((kept.state(), events(&kept)), (OperationState::Paused, vec!["paused"]));
    assert_eq!(get(&mut bob, &waiting.id).await.state(), OperationState::AwaitingApproval);
    assert_eq!(get(&mut bob, &cancelled).await.cancel_requester, "bob");
}

#[tokio::test]
async fn a_retry_needs_the_store() {
    let rig = Rig::start().await;
    let agent = rig.agent("h1", 2).await;
    agent.set(|agent| agent.does = Does::Fail).await;
    let mut bob = rig.operations("bob").await;
    let first = start(&mut bob, everybody()).await.id;
    crate::rig::stands(&mut bob, &first, OperationState::Ended).await;
    rig.set_store_away(true);
    // The driver learns of it from its next append.
    rig.fleet().await.freeze(freeze("look", false)).await.expect("an answer");
    needs_store(bob.retry_operation(retry(&first)).await);
}
