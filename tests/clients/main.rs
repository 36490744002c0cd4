//! Clients that others would write: a Python program made from the protos, and buf, over mutual TLS, against a whole
//! fleet in this process. The Python program tells what it saw as JSON; what that must be is said here.
//!
//! `tests/clients/prepare` makes their environment; `tests/run clients` runs both.

use anyhow::{Context as _, ensure};
use curfew_agent::provider::simulated::{FaultKind, SimulatedConfig};
use curfew_controller_core::Settings;
use curfew_proto::context::ContextFile;
use curfew_tests::local::LocalFleet;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

type Outcome = anyhow::Result<()>;

/// Python compiles the protos first, which takes seconds on a busy machine; the rest is bounded by the script itself.
const PATIENCE: Duration = Duration::from_secs(100);

#[tokio::test(flavor = "multi_thread")]
async fn a_client_learns_the_services_from_the_server_itself() -> Outcome {
    let seen = tell("describe", SimulatedConfig::healthy(1)).await?;

    let services = strings(&seen["services"]);
    for service in [
        "curfew.v1.FleetService",
        "curfew.v1.OperationService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    ] {
        ensure!(services.contains(&service), "{service} is not among {services:?}");
    }
    ensure!(seen["methods"]["WaitTask"] == "curfew.v1.WaitTaskRequest", "{}", seen["methods"]);
    ensure!(seen["health"] == "SERVING", "{}", seen["health"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_watches_the_operation_it_started_to_its_end() -> Outcome {
    let guests = SimulatedConfig::healthy(4)
        .with_fault(2, FaultKind::Empty)
        .with_fault(3, FaultKind::NotRunning)
        .with_fault(4, FaultKind::AccessDenied);
    let seen = tell("operate", guests).await?;

    ensure!(seen["started"] == seen["again"], "one request id made two operations: {seen:#}");
    ensure!(seen["other_body"]["code"] == "ALREADY_EXISTS", "{seen:#}");
    for numbers in ["revisions", "percents"] {
        ensure!(is_ascending(&seen[numbers]), "{numbers} went back: {}", seen[numbers]);
    }
    let operation = &seen["operation"];
    ensure!(operation["state"] == "OPERATION_STATE_ENDED", "{operation:#}");
    ensure!(operation["percentCompleted"] == 100 && operation["taskCount"] == "4", "{operation:#}");
    ensure!(operation["endedWell"] == false && operation["endedWellCount"] == "3", "{operation:#}");

    let ends: Vec<Value> = objects(&seen["tasks"]).map(|(_, task)| end_of(task)).collect();
    let expected = [
        json!(["OUTCOME_SUCCEEDED", 0x0000_0000_u32, "sessions_ended", "TASK_RESULT_SUCCESS"]),
        json!(["OUTCOME_NOTHING_TO_DO", 0x8007_0520_u32, "no_sessions", "TASK_RESULT_SUCCESS"]),
        json!(["OUTCOME_SKIPPED", 0x0000_0000_u32, "not_running_by_choice", "TASK_RESULT_CANCELLED"]),
        json!(["OUTCOME_REFUSED", 0x8007_0005_u32, "access_denied", "TASK_RESULT_UNEXPECTED_ERROR"]),
    ];
    ensure!(ends.len() == expected.len(), "{ends:#?}");
    for end in expected {
        ensure!(ends.contains(&end), "no task ended as {end}, they ended as {ends:#?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_is_confirmed_to_a_client_task_by_task() -> Outcome {
    let slow = SimulatedConfig { delay_ms: 600_000, sessions_per_guest: 2, ..SimulatedConfig::healthy(3) };
    let seen = tell("cancel", slow).await?;

    ensure!(seen["answer"]["state"] == "OPERATION_STATE_CANCELLING", "{seen:#}");
    ensure!(seen["ended"]["state"] == "OPERATION_STATE_ENDED", "{seen:#}");
    let tasks = seen["tasks"].as_array().context("tasks")?;
    let mut reasons: Vec<&str> = tasks.iter().filter_map(|task| task["verdict"]["reason"].as_str()).collect();
    reasons.sort_unstable();
    ensure!(reasons == ["after_some_sessions", "not_started", "not_started"], "{tasks:#?}");
    for task in tasks {
        let begun = task["verdict"]["reason"] == "after_some_sessions";
        ensure!(task["verdict"]["outcome"] == "OUTCOME_CANCELLED", "{task:#}");
        ensure!(task["isComplete"] == true && task["isCancelable"] == false, "{task:#}");
        let remaining = &task["verdict"]["sessions"]["remaining"];
        ensure!(*remaining == if begun { 2 } else { 0 }, "{task:#}");
    }
    let once_more = &seen["once_more"];
    ensure!(once_more["code"] == "FAILED_PRECONDITION", "{once_more:#}");
    ensure!(once_more["info"]["hresult"] == "0x80004005", "{once_more:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_says_who_is_meant_and_how_they_are_treated_and_reads_what_became_of_each() -> Outcome {
    let guests = SimulatedConfig::healthy(3)
        .with_fault(1, FaultKind::Disconnected)
        .with_fault(1, FaultKind::LeavesAfterNoticeMs(200))
        .with_fault(2, FaultKind::Disconnected)
        .with_fault(2, FaultKind::Stubborn)
        .with_fault(3, FaultKind::ReturnsAfterMs(0));
    let seen = tell("treat", guests).await?;

    ensure!(seen["spec"]["notice"]["grace"] == "3s" && seen["spec"]["forceAfter"] == "1s", "{seen:#}");
    for (guest, fate, notices, outcome) in [
        ("guest-1", "SESSION_FATE_LEFT_BY_ITSELF", 1, "OUTCOME_SUCCEEDED"),
        ("guest-2", "SESSION_FATE_FORCED", 1, "OUTCOME_SUCCEEDED"),
        ("guest-3", "SESSION_FATE_EXCLUDED", 0, "OUTCOME_NOTHING_TO_DO"),
    ] {
        let verdict = &seen["tasks"][guest]["verdict"];
        ensure!(verdict["outcome"] == outcome, "{guest}: {verdict:#}");
        let results = verdict["results"].as_array().context("results")?;
        ensure!(results.len() == 1, "{guest}: {verdict:#}");
        ensure!(results[0]["fate"] == fate && results[0]["notices"] == notices, "{guest}: {verdict:#}");
    }
    let drains = seen["drains"].as_array().context("drains")?;
    ensure!(drains.len() == 3, "{drains:#?}");
    ensure!(drains.iter().all(|drain| drain["state"] == "DRAIN_STATE_IN_FORCE"), "{drains:#?}");
    ensure!(seen["left"] == json!([]), "{seen:#}");
    ensure!(
        seen["found"]["guest-3"] == json!([0, 1]),
        "an active session is left out, and counted: {seen:#}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_reads_what_is_wrong_with_its_request() -> Outcome {
    let seen = tell("misask", SimulatedConfig::healthy(1)).await?;

    for (refusal, fields, name, hresult) in [
        (&seen["nothing"], &["spec"][..], "E_POINTER", "0x80004003"),
        (
            &seen["several"],
            &["spec.notice.repeat", "spec.selection.label_selector", "spec.task_timeout"][..],
            "E_INVALIDARG",
            "0x80070057",
        ),
    ] {
        ensure!(refusal["code"] == "INVALID_ARGUMENT", "{refusal:#}");
        ensure!(
            objects(&refusal["fields"]).map(|(field, _)| field).eq(fields.iter().copied()),
            "{refusal:#}"
        );
        ensure!(refusal["info"]["domain"] == "curfew", "{refusal:#}");
        ensure!(refusal["info"]["status_code"] == name, "{refusal:#}");
        ensure!(refusal["info"]["hresult"] == hresult, "{refusal:#}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn buf_lists_the_services_by_either_version_of_reflection() -> Outcome {
    for version in ["grpc-v1", "grpc-v1alpha"] {
        let listed = with_fleet(SimulatedConfig::healthy(1), async |fleet| {
            let contexts: ContextFile = toml::from_str(&std::fs::read_to_string(fleet.write_context()?)?)?;
            let context = contexts.contexts.into_values().next().context("a context")?;
            let mut buf = Command::new(program("buf").await?);
            buf.args(["curl", "--protocol", "grpc", "--reflect-protocol", version, "--list-services"]);
            buf.arg("--cacert").arg(context.ca).arg("--cert").arg(context.certificate);
            buf.arg("--key").arg(context.key).arg(context.endpoint);
            run(buf).await
        });
        let listed = listed.await.with_context(|| format!("with {version}"))?;
        for service in ["curfew.v1.FleetService", "curfew.v1.OperationService", "grpc.health.v1.Health"] {
            ensure!(listed.lines().any(|line| line == service), "{version} lists {listed}");
        }
    }
    Ok(())
}

/// Runs one part of the script against a fleet of one host with these guests, and hands back what it saw.
async fn tell(part: &str, guests: SimulatedConfig) -> anyhow::Result<Value> {
    let seen = with_fleet(guests, async |fleet| {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut python = Command::new(program("python").await?);
        // -B: nothing is written beside the script; -I: nothing of the user's Python comes along.
        python.args(["-B", "-I"]).arg(tests.join("clients/client.py"));
        python.arg(part).arg(fleet.write_context()?).arg(tests.join("../proto"));
        run(python).await
    });
    serde_json::from_str(&seen.await?).context("the client does not speak JSON")
}

/// Starts a fleet of one host with these guests, lets a client at it, and stops it.
async fn with_fleet(
    guests: SimulatedConfig,
    client: impl AsyncFnOnce(&LocalFleet) -> anyhow::Result<String>,
) -> anyhow::Result<String> {
    let mut fleet = LocalFleet::start(Settings::default()).await?;
    fleet.add_agent("host-1", &guests)?;
    fleet.wait_until_attached(guests.guests as usize).await?;
    let said = client(&fleet).await;
    fleet.stop().await?;
    said
}

/// What a client says on stdout; an error with what it complains of if it fails.
async fn run(mut client: Command) -> anyhow::Result<String> {
    let run = client.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, run).await.context("the client does not end")??;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the client failed ({}):\n{complaint}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// A program that `prepare` makes; an error that says how to get it if it is not there.
async fn program(product: &str) -> anyhow::Result<PathBuf> {
    let prepare = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/prepare");
    let output = Command::new(prepare).args(["path", product]).stdin(Stdio::null()).output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim_end());
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim_end()))
}

/// Outcome, code, reason and result of a task.
fn end_of(task: &Value) -> Value {
    let verdict = &task["verdict"];
    json!([verdict["outcome"], verdict["status"]["hresult"], verdict["reason"], task["result"]])
}

/// Protobuf's JSON writes 64-bit numbers as strings; the script's own lists hold plain ones.
fn is_ascending(numbers: &Value) -> bool {
    let numbers: Vec<u64> = numbers.as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
    !numbers.is_empty() && numbers.is_sorted()
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn objects(map: &Value) -> impl Iterator<Item = (&str, &Value)> {
    map.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}
