//! One operator, real binaries, simulated guests: logging off, selecting, live sessions, labels, backup.

use curfew_agent::provider::simulated::{FaultKind, SimulatedConfig};
use curfew_tests::processes::{ProcessFleet, provider};

type Result = anyhow::Result<()>;

#[tokio::test]
async fn one_command_logs_the_whole_fleet_off() -> Result {
    let mut fleet = ProcessFleet::start().await?;
    for host in ["host-1", "host-2"] {
        let name_prefix = format!("{host}-desk-");
        let guests = SimulatedConfig { sessions_per_guest: 3, name_prefix, ..SimulatedConfig::healthy(4) };
        fleet.add_agent(host, provider("simulated", &guests)?).await?;
    }
    fleet.wait_for_guests(8).await?;
    let summary = fleet.curfew(&["logoff", "--all", "--yes", "-o", "json"]).await?.success()?;
    let summary: serde_json::Value = serde_json::from_str(&summary.stdout)?;
    let id = summary["operation"]["id"].as_str().or(summary["id"].as_str()).unwrap_or_default().to_owned();
    let tasks = fleet.tasks(&id).await?;
    assert_eq!(tasks.len(), 8);
    for task in tasks.values() {
        assert_eq!(task["verdict"]["outcome"], "OUTCOME_SUCCEEDED", "{task}");
        assert_eq!(task["verdict"]["sessions"]["ended"], 3, "{task}");
    }
    let sessions = fleet.curfew(&["session", "list", "-o", "name"]).await?.success()?;
    assert_eq!(sessions.stdout, "", "nobody is left");
    fleet.finish().await
}

#[tokio::test]
async fn an_operation_survives_a_restart_of_the_controller() -> Result {
    let mut fleet = ProcessFleet::start().await?;
    let guests = SimulatedConfig { delay_ms: 3_000, ..SimulatedConfig::healthy(5) };
    fleet.add_agent("host-1", provider("simulated", &guests)?).await?;
    fleet.wait_for_guests(5).await?;
    let started = fleet.curfew(&["logoff", "--all", "--yes", "--no-wait", "-o", "name"]).await?.success()?;
    let id = started.stdout.trim().to_owned();
    fleet.controller()?.kill().await?;
    fleet.start_controller().await?;
    let waited = fleet.curfew(&["operation", "wait", &id]).await?;
    assert_eq!(waited.code, Some(0), "{waited:?}");
    let tasks = fleet.tasks(&id).await?;
    assert!(tasks.values().all(|task| task["verdict"]["outcome"] == "OUTCOME_SUCCEEDED"), "{tasks:?}");
    fleet.finish().await
}

#[tokio::test]
async fn a_task_that_is_complete_cannot_be_cancelled() -> Result {
    let mut fleet = ProcessFleet::start().await?;
    let guests = SimulatedConfig::healthy(2).with_fault(2, FaultKind::Immortal);
    fleet.add_agent("host-1", provider("simulated", &guests)?).await?;
    fleet.wait_for_guests(2).await?;
    let started = fleet.curfew(&["logoff", "--all", "--yes", "--no-wait", "-o", "name"]).await?.success()?;
    let id = started.stdout.trim().to_owned();
    let done = format!("{id}/0");
    let waited = fleet.curfew(&["task", "wait", &done, "--timeout-ms", "-1"]).await?;
    assert_eq!(waited.code, Some(0), "{waited:?}");
    let refused = fleet.curfew(&["task", "cancel", &done]).await?;
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("E_FAIL"), "{refused:?}");
    // The stubborn one can be: its sessions were asked to end, and some may have.
    fleet.curfew(&["operation", "cancel", &id]).await?.success()?;
    fleet.curfew(&["operation", "wait", &id]).await?;
    let tasks = fleet.tasks(&id).await?;
    assert_eq!(tasks["guest-2"]["verdict"]["outcome"], "OUTCOME_CANCELLED", "{tasks:?}");
    assert_eq!(tasks["guest-1"]["verdict"]["outcome"], "OUTCOME_SUCCEEDED", "{tasks:?}");
    fleet.finish().await
}

#[tokio::test]
async fn a_restored_backup_goes_on_above_its_agents_epoch() -> Result {
    let mut fleet = ProcessFleet::start().await?;
    let guests = SimulatedConfig::healthy(2);
    fleet.add_agent("host-1", provider("simulated", &guests)?).await?;
    fleet.wait_for_guests(2).await?;
    let backup = fleet.path("backup").display().to_string();
    fleet.controller_command(&["backup", &backup]).await?.success()?;
    // Two more starts raise the epoch beyond what the backup knows.
    for _ in 0..2 {
        fleet.controller()?.kill().await?;
        fleet.start_controller().await?;
        fleet.wait_until_connected("host-1").await?;
    }
    fleet.controller()?.kill().await?;
    std::fs::rename(fleet.path("controller"), fleet.path("lost"))?;
    fleet.controller_command(&["restore", &backup]).await?.success()?;
    fleet.start_controller().await?;
    fleet.wait_until_connected("host-1").await?;
    let log = fleet.controller()?.log();
    assert!(log.contains("restored backup"), "it says so:\n{log}");
    fleet.curfew(&["logoff", "--all", "--yes"]).await?.success()?;
    fleet.finish().await
}
