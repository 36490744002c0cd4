//! Pausing, halting, waves and retries.

use crate::agent::Does;
use crate::rig::{
    Operations, Rig, events, everybody, get, not_now, number, refused, stands, start, until, wrong_field,
};
use curfew_proto::v1;
use curfew_proto::v1::OperationState;
use tonic::Code;

pub(crate) fn pause(id: &str) -> v1::PauseOperationRequest {
    v1::PauseOperationRequest { operation_id: id.into(), reason: "lunch".into() }
}

pub(crate) fn resume(id: &str) -> v1::ResumeOperationRequest {
    v1::ResumeOperationRequest { operation_id: id.into(), ..v1::ResumeOperationRequest::default() }
}

pub(crate) fn promote(id: &str, wave: u32) -> v1::PromoteOperationRequest {
    v1::PromoteOperationRequest { operation_id: id.into(), wave }
}

pub(crate) fn retry(id: &str) -> v1::RetryOperationRequest {
    v1::RetryOperationRequest { operation_id: id.into(), ..v1::RetryOperationRequest::default() }
}

fn one_at_a_time() -> v1::OperationSpec {
    v1::OperationSpec { max_in_flight: number(1), ..everybody() }
}

#[tokio::test]
async fn a_paused_operation_starts_nothing_until_it_is_resumed_also_after_a_restart() {
    let mut rig = Rig::start().await;
    let agent = rig.agent("h1", 3).await;
    agent.set(|agent| agent.does = Does::Nothing).await;
    let mut client = rig.operations("bob").await;
    let id = start(&mut client, one_at_a_time()).await.id;
    let paused = client.pause_operation(pause(&id)).await.expect("a pause").into_inner().operation;
    let paused = paused.expect("an operation");
    assert_eq!((paused.state(), paused.recorded), (OperationState::Paused, true));
    assert!(paused.waiting_for.contains("lunch") && paused.waiting_for.contains("resume"), "{paused:?}");

    rig.restart().await;
    rig.wait_for_guests(&agent, 3).await;
    let mut client = rig.operations("bob").await;
    let paused = get(&mut client, &id).await;
    assert_eq!((paused.state(), events(&paused)), (OperationState::Paused, vec!["paused"]));
    assert_eq!((paused.events[0].actor.as_str(), paused.events[0].why.as_str()), ("bob", "lunch"));
    let listed = v1::ListOperationsRequest {
        state: OperationState::Paused.into(),
        ..v1::ListOperationsRequest::default()
    };
    assert_eq!(client.list_operations(listed).await.expect("a page").into_inner().operations.len(), 1);
    agent.set(|agent| agent.does = Does::Succeed).await;
    let resumed = client.resume_operation(resume(&id)).await.expect("an answer").into_inner().operation;
    assert_eq!(resumed.expect("an operation").state(), OperationState::Running);
    let ended = stands(&mut client, &id, OperationState::Ended).await;
    assert_eq!(events(&ended), ["paused", "resumed"]);
    for text in [
        not_now(client.pause_operation(pause(&id)).await),
        not_now(client.resume_operation(resume(&id)).await),
        not_now(client.promote_operation(promote(&id, 0)).await),
    ] {
        assert!(text.contains("it has ended"), "{text}");
    }
}

#[tokio::test]
async fn what_is_not_there_or_not_an_id_is_said_so() {
    let rig = Rig::start().await;
    let mut client = rig.operations("bob").await;
    let id = {
        let _agent = rig.agent("h1", 1).await;
        start(&mut client, everybody()).await.id
    };
    let nobody = curfew_types::OperationId::new(curfew_types::WallTime(1), 1).to_string();
    let reject = |id: &str| v1::RejectOperationRequest { operation_id: id.into(), reason: String::new() };
    let approve = |id: &str| v1::ApproveOperationRequest {
        operation_id: id.into(),
        selection_digest: "0".repeat(16),
        reason: String::new(),
    };
    for (id, code) in
        [(nobody.as_str(), Code::NotFound), ("no id", Code::InvalidArgument), ("", Code::InvalidArgument)]
    {
        let found = [
            client.pause_operation(pause(id)).await.expect_err("a refusal").code(),
            client.resume_operation(resume(id)).await.expect_err("a refusal").code(),
            client.promote_operation(promote(id, 1)).await.expect_err("a refusal").code(),
            client.approve_operation(approve(id)).await.expect_err("a refusal").code(),
            client.reject_operation(reject(id)).await.expect_err("a refusal").code(),
            client.retry_operation(retry(id)).await.expect_err("a refusal").code(),
        ];
        assert_eq!(found, [code; 6], "{id:?}");
    }
    let wordy = v1::PauseOperationRequest { reason: "x".repeat(1025), ..pause(&id) };
    assert_eq!(wrong_field(client.pause_operation(wordy).await), "reason");
    let budgets =
        v1::FailureBudgets { failed: Some(v1::Amount { amount: None }), ..v1::FailureBudgets::default() };
    let odd = v1::ResumeOperationRequest { budgets: Some(budgets), ..resume(&id) };
    let field = wrong_field(client.resume_operation(odd).await);
    assert!(field.starts_with("budgets"), "{field}");
    let wordy = v1::RetryOperationRequest { request_id: "x".repeat(1025), ..retry(&id) };
    assert_eq!(wrong_field(client.retry_operation(wordy).await), "request_id");
}

async fn halted(rig: &Rig, client: &mut Operations) -> (crate::agent::Agent, String) {
    let agent = rig.agent("h1", 4).await;
    agent.set(|agent| agent.does = Does::Fail).await;
    let budgets = v1::FailureBudgets { failed: number(0), ..v1::FailureBudgets::default() };
    let spec = v1::OperationSpec { budgets: Some(budgets), ..one_at_a_time() };
    let id = start(client, spec).await.id;
    stands(client, &id, OperationState::Halted).await;
    (agent, id)
}

#[tokio::test]
async fn a_spent_budget_halts_an_operation_until_somebody_decides_also_after_a_restart() {
    let mut rig = Rig::start().await;
    let mut client = rig.operations("bob").await;
    let (agent, id) = halted(&rig, &mut client).await;

    rig.restart().await;
    rig.wait_for_guests(&agent, 4).await;
    let mut client = rig.operations("bob").await;
    let halted = get(&mut client, &id).await;
    assert_eq!((halted.state(), events(&halted)), (OperationState::Halted, vec!["halted"]));
    assert_eq!(halted.events[0].actor, "", "nobody did it");
    let budget = &halted.budgets[0];
    assert_eq!((budget.class(), budget.allowed, budget.spent), (v1::FailureClass::Failed, 0, 1));
    assert!(halted.waiting_for.contains("the budget is 0"), "{halted:?}");
    let text = not_now(client.pause_operation(pause(&id)).await);
    assert!(text.contains("resume or cancel"), "{text}");
    let text = not_now(client.resume_operation(resume(&id)).await);
    assert!(text.contains("--max-failed"), "{text}");
    agent.set(|agent| agent.does = Does::Succeed).await;
    let budgets = v1::FailureBudgets { failed: number(2), ..v1::FailureBudgets::default() };
    let more = v1::ResumeOperationRequest { budgets: Some(budgets), reason: "known".into(), ..resume(&id) };
    client.resume_operation(more).await.expect("an answer");
    let ended = stands(&mut client, &id, OperationState::Ended).await;
    assert_eq!(events(&ended), ["halted", "resumed"]);
    assert_eq!((ended.budgets[0].allowed, ended.budgets[0].spent), (2, 1));
    let reasons: Vec<_> = ended.reasons.iter().map(|count| (count.reason.as_str(), count.tasks)).collect();
    assert_eq!(reasons, [("sessions_ended", 3), ("provider_failed", 1)]);
    // How long a task took before the restart is not known any more.
    assert_eq!((ended.slowest.len(), ended.slowest[0].host.as_str()), (3, "h1"));
    rig.restart().await;
    let mut client = rig.operations("bob").await;
    let whole = get(&mut client, &id).await;
    assert_eq!(
        (events(&whole), &whole.reasons, &whole.budgets),
        (events(&ended), &ended.reasons, &ended.budgets)
    );
    let named: Vec<&str> = whole.slowest.iter().map(|task| task.guest_name.as_str()).collect();
    assert_eq!(named.len(), 3);
    assert!(named.iter().all(|name| name.starts_with("h1-vm-")), "{named:?}");
}

fn in_waves(seed: Option<u64>) -> v1::OperationSpec {
    let waves = [number(1), number(3)].into_iter().flatten().collect();
    let rollout = v1::Rollout { waves, promotion: true, seed, ..v1::Rollout::default() };
    v1::OperationSpec { rollout: Some(rollout), ..everybody() }
}

#[tokio::test]
async fn waves_begin_one_after_the_other_when_somebody_says_so() {
    let mut rig = Rig::start().await;
    let agent = rig.agent("h1", 5).await;
    let mut client = rig.operations("bob").await;
    let begun = start(&mut client, in_waves(None)).await;
    assert!(begun.seed > 0, "a seed was drawn and is shown");
    let sizes: Vec<u64> = begun.waves.iter().map(|wave| wave.tasks).collect();
    assert_eq!(sizes, [1, 2, 2]);
    let waits = async |client: &mut Operations, ended: &[u64]| {
        until(&format!("the waves have {ended:?} ended"), async || {
            let waves = get(client, &begun.id).await.waves;
            waves.iter().map(|wave| wave.ended).eq(ended.iter().copied()).then_some(())
        })
        .await;
    };
    waits(&mut client, &[1, 0, 0]).await;
    let text = not_now(client.promote_operation(promote(&begun.id, 3)).await);
    assert!(text.contains("the next one is 2"), "{text}");

    rig.restart().await;
    rig.wait_for_guests(&agent, 5).await;
    let mut client = rig.operations("bob").await;
    let waiting = get(&mut client, &begun.id).await;
    assert_eq!((waiting.seed, waiting.waves[1].begun), (begun.seed, false));
    assert!(waiting.waiting_for.contains("promote"), "{waiting:?}");
    client.promote_operation(promote(&begun.id, 2)).await.expect("an answer");
    client.promote_operation(promote(&begun.id, 2)).await.expect("the same again is no error");
    waits(&mut client, &[1, 2, 0]).await;
    client.promote_operation(promote(&begun.id, 0)).await.expect("an answer");
    let ended = stands(&mut client, &begun.id, OperationState::Ended).await;
    assert_eq!(events(&ended), ["wave_begun", "wave_begun"]);
    assert_eq!(ended.events[0].actor, "bob");
    let plain = start(&mut client, everybody()).await;
    let text = client.promote_operation(promote(&plain.id, 0)).await.expect_err("a refusal");
    assert_eq!(text.code(), Code::FailedPrecondition, "{text:?}");
}

#[tokio::test]
async fn a_retry_is_over_what_did_not_end_well() {
    let rig = Rig::start().await;
    let good = rig.agent("good", 2).await;
    let bad = rig.agent("bad", 3).await;
    bad.set(|agent| agent.does = Does::Fail).await;
    let mut client = rig.operations("bob").await;
    let spec = v1::OperationSpec { reason: "monday".into(), ..everybody() };
    let first = start(&mut client, spec).await.id;
    stands(&mut client, &first, OperationState::Ended).await;

    let only_look = v1::RetryOperationRequest { validate_only: true, ..retry(&first) };
    let looked = client.retry_operation(only_look).await.expect("an answer").into_inner();
    let looked_at = looked.operation.expect("an operation");
    assert_eq!((looked_at.id.as_str(), looked_at.task_count, looked.missing_guest_count), ("", 3, 0));
    bad.set(|agent| (agent.does, agent.guests) = (Does::Succeed, 2)).await;
    rig.wait_for_guests(&bad, 2).await;
    let named = v1::RetryOperationRequest { request_id: "again-1".into(), ..retry(&first) };
    let second = client.retry_operation(named.clone()).await.expect("an answer").into_inner();
    assert_eq!(second.missing_guest_count, 1);
    let operation = second.operation.expect("an operation");
    assert_eq!((operation.task_count, operation.retry_of.as_str()), (2, first.as_str()));
    assert_eq!(operation.spec.as_ref().map(|spec| spec.reason.as_str()), Some("monday"));
    let ended = stands(&mut client, &operation.id, OperationState::Ended).await;
    assert!(ended.ended_well);
    let again = client.retry_operation(named).await.expect("an answer").into_inner();
    assert_eq!(
        again.operation.expect("an operation").id,
        operation.id,
        "the same request is the same operation"
    );
    assert_eq!(again.missing_guest_count, 1);
    let text = not_now(client.retry_operation(retry(&operation.id)).await);
    assert!(text.contains("nothing to try again"), "{text}");

    good.set(|agent| agent.does = Does::Nothing).await;
    let running = start(&mut client, everybody()).await.id;
    let text = not_now(client.retry_operation(retry(&running)).await);
    assert!(text.contains("has not ended"), "{text}");
    bad.set(|agent| agent.guests = 0).await;
    rig.wait_for_guests(&bad, 0).await;
    let text = not_now(client.retry_operation(retry(&first)).await);
    assert!(text.contains("in the fleet any more"), "{text}");
    let reused = v1::StartOperationRequest {
        spec: Some(everybody()),
        request_id: "again-1".into(),
        ..v1::StartOperationRequest::default()
    };
    refused(client.start_operation(reused).await, Code::AlreadyExists, None);
}
