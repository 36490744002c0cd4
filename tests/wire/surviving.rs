//! What operators decided outlives a controller that is killed: holds, protected users, a freeze, a pause, a question
//! for approval. Through real processes and the public port.

use anyhow::Context as _;
use curfew_agent::provider::simulated::{FaultKind, SimulatedConfig};
use curfew_proto::convert::duration;
use curfew_proto::dial::{Credentials, Dial};
use curfew_proto::v1;
use curfew_proto::v1::fleet_service_client::FleetServiceClient;
use curfew_proto::v1::operation_service_client::OperationServiceClient;
use curfew_tests::processes::{ProcessFleet, provider};
use tonic::Code;
use tonic::transport::Channel;

/// A connection of the operator `name`, who is made if there is none.
async fn operator(fleet: &ProcessFleet, name: &str) -> anyhow::Result<Channel> {
    let identity = fleet.path(&format!("{name}.operator"));
    if !identity.exists() {
        let out = identity.to_str().context("a path")?;
        fleet.controller_command(&["operator-cert", name, "--out", out]).await?.success()?;
    }
    let file = |part: &str| identity.join(part);
    let credentials = Credentials::from_files(&file("ca.pem"), &file("cert.pem"), &file("key.pem"))?;
    Ok(Dial::new(&format!("https://127.0.0.1:{}", fleet.port()), credentials)?.connect().await?)
}

fn over(guests: &[&str]) -> v1::StartOperationRequest {
    let guests = guests.iter().map(|guest| (*guest).to_owned()).collect();
    let selection = v1::Selection { guests, ..v1::Selection::default() };
    let spec = v1::OperationSpec { selection: Some(selection), ..v1::OperationSpec::default() };
    v1::StartOperationRequest { spec: Some(spec), ..v1::StartOperationRequest::default() }
}

async fn start(
    client: &mut OperationServiceClient<Channel>,
    request: v1::StartOperationRequest,
) -> anyhow::Result<v1::Operation> {
    client.start_operation(request).await?.into_inner().operation.context("an operation")
}

async fn get(client: &mut OperationServiceClient<Channel>, id: &str) -> anyhow::Result<v1::Operation> {
    let request = v1::GetOperationRequest { operation_id: id.to_owned() };
    client.get_operation(request).await?.into_inner().operation.context("an operation")
}

#[tokio::test]
async fn what_operators_decided_outlives_a_controller_that_is_killed() -> anyhow::Result<()> {
    let mut fleet = ProcessFleet::prepare()?;
    let config = fleet.path("controller.toml");
    let rule = "\n[approval]\nabove_guests = 2\nexpires = \"1h\"\n";
    std::fs::write(&config, std::fs::read_to_string(&config)? + rule)?;
    fleet.init().await?;
    fleet.start_controller().await?;
    let guests = SimulatedConfig::healthy(5).with_fault(1, FaultKind::Immortal);
    fleet.add_agent("host-1", provider("simulated", &guests)?).await?;
    fleet.wait_for_guests(5).await?;

    let bob = operator(&fleet, "bob").await?;
    let (mut operations, mut safeguards) =
        (OperationServiceClient::new(bob.clone()), FleetServiceClient::new(bob));
    let stuck = start(&mut operations, over(&["guest-1"])).await?.id;
    let pause = v1::PauseOperationRequest { operation_id: stuck.clone(), reason: "a look".into() };
    operations.pause_operation(pause).await?;
    let asked = start(&mut operations, over(&["guest-3", "guest-4", "guest-5"])).await?;
    assert_eq!(asked.state(), v1::OperationState::AwaitingApproval);
    let hold = v1::HoldGuestRequest { guest: "guest-2".into(), reason: "in use".into(), expire_time: None };
    safeguards.hold_guest(hold).await?;
    let protect = v1::ProtectUsersRequest { patterns: vec!["svc-*".into()], reason: String::new() };
    safeguards.protect_users(protect).await?;
    safeguards.freeze(v1::FreezeRequest { reason: "a storm".into(), hard: false }).await?;

    fleet.controller()?.kill().await?;
    fleet.start_controller().await?;
    fleet.wait_until_connected("host-1").await?;
    let (bob, carol) = (operator(&fleet, "bob").await?, operator(&fleet, "carol").await?);
    let (mut operations, mut safeguards) =
        (OperationServiceClient::new(bob.clone()), FleetServiceClient::new(bob));
    assert_eq!(get(&mut operations, &stuck).await?.state(), v1::OperationState::Paused);
    assert_eq!(get(&mut operations, &asked.id).await?.state(), v1::OperationState::AwaitingApproval);
    let holds = safeguards.list_holds(v1::ListHoldsRequest::default()).await?.into_inner().holds;
    assert_eq!(holds.iter().map(|hold| hold.guest_name.as_str()).collect::<Vec<_>>(), ["guest-2"]);
    let users = safeguards.list_protected_users(v1::ListProtectedUsersRequest {}).await?.into_inner().users;
    assert_eq!(users.iter().map(|user| user.pattern.as_str()).collect::<Vec<_>>(), ["svc-*"]);
    let freeze = safeguards.get_freeze(v1::GetFreezeRequest {}).await?.into_inner().freeze;
    assert_eq!(freeze.context("a freeze")?.requester, "bob");
    let refused = operations.start_operation(over(&["guest-2"])).await.err().context("it was let through")?;
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");

    // And it goes on from there.
    safeguards.unfreeze(v1::UnfreezeRequest {}).await?;
    let mut carol = OperationServiceClient::new(carol);
    let approve = v1::ApproveOperationRequest {
        operation_id: asked.id.clone(),
        selection_digest: asked.selection_digest,
        reason: String::new(),
    };
    carol.approve_operation(approve).await?;
    let wait = v1::WaitOperationRequest { operation_id: asked.id, timeout: Some(duration(60_000)) };
    let ended = operations.wait_operation(wait).await?.into_inner().operation.context("an operation")?;
    assert!(ended.ended_well, "{ended:?}");
    assert_eq!(ended.approval.context("an approval")?.approver, "carol");
    let cancel = v1::CancelOperationRequest { operation_id: stuck, reason: String::new() };
    operations.cancel_operation(cancel).await?;
    fleet.finish().await
}
