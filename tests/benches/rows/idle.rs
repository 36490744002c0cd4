//! Agents that have nothing to do: how long all take to connect, what each costs while it only is there.

use super::Size;
use crate::report::{Bound, Figure, Unit, median};
use crate::scene::{Fleet, Kind, Scene};
use std::time::Duration;

/// Either side of a quiet stream says something this often, as the floor's keepalive does.
const HEARTBEAT_MS: u64 = 30_000;
/// Long enough for two of them.
const WATCHED_FOR: Duration = Duration::from_secs(60);

struct Idle {
    /// Seconds until all were attached.
    attach: f64,
    /// The server's CPU seconds meanwhile.
    attach_cpu: f64,
    /// Resident KiB for each agent.
    kib: f64,
    /// Hundredths of a core.
    percent: f64,
}

/// Measures both, one after the other: their timers would run into each other.
pub(super) async fn measure(size: Size) -> anyhow::Result<Vec<Figure>> {
    let scene = Scene::new()?;
    let (mut floors, mut curfews) = (Vec::new(), Vec::new());
    for round in 0..size.rounds {
        floors.push(idle(&scene, Kind::Floor, size, round).await?);
        curfews.push(idle(&scene, Kind::Curfew, size, round).await?);
    }
    let figure = |what: &str, unit, value: fn(&Idle) -> f64, bound| Figure {
        row: "idle agents",
        what: format!("{} agents with {} guests each: {what}", size.hosts, size.guests),
        unit,
        floor: Some(median(floors.iter().map(value))),
        curfew: median(curfews.iter().map(value)),
        bound,
        rounds: curfews.len(),
    };
    Ok(vec![
        figure("first connect storm", Unit::Seconds, |idle| idle.attach, Bound::None),
        figure("first connect storm, CPU", Unit::Seconds, |idle| idle.attach_cpu, Bound::None),
        figure("memory an agent", Unit::KiB, |idle| idle.kib, Bound::TimesTheFloor(1.25)),
        figure("idle CPU", Unit::PercentOfACore, |idle| idle.percent, Bound::TimesTheFloor(1.5)),
    ])
}

async fn idle(scene: &Scene, kind: Kind, size: Size, round: u32) -> anyhow::Result<Idle> {
    let mut args = scene.fleet(&format!("idle-{kind:?}-{round}"), size.hosts, size.guests)?;
    args.heartbeat_ms = HEARTBEAT_MS;
    let mut fleet = Fleet::start(kind, args).await?;
    let attach = fleet.attach().await?.as_secs_f64();
    let attached = fleet.server.usage().await?;
    tokio::time::sleep(WATCHED_FOR).await;
    let after = fleet.server.usage().await?;
    let grown = after.resident.saturating_sub(fleet.empty.resident);
    let idle = Idle {
        attach,
        attach_cpu: attached.cpu_since(fleet.empty),
        kib: grown as f64 / 1024.0 / f64::from(size.hosts),
        percent: after.cpu_since(attached) / WATCHED_FOR.as_secs_f64() * 100.0,
    };
    fleet.stop().await?;
    Ok(idle)
}
