//! What makes operations safe on a whole fleet, with the real programs: waves, two people, and what they are told.

use anyhow::{Context as _, ensure};
use curfew_agent::provider::simulated::{FaultKind, SimulatedConfig};
use curfew_tests::guests::until;
use curfew_tests::processes::{Output, ProcessFleet, provider};
use std::time::Duration;

type Result = anyhow::Result<()>;

/// A controller that lets one person log at most two guests off, one host, and a second person.
async fn two_people(guests: &SimulatedConfig) -> anyhow::Result<ProcessFleet> {
    let mut fleet = ProcessFleet::prepare()?;
    let config = fleet.path("controller.toml");
    let mut text = std::fs::read_to_string(&config)?;
    text.push_str("\n[approval]\nabove_guests = 2\n");
    std::fs::write(&config, text)?;
    fleet.init().await?;
    fleet.start_controller().await?;
    fleet.add_agent("host-1", provider("simulated", guests)?).await?;
    fleet.wait_for_guests(guests.guests as usize).await?;
    fleet.add_operator("second").await?;
    Ok(fleet)
}

fn operation_id(output: &Output) -> anyhow::Result<String> {
    let text = format!("{} {}", output.stdout, output.stderr);
    let word =
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').find(|word| word.starts_with("op-"));
    Ok(word.with_context(|| format!("no operation in {output:?}"))?.to_owned())
}

#[tokio::test]
async fn a_large_logoff_waits_for_a_second_person_who_sees_what_is_approved() -> Result {
    let fleet = two_people(&SimulatedConfig::healthy(3)).await?;
    let asked = fleet.curfew(&["logoff", "--all", "--yes"]).await?;
    assert_eq!(asked.code, Some(3), "{asked:?}");
    let id = operation_id(&asked)?;
    assert!(asked.stderr.contains(&format!("curfew operation approve {id}")), "{asked:?}");
    let own = fleet.curfew(&["operation", "approve", &id, "--yes"]).await?;
    assert_eq!(own.code, Some(2), "{own:?}");
    let approved =
        fleet.curfew_of("second", &["operation", "approve", &id, "--yes", "--reason", "patch night"]).await?;
    assert_eq!(approved.code, Some(0), "{approved:?}");
    let waited = fleet.curfew(&["operation", "wait", &id]).await?;
    assert_eq!(waited.code, Some(0), "{waited:?}");
    let shown = fleet.curfew(&["operation", "show", &id]).await?.success()?;
    for told in ["approved", "second", "patch night"] {
        ensure!(shown.stdout.contains(told), "{told:?} is not in {}", shown.stdout);
    }
    fleet.finish().await
}

#[tokio::test]
async fn what_waits_for_approval_waits_over_a_restart_and_can_be_rejected() -> Result {
    let mut fleet = two_people(&SimulatedConfig::healthy(3)).await?;
    let asked = fleet.curfew(&["logoff", "--all", "--yes"]).await?;
    let id = operation_id(&asked)?;
    fleet.controller()?.kill().await?;
    fleet.start_controller().await?;
    fleet.wait_until_connected("host-1").await?;
    fleet.curfew_of("second", &["operation", "reject", &id, "--reason", "not tonight"]).await?.success()?;
    let waited = fleet.curfew(&["operation", "wait", &id]).await?;
    assert_eq!(waited.code, Some(1), "{waited:?}");
    let tasks = fleet.tasks(&id).await?;
    assert!(tasks.values().all(|task| task["verdict"]["reason"] == "not_approved"), "{tasks:?}");
    fleet.finish().await
}

#[tokio::test]
async fn a_failure_halts_what_follows_and_a_retry_is_over_the_rest() -> Result {
    let mut fleet = ProcessFleet::start().await?;
    let guests = SimulatedConfig::healthy(6);
    fleet
        .add_agent("host-1", provider("simulated", &guests.clone().with_fault(1, FaultKind::Broken))?)
        .await?;
    fleet.wait_for_guests(6).await?;
    // The broken guest is the wave that the seed draws, or the first of those that follow.
    let careful = ["--waves", "1", "--seed", "1", "--max-failed", "0", "--max-in-flight", "1"];
    let args: Vec<&str> =
        ["logoff", "--yes", "--no-wait", "-o", "name", "--all"].into_iter().chain(careful).collect();
    let id = fleet.curfew(&args).await?.success()?.stdout.trim().to_owned();
    let halted = || async {
        let shown = fleet.curfew_json(&["operation", "show", &id, "-o", "json"]).await?;
        ensure!(shown["state"] == "OPERATION_STATE_HALTED", "not halted: {}", shown["state"]);
        Ok(shown)
    };
    let shown = until("the operation is halted", Duration::from_secs(30), halted).await?;
    assert_eq!(shown["waves"].as_array().map(Vec::len), Some(2), "{shown:#}");
    fleet.curfew(&["operation", "cancel", &id]).await?.success()?;
    fleet.curfew(&["operation", "wait", &id]).await?;
    let tasks = fleet.tasks(&id).await?;
    let failed = tasks.values().filter(|task| task["verdict"]["outcome"] == "OUTCOME_FAILED").count();
    assert_eq!(failed, 1, "{tasks:?}");
    let well = tasks.values().filter(|task| task["endedWell"] == true).count();
    // It has the same options, so the guest that is broken still would halt it too: nobody waits for that here.
    let retried = fleet.curfew(&["operation", "retry", &id, "--yes", "--no-wait"]).await?.success()?;
    let again = operation_id(&retried)?;
    let shown = fleet.curfew_json(&["operation", "show", &again, "-o", "json"]).await?;
    assert_eq!(shown["retryOf"], id.as_str(), "{shown:#}");
    assert_eq!(shown["taskCount"], (6 - well).to_string(), "{shown:#}");
    fleet.curfew(&["operation", "cancel", &again]).await?;
    fleet.finish().await
}
