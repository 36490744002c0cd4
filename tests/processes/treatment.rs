//! SIGKILL while people are being told, kept out, or killed: nobody is told twice, nobody is killed unasked, and no guest
//! stays closed.

use anyhow::{Context as _, ensure};
use curfew_agent::kill_point::KillPoint;
use curfew_agent::provider::simulated::{Fault, FaultKind, FaultyGuest, SimulatedConfig};
use curfew_tests::guests::until;
use curfew_tests::processes::{ProcessFleet, provider};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

const GUESTS: u32 = 3;
/// How long a drain may be in force after its end: the agent looks at once, a loaded machine a little later.
const LIFTED_WITHIN: Duration = Duration::from_secs(20);

/// A fleet of one host whose guests outlive their agent. The first guest's sessions go only by force.
struct Victim {
    fleet: ProcessFleet,
    state: PathBuf,
}

impl Victim {
    async fn new() -> anyhow::Result<Victim> {
        let fleet = ProcessFleet::start().await?;
        let state = fleet.path("guests.json");
        let stubborn = Fault { guest: FaultyGuest::Number(1), kind: FaultKind::Stubborn };
        let guests = SimulatedConfig {
            sessions_per_guest: 2,
            faults: vec![stubborn],
            state_file: Some(state.clone()),
            ..SimulatedConfig::healthy(GUESTS)
        };
        fleet.prepare_agent("host-1", provider("simulated", &guests)?).await?;
        Ok(Victim { fleet, state })
    }

    /// The guests' own record.
    fn guests(&self) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&std::fs::read_to_string(&self.state)?)?)
    }

    async fn nobody_is_kept_out(&self) -> anyhow::Result<()> {
        let lifted = || async {
            let drains = self.fleet.drains().await?;
            ensure!(drains.is_empty(), "still there: {drains:?}");
            let guests = self.guests()?;
            let drained = guests["guests"].as_object().context("guests")?.values();
            let drained: Vec<&Value> = drained.filter(|guest| !guest["drain"].is_null()).collect();
            ensure!(drained.is_empty(), "still refuse logons: {drained:?}");
            Ok(())
        };
        until("guests take logons again", LIFTED_WITHIN, lifted).await
    }
}

async fn agent_killed_at(point: KillPoint) -> anyhow::Result<()> {
    let mut victim = Victim::new().await?;
    victim.fleet.start_agent("host-1", Some(point.name())).await?;
    victim.fleet.wait_for_guests(GUESTS as usize).await?;
    let options =
        ["--grace", "3s", "--notice", "off in {seconds} s", "--force-after", "1s", "--drain-for", "8s"];
    let start = ["logoff", "--all", "--yes", "--no-wait", "-o", "name"];
    let started = victim.fleet.curfew(&[start.as_slice(), &options].concat()).await?.success()?;
    let operation = started.stdout.trim().to_owned();
    victim.fleet.agent("host-1")?.wait().await.with_context(|| format!("agent at {}", point.name()))?;
    victim.fleet.start_agent("host-1", None).await?;

    let waited = victim.fleet.curfew(&["operation", "wait", &operation]).await?;
    ensure!(waited.code == Some(0), "{waited:?}");
    for (name, task) in victim.fleet.tasks(&operation).await? {
        let forced = task["verdict"]["sessions"]["forced"].as_u64().unwrap_or(0);
        ensure!(forced == if name == "guest-1" { 2 } else { 0 }, "{task:#}");
    }
    let guests = victim.guests()?;
    for ended in guests["ended"].as_array().context("ends")? {
        ensure!(ended["forced"] == (ended["guest"] == "guest-1"), "{ended}");
        let shown = guests["notices"].as_array().context("notices")?;
        let to_it = shown.iter().filter(|notice| notice["key"] == ended["key"]).count();
        ensure!(to_it <= 1, "told {to_it} times: {ended}");
    }
    victim.nobody_is_kept_out().await?;
    victim.fleet.finish().await
}

#[tokio::test]
async fn an_agent_killed_before_it_drained_drains_and_lifts_it() -> anyhow::Result<()> {
    agent_killed_at(KillPoint::AfterDrainSync).await
}

#[tokio::test]
async fn an_agent_killed_before_it_told_anybody_tells_nobody_twice() -> anyhow::Result<()> {
    agent_killed_at(KillPoint::AfterTellingSync).await
}

#[tokio::test]
async fn an_agent_killed_before_it_forced_forces_what_was_left() -> anyhow::Result<()> {
    agent_killed_at(KillPoint::AfterForcingSync).await
}
