//! What watchers of an operation cost the controller, and how old the state is that they see.

use super::{Size, burst};
use crate::report::{Bound, Figure, Unit, median, percentile};
use crate::scene::{Fleet, Kind, Scene};
use anyhow::Context as _;
use curfew_cli::client::Client;
use curfew_proto::v1;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Within how long sessions go: a watcher has something to see all that time.
const SPREAD_MS: u32 = 8_000;
/// Watchers of the crowd, each with a connection of its own.
const CROWD: usize = 100;
/// How often somebody asks for the state itself, to know how old the watcher's is.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// What one operation with so many watchers took.
struct Watched {
    /// The controller's CPU, in seconds.
    cpu: f64,
    wall: f64,
    /// How much later than an asker the first watcher saw each state, in milliseconds.
    late_ms: Vec<f64>,
}

/// A revision, and when it was seen.
type Seen = Vec<(Instant, u64)>;

/// Measures operations without a watcher, with one, and with a crowd, in turns.
pub(super) async fn measure(size: Size) -> anyhow::Result<Vec<Figure>> {
    let scene = Scene::new()?;
    let mut args = scene.fleet("controller", size.hosts, size.guests)?;
    args.spread_ms = SPREAD_MS;
    let mut fleet = Fleet::start(Kind::Curfew, args).await?;
    fleet.attach().await?;
    let mut clients = Vec::new();
    for _ in 0..CROWD {
        clients.push(fleet.client().await?);
    }
    let (mut none, mut one, mut crowd) = (Vec::new(), Vec::new(), Vec::new());
    watched(&mut fleet, &clients[..1]).await?;
    for _ in 0..size.rounds {
        none.push(watched(&mut fleet, &[]).await?);
        one.push(watched(&mut fleet, &clients[..1]).await?);
        crowd.push(watched(&mut fleet, &clients).await?);
    }
    drop(clients);
    fleet.stop().await?;
    let cpu = |rounds: &[Watched]| median(rounds.iter().map(|round| round.cpu));
    let wall = median(one.iter().map(|round| round.wall));
    let late = one.iter().chain(&crowd).flat_map(|round| round.late_ms.iter().copied());
    let figure = |what: String, unit, curfew, bound| Figure {
        row: "watchers of an operation",
        what: format!("{} tasks: {what}", size.tasks()),
        unit,
        floor: None,
        curfew,
        bound,
        rounds: one.len(),
    };
    let share = ((cpu(&one) - cpu(&none)) / wall * 100.0).max(0.0);
    Ok(vec![
        figure(
            "age of what they see, p99".into(),
            Unit::Milliseconds,
            percentile(late, 0.99),
            Bound::AtMost(200.0),
        ),
        figure("CPU of one".into(), Unit::PercentOfACore, share, Bound::AtMost(5.0)),
        figure(
            format!("controller's CPU with {CROWD} over that with one"),
            Unit::Times,
            cpu(&crowd) / cpu(&one),
            Bound::AtMost(2.0),
        ),
    ])
}

async fn watched(fleet: &mut Fleet, watchers: &[Client]) -> anyhow::Result<Watched> {
    fleet.log_on().await?;
    let client = fleet.client().await?;
    let usage = fleet.server.usage().await?;
    let began = Instant::now();
    let id = burst::start(&client, v1::OperationSpec::default()).await?;
    let mut watching = JoinSet::new();
    for watcher in watchers {
        watching.spawn(watch(watcher.clone(), id.clone()));
    }
    let asked = ask(&client, &id).await?;
    let wall = began.elapsed().as_secs_f64();
    let cpu = fleet.server.usage().await?.cpu_since(usage);
    let mut late_ms = Vec::new();
    while let Some(seen) = watching.join_next().await {
        late_ms.extend(lateness(&asked, &seen.context("a watcher")??));
    }
    Ok(Watched { cpu, wall, late_ms })
}

async fn watch(client: Client, operation_id: String) -> anyhow::Result<Seen> {
    let request = v1::WatchOperationRequest { operation_id, after_revision: 0, include_tasks: false };
    let mut messages = client.operations().watch_operation(request).await?.into_inner();
    let mut seen = Seen::new();
    while let Some(message) = messages.message().await? {
        seen.push((Instant::now(), message.operation.context("an operation")?.revision));
    }
    Ok(seen)
}

/// Asks for the state until the operation has ended.
async fn ask(client: &Client, id: &str) -> anyhow::Result<Seen> {
    let mut asked = Seen::new();
    loop {
        let request = v1::GetOperationRequest { operation_id: id.to_owned() };
        let operation = client.operations().get_operation(request).await?.into_inner().operation;
        let operation = operation.context("an operation")?;
        asked.push((Instant::now(), operation.revision));
        if operation.state() == v1::OperationState::Ended {
            return Ok(asked);
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// How much later than it was told to an asker each state was seen, in milliseconds.
fn lateness(asked: &Seen, seen: &Seen) -> Vec<f64> {
    let first_with = |revision: u64| seen.iter().find(|(_, later)| *later >= revision);
    let late = |(told, revision): &(Instant, u64)| {
        let (seen, _) = first_with(*revision)?;
        Some(seen.saturating_duration_since(*told).as_secs_f64() * 1e3)
    };
    asked.iter().filter_map(late).collect()
}
