//! What a task costs as operations grow: a thousand tasks to a million, a hundred guests on each host.

use super::{Size, burst};
use crate::report::{Bound, Figure, Unit, median};
use crate::scene::{Fleet, Kind, Scene};

/// Guests on each host.
const GUESTS: u32 = 100;
/// By how much operations grow from one size to the next, and how many sizes there are.
const FACTOR: u32 = 10;
const SIZES: u32 = 4;
/// Least tasks in a round: small operations run one after the other until there are so many, so that what the controller
/// uses meanwhile whatever it does, and being asked for it, is no part of what they cost.
const LEAST_TASKS: u64 = 10_000;

/// What operations of one size took.
struct Grown {
    tasks: u64,
    /// Seconds from the call to the last outcome.
    wall: f64,
    /// The controller's CPU for each task, in microseconds.
    cpu_us: f64,
    /// The most memory that the controller ever had, in MiB.
    peak: f64,
}

/// Measures each size with a fleet of its own.
pub(super) async fn measure(size: Size) -> anyhow::Result<Vec<Figure>> {
    let scene = Scene::new()?;
    let mut grown = Vec::new();
    let mut hosts = size.hosts;
    for _ in 0..SIZES {
        if hosts > 0 {
            grown.push(operations_of(&scene, hosts, size.rounds).await?);
        }
        hosts /= FACTOR;
    }
    grown.reverse();
    let row = "as operations grow, a hundred guests on each host";
    let figure = |what: String, unit, curfew, bound| Figure {
        row,
        what,
        unit,
        floor: None,
        curfew,
        bound,
        rounds: size.rounds as usize,
    };
    let mut figures = Vec::new();
    for one in &grown {
        let what = format!("{}: call to last outcome on disk", one.tasks);
        figures.push(figure(what, Unit::Seconds, one.wall, Bound::None));
        let what = format!("{}: controller's CPU a task", one.tasks);
        figures.push(figure(what, Unit::Microseconds, one.cpu_us, Bound::None));
    }
    if let [.., before, largest] = grown.as_slice() {
        let what = format!("{} tasks over {}: time", largest.tasks, before.tasks);
        figures.push(figure(what, Unit::Times, largest.wall / before.wall, Bound::AtMost(12.0)));
        let what = format!("{} tasks: the controller's memory at most", largest.tasks);
        figures.push(figure(what, Unit::MiB, largest.peak, Bound::AtMost(1536.0)));
    }
    let cpu = || grown.iter().map(|one| one.cpu_us);
    let (least, most) = (cpu().fold(f64::INFINITY, f64::min), cpu().fold(0.0, f64::max));
    let what = "dearest over cheapest: controller's CPU a task".to_owned();
    figures.push(figure(what, Unit::Times, most / least, Bound::AtMost(1.5)));
    Ok(figures)
}

async fn operations_of(scene: &Scene, hosts: u32, rounds: u32) -> anyhow::Result<Grown> {
    let mut fleet = Fleet::start(Kind::Curfew, scene.fleet(&format!("of-{hosts}"), hosts, GUESTS)?).await?;
    fleet.attach().await?;
    let client = fleet.client().await?;
    let tasks = u64::from(hosts) * u64::from(GUESTS);
    let times = u32::try_from(LEAST_TASKS.div_ceil(tasks))?;
    let mut measured = Vec::new();
    for round in 0..=rounds {
        let measured_round = burst::log_off(&mut fleet, &client, times).await?;
        tracing::info!(tasks, ?measured_round, "round {round}");
        if round > 0 {
            measured.push(measured_round);
        }
    }
    let peak = fleet.server.usage().await?.peak as f64 / f64::from(1 << 20);
    fleet.stop().await?;
    Ok(Grown {
        tasks,
        wall: median(measured.iter().map(|round| round.wall)),
        cpu_us: median(measured.iter().map(|round| round.cpu)) * 1e6 / tasks as f64,
        peak,
    })
}
