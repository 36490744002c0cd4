//! Guests that refuse new logons: who tries is told until when, and logons return at the end whoever is dead by then.

use crate::site::{Site, assert_empty, assert_ended};
use anyhow::{Context as _, ensure};
use curfew_tests::guests::{Container, ContainerSpec, Debian, Guest as _, Terminal, attempt_login, until};
use curfew_types::StatusCode;
use std::time::{Duration, Instant, SystemTime};

type Result = anyhow::Result<()>;

/// How long a drain may take from the command into the guest, over agent and guest agent.
const IN_FORCE_WITHIN: Duration = Duration::from_secs(20);
/// How long after its end it may last: a timer's accuracy and a look, on a machine that is busy.
const LIFTED_WITHIN: Duration = Duration::from_secs(10);
/// What somebody else has written.
const THEIRS: &str = "The storage is being replaced. Ask the night shift.\n";

async fn nologin(guest: &Container) -> anyhow::Result<Option<String>> {
    let shown = guest.exec(&["cat", "/run/nologin"]).await?;
    Ok((shown.code == 0).then_some(shown.stdout))
}

async fn is_refused(guest: &Container, user: &str) -> anyhow::Result<String> {
    let attempt = attempt_login(guest, user).await?;
    ensure!(attempt.code == 255, "{} let {user} in: {attempt:?}", guest.name());
    Ok(attempt.stderr)
}

async fn is_let_in(guest: &Container, user: &str) -> Result {
    attempt_login(guest, user).await?.success().map(drop)
}

async fn until_drained(site: &Site, guest: &Container) -> anyhow::Result<String> {
    let drained = || async {
        let text = nologin(guest).await?.context("it takes logons")?;
        let drains = site.fleet.drains().await?;
        let of_guest = |drain: &&serde_json::Value| drain["guestName"] == guest.name();
        let drain = drains.iter().find(of_guest).context("it is not listed as drained")?;
        ensure!(drain["state"] == "DRAIN_STATE_IN_FORCE", "{drain}");
        Ok(text)
    };
    until(&format!("{} refuses logons", guest.name()), IN_FORCE_WITHIN, drained).await
}

/// Waits until nothing refuses logons, and checks that it was not before its time.
async fn until_lifted(guest: &Container, asked: Instant, drained_for: Duration) -> Result {
    let lifted = || async {
        let text = nologin(guest).await?;
        ensure!(text.is_none(), "{text:?}");
        Ok(())
    };
    let patience = (drained_for + LIFTED_WITHIN).saturating_sub(asked.elapsed());
    until(&format!("{} takes logons again", guest.name()), patience, lifted).await?;
    ensure!(asked.elapsed() >= drained_for, "{} took logons after {:?}", guest.name(), asked.elapsed());
    Ok(())
}

/// The minute that a text names as the end, in minutes since the epoch.
fn minute_told(text: &str) -> anyhow::Result<u64> {
    let (_, rest) = text.split_once("New logons are refused until ").with_context(|| text.to_owned())?;
    let (moment, _) = rest.split_once(" UTC.").with_context(|| text.to_owned())?;
    let stamp = format!("{}:00Z", moment.replace(' ', "T"));
    let parsed: pbjson_types::Timestamp = serde_json::from_value(stamp.into())?;
    Ok(u64::try_from(parsed.seconds)? / 60)
}

/// The minute in which something ends that was begun now, rounded up.
fn minute_after(time: Duration) -> anyhow::Result<u64> {
    Ok((SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)? + time).as_secs().div_ceil(60))
}

#[tokio::test]
async fn logins_are_refused_with_until_when_and_the_agent_lifts_it_with_the_controller_dead() -> Result {
    let mut site = Site::new().await?;
    let older = site.lab.container(ContainerSpec::new("older")).await?;
    let newer = site.lab.container(ContainerSpec::new("newer").debian(Debian::Trixie)).await?;
    let stays = Terminal::open(&older, "alice").await?;
    site.attach(2, false).await?;
    let length = Duration::from_secs(20);
    let (asked, first) = (Instant::now(), minute_after(length)?);
    for guest in [&older, &newer] {
        let drain = ["guest", "drain", guest.name(), "--for", "20s", "--reason", "Patching <b>tonight</b>"];
        site.fleet.curfew(&drain).await?.success()?;
    }
    for guest in [&older, &newer] {
        let written = until_drained(&site, guest).await?;
        let told = is_refused(guest, "bob").await?;
        assert!(told.contains(&written), "{told:?} is not all of {written:?}");
        let last = minute_after(length)?;
        assert!((first..=last).contains(&minute_told(&told)?), "{told:?}");
        assert_eq!(guest.exec(&["stat", "-c", "%a", "/run/nologin"]).await?.success()?, "644\n");
        // So that it can only be the agent that lifts it.
        guest.exec(&["systemctl", "stop", "curfew-undrain.timer"]).await?.success()?;
    }
    site.fleet.controller()?.kill().await?;
    stays.type_in("echo still $((40 + 2))\r").await?;
    stays.shows("still 42", Duration::from_secs(10)).await?;
    // At once: what is looked at in one guest takes none of the other's time.
    tokio::try_join!(until_lifted(&older, asked, length), until_lifted(&newer, asked, length))?;
    for guest in [&older, &newer] {
        is_let_in(guest, "bob").await?;
    }
    site.fleet.finish().await
}

#[tokio::test]
async fn the_guests_own_timer_lifts_a_drain_with_controller_and_agent_dead() -> Result {
    let mut site = Site::new().await?;
    let older = site.lab.container(ContainerSpec::new("older")).await?;
    let newer = site.lab.container(ContainerSpec::new("newer").debian(Debian::Trixie)).await?;
    older.login_ssh("alice").await?;
    site.attach(2, false).await?;
    let (asked, length) = (Instant::now(), Duration::from_secs(20));
    site.fleet.curfew(&["guest", "drain", "newer", "--for", "20s"]).await?.success()?;
    let (_, tasks) = site.logoff(&["--guest", "older", "--drain-for", "20s"]).await?;
    assert_ended(&tasks, "older", "SUCCEEDED", StatusCode::Ok.value());
    assert_empty(&older, &["alice"]).await?;
    for guest in [&older, &newer] {
        until_drained(&site, guest).await?;
        assert!(is_refused(guest, "bob").await?.contains("New logons are refused until"));
    }
    site.fleet.controller()?.kill().await?;
    site.fleet.agent("hypervisor")?.kill().await?;
    // At once: what is looked at in one guest takes none of the other's time.
    tokio::try_join!(until_lifted(&older, asked, length), until_lifted(&newer, asked, length))?;
    for guest in [&older, &newer] {
        is_let_in(guest, "bob").await?;
        let gone = || async {
            let list = ["systemctl", "list-units", "--all", "--plain", "--no-legend", "curfew-*"];
            let listed = guest.exec(&list).await?.success()?;
            ensure!(listed.trim().is_empty(), "{listed}");
            Ok(())
        };
        until("the timer leaves nothing behind", Duration::from_secs(10), gone).await?;
    }
    site.fleet.finish().await
}

#[tokio::test]
async fn a_task_refuses_logins_from_the_first_notice_until_its_end() -> Result {
    let mut site = Site::new().await?;
    let desk = site.lab.container(ContainerSpec::new("desk").debian(Debian::Trixie)).await?;
    let alice = Terminal::open(&desk, "alice").await?;
    site.attach(1, false).await?;
    let options = ["--all", "--drain", "--notice", "Off in {seconds} s", "--grace", "60s"];
    let id = site.fleet.logoff(&options).await?;
    let screen = alice.shows("Off in 60 s", Duration::from_secs(20)).await?;
    assert!(is_refused(&desk, "bob").await?.contains("New logons are refused until"), "{screen:?}");
    alice.leave().await?;
    let tasks = site.fleet.ended(&id).await?;
    assert_ended(&tasks, "desk", "SUCCEEDED", StatusCode::Ok.value());
    let lifted = || async {
        let text = nologin(&desk).await?;
        ensure!(text.is_none(), "{text:?}");
        ensure!(site.fleet.drains().await?.is_empty(), "it is listed still");
        Ok(())
    };
    until("logons return with the task's end", LIFTED_WITHIN, lifted).await?;
    is_let_in(&desk, "bob").await?;
    site.fleet.finish().await
}

#[tokio::test]
async fn somebody_elses_nologin_is_neither_overwritten_nor_removed() -> Result {
    let mut site = Site::new().await?;
    let before = site.lab.container(ContainerSpec::new("before")).await?;
    let meanwhile = site.lab.container(ContainerSpec::new("meanwhile").debian(Debian::Trixie)).await?;
    before.login_ssh("alice").await?;
    let write = format!("printf '%s\\n' '{}' >/run/nologin", THEIRS.trim_end());
    before.exec(&["sh", "-c", &write]).await?.success()?;
    site.attach(2, false).await?;

    let (_, tasks) = site.logoff(&["--guest", "before", "--drain"]).await?;
    assert_ended(&tasks, "before", "SUCCEEDED", StatusCode::Ok.value());
    assert_eq!(nologin(&before).await?.as_deref(), Some(THEIRS), "a task's drain");
    site.fleet.curfew(&["guest", "drain", "before", "--for", "1h"]).await?.success()?;
    let listed = || async {
        let drains = site.fleet.drains().await?;
        ensure!(drains.len() == 1 && drains[0]["state"] == "DRAIN_STATE_SOMEBODY_ELSES", "{drains:?}");
        Ok(())
    };
    until("the drain is listed as somebody else's", IN_FORCE_WITHIN, listed).await?;
    assert!(is_refused(&before, "bob").await?.contains(THEIRS.trim_end()));

    let (asked, length) = (Instant::now(), Duration::from_secs(10));
    site.fleet.curfew(&["guest", "drain", "meanwhile", "--for", "10s"]).await?.success()?;
    until_drained(&site, &meanwhile).await?;
    meanwhile.exec(&["sh", "-c", &write]).await?.success()?;
    site.fleet.curfew(&["guest", "undrain", "before"]).await?.success()?;
    let lifted = || async {
        let drains = site.fleet.drains().await?;
        ensure!(asked.elapsed() >= length && drains.is_empty(), "{drains:?}");
        Ok(())
    };
    until("no drain is left", length + LIFTED_WITHIN + LIFTED_WITHIN, lifted).await?;
    for guest in [&before, &meanwhile] {
        assert_eq!(nologin(guest).await?.as_deref(), Some(THEIRS), "{}", guest.name());
    }
    site.fleet.finish().await
}
