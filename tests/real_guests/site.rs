//! A fleet of processes over a lab of real guests, and what tests ask of both.

use anyhow::{Context as _, ensure};
use curfew_tests::guests::{Container, Guest, GuestLab, until};
use curfew_tests::processes::{ProcessFleet, SessionEnd, provider, session_ends};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long late news may take: the agent looks again at growing intervals of at most 30 s.
const NEWS_WITHIN: Duration = Duration::from_secs(90);
/// How long a task may take to a stage that nothing holds it back from, in a guest that is emulated.
const STAGE_WITHIN: Duration = Duration::from_secs(60);

/// The tasks of one operation, by guest name.
pub(crate) type Tasks = BTreeMap<String, Value>;

/// The lab, and a fleet whose only agent reaches it through the guests' agent sockets.
pub(crate) struct Site {
    pub(crate) lab: GuestLab,
    pub(crate) fleet: ProcessFleet,
}

impl Site {
    /// A fleet without an agent yet: guests are booted first.
    pub(crate) async fn new() -> anyhow::Result<Site> {
        let lab = GuestLab::open().await?;
        Ok(Site { lab, fleet: ProcessFleet::start().await? })
    }

    /// Starts an agent that finds its guests as Proxmox lays them out.
    pub(crate) async fn attach(&mut self, guests: usize, has_qmp: bool) -> anyhow::Result<()> {
        let run = self.lab.run_dir();
        let pattern = |suffix: &str| toml::Value::from(run.join(format!("*.{suffix}")).display().to_string());
        let mut settings = toml::Table::from_iter([
            ("sockets".to_owned(), pattern("qga")),
            ("pidfile".to_owned(), pattern("pid")),
        ]);
        if has_qmp {
            settings.insert("qmp".to_owned(), pattern("qmp"));
        }
        self.fleet.add_agent("hypervisor", provider("qga", &settings)?).await?;
        self.fleet.wait_for_guests(guests).await
    }

    /// Logs off and gives the tasks, however they ended.
    pub(crate) async fn logoff(&self, args: &[&str]) -> anyhow::Result<(String, Tasks)> {
        let id = self.fleet.logoff(args).await?;
        let tasks = self.fleet.ended(&id).await?;
        Ok((id, tasks))
    }

    /// Waits until a guest's task is at a stage, such as `WARNING`.
    pub(crate) async fn reaches(&self, operation: &str, guest: &str, stage: &str) -> anyhow::Result<()> {
        let there = || async {
            let tasks = self.fleet.tasks(operation).await?;
            let now = tasks.get(guest).context("the task is there")?["stage"].as_str().unwrap_or_default();
            ensure!(now == format!("STAGE_{stage}"), "it is at {now:?}");
            Ok(())
        };
        until(&format!("the task of {guest} is at {stage}"), STAGE_WITHIN, there).await
    }

    /// Waits until late news stands beside a task's outcome, and gives it.
    pub(crate) async fn late_news(&self, operation: &str, guest: &str) -> anyhow::Result<Value> {
        let told = || async {
            let tasks = self.fleet.tasks(operation).await?;
            let task = tasks.get(guest).context("the task is there")?;
            let news = task["lateFindings"].as_array().and_then(|news| news.first()).cloned();
            news.with_context(|| format!("no late news yet: {task}"))
        };
        until("late news", NEWS_WITHIN, told).await
    }
}

/// Checks how a task ended.
pub(crate) fn assert_ended(tasks: &Tasks, guest: &str, outcome: &str, hresult: u32) {
    let task = &tasks[guest];
    let verdict = &task["verdict"];
    assert_eq!(verdict["outcome"], format!("OUTCOME_{outcome}"), "{task:#}");
    assert_eq!(verdict["status"]["hresult"].as_u64().unwrap_or(0), u64::from(hresult), "{task:#}");
}

/// What became of a user's only session in a task.
pub(crate) fn end_of(task: &Value, user: &str) -> SessionEnd {
    let mut ends = session_ends(task).into_iter().filter(|end| end.user == user);
    match (ends.next(), ends.next()) {
        (Some(end), None) => end,
        (first, second) => panic!("{user}: {first:?}, {second:?} in {task:#}"),
    }
}

/// The sessions that a guest has, by their ids.
pub(crate) async fn left(guest: &impl Guest) -> anyhow::Result<Vec<String>> {
    Ok(guest.sessions().await?.into_iter().map(|session| session.id).collect())
}

/// Nobody is logged on, and nothing that they ran is left.
pub(crate) async fn assert_empty(guest: &Container, users: &[&str]) -> anyhow::Result<()> {
    let sessions = guest.sessions().await?;
    ensure!(sessions.is_empty(), "{} still has {sessions:?}", guest.name());
    for user in users {
        let left = guest.processes_of(user).await?;
        ensure!(left.is_empty(), "{}: {user} still runs {left:?}", guest.name());
    }
    Ok(())
}
