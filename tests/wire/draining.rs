//! Drains through real processes: by hand and by an operation, over a controller that is killed, and lifted by the agent
//! alone.

use anyhow::{Context as _, ensure};
use curfew_agent::provider::simulated::SimulatedConfig;
use curfew_tests::guests::until;
use curfew_tests::processes::{ProcessFleet, provider, session_ends};
use serde_json::Value;
use std::time::Duration;

/// Many times what an agent needs to tell of a change.
const TOLD_WITHIN: Duration = Duration::from_secs(60);

async fn fleet(guests: &SimulatedConfig) -> anyhow::Result<ProcessFleet> {
    let mut fleet = ProcessFleet::start().await?;
    fleet.add_agent("host-1", provider("simulated", guests)?).await?;
    fleet.wait_for_guests(guests.guests as usize).await?;
    Ok(fleet)
}

/// Waits until exactly these guests are drained, and gives the drains.
async fn drained(fleet: &ProcessFleet, guests: &[&str]) -> anyhow::Result<Vec<Value>> {
    let told = || async {
        let drains = fleet.drains().await?;
        let names: Vec<&str> = drains.iter().filter_map(|drain| drain["guestName"].as_str()).collect();
        ensure!(names == guests, "{names:?} are drained");
        Ok(drains)
    };
    until(&format!("{guests:?} are drained"), TOLD_WITHIN, told).await
}

#[tokio::test]
async fn a_drain_by_hand_outlives_a_killed_controller_and_is_lifted_by_its_agent_alone() -> anyhow::Result<()>
{
    let mut fleet = fleet(&SimulatedConfig::healthy(3)).await?;
    fleet.curfew(&["guest", "drain", "guest-1", "--for", "1h", "--reason", "patching"]).await?.success()?;
    let drains = drained(&fleet, &["guest-1"]).await?;
    assert_eq!(drains[0]["state"], "DRAIN_STATE_IN_FORCE", "{drains:?}");
    assert_eq!((&drains[0]["requester"], &drains[0]["reason"]), (&"tester".into(), &"patching".into()));
    let shown = fleet.curfew_json(&["guest", "show", "guest-1", "-o", "json"]).await?;
    assert_eq!(shown["drainExpireTime"], drains[0]["expireTime"], "{shown}");

    // What is asked for again later is what the agent tells, not what a store has.
    fleet.controller()?.kill().await?;
    fleet.start_controller().await?;
    fleet.wait_until_connected("host-1").await?;
    assert_eq!(drained(&fleet, &["guest-1"]).await?, drains);

    fleet.curfew(&["guest", "drain", "guest-2", "--for", "2s"]).await?.success()?;
    drained(&fleet, &["guest-1"]).await?;
    fleet.curfew(&["guest", "undrain", "guest-1"]).await?.success()?;
    drained(&fleet, &[]).await?;
    let shown = fleet.curfew_json(&["guest", "show", "guest-1", "-o", "json"]).await?;
    assert!(shown["drainExpireTime"].is_null(), "{shown}");
    fleet.finish().await
}

#[tokio::test]
async fn an_operations_drain_is_listed_with_it_and_lifted_with_its_cancel() -> anyhow::Result<()> {
    let fleet = fleet(&SimulatedConfig::healthy(2)).await?;
    let people = ["--all", "--grace", "1h", "--notice", "in {minutes} min", "--drain-for", "2h"];
    let operation = fleet.logoff(&people).await?;
    let drains = drained(&fleet, &["guest-1", "guest-2"]).await?;
    assert!(drains.iter().all(|drain| drain["operationId"] == operation.as_str()), "{drains:?}");
    let warned = || async {
        let tasks = fleet.tasks(&operation).await?;
        ensure!(tasks.values().all(|task| task["stage"] == "STAGE_WARNING"), "{tasks:#?}");
        Ok(())
    };
    until("people are warned", TOLD_WITHIN, warned).await?;
    fleet.curfew(&["operation", "cancel", &operation]).await?.success()?;
    drained(&fleet, &[]).await?;
    for task in fleet.ended(&operation).await?.values() {
        assert_eq!(task["verdict"]["outcome"], "OUTCOME_CANCELLED", "{task:#}");
    }
    fleet.finish().await
}

#[tokio::test]
async fn a_task_tells_what_became_of_each_session_and_a_listing_whom_a_filter_means() -> anyhow::Result<()> {
    let guests = SimulatedConfig { sessions_per_guest: 3, ..SimulatedConfig::healthy(1) };
    let fleet = fleet(&guests).await?;
    let all = fleet.curfew_json(&["session", "list", "-o", "json"]).await?;
    let users = |listed: &Value| -> Vec<String> {
        let sessions = listed["guests"][0]["sessions"].as_array().cloned().unwrap_or_default();
        let user = |session: &Value| session["user"].as_str().unwrap_or_default().to_owned();
        sessions.iter().map(user).collect()
    };
    let everybody = users(&all);
    let spared = everybody.first().with_context(|| format!("nobody is logged on: {all}"))?;
    let one = fleet.curfew_json(&["session", "list", "--user", spared, "-o", "json"]).await?;
    assert!(users(&one).iter().all(|user| user == spared) && !users(&one).is_empty(), "{one}");
    let operation = fleet.logoff(&["--all", "--exclude-user", spared, "--notice", "bye"]).await?;
    let tasks = fleet.ended(&operation).await?;
    let ends = session_ends(&tasks["guest-1"]);
    assert_eq!(ends.len(), everybody.len(), "{:#}", tasks["guest-1"]);
    for end in &ends {
        let left_alone = end.user == *spared;
        assert_eq!(end.fate, if left_alone { "EXCLUDED" } else { "ENDED" }, "{end:?}");
        assert_eq!(end.notices, u64::from(!left_alone), "{end:?}");
        assert_eq!(end.why.is_empty(), !left_alone, "{end:?}");
    }
    let left = fleet.curfew_json(&["session", "list", "-o", "json"]).await?;
    assert!(users(&left).iter().all(|user| user == spared), "{left}");
    fleet.finish().await
}
