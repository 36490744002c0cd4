//! The second person.

use crate::rig::{Rig, events, everybody, get, not_now, refused, stands, start, wrong_field};
use curfew_controller_core::ApprovalRule;
use curfew_proto::v1;
use curfew_proto::v1::OperationState;
use curfew_types::StatusCode;
use tonic::Code;

/// Two guests are more than one person may log off.
pub(crate) fn strict() -> ApprovalRule {
    ApprovalRule { above_guests: Some(1), ..ApprovalRule::default() }
}

pub(crate) fn approve(operation: &v1::Operation) -> v1::ApproveOperationRequest {
    v1::ApproveOperationRequest {
        operation_id: operation.id.clone(),
        selection_digest: operation.selection_digest.clone(),
        reason: "seen".into(),
    }
}

pub(crate) fn reject(id: &str) -> v1::RejectOperationRequest {
    v1::RejectOperationRequest { operation_id: id.into(), reason: "not today".into() }
}

#[tokio::test]
async fn a_large_operation_waits_for_a_second_person_also_after_a_restart() {
    let mut rig = Rig::with(strict()).await;
    let agent = rig.agent("h1", 3).await;
    let mut bob = rig.operations("bob").await;
    let asked = start(&mut bob, everybody()).await;
    assert_eq!(asked.state(), OperationState::AwaitingApproval);
    assert!(asked.waiting_for.contains("operation approve"), "{asked:?}");
    let text = refused(
        bob.approve_operation(approve(&asked)).await,
        Code::PermissionDenied,
        Some(StatusCode::AccessDenied),
    );
    assert!(text.contains("somebody else"), "{text}");

    rig.restart().await;
    rig.wait_for_guests(&agent, 3).await;
    let (mut bob, mut carol) = (rig.operations("bob").await, rig.operations("carol").await);
    let waiting = get(&mut bob, &asked.id).await;
    assert_eq!(
        (waiting.state(), events(&waiting)),
        (OperationState::AwaitingApproval, vec!["approval_asked"])
    );
    assert!(waiting.approval.as_ref().is_some_and(|approval| approval.expire_time.is_some()), "{waiting:?}");
    let wrong =
        |digest: &str| v1::ApproveOperationRequest { selection_digest: digest.into(), ..approve(&asked) };
    let text = not_now(carol.approve_operation(wrong("00000000000000aa")).await);
    assert!(text.contains(&asked.selection_digest), "{text}");
    for malformed in ["", "12", "+000000000000001", "zzzzzzzzzzzzzzzz"] {
        assert_eq!(wrong_field(carol.approve_operation(wrong(malformed)).await), "selection_digest");
    }
    let answer = carol.approve_operation(approve(&asked)).await.expect("an answer").into_inner();
    assert_eq!(answer.new_guest_count, 0);
    let ended = stands(&mut bob, &asked.id, OperationState::Ended).await;
    assert!(ended.ended_well);
    assert_eq!(ended.approval.map(|approval| approval.approver).as_deref(), Some("carol"));
    let text = not_now(carol.approve_operation(approve(&asked)).await);
    assert!(text.contains("it has ended"), "{text}");
}

#[tokio::test]
async fn approval_is_asked_for_again_when_the_set_has_grown() {
    let mut rig = Rig::with(strict()).await;
    let agent = rig.agent("h1", 3).await;
    let (mut bob, mut carol) = (rig.operations("bob").await, rig.operations("carol").await);
    let asked = start(&mut bob, everybody()).await;
    agent.set(|agent| agent.guests = 5).await;
    rig.wait_for_guests(&agent, 5).await;
    let answer = carol.approve_operation(approve(&asked)).await.expect("an answer").into_inner();
    assert_eq!(
        (answer.new_guest_count, answer.new_guests),
        (2, vec!["h1-vm-3".to_owned(), "h1-vm-4".to_owned()])
    );
    let grown = answer.operation.expect("an operation");
    assert_eq!((grown.state(), grown.task_count), (OperationState::AwaitingApproval, 5));
    assert_ne!(grown.selection_digest, asked.selection_digest);

    rig.restart().await;
    rig.wait_for_guests(&agent, 5).await;
    let (mut bob, mut carol) = (rig.operations("bob").await, rig.operations("carol").await);
    let grown = get(&mut bob, &asked.id).await;
    assert_eq!((grown.task_count, events(&grown)), (5, vec!["approval_asked", "set_grew"]));
    not_now(carol.approve_operation(approve(&asked)).await);
    assert_eq!(
        carol.approve_operation(approve(&grown)).await.expect("an answer").into_inner().new_guest_count,
        0
    );
    let ended = stands(&mut bob, &asked.id, OperationState::Ended).await;
    assert_eq!(ended.ended_well_count, 5);
}

#[tokio::test]
async fn a_rejected_operation_ends_without_touching_anybody() {
    let rig = Rig::with(strict()).await;
    let _agent = rig.agent("h1", 3).await;
    let (mut bob, mut carol) = (rig.operations("bob").await, rig.operations("carol").await);
    let asked = start(&mut bob, everybody()).await;
    let rejected = carol.reject_operation(reject(&asked.id)).await.expect("an answer").into_inner().operation;
    assert_eq!(rejected.expect("an operation").id, asked.id);
    let ended = stands(&mut bob, &asked.id, OperationState::Ended).await;
    assert_eq!(events(&ended), ["approval_asked", "rejected"]);
    assert_eq!(ended.events[1].actor, "carol");
    let reasons: Vec<_> = ended.reasons.iter().map(|count| (count.reason.as_str(), count.tasks)).collect();
    assert_eq!(reasons, [("not_approved", 3)]);
    assert!(!ended.ended_well);
    not_now(carol.reject_operation(reject(&asked.id)).await);
    // What needs no second person cannot be rejected either.
    let spec = v1::OperationSpec {
        selection: Some(v1::Selection { guests: vec!["h1-vm-0".into()], ..v1::Selection::default() }),
        ..everybody()
    };
    let small = start(&mut bob, spec).await;
    assert_ne!(small.state(), OperationState::AwaitingApproval);
}
