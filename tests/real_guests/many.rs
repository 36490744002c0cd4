//! Many real guests in one operation, through one agent.

#![allow(
    clippy::print_stdout,
    reason = "what it cost is for whoever runs it; the test runner shows it when asked to"
)]

use crate::site::{Site, assert_ended};
use anyhow::{Context as _, ensure};
use curfew_tests::guests::{Container, ContainerSpec, Debian, Guest as _, Terminal};
use curfew_types::StatusCode;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use std::time::{Duration, Instant};

/// Guests that are booted or logged in to at a time: more only make each other slow.
const AT_ONCE: usize = 4;
/// Most memory of the agent, in MiB: it holds a few kilobytes of each guest.
const AGENT_MIB: u64 = 100;

async fn boot(site: &Site, count: usize) -> anyhow::Result<Vec<Container>> {
    let boots = (0..count).map(|number| {
        let debian = if number % 2 == 0 { Debian::Bookworm } else { Debian::Trixie };
        site.lab.container(ContainerSpec::new(format!("guest-{number}")).debian(debian))
    });
    stream::iter(boots).buffered(AT_ONCE).try_collect().await
}

/// Three sessions in a guest; the terminal of the first.
async fn log_in(guest: &Container) -> anyhow::Result<Terminal<'_, Container>> {
    let terminal = Terminal::open(guest, "alice").await?;
    guest.login_ssh("bob").await?;
    guest.login_pam("carol").await?;
    Ok(terminal)
}

/// The machine's memory that is free for programs, in MiB.
fn available_mib() -> anyhow::Result<u64> {
    let books = std::fs::read_to_string("/proc/meminfo")?;
    let line = books.lines().find_map(|line| line.strip_prefix("MemAvailable:")).context("MemAvailable")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}

/// Tells and logs off three people in each of many guests, and checks each of them.
async fn log_off(count: usize) -> anyhow::Result<()> {
    let (began, free) = (Instant::now(), available_mib()?);
    let mut site = Site::new().await?;
    let guests = boot(&site, count).await?;
    let terminals: Vec<_> = stream::iter(&guests).map(log_in).buffered(AT_ONCE).try_collect().await?;
    let (ready, used) = (began.elapsed(), free.saturating_sub(available_mib()?));
    site.attach(count, false).await?;

    let began = Instant::now();
    let options = ["--all", "--notice", "Off in {seconds} s", "--grace", "5s", "--force-after", "10s"];
    let (_, tasks) = site.logoff(&options).await?;
    let took = began.elapsed();
    assert_eq!(tasks.len(), count);
    for (guest, terminal) in guests.iter().zip(&terminals) {
        assert_ended(&tasks, guest.name(), "SUCCEEDED", StatusCode::Ok.value());
        let counts = &tasks[guest.name()]["verdict"]["sessions"];
        assert_eq!((&counts["found"], &counts["ended"]), (&3.into(), &3.into()), "{}", tasks[guest.name()]);
        let screen = terminal.screen().await?;
        ensure!(screen.contains("Off in 5 s"), "{} shows {screen:?}", guest.name());
        let left = guest.sessions().await?;
        ensure!(left.is_empty(), "{} still has {left:?}", guest.name());
    }
    let agent = site.fleet.agent("hypervisor")?.peak_memory_mib()?;
    let controller = site.fleet.controller()?.peak_memory_mib()?;
    println!(
        "{count} guests with 3 sessions each: up in {ready:.1?} with {used} MiB; told, 5 s of grace, and logged off in \
         {took:.1?}; at most {agent} MiB of agent and {controller} MiB of controller"
    );
    ensure!(agent <= AGENT_MIB, "{agent} MiB of agent");
    ensure!(took < Duration::from_secs(60), "{took:?}");
    site.fleet.finish().await
}

#[tokio::test]
async fn a_dozen_guests_with_three_sessions_each_in_one_operation() -> anyhow::Result<()> {
    log_off(12).await
}

/// What takes minutes.
mod long {
    #[tokio::test]
    async fn fifty_guests_with_three_sessions_each_in_one_operation() -> anyhow::Result<()> {
        super::log_off(50).await
    }
}
