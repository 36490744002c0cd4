//! Container guests through the QEMU guest agent.

use crate::site::{Site, assert_empty, assert_ended};
use curfew_tests::guests::{ContainerSpec, Debian, Guest as _};
use curfew_types::StatusCode;

type Result = anyhow::Result<()>;

#[tokio::test]
async fn one_command_ends_every_session_of_every_selected_guest() -> Result {
    let mut site = Site::new().await?;
    let older = site.lab.container(ContainerSpec::new("older")).await?;
    let second = site.lab.container(ContainerSpec::new("second")).await?;
    let newer = site.lab.container(ContainerSpec::new("newer").debian(Debian::Trixie)).await?;
    let empty = site.lab.container(ContainerSpec::new("empty")).await?;
    let spared = site.lab.container(ContainerSpec::new("spared")).await?;
    for guest in [&older, &second, &newer] {
        guest.login_ssh("alice").await?;
        guest.login_ssh("bob").await?;
        guest.login_pam("carol").await?;
    }
    let kept = spared.login_ssh("dave").await?;
    site.attach(5, false).await?;
    let (_, tasks) = site.logoff(&["--all", "--exclude", "spared"]).await?;
    for guest in [&older, &second, &newer] {
        assert_ended(&tasks, guest.name(), "SUCCEEDED", StatusCode::Ok.value());
        assert_eq!(tasks[guest.name()]["verdict"]["sessions"]["ended"], 3, "{}", tasks[guest.name()]);
        assert_empty(guest, &["alice", "bob", "carol"]).await?;
    }
    assert_ended(&tasks, "empty", "NOTHING_TO_DO", StatusCode::NoSuchLogonSession.value());
    assert_empty(&empty, &[]).await?;
    assert_ended(&tasks, "spared", "SKIPPED", StatusCode::Ok.value());
    let left: Vec<String> = spared.sessions().await?.into_iter().map(|session| session.id).collect();
    assert_eq!(left, [kept], "the excluded guest keeps its session");
    site.fleet.finish().await
}

#[tokio::test]
async fn a_frozen_guest_times_out_alone_and_its_thaw_ends_nobody() -> Result {
    let mut site = Site::new().await?;
    let frozen = site.lab.container(ContainerSpec::new("frozen")).await?;
    let quick = site.lab.container(ContainerSpec::new("quick")).await?;
    let before = frozen.login_ssh("alice").await?;
    quick.login_ssh("alice").await?;
    site.attach(2, false).await?;
    frozen.freeze().await?;
    let (id, tasks) = site.logoff(&["--all", "--task-timeout", "8s"]).await?;
    assert_ended(&tasks, "frozen", "TIMED_OUT", StatusCode::TimedOut.value());
    assert_ended(&tasks, "quick", "SUCCEEDED", StatusCode::Ok.value());
    assert_empty(&quick, &["alice"]).await?;
    frozen.thaw().await?;
    let since = frozen.login_ssh("bob").await?;
    let news = site.late_news(&id, "frozen").await?;
    assert!(news["verdict"]["message"].as_str().is_some_and(|text| text.contains("answers again")), "{news}");
    let left: Vec<String> = frozen.sessions().await?.into_iter().map(|session| session.id).collect();
    assert!(left.contains(&before) && left.contains(&since), "{left:?}: nobody was ended");
    let tasks = site.fleet.tasks(&id).await?;
    assert_ended(&tasks, "frozen", "TIMED_OUT", StatusCode::TimedOut.value());
    site.fleet.finish().await
}

#[tokio::test]
async fn a_guest_without_agent_and_a_stopped_guest_end_with_their_own_codes() -> Result {
    let mut site = Site::new().await?;
    let silent = site.lab.container(ContainerSpec::new("silent").without_agent()).await?;
    let stopped = site.lab.container(ContainerSpec::new("stopped")).await?;
    let user = silent.login_pam("alice").await?;
    stopped.stop().await?;
    site.attach(2, false).await?;
    let (_, tasks) = site.logoff(&["--all", "--not-running", "refuse", "--task-timeout", "3s"]).await?;
    assert_ended(&tasks, "silent", "REFUSED", StatusCode::AdditionsNotAvail.value());
    assert_ended(&tasks, "stopped", "REFUSED", StatusCode::VmNotRunning.value());
    let left: Vec<String> = silent.sessions().await?.into_iter().map(|session| session.id).collect();
    assert_eq!(left, [user]);
    let (_, tasks) = site.logoff(&["--guest", "stopped"]).await?;
    assert_ended(&tasks, "stopped", "SKIPPED", StatusCode::Ok.value());
    site.fleet.finish().await
}

#[tokio::test]
async fn a_process_that_ignores_hup_and_term_is_reported_as_remaining() -> Result {
    let mut site = Site::new().await?;
    let guest = site.lab.container(ContainerSpec::new("stubborn")).await?;
    let stubborn = guest.login_stubborn("alice").await?;
    guest.login_ssh("bob").await?;
    site.attach(1, false).await?;
    let (_, tasks) = site.logoff(&["--all", "--task-timeout", "8s"]).await?;
    assert_ended(&tasks, "stubborn", "TIMED_OUT", StatusCode::TimedOut.value());
    let verdict = &tasks["stubborn"]["verdict"];
    assert_eq!(verdict["reason"], "sessions_remain", "{verdict:#}");
    assert_eq!(verdict["sessions"]["remaining"], 1, "{verdict:#}");
    assert_eq!(verdict["sessions"]["ended"], 1, "{verdict:#}");
    assert_eq!(verdict["remaining"][0]["user"], "alice", "{verdict:#}");
    let left: Vec<String> = guest.sessions().await?.into_iter().map(|session| session.id).collect();
    assert_eq!(left, [stubborn], "it was not killed, and nobody else was left");
    site.fleet.finish().await
}

#[tokio::test]
async fn live_sessions_are_listed_with_their_users() -> Result {
    let mut site = Site::new().await?;
    let guest = site.lab.container(ContainerSpec::new("desk").debian(Debian::Trixie)).await?;
    guest.login_ssh("alice").await?;
    guest.login_pam("bob").await?;
    site.attach(1, false).await?;
    let listed = site.fleet.curfew(&["session", "list"]).await?.success()?;
    assert!(listed.stdout.contains("alice") && listed.stdout.contains("bob"), "{}", listed.stdout);
    site.fleet.finish().await
}
