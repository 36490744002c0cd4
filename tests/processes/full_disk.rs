//! A disk that is full, under the controller's data and under an agent's: nothing is lost, nothing is done twice, the
//! error names the cause, what makes things safer still works, and all goes on by itself once there is room.

use anyhow::{Context as _, ensure};
use curfew_agent::provider::simulated::SimulatedConfig;
use curfew_tests::guests::until;
use curfew_tests::processes::small_disk::{SmallDisk, is_own_namespace};
use curfew_tests::processes::{ProcessFleet, provider};
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

type Result = anyhow::Result<()>;

const GUESTS: u32 = 4;
/// Enough that each act moment takes a new page of the disk in the ledger.
const SESSIONS: usize = 60;
/// How long a session takes to go: time enough to fill a disk in the middle of an operation.
const SESSION_GOES_MS: u64 = 1_500;
/// The store and the ledger are tried again every few seconds; many times that.
const WITHIN: Duration = Duration::from_secs(60);
/// What is to be logged while there is no room, and says what to do.
const STORE_AWAY: &str = "the store is away";
const LEDGER_STUCK: &str = "the ledger cannot be written";

/// A fleet with a small disk, of the controller or of the agent.
struct Fleet {
    fleet: ProcessFleet,
    disk: SmallDisk,
}

impl Fleet {
    async fn start(under: &str) -> anyhow::Result<Fleet> {
        let mut fleet = ProcessFleet::prepare()?;
        let disk = SmallDisk::mount(&fleet.path(under), 16)?;
        fleet.init().await?;
        fleet.start_controller().await?;
        let guests = SimulatedConfig {
            sessions_per_guest: u32::try_from(SESSIONS)?,
            delay_ms: SESSION_GOES_MS,
            name_prefix: "desk-".into(),
            state_file: Some(fleet.path("guests.json")),
            ..SimulatedConfig::healthy(GUESTS)
        };
        fleet.add_agent("host-1", provider("simulated", &guests)?).await?;
        fleet.wait_for_guests(GUESTS as usize).await?;
        Ok(Fleet { fleet, disk })
    }

    async fn begin(&self, args: &[&str]) -> anyhow::Result<String> {
        let args = [&["logoff", "--yes", "--no-wait", "-o", "name"], args].concat();
        Ok(self.fleet.curfew(&args).await?.success()?.stdout.trim().to_owned())
    }

    /// Waits until this guest's task is at this stage or further.
    async fn wait_for_stage(&self, operation: &str, guest: &str, stage: &str) -> Result {
        let look = || async {
            let tasks = self.fleet.tasks(operation).await?;
            ensure!(tasks[guest]["stage"] == stage, "{}", tasks[guest]);
            Ok(())
        };
        until(&format!("{guest} is at {stage}"), WITHIN, look).await
    }

    async fn wait_for_end(&self, operation: &str) -> Result {
        let waited = self.fleet.curfew(&["operation", "wait", operation]).await?;
        ensure!(waited.code == Some(0), "{waited:?}");
        Ok(())
    }

    async fn assert_all_ended_once(&self, operation: &str, guests: usize) -> Result {
        let tasks = self.fleet.tasks(operation).await?;
        ensure!(tasks.len() == guests, "{tasks:?}");
        for task in tasks.values() {
            ensure!(task["verdict"]["outcome"] == "OUTCOME_SUCCEEDED", "{task}");
            ensure!(task["verdict"]["sessions"]["ended"] == SESSIONS, "{task}");
        }
        ensure!(ended(&self.fleet.path("guests.json"))? == guests * SESSIONS);
        Ok(())
    }
}

/// How many sessions the guests' own record has as ended, each once.
fn ended(state: &Path) -> anyhow::Result<usize> {
    let state: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(state)?)?;
    let ended = state["ended"].as_array().context("the guests' own record")?;
    let sessions: HashSet<String> = ended.iter().map(|end| end["key"].to_string()).collect();
    ensure!(sessions.len() == ended.len(), "a session was ended twice: {ended:?}");
    Ok(ended.len())
}

/// The one line that begins with this, with its cause.
fn error_line(log: &str, text: &str) -> anyhow::Result<String> {
    let line = log.lines().find(|line| line.contains(text));
    line.map(str::to_lowercase).with_context(|| format!("nobody logged {text:?}:\n{log}"))
}

#[tokio::test]
async fn a_full_disk_under_the_controller_delays_an_operation_and_loses_nothing() -> Result {
    if !is_own_namespace("full_disk::a_full_disk_under_the_controller_delays_an_operation_and_loses_nothing")?
    {
        return Ok(());
    }
    let mut it = Fleet::start("controller").await?;
    let operation = it.begin(&["--all", "--max-in-flight", "1"]).await?;
    it.wait_for_stage(&operation, "desk-1", "STAGE_VERIFYING").await?;

    it.disk.fill()?;
    it.fleet.controller()?.wait_for_log(STORE_AWAY, WITHIN).await?;
    let error = error_line(&it.fleet.controller()?.log(), STORE_AWAY)?;
    ensure!(error.contains("full"), "it does not name the cause: {error}");

    let refused = it.fleet.curfew(&["logoff", "--all", "--yes", "--no-wait"]).await?;
    ensure!(refused.code == Some(2) && refused.stderr.contains("store"), "{refused:?}");
    // Several tries of the store, and more than the first task takes.
    tokio::time::sleep(Duration::from_millis(2 * SESSION_GOES_MS)).await;
    let tasks = it.fleet.tasks(&operation).await?;
    ensure!(tasks.values().all(|task| task["isComplete"] != true), "not stored, and told: {tasks:?}");
    ensure!(ended(&it.fleet.path("guests.json"))? == SESSIONS, "nothing new starts meanwhile");

    it.disk.free()?;
    it.fleet.controller()?.wait_for_log("the store is back", WITHIN).await?;
    it.wait_for_end(&operation).await?;
    it.assert_all_ended_once(&operation, GUESTS as usize).await?;
    it.fleet.finish_expecting(&[STORE_AWAY]).await
}

#[tokio::test]
async fn what_makes_things_safer_works_while_the_controllers_disk_is_full() -> Result {
    if !is_own_namespace("full_disk::what_makes_things_safer_works_while_the_controllers_disk_is_full")? {
        return Ok(());
    }
    let mut it = Fleet::start("controller").await?;
    let running = it.begin(&["--all", "--max-in-flight", "1"]).await?;
    it.wait_for_stage(&running, "desk-1", "STAGE_VERIFYING").await?;
    // These wait for that guest.
    let of_desk_1 = ["--guest", "desk-1"];
    let [taken_back, paused] = [it.begin(&of_desk_1).await?, it.begin(&of_desk_1).await?];
    it.disk.fill()?;
    it.fleet.controller()?.wait_for_log(STORE_AWAY, WITHIN).await?;

    for args in [
        vec!["operation", "cancel", &taken_back],
        vec!["operation", "pause", &paused, "--reason", "the disk is full"],
        vec!["guest", "hold", "desk-4", "--reason", "a demonstration"],
        vec!["protected-user", "add", "root", "--reason", "never"],
        vec!["freeze", "--reason", "the disk is full"],
    ] {
        let done = it.fleet.curfew(&args).await?.success()?;
        ensure!(done.stderr.contains("not on disk yet"), "{args:?}: {done:?}");
    }
    // What makes things less safe waits for the store.
    for args in [vec!["unfreeze"], vec!["guest", "release", "desk-4"], vec!["operation", "resume", &paused]] {
        let refused = it.fleet.curfew(&args).await?;
        ensure!(refused.code == Some(2) && refused.stderr.contains("store"), "{args:?}: {refused:?}");
    }

    it.disk.free()?;
    it.fleet.controller()?.wait_for_log("the store is back", WITHIN).await?;
    // What was only in memory is on disk by now.
    it.fleet.controller()?.kill().await?;
    it.fleet.start_controller().await?;
    it.fleet.wait_until_connected("host-1").await?;
    let frozen = it.fleet.curfew(&["freeze", "--show", "-o", "name"]).await?;
    ensure!(frozen.stdout.trim() == "frozen", "{frozen:?}");
    let held = it.fleet.curfew_json(&["guest", "holds", "-o", "json"]).await?;
    ensure!(held["holds"][0]["guestName"] == "desk-4", "{held}");
    let protected = it.fleet.curfew_json(&["protected-user", "list", "-o", "json"]).await?;
    ensure!(protected["users"][0]["pattern"] == "root", "{protected}");
    let back = it.fleet.tasks(&taken_back).await?;
    let is_taken_back = |task: &serde_json::Value| task["verdict"]["outcome"] == "OUTCOME_CANCELLED";
    ensure!(back.values().all(is_taken_back), "{back:?}");

    it.fleet.curfew(&["unfreeze"]).await?.success()?;
    it.fleet.curfew(&["operation", "resume", &paused]).await?.success()?;
    for operation in [&running, &paused] {
        it.wait_for_end(operation).await?;
    }
    let tasks = it.fleet.tasks(&running).await?;
    ensure!(tasks["desk-4"]["verdict"]["reason"] == "held", "{tasks:?}");
    ensure!(ended(&it.fleet.path("guests.json"))? == (GUESTS as usize - 1) * SESSIONS);
    it.fleet.finish_expecting(&[STORE_AWAY]).await
}

#[tokio::test]
async fn a_full_disk_under_an_agent_delays_its_tasks_and_loses_nothing() -> Result {
    if !is_own_namespace("full_disk::a_full_disk_under_an_agent_delays_its_tasks_and_loses_nothing")? {
        return Ok(());
    }
    let mut it = Fleet::start("host-1.ledger").await?;
    let operation = it.begin(&["--all", "--max-in-flight", "1"]).await?;
    it.wait_for_stage(&operation, "desk-1", "STAGE_VERIFYING").await?;

    it.disk.fill()?;
    it.fleet.agent("host-1")?.wait_for_log(LEDGER_STUCK, WITHIN).await?;
    let error = error_line(&it.fleet.agent("host-1")?.log(), LEDGER_STUCK)?;
    ensure!(
        error.contains("no space left") && error.contains("ledger"),
        "it does not name the cause: {error}"
    );
    tokio::time::sleep(Duration::from_millis(2 * SESSION_GOES_MS)).await;
    // What the last page of the ledger had room for may be told; a second act moment needs more.
    let tasks = it.fleet.tasks(&operation).await?;
    let complete = tasks.values().filter(|task| task["isComplete"] == true).count();
    ensure!(complete <= 1, "not written, and told: {tasks:?}");
    ensure!(ended(&it.fleet.path("guests.json"))? == SESSIONS, "nobody is ended before that is written");

    it.disk.free()?;
    it.wait_for_end(&operation).await?;
    it.assert_all_ended_once(&operation, GUESTS as usize).await?;
    it.fleet.finish_expecting(&[LEDGER_STUCK]).await
}

#[tokio::test]
async fn an_agent_that_is_killed_on_a_full_disk_goes_on_from_what_it_had_written() -> Result {
    if !is_own_namespace(
        "full_disk::an_agent_that_is_killed_on_a_full_disk_goes_on_from_what_it_had_written",
    )? {
        return Ok(());
    }
    let mut it = Fleet::start("host-1.ledger").await?;
    let operation = it.begin(&["--guest", "desk-1", "--guest", "desk-2", "--max-in-flight", "1"]).await?;
    it.wait_for_stage(&operation, "desk-1", "STAGE_VERIFYING").await?;
    it.disk.fill()?;
    it.fleet.agent("host-1")?.wait_for_log(LEDGER_STUCK, WITHIN).await?;

    it.fleet.agent("host-1")?.kill().await?;
    it.fleet.start_agent("host-1", None).await?;
    it.fleet.agent("host-1")?.wait_for_log(LEDGER_STUCK, WITHIN).await?;
    it.disk.free()?;

    it.wait_for_end(&operation).await?;
    it.assert_all_ended_once(&operation, 2).await?;
    it.fleet.finish_expecting(&[LEDGER_STUCK]).await
}
