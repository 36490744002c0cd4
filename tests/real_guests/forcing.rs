//! What does not go when it is asked: named by what holds it, left alone unless force was asked for, then gone.

use crate::site::{Site, assert_empty, assert_ended, end_of, left};
use anyhow::ensure;
use curfew_tests::guests::{ContainerSpec, Debian, Guest as _, until};
use curfew_types::StatusCode;
use std::time::Duration;

type Result = anyhow::Result<()>;

async fn is_named_then_forced(debian: Debian) -> Result {
    let mut site = Site::new().await?;
    let desk = site.lab.container(ContainerSpec::new("desk").debian(debian)).await?;
    let stubborn = desk.login_stubborn("alice").await?;
    desk.login_ssh("bob").await?;
    let spared = desk.login_stubborn("dave").await?;
    let daves = desk.processes_of("dave").await?;
    site.attach(1, false).await?;

    let (id, tasks) = site.logoff(&["--all", "--exclude-user", "dave", "--task-timeout", "10s"]).await?;
    assert_ended(&tasks, "desk", "TIMED_OUT", StatusCode::TimedOut.value());
    assert_eq!(tasks["desk"]["verdict"]["reason"], "sessions_remain");
    let alice = end_of(&tasks["desk"], "alice");
    assert_eq!((alice.fate.as_str(), alice.why.as_str()), ("REMAINING", "held by sleep"), "{alice:?}");
    assert_eq!(end_of(&tasks["desk"], "bob").fate, "ENDED");
    let mut there = left(&desk).await?;
    there.sort_unstable();
    let mut expected = vec![stubborn, spared.clone()];
    expected.sort_unstable();
    assert_eq!(there, expected, "without force nothing is killed");
    let shown = site.fleet.curfew(&["task", "show", &format!("{id}/0")]).await?.success()?;
    ensure!(shown.stdout.contains("held by sleep"), "{}", shown.stdout);

    let forced = ["--all", "--exclude-user", "dave", "--force-after", "2s"];
    let (_, tasks) = site.logoff(&forced).await?;
    assert_ended(&tasks, "desk", "SUCCEEDED", StatusCode::Ok.value());
    let alice = end_of(&tasks["desk"], "alice");
    assert_eq!((alice.fate.as_str(), alice.why.as_str()), ("FORCED", ""), "{alice:?}");
    assert_eq!(tasks["desk"]["verdict"]["sessions"]["forced"], 1);
    assert_eq!(left(&desk).await?, [spared], "only she was forced");
    assert_eq!(desk.processes_of("alice").await?, Vec::<u32>::new(), "nothing of her session is left");
    assert_eq!(desk.processes_of("dave").await?, daves, "the excluded process, as stubborn, runs on");

    let (_, tasks) = site.logoff(&["--all", "--force-after", "1s"]).await?;
    assert_ended(&tasks, "desk", "SUCCEEDED", StatusCode::Ok.value());
    assert_empty(&desk, &["alice", "bob", "dave"]).await?;
    site.fleet.finish().await
}

#[tokio::test]
async fn what_ignores_term_is_named_and_then_forced_on_debian_12() -> Result {
    is_named_then_forced(Debian::Bookworm).await
}

#[tokio::test]
async fn what_ignores_term_is_named_and_then_forced_on_debian_13() -> Result {
    is_named_then_forced(Debian::Trixie).await
}

#[tokio::test]
async fn a_guest_that_loses_power_while_somebody_is_waited_for_has_stopped() -> Result {
    let mut site = Site::new().await?;
    let desk = site.lab.container(ContainerSpec::new("desk")).await?;
    desk.login_stubborn("alice").await?;
    desk.login_ssh("bob").await?;
    site.attach(1, false).await?;
    let id = site.fleet.logoff(&["--all", "--task-timeout", "1h"]).await?;
    let asked = || async {
        let there = desk.sessions().await?;
        ensure!(there.len() == 1 && there[0].user == "alice", "{there:?}");
        Ok(())
    };
    until("only she who does not go is waited for", Duration::from_secs(30), asked).await?;
    desk.stop().await?;
    let tasks = site.fleet.ended(&id).await?;
    assert_ended(&tasks, "desk", "SUCCEEDED", StatusCode::Ok.value());
    let verdict = &tasks["desk"]["verdict"];
    assert_eq!(verdict["reason"], "guest_stopped", "{verdict:#}");
    site.fleet.finish().await
}
