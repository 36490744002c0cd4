//! A controller that is killed in the middle of an operation and started again: how long until all agents are back, and
//! whether the operation goes on and loses nothing.
//!
//! The floor is measured in two ways. A plain server's tickets end with it, so its agents shake hands in full. The
//! controller's do not: beside a floor whose tickets do not either, what is told is what Curfew does beyond the wire.

use super::{Size, burst};
use crate::agreement;
use crate::report::{Bound, Figure, Unit, median};
use crate::scene::{Fleet, FleetArgs, Kind, Scene};
use curfew_proto::v1;
use std::time::{Duration, Instant};

/// Long enough that most of the operation is still to come when the controller dies.
const SPREAD_MS: u32 = 20_000;
/// How far into the operation it dies.
const DIES_AFTER: Duration = Duration::from_secs(4);

struct Storm {
    /// Seconds from the server's start until all agents are back.
    wall: f64,
    /// The server's CPU seconds meanwhile.
    cpu: f64,
}

/// Measures floors and Curfew in turns.
pub(super) async fn measure(size: Size) -> anyhow::Result<Vec<Figure>> {
    let scene = Scene::new()?;
    let (mut floors, mut resuming_floors, mut curfews) = (Vec::new(), Vec::new(), Vec::new());
    let mut args = scene.fleet("controller", size.hosts, size.guests)?;
    let mut floor = Fleet::start(Kind::Floor, args.clone()).await?;
    floor.attach().await?;
    let mut resuming_floor = Fleet::start(Kind::Floor, FleetArgs { resumes: true, ..args.clone() }).await?;
    resuming_floor.attach().await?;
    args.spread_ms = SPREAD_MS;
    let mut curfew = Fleet::start(Kind::Curfew, args).await?;
    curfew.attach().await?;
    for _ in 0..size.rounds {
        let (fleet, storm) = restart(floor).await?;
        floors.push(storm);
        floor = fleet;
        let (fleet, storm) = restart(resuming_floor).await?;
        resuming_floors.push(storm);
        resuming_floor = fleet;
        curfew.log_on().await?;
        let operation = burst::start(&curfew.client().await?, v1::OperationSpec::default()).await?;
        tokio::time::sleep(DIES_AFTER).await;
        let (fleet, storm) = restart(curfew).await?;
        curfews.push(storm);
        curfew = fleet;
        let client = curfew.client().await?;
        let wait = v1::WaitOperationRequest { operation_id: operation.clone(), timeout: None };
        client.operations().wait_operation(wait).await?;
        agreement::check(&client, &operation, curfew.truth().await?).await?;
    }
    floor.stop().await?;
    resuming_floor.stop().await?;
    curfew.stop().await?;
    let figure = |what: &str, value: fn(&Storm) -> f64, floors: &[Storm], bound| Figure {
        row: "the controller is restarted in the middle of an operation",
        what: format!("{} agents: {what}", size.hosts),
        unit: Unit::Seconds,
        floor: Some(median(floors.iter().map(value))),
        curfew: median(curfews.iter().map(value)),
        bound,
        rounds: curfews.len(),
    };
    let bound = Bound::TimesTheFloor(1.3);
    Ok(vec![
        figure("until all are back", |storm| storm.wall, &floors, bound),
        figure("CPU until then", |storm| storm.cpu, &floors, bound),
        figure("the time, where the floor resumes, too", |storm| storm.wall, &resuming_floors, Bound::None),
        figure("the CPU, where the floor resumes, too", |storm| storm.cpu, &resuming_floors, Bound::None),
    ])
}

async fn restart(fleet: Fleet) -> anyhow::Result<(Fleet, Storm)> {
    let mut fleet = fleet.restart_server().await?;
    let began = Instant::now();
    fleet.wait_until_attached().await?;
    let wall = began.elapsed().as_secs_f64();
    let cpu = fleet.server.usage().await?.cpu_ns as f64 / 1e9;
    Ok((fleet, Storm { wall, cpu }))
}
