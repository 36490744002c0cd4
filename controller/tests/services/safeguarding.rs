//! Holds, protected users and the freeze.

use crate::rig::{Fleet, Rig, everybody, get, not_now, refused, stands, start, until, wrong_field};
use curfew_proto::{convert, v1};
use curfew_types::{StatusCode, WallTime};
use tonic::{Code, Request};

pub(crate) fn hold(guest: &str, reason: &str) -> v1::HoldGuestRequest {
    v1::HoldGuestRequest { guest: guest.into(), reason: reason.into(), expire_time: None }
}

fn release(guest: &str) -> v1::ReleaseGuestRequest {
    v1::ReleaseGuestRequest { guest: guest.into() }
}

pub(crate) fn protect(patterns: &[&str]) -> v1::ProtectUsersRequest {
    let patterns = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
    v1::ProtectUsersRequest { patterns, reason: "on call".into() }
}

pub(crate) fn unprotect(patterns: &[&str]) -> v1::UnprotectUsersRequest {
    v1::UnprotectUsersRequest { patterns: protect(patterns).patterns }
}

pub(crate) fn freeze(reason: &str, hard: bool) -> v1::FreezeRequest {
    v1::FreezeRequest { reason: reason.into(), hard }
}

pub(crate) async fn holds(fleet: &mut Fleet) -> Vec<v1::Hold> {
    fleet.list_holds(v1::ListHoldsRequest::default()).await.expect("holds").into_inner().holds
}

pub(crate) async fn frozen(fleet: &mut Fleet) -> Option<v1::FreezeState> {
    fleet.get_freeze(v1::GetFreezeRequest {}).await.expect("an answer").into_inner().freeze
}

pub(crate) async fn protected(fleet: &mut Fleet) -> (Vec<String>, u64) {
    let listed =
        fleet.list_protected_users(v1::ListProtectedUsersRequest {}).await.expect("users").into_inner();
    (listed.users.into_iter().map(|user| user.pattern).collect(), listed.pending_host_count)
}

#[tokio::test]
async fn a_hold_is_pending_until_its_host_confirms_it_and_outlives_a_restart() {
    let mut rig = Rig::start().await;
    let agent = rig.agent("h1", 3).await;
    agent.set(|agent| agent.confirms = false).await;
    let mut fleet = rig.fleet().await;
    let held = fleet.hold_guest(hold("h1-vm-1", "a surgeon works on it")).await.expect("a hold").into_inner();
    assert!(held.recorded);
    let held = held.hold.expect("the hold");
    assert_eq!((held.guest_id.as_str(), held.holder.as_str()), ("h1/sim/vm-1", "alice"));
    assert_eq!((held.reason.as_str(), held.confirmed), ("a surgeon works on it", false));
    assert_eq!(holds(&mut fleet).await, [held]);
    agent.set(|agent| agent.confirms = true).await;
    until("the hold is confirmed", async || holds(&mut fleet).await[0].confirmed.then_some(())).await;

    rig.restart().await;
    rig.wait_for_guests(&agent, 3).await;
    let (mut fleet, mut operations) = (rig.fleet().await, rig.operations("alice").await);
    until("it is confirmed again", async || holds(&mut fleet).await[0].confirmed.then_some(())).await;
    let request = v1::GetGuestRequest { guest: "h1-vm-1".into() };
    assert!(fleet.get_guest(request).await.expect("an answer").into_inner().guest.expect("a guest").held);
    let preview =
        v1::PreviewOperationRequest { spec: Some(everybody()), ..v1::PreviewOperationRequest::default() };
    let preview = operations.preview_operation(preview).await.expect("a preview").into_inner();
    assert_eq!((preview.included_count, preview.left_out_count), (2, 1));
    let left_out = preview.guests.iter().find(|guest| !guest.included).expect("one that is left out");
    assert!(left_out.note.contains("a surgeon works on it"), "{left_out:?}");

    let operation = start(&mut operations, everybody()).await;
    let ended = stands(&mut operations, &operation.id, v1::OperationState::Ended).await;
    assert!(ended.ended_well, "a held guest counts as chosen");
    assert!(ended.reasons.iter().any(|count| count.reason == "held" && count.tasks == 1), "{ended:?}");
    fleet.release_guest(release("h1-vm-1")).await.expect("a release");
    assert_eq!(holds(&mut fleet).await, []);
    let text = refused(fleet.release_guest(release("h1-vm-1")).await, Code::NotFound, None);
    assert!(text.contains("is not held"), "{text}");
}

#[tokio::test]
async fn a_hold_ends_by_itself_at_its_time() {
    let rig = Rig::start().await;
    let _agent = rig.agent("h1", 1).await;
    let mut fleet = rig.fleet().await;
    let soon = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time");
    let until_time = WallTime(i64::try_from(soon.as_millis()).expect("a time") + 700);
    let request = v1::HoldGuestRequest {
        expire_time: Some(convert::timestamp(until_time)),
        ..hold("h1-vm-0", "short")
    };
    fleet.hold_guest(request).await.expect("a hold");
    assert_eq!(holds(&mut fleet).await.len(), 1);
    until("it is released by itself", async || holds(&mut fleet).await.is_empty().then_some(())).await;
}

#[tokio::test]
async fn holds_are_listed_page_by_page() {
    let rig = Rig::start().await;
    let _agent = rig.agent("h1", 5).await;
    let mut fleet = rig.fleet().await;
    for number in 0..5 {
        fleet.hold_guest(hold(&format!("h1-vm-{number}"), "why")).await.expect("a hold");
    }
    let mut request = v1::ListHoldsRequest { page_size: 2, page_token: String::new() };
    let mut pages = Vec::new();
    loop {
        let page = fleet.list_holds(request.clone()).await.expect("a page").into_inner();
        pages.push(page.holds.len());
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(pages, [2, 2, 1]);
    request.page_token = "zz".into();
    assert_eq!(wrong_field(fleet.list_holds(request).await), "page_token");
}

#[tokio::test]
async fn a_wrong_hold_names_its_field() {
    let rig = Rig::start().await;
    let _agent = rig.agent("h1", 1).await;
    let mut fleet = rig.fleet().await;
    assert_eq!(wrong_field(fleet.hold_guest(hold("", "why")).await), "guest");
    assert_eq!(wrong_field(fleet.hold_guest(hold("h1-vm-0", " ")).await), "reason");
    assert_eq!(wrong_field(fleet.hold_guest(hold("h1-vm-0", &"x".repeat(1025))).await), "reason");
    let past =
        v1::HoldGuestRequest { expire_time: Some(convert::timestamp(WallTime(1))), ..hold("h1-vm-0", "why") };
    assert_eq!(wrong_field(fleet.hold_guest(past).await), "expire_time");
    refused(fleet.hold_guest(hold("nobody", "why")).await, Code::NotFound, Some(StatusCode::VmUnknown));
    assert_eq!(wrong_field(fleet.release_guest(release("")).await), "guest");
    assert_eq!(holds(&mut fleet).await, []);
}

#[tokio::test]
async fn protected_users_outlive_a_restart_and_show_who_has_not_confirmed() {
    let mut rig = Rig::start().await;
    let agent = rig.agent("h1", 1).await;
    agent.set(|agent| agent.confirms = false).await;
    let mut fleet = rig.fleet().await;
    let answer = fleet.protect_users(protect(&["svc-*", "CORP\\bob"])).await.expect("an answer").into_inner();
    assert_eq!((answer.recorded, answer.users.len()), (true, 2));
    assert_eq!((answer.users[0].requester.as_str(), answer.users[0].reason.as_str()), ("alice", "on call"));
    assert_eq!(protected(&mut fleet).await, (vec!["CORP\\bob".into(), "svc-*".into()], 1));
    agent.set(|agent| agent.confirms = true).await;
    until("all have confirmed", async || (protected(&mut fleet).await.1 == 0).then_some(())).await;
    assert!(agent.state.lock().expect("the state").safeguards.protects("SVC-backup"));

    rig.restart().await;
    let mut fleet = rig.fleet().await;
    assert_eq!(protected(&mut fleet).await.0, ["CORP\\bob", "svc-*"]);
    let left = fleet.unprotect_users(unprotect(&["svc-*"])).await.expect("an answer").into_inner().users;
    assert_eq!(left.len(), 1);
    until("the agent has the new list", async || {
        (!agent.state.lock().expect("the state").safeguards.protects("svc-1")).then_some(())
    })
    .await;
    let text = refused(fleet.unprotect_users(unprotect(&["svc-*"])).await, Code::NotFound, None);
    assert!(text.contains("is not among the protected users"), "{text}");
}

#[tokio::test]
async fn wrong_patterns_name_their_field() {
    let rig = Rig::start().await;
    let mut fleet = rig.fleet().await;
    assert_eq!(wrong_field(fleet.protect_users(protect(&[])).await), "patterns");
    assert_eq!(wrong_field(fleet.protect_users(protect(&["ok", ""])).await), "patterns");
    assert_eq!(wrong_field(fleet.protect_users(protect(&["x"; 1001])).await), "patterns");
    let wordy = v1::ProtectUsersRequest { reason: "x".repeat(1025), ..protect(&["a"]) };
    assert_eq!(wrong_field(fleet.protect_users(wordy).await), "reason");
    assert_eq!(wrong_field(fleet.unprotect_users(unprotect(&[])).await), "patterns");
    assert_eq!(protected(&mut fleet).await.0, [""; 0]);
}

#[tokio::test]
async fn a_frozen_fleet_starts_nothing_also_after_a_restart() {
    let mut rig = Rig::start().await;
    let agent = rig.agent("h1", 2).await;
    let mut fleet = rig.fleet().await;
    assert_eq!(frozen(&mut fleet).await, None);
    assert_eq!(wrong_field(fleet.freeze(freeze("", false)).await), "reason");
    let answer = fleet.freeze(freeze("a storm", false)).await.expect("an answer").into_inner();
    assert!(answer.recorded);

    rig.restart().await;
    rig.wait_for_guests(&agent, 2).await;
    let (mut fleet, mut operations) = (rig.fleet().await, rig.operations("alice").await);
    let state = frozen(&mut fleet).await.expect("a freeze");
    assert_eq!((state.requester.as_str(), state.reason.as_str(), state.hard), ("alice", "a storm", false));
    let request =
        v1::StartOperationRequest { spec: Some(everybody()), ..v1::StartOperationRequest::default() };
    let text = not_now(operations.start_operation(request.clone()).await);
    assert!(text.contains("a storm") && text.contains("unfreeze"), "{text}");
    let preview =
        v1::PreviewOperationRequest { spec: Some(everybody()), ..v1::PreviewOperationRequest::default() };
    let preview = operations.preview_operation(preview).await.expect("a preview").into_inner();
    assert!(preview.blocked_by.contains("a storm"), "{preview:?}");
    fleet.unfreeze(v1::UnfreezeRequest {}).await.expect("an answer");
    assert_eq!(frozen(&mut fleet).await, None);
    let operation = start(&mut operations, everybody()).await;
    stands(&mut operations, &operation.id, v1::OperationState::Ended).await;
}

#[tokio::test]
async fn a_hard_freeze_takes_back_what_runs() {
    let rig = Rig::start().await;
    let agent = rig.agent("h1", 2).await;
    agent.set(|agent| agent.does = crate::agent::Does::Nothing).await;
    let (mut fleet, mut operations) = (rig.fleet().await, rig.operations("alice").await);
    let operation = start(&mut operations, everybody()).await;
    fleet.freeze(freeze("stop", true)).await.expect("an answer");
    let cancelled = || agent.state.lock().expect("the state").cancelled;
    until("both tasks were taken back", async || (cancelled() >= 2).then_some(())).await;
    until("each has its outcome", async || {
        let outcomes = get(&mut operations, &operation.id).await.outcomes;
        (outcomes.iter().map(|count| count.tasks).sum::<u64>() == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn only_operators_may_protect_or_steer() {
    let rig = Rig::start().await;
    let (mut operations, mut fleet) = rig.as_agent().await;
    let mut codes = Vec::new();
    macro_rules! call {
        ($($client:ident.$rpc:ident($request:expr)),+ $(,)?) => {$(
            codes.push($client.$rpc(Request::new($request)).await.err().map(|status| status.code()));
        )+};
    }
    call!(
        fleet.hold_guest(hold("a", "b")),
        fleet.release_guest(release("a")),
        fleet.list_holds(v1::ListHoldsRequest::default()),
        fleet.protect_users(protect(&["a"])),
        fleet.unprotect_users(unprotect(&["a"])),
        fleet.list_protected_users(v1::ListProtectedUsersRequest {}),
        fleet.freeze(freeze("a", true)),
        fleet.unfreeze(v1::UnfreezeRequest {}),
        fleet.get_freeze(v1::GetFreezeRequest {}),
        fleet.drain_guest(v1::DrainGuestRequest::default()),
        fleet.undrain_guest(v1::UndrainGuestRequest::default()),
        fleet.list_drains(v1::ListDrainsRequest::default()),
        operations.pause_operation(v1::PauseOperationRequest::default()),
        operations.resume_operation(v1::ResumeOperationRequest::default()),
        operations.promote_operation(v1::PromoteOperationRequest::default()),
        operations.approve_operation(v1::ApproveOperationRequest::default()),
        operations.reject_operation(v1::RejectOperationRequest::default()),
        operations.retry_operation(v1::RetryOperationRequest::default()),
    );
    assert_eq!(codes, [Some(Code::PermissionDenied); 18]);
}
