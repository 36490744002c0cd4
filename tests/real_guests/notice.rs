//! What people see before they are logged off, on terminals that are real, and how their leaving ends the wait.

use crate::site::{Site, assert_empty, assert_ended, end_of, left};
use anyhow::{Context as _, ensure};
use curfew_tests::guests::{ContainerSpec, Debian, Guest as _, Terminal, until};
use curfew_types::StatusCode;
use std::time::{Duration, Instant, SystemTime};

type Result = anyhow::Result<()>;

/// How long a notice may take from the command to the terminal.
const SHOWN_WITHIN: Duration = Duration::from_secs(20);
/// What this test's own looks, and a machine that is busy, may add to a time that is measured.
const SLACK: Duration = Duration::from_secs(3);

/// The seconds that each notice on a screen says are left.
fn seconds_told(screen: &str) -> anyhow::Result<Vec<u64>> {
    let lines = screen.lines().filter_map(|line| line.trim().strip_prefix("Patching: off in "));
    lines
        .map(|rest| {
            let (minutes, rest) = rest.split_once(" min, ").context("minutes")?;
            let seconds: u64 = rest.strip_suffix(" s").context("seconds")?.parse()?;
            ensure!(minutes.parse::<u64>()? == seconds.div_ceil(60), "{minutes} min are not {seconds} s");
            Ok(seconds)
        })
        .collect()
}

/// The time of day that the first notice on a screen says it was written at, in minutes.
fn written_at(screen: &str) -> anyhow::Result<u64> {
    let (_, rest) = screen.split_once("Curfew (").with_context(|| format!("no heading in {screen:?}"))?;
    let (time, _) = rest.split_once(" UTC)").context("a time")?;
    let (hours, minutes) = time.split_once(':').context("a colon")?;
    Ok(hours.parse::<u64>()? * 60 + minutes.parse::<u64>()?)
}

/// Minutes since midnight, and whether a time of day is this minute or the one before.
fn is_now(minutes: u64) -> anyhow::Result<bool> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs() / 60 % 1440;
    Ok(minutes == now || (minutes + 1) % 1440 == now)
}

#[tokio::test]
async fn notices_are_on_the_terminal_with_the_time_that_is_left_and_nobody_goes_earlier() -> Result {
    let mut site = Site::new().await?;
    let older = site.lab.container(ContainerSpec::new("older")).await?;
    let newer = site.lab.container(ContainerSpec::new("newer").debian(Debian::Trixie)).await?;
    let at_older = Terminal::open(&older, "alice").await?;
    let at_newer = Terminal::open(&newer, "alice").await?;
    newer.login_pam("bob").await?;
    let known = newer.sessions().await?;
    let of_alice = known.iter().find(|session| session.user == "alice").context("alice")?;
    assert_eq!(of_alice.tty, "", "Debian 13's logind does not know the terminal of an ssh session");
    site.attach(2, false).await?;

    let notice = "Patching: off in {minutes} min, {seconds} s";
    let options = ["--all", "--notice", notice, "--grace", "20s", "--repeat", "7s"];
    let asked = Instant::now();
    let id = site.fleet.logoff(&options).await?;
    for terminal in [&at_older, &at_newer] {
        let screen = terminal.shows("Patching: off in 1 min, 20 s", SHOWN_WITHIN).await?;
        assert!(is_now(written_at(&screen)?)?, "{screen:?}");
    }
    let told_by = Instant::now();
    let mut screens = Vec::new();
    for (guest, terminal) in [(&older, &at_older), (&newer, &at_newer)] {
        let gone = || async {
            // Before the look at who is there: what a terminal showed lasts longer than its session.
            let screen = terminal.screen().await?;
            ensure!(!left(guest).await?.contains(&terminal.session().to_owned()), "alice is there");
            Ok(screen)
        };
        screens.push(until("alice is logged off", Duration::from_secs(45), gone).await?);
        let grace = Duration::from_secs(20);
        assert!(asked.elapsed() >= grace, "{} logged her off after {:?}", guest.name(), asked.elapsed());
        assert!(told_by.elapsed() <= grace + SLACK + SLACK, "{:?} after the notice", told_by.elapsed());
    }
    let tasks = site.fleet.ended(&id).await?;
    for (guest, screen) in [&older, &newer].into_iter().zip(&screens) {
        assert_ended(&tasks, guest.name(), "SUCCEEDED", StatusCode::Ok.value());
        let told = seconds_told(screen)?;
        assert_eq!(told.len(), 3, "at the beginning, after 7 s, and after 14 s: {screen:?}");
        assert!(told.windows(2).all(|pair| pair[0] - pair[1] >= 7), "more often than asked: {told:?}");
        let alice = end_of(&tasks[guest.name()], "alice");
        assert_eq!((alice.fate.as_str(), alice.notices, alice.why.as_str()), ("ENDED", 3, ""), "{alice:?}");
        assert_empty(guest, &["alice", "bob"]).await?;
    }
    let bob = end_of(&tasks["newer"], "bob");
    assert_eq!((bob.fate.as_str(), bob.notices), ("ENDED", 0), "{bob:?}");
    assert!(bob.why.contains("could not be shown a notice: it has no terminal"), "{bob:?}");
    site.fleet.finish().await
}

#[tokio::test]
async fn terminals_that_take_nothing_delay_nobody_and_are_reported() -> Result {
    let mut site = Site::new().await?;
    let stopped = site.lab.container(ContainerSpec::new("stopped")).await?;
    let reading = site.lab.container(ContainerSpec::new("reading").debian(Debian::Trixie)).await?;
    let held = Terminal::open(&stopped, "alice").await?;
    let unread = Terminal::open(&stopped, "bob").await?;
    let beside = Terminal::open(&stopped, "carol").await?;
    let elsewhere = Terminal::open(&reading, "alice").await?;
    held.press_ctrl_s().await?;
    unread.stop_reading().await?;
    let before = held.screen().await?;
    site.attach(2, false).await?;

    let asked = Instant::now();
    let id = site.fleet.logoff(&["--all", "--notice", "Off in {seconds} s", "--grace", "4s"]).await?;
    for terminal in [&beside, &elsewhere] {
        terminal.shows("Off in 4 s", SHOWN_WITHIN).await?;
    }
    let tasks = site.fleet.ended(&id).await?;
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?} for a grace of 4 s");
    for guest in [&stopped, &reading] {
        assert_ended(&tasks, guest.name(), "SUCCEEDED", StatusCode::Ok.value());
        assert_empty(guest, &["alice", "bob", "carol"]).await?;
    }
    for user in ["alice", "bob"] {
        let end = end_of(&tasks["stopped"], user);
        assert_eq!((end.fate.as_str(), end.notices), ("ENDED", 0), "{end:?}");
        assert!(end.why.contains("its terminal takes no output"), "{end:?}");
    }
    assert_eq!(end_of(&tasks["stopped"], "carol").notices, 1);
    assert_eq!(held.screen().await?, before, "a stopped terminal showed nothing, then or later");
    site.fleet.finish().await
}

#[tokio::test]
async fn whoever_leaves_by_himself_ends_the_wait_early() -> Result {
    let mut site = Site::new().await?;
    let desk = site.lab.container(ContainerSpec::new("desk")).await?;
    let newer = site.lab.container(ContainerSpec::new("newer").debian(Debian::Trixie)).await?;
    let terminals = [
        Terminal::open(&desk, "alice").await?,
        Terminal::open(&desk, "bob").await?,
        Terminal::open(&newer, "alice").await?,
    ];
    let stays = desk.login_ssh("carol").await?;
    site.attach(2, false).await?;

    let asked = Instant::now();
    let options = ["--all", "--exclude-user", "carol", "--notice", "Off in {minutes} min", "--grace", "10m"];
    let id = site.fleet.logoff(&options).await?;
    for terminal in &terminals {
        terminal.shows("Off in 10 min", SHOWN_WITHIN).await?;
    }
    for terminal in &terminals {
        terminal.leave().await?;
    }
    let tasks = site.fleet.ended(&id).await?;
    assert!(asked.elapsed() < Duration::from_secs(60), "{:?} of 10 min", asked.elapsed());
    for (guest, user) in [("desk", "alice"), ("desk", "bob"), ("newer", "alice")] {
        assert_ended(&tasks, guest, "SUCCEEDED", StatusCode::Ok.value());
        let end = end_of(&tasks[guest], user);
        assert_eq!((end.fate.as_str(), end.notices), ("LEFT_BY_ITSELF", 1), "{end:?}");
    }
    let carol = end_of(&tasks["desk"], "carol");
    assert_eq!((carol.fate.as_str(), carol.notices), ("EXCLUDED", 0), "{carol:?}");
    assert_eq!(left(&desk).await?, [stays], "who was excluded is neither waited for nor touched");
    assert_empty(&newer, &["alice"]).await?;
    let shown = site.fleet.curfew(&["task", "show", &format!("{id}/0")]).await?.success()?;
    assert_eq!(shown.stdout.matches("left by itself").count(), 2, "{}", shown.stdout);
    site.fleet.finish().await
}

#[tokio::test]
async fn a_session_that_comes_during_the_grace_is_told_at_once() -> Result {
    let mut site = Site::new().await?;
    let desk = site.lab.container(ContainerSpec::new("desk").debian(Debian::Trixie)).await?;
    let first = Terminal::open(&desk, "alice").await?;
    site.attach(1, false).await?;
    let id = site.fleet.logoff(&["--all", "--notice", "Off in {seconds} s", "--grace", "15s"]).await?;
    first.shows("Off in 15 s", SHOWN_WITHIN).await?;
    let second = Terminal::open(&desk, "bob").await?;
    let came = Instant::now();
    let screen = second.shows("Off in ", Duration::from_secs(10)).await?;
    let (told_after, left_then) = (came.elapsed(), screen.split("Off in ").nth(1).context("a time")?);
    let seconds: u64 = left_then.split(' ').next().context("a number")?.parse()?;
    assert!((1..15).contains(&seconds), "less than the first one was told: {seconds}");
    assert!(told_after < Duration::from_secs(5), "{told_after:?}");
    let tasks = site.fleet.ended(&id).await?;
    assert_ended(&tasks, "desk", "SUCCEEDED", StatusCode::Ok.value());
    for user in ["alice", "bob"] {
        let end = end_of(&tasks["desk"], user);
        assert_eq!((end.fate.as_str(), end.notices), ("ENDED", 1), "each is told once: {end:?}");
    }
    assert_empty(&desk, &["alice", "bob"]).await?;
    site.fleet.finish().await
}
