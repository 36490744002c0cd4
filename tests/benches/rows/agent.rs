//! One agent with its ledger on a real disk: its memory after it has logged all its guests off, and how soon after an order
//! it asks the first guest.

mod memory;

use super::Size;
use crate::child::{Answer, Ask, Child};
use crate::report::{Bound, Figure, Unit, median, percentile};
use crate::scene::{FleetArgs, Scene};
use anyhow::{Context as _, bail, ensure};
use std::time::{Duration, Instant};

/// Guests of the one agent.
const GUESTS: u32 = 100;
/// Orders that are timed: with fewer, the slowest in a hundred would be one or two of them.
const ORDERS: usize = 300;
/// Far longer than one handshake takes.
const ATTACH_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Measures both.
pub(super) async fn measure(size: Size) -> anyhow::Result<Vec<Figure>> {
    let scene = Scene::new()?;
    let figure = |what: String, unit, curfew, bound, rounds| Figure {
        row: "one agent",
        what,
        unit,
        floor: None,
        curfew,
        bound,
        rounds,
    };
    let memory = memory::measure(&scene, size.rounds).await?;
    let times = times(&scene).await?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let first_call = format!("order to the first question to a guest, {GUESTS} guests");
    Ok(vec![
        figure(
            format!("memory with {GUESTS} guests, all logged off {} times", size.rounds),
            Unit::MiB,
            mib(memory),
            Bound::AtMost(15.0),
            size.rounds as usize,
        ),
        figure(
            format!("{first_call}, p99"),
            Unit::Milliseconds,
            percentile(times.iter().copied(), 0.99),
            Bound::AtMost(5.0),
            ORDERS,
        ),
        figure(
            format!("{first_call}, median"),
            Unit::Milliseconds,
            median(times.iter().copied()),
            Bound::None,
            ORDERS,
        ),
    ])
}

/// Milliseconds from the moment before an order is sent to the first question to a provider, for every order. The orders are
/// the floor's, whose server does nothing else meanwhile.
async fn times(scene: &Scene) -> anyhow::Result<Vec<f64>> {
    let args = on_disk(scene, "one-agent-timed")?;
    let (mut server, port) = Child::start("floor-server", &words(&args, "0")).await?;
    let (mut agent, _) = Child::start("agents", &words(&args, &port)).await?;
    agent.ask(Ask::Start).await?;
    let began = Instant::now();
    while server.count(Ask::Attached).await? == 0 {
        ensure!(began.elapsed() < ATTACH_WITHIN, "the agent did not attach in {ATTACH_WITHIN:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let mut times = Vec::new();
    for _ in 0..ORDERS {
        agent.ask(Ask::LogOn).await?;
        let sent_ns = server.count(Ask::Burst).await?;
        let Answer::Truth(truth) = agent.ask(Ask::Truth).await? else { bail!("the agent knows no truth") };
        ensure!(truth.guests == u64::from(GUESTS), "{} of {GUESTS} guests were logged off", truth.guests);
        let called_ns = truth.first_call_ns.context("no guest was asked anything")?;
        times.push(called_ns.saturating_sub(sent_ns) as f64 / 1e6);
    }
    agent.stop().await?;
    server.stop().await?;
    Ok(times)
}

/// One host, whose ledger lies where the store does.
fn on_disk(scene: &Scene, name: &str) -> anyhow::Result<FleetArgs> {
    let ledgers = scene.path(&format!("{name}-ledgers"));
    std::fs::create_dir(&ledgers).context("a place for the ledger")?;
    Ok(FleetArgs { ledgers: Some(ledgers), ..scene.fleet(name, 1, GUESTS)? })
}

fn words(args: &FleetArgs, port: &str) -> Vec<String> {
    let mut words = vec![
        format!("--last-host={}", args.last_host),
        format!("--guests={}", args.guests),
        format!("--port={port}"),
        format!("--data-dir={}", args.data_dir.display()),
    ];
    words.extend(args.ledgers.as_ref().map(|ledgers| format!("--ledgers={}", ledgers.display())));
    words
}
