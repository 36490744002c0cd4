//! SIGKILL at every named point of controller and agent: the operation ends after the restart, each task has one
//! outcome, and no session that began after the act moment was ended.

use anyhow::{Context as _, ensure};
use curfew_agent::kill_point::KillPoint as AgentPoint;
use curfew_agent::provider::simulated::SimulatedConfig;
use curfew_controller::kill_point::KillPoint as ControllerPoint;
use curfew_tests::processes::{ProcessFleet, provider};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;

const GUESTS: u32 = 3;
const SESSIONS: u32 = 2;

/// A fleet of one host whose guests outlive their agent, with an operation that is about to be hurt.
struct Victim {
    fleet: ProcessFleet,
    state: PathBuf,
    logons: PathBuf,
}

impl Victim {
    async fn new() -> anyhow::Result<Victim> {
        let fleet = ProcessFleet::start().await?;
        let (state, logons) = (fleet.path("guests.json"), fleet.path("logons"));
        std::fs::write(&logons, "")?;
        let guests = SimulatedConfig {
            sessions_per_guest: SESSIONS,
            delay_ms: 300,
            state_file: Some(state.clone()),
            logons_file: Some(logons.clone()),
            ..SimulatedConfig::healthy(GUESTS)
        };
        fleet.prepare_agent("host-1", provider("simulated", &guests)?).await?;
        Ok(Victim { fleet, state, logons })
    }

    /// Somebody logs on to every guest whose act moment is in the agent's ledger: after it, whatever comes.
    fn log_somebody_on(&self) -> anyhow::Result<()> {
        let ledger = std::fs::read_to_string(self.fleet.path("host-1.ledger").join("ledger"))?;
        let mut file = std::fs::OpenOptions::new().append(true).open(&self.logons)?;
        for line in ledger.lines().filter(|line| line.contains("\"acting\"")) {
            let json = line.find('{').map(|at| &line[at..]).context("an entry")?;
            // A crash may have torn the last line; then its act moment was not yet.
            let Ok(entry) = serde_json::from_str::<serde_json::Value>(json) else { continue };
            let guest = entry["index"].as_u64().context("an index")? + 1;
            writeln!(
                file,
                "{}",
                serde_json::json!({ "guest": format!("guest-{guest}"), "user": "latecomer" })
            )?;
        }
        Ok(())
    }

    async fn start_operation(&self) -> anyhow::Result<String> {
        // The answer may be lost with the controller: the request id finds the operation again.
        let args = ["logoff", "--all", "--yes", "--no-wait", "--request-id", "kill", "-o", "name"];
        let first = self.fleet.curfew(&args).await?;
        Ok(first.stdout.trim().to_owned())
    }

    /// Everything that must hold afterwards.
    async fn check(self, operation: &str) -> anyhow::Result<()> {
        let waited = self.fleet.curfew(&["operation", "wait", operation]).await?;
        ensure!(waited.code.is_some_and(|code| code <= 1), "the operation did not end: {waited:?}");
        let tasks = self.fleet.tasks(operation).await?;
        ensure!(tasks.len() == GUESTS as usize, "{tasks:?}");
        for task in tasks.values() {
            ensure!(task["isComplete"] == true, "{task}");
            let outcome = task["verdict"]["outcome"].as_str().unwrap_or_default();
            ensure!(outcome == "OUTCOME_SUCCEEDED", "a kill alone loses no task: {task}");
        }
        let state: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&self.state)?)?;
        let ended = state["ended"].as_array().context("the guests' own record")?;
        let users: BTreeSet<&str> = ended.iter().filter_map(|end| end["user"].as_str()).collect();
        ensure!(!users.contains("latecomer"), "somebody who logged on later was ended: {state}");
        // Stopping everything in order, which checks the logs too.
        self.fleet.finish().await
    }
}

async fn agent_killed_at(point: AgentPoint) -> anyhow::Result<()> {
    let mut victim = Victim::new().await?;
    victim.fleet.start_agent("host-1", Some(point.name())).await?;
    victim.fleet.wait_for_guests(GUESTS as usize).await?;
    let operation = victim.start_operation().await?;
    victim.fleet.agent("host-1")?.wait().await.with_context(|| format!("agent at {}", point.name()))?;
    victim.log_somebody_on()?;
    victim.fleet.start_agent("host-1", None).await?;
    victim.check(&operation).await
}

async fn controller_killed_at(point: ControllerPoint) -> anyhow::Result<()> {
    let mut victim = Victim::new().await?;
    victim.fleet.start_agent("host-1", None).await?;
    victim.fleet.wait_for_guests(GUESTS as usize).await?;
    victim.fleet.controller()?.kill().await?;
    // Attaching stores something too: the point is armed for what comes after.
    victim.fleet.kill_controller_at(point.name());
    victim.fleet.start_controller().await?;
    let is_cancel = point == ControllerPoint::AfterCancelStored;
    let asked = async {
        let operation = victim.start_operation().await?;
        if is_cancel {
            victim.fleet.curfew(&["operation", "cancel", &operation]).await?;
        }
        anyhow::Ok(())
    };
    asked.await?;
    victim.fleet.controller()?.wait().await.with_context(|| format!("controller at {}", point.name()))?;
    victim.log_somebody_on()?;
    victim.fleet.start_controller().await?;
    let operation = victim.start_operation().await?;
    if is_cancel {
        // Asked again is no error, and what it came to is confirmed task by task.
        let waited = victim.fleet.curfew(&["operation", "wait", &operation]).await?;
        ensure!(waited.code.is_some_and(|code| code <= 1), "{waited:?}");
        let tasks = victim.fleet.tasks(&operation).await?;
        ensure!(tasks.values().all(|task| task["isComplete"] == true), "{tasks:?}");
        return victim.fleet.finish().await;
    }
    victim.check(&operation).await
}

macro_rules! kills {
    ($($name:ident = $killed:ident($point:expr);)+) => {$(
        #[tokio::test]
        async fn $name() -> anyhow::Result<()> {
            $killed($point).await
        }
    )+};
}

kills! {
    an_agent_killed_before_it_accepted_loses_nothing = agent_killed_at(AgentPoint::BeforeAcceptSync);
    an_agent_killed_after_it_accepted_goes_on = agent_killed_at(AgentPoint::AfterAcceptSync);
    an_agent_killed_at_the_act_moment_ends_its_targets_only = agent_killed_at(AgentPoint::AfterActSync);
    an_agent_killed_between_two_ends_goes_on_with_the_rest = agent_killed_at(AgentPoint::BetweenEnds);
    an_agent_killed_before_the_outcome_is_written_looks_again = agent_killed_at(AgentPoint::BeforeOutcomeSync);
    an_agent_killed_before_it_reported_reports_later = agent_killed_at(AgentPoint::AfterOutcomeSync);
    an_agent_killed_after_it_reported_reports_no_second_outcome = agent_killed_at(AgentPoint::AfterReportSent);
    a_controller_killed_before_it_stored_a_start_lets_it_be_asked_again =
        controller_killed_at(ControllerPoint::BeforeStartStored);
    a_controller_killed_before_it_answered_a_start_knows_the_request_again =
        controller_killed_at(ControllerPoint::AfterStartStored);
    a_controller_killed_before_orders_left_sends_them_later = controller_killed_at(ControllerPoint::AfterHandedStored);
    a_controller_killed_after_orders_left_takes_the_outcomes = controller_killed_at(ControllerPoint::AfterOrdersSent);
    a_controller_killed_before_it_acknowledged_takes_findings_once =
        controller_killed_at(ControllerPoint::AfterFindingsStored);
    a_controller_killed_after_a_cancel_was_stored_carries_it_on =
        controller_killed_at(ControllerPoint::AfterCancelStored);
}
