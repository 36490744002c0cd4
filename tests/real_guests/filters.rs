//! Which sessions are meant, on sessions that are real: by user, and by how long nobody has typed.

use crate::site::{Site, assert_ended, end_of, left};
use anyhow::ensure;
use curfew_tests::guests::{ContainerSpec, Debian, Guest as _, Terminal};
use curfew_types::StatusCode;

type Result = anyhow::Result<()>;

#[tokio::test]
async fn only_the_users_that_are_meant_are_logged_off() -> Result {
    let mut site = Site::new().await?;
    let desk = site.lab.container(ContainerSpec::new("desk")).await?;
    let newer = site.lab.container(ContainerSpec::new("newer").debian(Debian::Trixie)).await?;
    for guest in [&desk, &newer] {
        for user in ["alice", "bob", "carol"] {
            guest.login_ssh(user).await?;
        }
        guest.login_pam("bob").await?;
        guest.login_pam("dave").await?;
    }
    site.attach(2, false).await?;
    let chosen = ["--user", "?ob", "--user", "D*", "--user", "a*", "--exclude-user", "ALICE"];
    let listed = site.fleet.curfew(&[&["session", "list", "-o", "name"], chosen.as_slice()].concat()).await?;
    assert_eq!(listed.success()?.stdout.lines().count(), 6, "two of bob and one of dave in each guest");

    let (_, tasks) = site.logoff(&[&["--all"], chosen.as_slice()].concat()).await?;
    for guest in [&desk, &newer] {
        let task = &tasks[guest.name()];
        assert_ended(&tasks, guest.name(), "SUCCEEDED", StatusCode::Ok.value());
        let counts = &task["verdict"]["sessions"];
        assert_eq!((&counts["ended"], &counts["excluded"]), (&3.into(), &2.into()), "{counts}");
        assert_eq!(end_of(task, "dave").fate, "ENDED");
        let (alice, carol) = (end_of(task, "alice"), end_of(task, "carol"));
        assert_eq!((alice.fate.as_str(), alice.why.as_str()), ("EXCLUDED", "its user was excluded"));
        assert_eq!((carol.fate.as_str(), carol.why.as_str()), ("EXCLUDED", "its user was not asked for"));
        let mut users: Vec<String> = guest.sessions().await?.into_iter().map(|left| left.user).collect();
        users.sort_unstable();
        assert_eq!(users, ["alice", "carol"]);
    }
    let (_, tasks) = site.logoff(&["--all", "--user", "mallory"]).await?;
    assert_ended(&tasks, "desk", "NOTHING_TO_DO", StatusCode::NoSuchLogonSession.value());
    site.fleet.finish().await
}

#[tokio::test]
async fn only_terminals_that_nobody_typed_on_for_long_enough_are_logged_off() -> Result {
    let mut site = Site::new().await?;
    let desk = site.lab.container(ContainerSpec::new("desk")).await?;
    let newer = site.lab.container(ContainerSpec::new("newer").debian(Debian::Trixie)).await?;
    let working = Terminal::open(&desk, "alice").await?;
    let away = Terminal::open(&desk, "bob").await?;
    let untold = Terminal::open(&newer, "carol").await?;
    away.was_last_used("2 hours ago").await?;
    untold.was_last_used("2 hours ago").await?;
    site.attach(2, false).await?;

    let listed = site.fleet.curfew(&["session", "list", "--idle-at-least", "1h", "-o", "name"]).await?;
    let listed = listed.success()?.stdout;
    ensure!(listed.trim_end().ends_with(&format!("/{}", away.session())), "{listed}");
    assert_eq!(listed.lines().count(), 1, "{listed}");
    let (_, tasks) = site.logoff(&["--all", "--idle-at-least", "3h"]).await?;
    assert_ended(&tasks, "desk", "NOTHING_TO_DO", StatusCode::NoSuchLogonSession.value());
    let (_, tasks) = site.logoff(&["--all", "--idle-at-least", "1h"]).await?;
    assert_ended(&tasks, "desk", "SUCCEEDED", StatusCode::Ok.value());
    assert_eq!(end_of(&tasks["desk"], "bob").fate, "ENDED");
    let alice = end_of(&tasks["desk"], "alice");
    assert_eq!(alice.fate, "EXCLUDED");
    assert!(alice.why.contains("idle for long enough"), "{alice:?}");
    assert_eq!(left(&desk).await?, [working.session()]);
    // Debian 13's logind tells no idle time of ssh sessions, and what is not known is not long enough.
    assert_ended(&tasks, "newer", "NOTHING_TO_DO", StatusCode::NoSuchLogonSession.value());
    assert_eq!(left(&newer).await?, [untold.session()]);
    site.fleet.finish().await
}
