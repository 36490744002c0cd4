//! Every status code of the contract, as a client of the public API meets it.
//!
//! `HRESULT_FROM_WIN32(ERROR_ACCESS_DENIED)` also comes from a real logind, in the tests of real guests.

use anyhow::Context as _;
use curfew_agent::provider::simulated::{FaultKind, SimulatedConfig};
use curfew_proto::v1::operation_service_client::OperationServiceClient;
use curfew_proto::{convert, status, v1};
use curfew_tests::processes::{ProcessFleet, provider};
use curfew_types::StatusCode;
use std::collections::BTreeSet;
use std::time::Duration;
use tonic::transport::Channel;

/// What was met: the codes by value.
type Met = BTreeSet<u32>;

async fn client(fleet: &ProcessFleet) -> anyhow::Result<OperationServiceClient<Channel>> {
    let contexts = curfew_proto::context::ContextFile::load(&fleet.path("operator/config.toml"))?;
    let (_, context) = contexts.select(None)?;
    Ok(OperationServiceClient::new(context.dial()?.connect().await?))
}

fn refusal<T: std::fmt::Debug>(answer: Result<T, tonic::Status>) -> anyhow::Result<u32> {
    let refused = answer.err().context("it was not refused")?;
    Ok(status::contract_code(&refused).with_context(|| format!("no code in {refused:?}"))?.value())
}

#[tokio::test]
async fn every_status_code_of_the_contract_is_met_through_the_public_api() -> anyhow::Result<()> {
    let mut fleet = ProcessFleet::start().await?;
    let guests = [
        (2, FaultKind::Empty),
        (3, FaultKind::NotRunning),
        (4, FaultKind::Paused),
        (5, FaultKind::NoAgent),
        (6, FaultKind::FeatureMissing),
        (7, FaultKind::UnknownGuest),
        (8, FaultKind::Immortal),
        (9, FaultKind::Broken),
        (10, FaultKind::AccessDenied),
    ];
    let config =
        guests.into_iter().fold(SimulatedConfig::healthy(10), |all, (n, kind)| all.with_fault(n, kind));
    fleet.add_agent("host-1", provider("simulated", &config)?).await?;
    fleet.wait_for_guests(10).await?;
    let mut met = of_tasks(&fleet).await?;
    met.extend(of_refusals(&fleet).await?);
    met.extend(of_an_agent_that_stops(&mut fleet).await?);
    let all: Met = StatusCode::ALL.iter().map(|code| code.value()).collect();
    assert_eq!(met, all);
    fleet.finish().await
}

/// The codes that tasks end with.
async fn of_tasks(fleet: &ProcessFleet) -> anyhow::Result<Met> {
    let args = [
        "logoff",
        "--all",
        "--yes",
        "--no-wait",
        "--not-running",
        "refuse",
        "--task-timeout",
        "3s",
        "-o",
        "name",
    ];
    let id = fleet.curfew(&args).await?.success()?.stdout.trim().to_owned();
    fleet.curfew(&["operation", "wait", &id]).await?;
    let tasks = fleet.tasks(&id).await?;
    let code = |task: &serde_json::Value| {
        // Proto JSON leaves a zero out: S_OK.
        let hresult = task["verdict"]["status"]["hresult"].as_u64().unwrap_or(0);
        u32::try_from(hresult)
    };
    Ok(tasks.values().map(code).collect::<Result<Met, _>>()?)
}

/// The codes that calls are refused with.
async fn of_refusals(fleet: &ProcessFleet) -> anyhow::Result<Met> {
    let mut client = client(fleet).await?;
    let listed = client.list_operations(v1::ListOperationsRequest::default()).await?.into_inner();
    let task_id = format!("{}/0", listed.operations.first().context("an operation")?.id);
    let wait = |timeout_ms| v1::WaitTaskRequest { task_id: task_id.clone(), timeout_ms };
    let cancel = v1::CancelTaskRequest { task_id: task_id.clone() };
    Ok(Met::from([
        refusal(client.wait_task(wait(None)).await)?,
        refusal(client.wait_task(wait(Some(-2))).await)?,
        refusal(client.cancel_task(cancel).await)?,
    ]))
}

/// An agent that is stopping finishes what it has and refuses what is new.
async fn of_an_agent_that_stops(fleet: &mut ProcessFleet) -> anyhow::Result<Met> {
    let mut client = client(fleet).await?;
    let start = |guest: &str| v1::StartOperationRequest {
        spec: Some(v1::OperationSpec {
            selection: Some(v1::Selection { guests: vec![guest.to_owned()], ..v1::Selection::default() }),
            task_timeout: Some(convert::duration(15_000)),
            ..v1::OperationSpec::default()
        }),
        ..v1::StartOperationRequest::default()
    };
    let busy =
        client.start_operation(start("guest-8")).await?.into_inner().operation.context("an operation")?;
    let mut ending = false;
    let mut watch = client
        .watch_operation(v1::WatchOperationRequest {
            operation_id: busy.id,
            include_tasks: true,
            after_revision: 0,
        })
        .await?
        .into_inner();
    while !ending {
        let message = watch.message().await?.context("the watch ended")?;
        ending = message.tasks.iter().any(|task| task.stage() >= v1::Stage::Ending);
    }
    let pid = fleet.agent("host-1")?.pid().and_then(|pid| i32::try_from(pid).ok()).context("a pid")?;
    let pid = rustix::process::Pid::from_raw(pid).context("a pid")?;
    rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    fleet.agent("host-1")?.wait_for_log("stop", Duration::from_secs(30)).await?;
    let refused =
        client.start_operation(start("guest-1")).await?.into_inner().operation.context("an operation")?;
    let wait = v1::WaitTaskRequest { task_id: format!("{}/0", refused.id), timeout_ms: Some(20_000) };
    let task = client.wait_task(wait).await?.into_inner().task.context("a task")?;
    let status = task.verdict.and_then(|verdict| verdict.status).context("it has not ended")?;
    Ok(Met::from([status.hresult]))
}
