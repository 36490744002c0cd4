//! Holds, protected users and failure budgets on real guests: who must be left alone really keeps working.

use crate::site::{Site, assert_empty, assert_ended};
use anyhow::{Context as _, ensure};
use curfew_tests::guests::{Container, ContainerSpec, Guest as _, until};
use curfew_types::StatusCode;
use std::time::Duration;

type Result = anyhow::Result<()>;

/// How long an agent may take to confirm a hold: one frame down and one up.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(10);

async fn sessions(guest: &Container) -> anyhow::Result<Vec<String>> {
    Ok(guest.sessions().await?.into_iter().map(|session| session.id).collect())
}

/// Waits until every hold is confirmed by its guest's host.
async fn holds_confirmed(site: &Site) -> Result {
    let confirmed = || async {
        let listed = site.fleet.curfew_json(&["guest", "holds", "-o", "json"]).await?;
        let holds = listed["holds"].as_array().context("a list")?;
        let all = !holds.is_empty() && holds.iter().all(|hold| hold["confirmed"] == true);
        ensure!(all, "not confirmed yet: {listed}");
        Ok(())
    };
    until("the hold is confirmed", CONFIRMED_WITHIN, confirmed).await
}

#[tokio::test]
async fn held_guests_and_protected_users_are_left_alone_until_they_are_released() -> Result {
    let mut site = Site::new().await?;
    let desk = site.lab.container(ContainerSpec::new("desk")).await?;
    let held = site.lab.container(ContainerSpec::new("held")).await?;
    desk.login_ssh("alice").await?;
    let protected = desk.login_ssh("bob").await?;
    let on_held = held.login_ssh("alice").await?;
    site.attach(2, false).await?;
    site.fleet
        .curfew(&["protected-user", "add", "b?b", "--reason", "runs the night batch"])
        .await?
        .success()?;
    site.fleet.curfew(&["guest", "hold", "held", "--reason", "month end"]).await?.success()?;
    holds_confirmed(&site).await?;

    let (_, tasks) = site.logoff(&["--all"]).await?;
    assert_ended(&tasks, "desk", "SUCCEEDED", StatusCode::Ok.value());
    let counts = &tasks["desk"]["verdict"]["sessions"];
    assert_eq!((&counts["ended"], &counts["excluded"]), (&1.into(), &1.into()), "{counts}");
    assert_eq!(sessions(&desk).await?, [protected], "the protected user works on");
    assert!(!desk.processes_of("bob").await?.is_empty());
    assert_ended(&tasks, "held", "SKIPPED", StatusCode::Ok.value());
    assert_eq!(tasks["held"]["verdict"]["reason"], "held");
    assert_eq!(sessions(&held).await?, [on_held], "nobody touched the held guest");

    site.fleet.curfew(&["protected-user", "remove", "b?b"]).await?.success()?;
    site.fleet.curfew(&["guest", "release", "held"]).await?.success()?;
    let (_, tasks) = site.logoff(&["--all"]).await?;
    for guest in [&desk, &held] {
        assert_ended(&tasks, guest.name(), "SUCCEEDED", StatusCode::Ok.value());
        assert_empty(guest, &["alice", "bob"]).await?;
    }
    site.fleet.finish().await
}

#[tokio::test]
async fn a_budget_that_one_stubborn_guest_spends_keeps_everybody_else_logged_on() -> Result {
    let mut site = Site::new().await?;
    let stubborn = site.lab.container(ContainerSpec::new("a-stubborn")).await?;
    let next = site.lab.container(ContainerSpec::new("b-next")).await?;
    stubborn.login_stubborn("alice").await?;
    let kept = next.login_ssh("alice").await?;
    site.attach(2, false).await?;
    let careful = ["--max-in-flight", "1", "--max-timed-out", "0", "--task-timeout", "4s"];
    let args: Vec<&str> =
        ["logoff", "--yes", "--no-wait", "-o", "name", "--all"].into_iter().chain(careful).collect();
    let id = site.fleet.curfew(&args).await?.success()?.stdout.trim().to_owned();
    let halted = || async {
        let shown = site.fleet.curfew_json(&["operation", "show", &id, "-o", "json"]).await?;
        ensure!(shown["state"] == "OPERATION_STATE_HALTED", "not halted: {}", shown["state"]);
        Ok(shown)
    };
    let shown = until("the operation is halted", Duration::from_secs(30), halted).await?;
    assert_eq!(shown["budgets"][0]["spent"], "1", "{shown:#}");
    assert_eq!(sessions(&next).await?, [kept], "nothing starts on a spent budget");
    let refused = site.fleet.curfew(&["operation", "resume", &id]).await?;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("--max-timed-out 1"), "{refused:?}");
    site.fleet.curfew(&["operation", "resume", &id, "--max-timed-out", "1"]).await?.success()?;
    let ended = site.fleet.curfew(&["operation", "wait", &id]).await?;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let tasks = site.fleet.tasks(&id).await?;
    assert_ended(&tasks, "a-stubborn", "TIMED_OUT", StatusCode::TimedOut.value());
    assert_ended(&tasks, "b-next", "SUCCEEDED", StatusCode::Ok.value());
    assert_empty(&next, &["alice"]).await?;
    site.fleet.finish().await
}
