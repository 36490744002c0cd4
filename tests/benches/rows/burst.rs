//! A logoff of everybody: at once, or each session at its own time. From the call to the last outcome on disk.

use super::Size;
use crate::agreement;
use crate::child::Ask;
use crate::report::{Bound, Figure, Unit, median};
use crate::scene::{Fleet, Kind, Scene};
use anyhow::{Context as _, ensure};
use curfew_cli::client::Client;
use curfew_proto::v1;
use std::time::{Duration, Instant};

/// Within how long sessions go where they go as real ones do, in milliseconds.
pub(super) const SPREAD_MS: u32 = 2_000;

/// After a round, until the CPU is read: what is put off by up to a second, as acknowledgements are, belongs to it.
const SETTLE: Duration = Duration::from_millis(1_500);

/// What one round of one side took, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    /// From the call to the last outcome.
    pub(super) wall: f64,
    /// The server's CPU.
    pub(super) cpu: f64,
    /// The CPU of all agents.
    pub(super) agents: f64,
}

/// Logs every guest off, so many times one after the other, and waits each time until the last outcome is on disk; then
/// asks whether all agree. Returns what one time took.
pub(super) async fn log_off(fleet: &mut Fleet, client: &Client, times: u32) -> anyhow::Result<Round> {
    fleet.log_on().await?;
    let (usage, agents) = (fleet.server.usage().await?, agents_cpu(fleet).await?);
    let (mut wall, mut done) = (Duration::ZERO, Vec::new());
    for time in 0..times {
        if time > 0 {
            fleet.log_on().await?;
        }
        let began = Instant::now();
        let id = start(client, v1::OperationSpec::default()).await?;
        let wait = v1::WaitOperationRequest { operation_id: id.clone(), timeout: None };
        let ended = client.operations().wait_operation(wait).await?.into_inner().operation;
        wall += began.elapsed();
        ensure!(
            ended.is_some_and(|ended| ended.state() == v1::OperationState::Ended),
            "the operation has not ended"
        );
        done.push((id, fleet.truth().await?));
    }
    tokio::time::sleep(SETTLE).await;
    let cpu = fleet.server.usage().await?.cpu_since(usage);
    let agents = agents_cpu(fleet).await? - agents;
    for (id, truth) in done {
        agreement::check(client, &id, truth).await?;
    }
    let times = f64::from(times);
    Ok(Round { wall: wall.as_secs_f64() / times, cpu: cpu / times, agents: agents / times })
}

/// Starts an operation on every guest.
pub(super) async fn start(client: &Client, spec: v1::OperationSpec) -> anyhow::Result<String> {
    let selection = Some(v1::Selection { all: true, ..v1::Selection::default() });
    let spec = Some(v1::OperationSpec { selection, ..spec });
    let request = v1::StartOperationRequest { spec, ..v1::StartOperationRequest::default() };
    let started = client.operations().start_operation(request).await?.into_inner();
    Ok(started.operation.context("an operation")?.id)
}

async fn floor_round(fleet: &mut Fleet) -> anyhow::Result<Round> {
    let (usage, agents) = (fleet.server.usage().await?, agents_cpu(fleet).await?);
    let began = Instant::now();
    fleet.server.ask(Ask::Burst).await?;
    let wall = began.elapsed().as_secs_f64();
    tokio::time::sleep(SETTLE).await;
    let cpu = fleet.server.usage().await?.cpu_since(usage);
    Ok(Round { wall, cpu, agents: agents_cpu(fleet).await? - agents })
}

/// Seconds of CPU that all agents have used.
async fn agents_cpu(fleet: &mut Fleet) -> anyhow::Result<f64> {
    let usage = fleet.agents_usage().await?;
    Ok(usage.iter().map(|usage| usage.cpu_ns as f64 / 1e9).sum())
}

/// Measures floor and Curfew in turns.
pub(super) async fn measure(size: Size, spread_ms: u32) -> anyhow::Result<Vec<Figure>> {
    let scene = Scene::new()?;
    let mut args = scene.fleet("controller", size.hosts, size.guests)?;
    args.spread_ms = spread_ms;
    let mut floor = Fleet::start(Kind::Floor, args.clone()).await?;
    floor.attach().await?;
    let mut curfew = Fleet::start(Kind::Curfew, args).await?;
    curfew.attach().await?;
    let client = curfew.client().await?;
    let (mut floors, mut curfews) = (Vec::new(), Vec::new());
    // The first round of each warms up what is only made once.
    for round in 0..=size.rounds {
        let of_floor = floor_round(&mut floor).await?;
        let of_curfew = log_off(&mut curfew, &client, 1).await?;
        tracing::info!(?of_floor, ?of_curfew, "round {round}");
        if round > 0 {
            floors.push(of_floor);
            curfews.push(of_curfew);
        }
    }
    floor.stop().await?;
    curfew.stop().await?;
    Ok(figures(size, spread_ms, &floors, &curfews))
}

fn figures(size: Size, spread_ms: u32, floors: &[Round], curfews: &[Round]) -> Vec<Figure> {
    let of = |rounds: &[Round], value: fn(&Round) -> f64| median(rounds.iter().map(value));
    let figure = |row, what: &str, value: fn(&Round) -> f64, bound| Figure {
        row,
        what: format!("{}: {what}", size.tasks()),
        unit: Unit::Seconds,
        floor: Some(of(floors, value)),
        curfew: of(curfews, value),
        bound,
        rounds: curfews.len(),
    };
    if spread_ms == 0 {
        let row = super::BURST;
        return vec![
            figure(row, "call to last outcome on disk", |round| round.wall, Bound::TimesTheFloor(1.5)),
            figure(row, "CPU of the controller", |round| round.cpu, Bound::TimesTheFloor(2.0)),
            figure(row, "CPU of all agents", |round| round.agents, Bound::None),
        ];
    }
    let row = "logoff, each session at its own time within 2 s";
    vec![
        figure(row, "call to last outcome on disk", |round| round.wall, Bound::None),
        figure(row, "CPU of the controller", |round| round.cpu, Bound::TimesTheFloor(1.3)),
        figure(row, "CPU of all agents", |round| round.agents, Bound::None),
    ]
}
