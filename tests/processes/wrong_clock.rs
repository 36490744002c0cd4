//! The wall clock of one side is off by hours, and jumps while operations run. Orders, time limits and certificates that
//! are older than the error go on as if nothing was: what decides is counted on a clock that nobody can set.

use anyhow::{Context as _, ensure};
use curfew_agent::provider::simulated::{FaultKind, SimulatedConfig};
use curfew_tests::guests::until;
use curfew_tests::processes::clock::Clock;
use curfew_tests::processes::{ProcessFleet, provider};
use std::time::{Duration, Instant};

type Result = anyhow::Result<()>;

/// How long a session takes to go: time for a jump.
const SESSION_GOES_MS: u64 = 1_500;
/// Guest 2 answers only this long after the test began, which is after its task's time is over.
const FROZEN_FOR_MS: u64 = 14_000;
/// The time of a task that is to run out.
const TASK_TIMEOUT: Duration = Duration::from_secs(6);
/// How much later an outcome may be there: a look at the guest, a few reports, two loaded cores.
const SLACK: Duration = Duration::from_secs(20);
/// How long a fleet has been there before a clock goes wrong: its certificates are older than the error.
const INSTALLED: &str = "-3d";

/// The clock of `side` is off by `first` from its start on, and by `then` from the middle of each operation on.
async fn one_side_off(side: &str, first: &str, then: &str) -> Result {
    let mut fleet = ProcessFleet::prepare()?;
    install(&mut fleet).await?;
    let clock = Clock::new(&fleet.path("clock"), first)?;
    fleet.set_environment(side, clock.environment());
    fleet.start_controller().await?;
    let guests = SimulatedConfig {
        sessions_per_guest: 2,
        delay_ms: SESSION_GOES_MS,
        name_prefix: "desk-".into(),
        state_file: Some(fleet.path("guests.json")),
        ..SimulatedConfig::healthy(3)
            .with_fault(2, FaultKind::FrozenForMs(FROZEN_FOR_MS))
            .with_fault(3, FaultKind::Immortal)
    };
    let began = Instant::now();
    fleet.prepare_agent("host-1", provider("simulated", &guests)?).await?;
    fleet.start_agent("host-1", None).await?;
    fleet.wait_until_connected("host-1").await?;
    fleet.wait_for_guests(3).await?;

    let ordered = Instant::now();
    let timeout = format!("{}s", TASK_TIMEOUT.as_secs());
    let args = ["logoff", "--all", "--yes", "--no-wait", "--task-timeout", &timeout, "-o", "name"];
    let operation = fleet.curfew(&args).await?.success()?.stdout.trim().to_owned();
    wait_for_stage(&fleet, &operation, "desk-1", "STAGE_VERIFYING").await?;
    clock.set(then)?;

    // The one that goes has gone when its sessions did; nobody's time was over at the jump.
    wait_for_stage(&fleet, &operation, "desk-1", "STAGE_DONE").await?;
    if ordered.elapsed() < TASK_TIMEOUT {
        let tasks = fleet.tasks(&operation).await?;
        ensure!(tasks["desk-3"]["isComplete"] != true, "its time is over too early: {tasks:?}");
    }
    let waited = fleet.curfew(&["operation", "wait", &operation]).await?;
    let took = ordered.elapsed();
    ensure!(waited.code == Some(1), "{waited:?}");
    ensure!(took >= TASK_TIMEOUT, "the tasks' time was over after {took:?}");
    ensure!(took <= TASK_TIMEOUT + SLACK, "the tasks' time was over only after {took:?}");
    let tasks = fleet.tasks(&operation).await?;
    let outcome = |guest: &str| tasks[guest]["verdict"]["outcome"].clone();
    ensure!(outcome("desk-1") == "OUTCOME_SUCCEEDED", "{tasks:?}");
    ensure!(outcome("desk-2") == "OUTCOME_TIMED_OUT", "{tasks:?}");
    ensure!(outcome("desk-3") == "OUTCOME_TIMED_OUT", "{tasks:?}");

    // The guest thaws when its task is over: nobody in it is ended then, and the next operation finds them all.
    tokio::time::sleep(Duration::from_millis(FROZEN_FOR_MS + 2_000).saturating_sub(began.elapsed())).await;
    ensure!(ended_in(&fleet, "desk-2")? == 0, "sessions were ended after their task's time");
    clock.set(first)?;
    let args = ["logoff", "--guest", "desk-2", "--yes", "-o", "json"];
    let summary = fleet.curfew(&args).await?.success()?;
    ensure!(ended_in(&fleet, "desk-2")? == 2, "{summary:?}");
    fleet.finish().await
}

/// Makes every certificate as long ago as [`INSTALLED`] says.
async fn install(fleet: &mut ProcessFleet) -> Result {
    let then = Clock::new(&fleet.path("then"), INSTALLED)?;
    fleet.set_environment("controller", then.environment());
    fleet.init().await?;
    // The controller's own certificate is made when it first serves.
    fleet.start_controller().await?;
    fleet.prepare_agent("host-1", toml::Table::new()).await?;
    fleet.stop_controller().await?;
    fleet.set_environment("controller", Vec::new());
    Ok(())
}

async fn wait_for_stage(fleet: &ProcessFleet, operation: &str, guest: &str, stage: &str) -> Result {
    let look = || async {
        let tasks = fleet.tasks(operation).await?;
        ensure!(tasks[guest]["stage"] == stage, "{}", tasks[guest]);
        Ok(())
    };
    until(&format!("{guest} is at {stage}"), SLACK, look).await
}

fn ended_in(fleet: &ProcessFleet, guest: &str) -> anyhow::Result<usize> {
    let state: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(fleet.path("guests.json"))?)?;
    let ended = state["ended"].as_array().context("the guests' own record")?;
    Ok(ended.iter().filter(|end| end["guest"] == guest).count())
}

#[tokio::test]
async fn a_controllers_clock_that_is_ahead_and_falls_back_changes_nothing() -> Result {
    one_side_off("controller", "+6h", "-6h").await
}

#[tokio::test]
async fn a_controllers_clock_that_is_behind_and_jumps_ahead_changes_nothing() -> Result {
    one_side_off("controller", "-6h", "+6h").await
}

#[tokio::test]
async fn an_agents_clock_that_is_ahead_and_falls_back_changes_nothing() -> Result {
    one_side_off("host-1", "+6h", "-6h").await
}

#[tokio::test]
async fn an_agents_clock_that_is_behind_and_jumps_ahead_changes_nothing() -> Result {
    one_side_off("host-1", "-6h", "+6h").await
}

/// A controller that comes back with a wall clock that was set meanwhile.
async fn controller_back_after(jump: &str) -> Result {
    let mut fleet = ProcessFleet::prepare()?;
    install(&mut fleet).await?;
    let clock = Clock::new(&fleet.path("clock"), "+0")?;
    fleet.set_environment("controller", clock.environment());
    fleet.start_controller().await?;
    let guests = SimulatedConfig {
        delay_ms: 4 * SESSION_GOES_MS,
        name_prefix: "desk-".into(),
        ..SimulatedConfig::healthy(2)
    };
    fleet.prepare_agent("host-1", provider("simulated", &guests)?).await?;
    fleet.start_agent("host-1", None).await?;
    fleet.wait_for_guests(2).await?;
    let args = ["logoff", "--all", "--yes", "--no-wait", "--max-in-flight", "1", "-o", "name"];
    let operation = fleet.curfew(&args).await?.success()?.stdout.trim().to_owned();
    wait_for_stage(&fleet, &operation, "desk-1", "STAGE_VERIFYING").await?;
    fleet.controller()?.kill().await?;
    clock.set(jump)?;
    fleet.start_controller().await?;
    let waited = fleet.curfew(&["operation", "wait", &operation]).await?;
    let tasks = fleet.tasks(&operation).await?;
    ensure!(waited.code == Some(0), "{waited:?}: {tasks:?}");
    fleet.finish().await
}

#[tokio::test]
async fn a_controller_that_restarts_with_its_clock_set_back_gives_up_nothing() -> Result {
    controller_back_after("-6h").await
}

#[tokio::test]
async fn a_controller_that_restarts_with_its_clock_set_ahead_gives_up_nothing() -> Result {
    controller_back_after("+6h").await
}
