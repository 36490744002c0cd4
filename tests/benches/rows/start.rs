//! From the call to the first question that an agent puts to a guest: an upper bound of the time until the first order is
//! on the wire. Also with a fleet most of which is only in the inventory.

use super::{Size, burst};
use crate::report::{Bound, Figure, Unit, percentile};
use crate::scene::{Fleet, FleetArgs, Kind, Scene, data_dir};
use crate::usage::monotonic_ns;
use anyhow::{Context as _, ensure};
use curfew_cli::client::Client;
use curfew_controller::store::{SqliteStore, Store as _};
use curfew_controller_core::record::Record;
use curfew_proto::v1;
use curfew_types::{Guest, GuestId, HostName, OsFamily, PowerState, WallTime};
use std::time::{Duration, Instant};

/// How many times as many hosts the inventory has as are connected, in the second figure.
const IN_INVENTORY: u32 = 10;
/// Operations that are timed in each: the slowest of twenty is the 99th percentile.
const STARTS: usize = 20;
/// After an operation, until the next one starts: what it leaves behind, a million outcomes to be moved from the store's log
/// into the database, say, is not what a start costs.
const SETTLE: Duration = Duration::from_secs(5);
/// Hosts written into the store in one go.
const HOSTS_AT_A_TIME: usize = 1_000;
/// How often it is looked whether a guest has been asked.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Far longer than it takes.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

/// Measures both.
pub(super) async fn measure(size: Size) -> anyhow::Result<Vec<Figure>> {
    let scene = Scene::new()?;
    let connected = scene.fleet("connected", size.hosts, size.guests)?;
    let starts = (size.rounds as usize).clamp(3, STARTS);
    let all = starts_of(connected, starts).await?;
    let mostly_away = scene.fleet("mostly-away", size.hosts, size.guests)?;
    write_hosts_that_are_away(&mostly_away).await?;
    let most = starts_of(mostly_away, starts).await?;
    let figure = |targets: u64, what: &str, times: Vec<f64>, bound| Figure {
        row: "call to the first order",
        what: format!("{targets} targets, {what}, p99"),
        unit: Unit::Milliseconds,
        floor: None,
        curfew: percentile(times, 0.99),
        bound: Bound::AtMost(bound),
        rounds: starts,
    };
    Ok(vec![
        figure(size.tasks(), "all connected", all, 100.0),
        figure(size.tasks() * u64::from(IN_INVENTORY), "a tenth connected", most, 1_000.0),
    ])
}

/// Starts operations on everybody, one after the other, and tells how many milliseconds each took to its first question.
async fn starts_of(args: FleetArgs, starts: usize) -> anyhow::Result<Vec<f64>> {
    let mut fleet = Fleet::start(Kind::Curfew, args).await?;
    fleet.attach().await?;
    let client = fleet.client().await?;
    let mut times = Vec::new();
    for _ in 0..starts {
        fleet.log_on().await?;
        let began = monotonic_ns();
        let id = burst::start(&client, v1::OperationSpec::default()).await?;
        let first = first_call(&mut fleet).await?;
        times.push(first.saturating_sub(began) as f64 / 1e6);
        end(&client, id).await?;
        tokio::time::sleep(SETTLE).await;
    }
    fleet.stop().await?;
    tracing::info!(?times, "milliseconds to the first question");
    Ok(times)
}

async fn first_call(fleet: &mut Fleet) -> anyhow::Result<u64> {
    let began = Instant::now();
    loop {
        if let Some(first) = fleet.truth().await?.first_call_ns {
            return Ok(first);
        }
        ensure!(began.elapsed() < GIVE_UP_AFTER, "no guest was asked anything in {GIVE_UP_AFTER:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Cancels what is left of an operation and waits for its end.
async fn end(client: &Client, id: String) -> anyhow::Result<()> {
    let cancel = v1::CancelOperationRequest { operation_id: id.clone(), reason: "a bench".into() };
    // One that has ended meanwhile has nothing to cancel.
    client.operations().cancel_operation(cancel).await.ok();
    let wait = v1::WaitOperationRequest { operation_id: id, timeout: None };
    client.operations().wait_operation(wait).await.context("waiting for the end")?;
    Ok(())
}

/// Writes hosts with guests into the store of a controller that does not run yet: nobody will ever connect as them.
async fn write_hosts_that_are_away(args: &FleetArgs) -> anyhow::Result<()> {
    let store = SqliteStore::open(&data_dir(&args.data_dir)?.store()).await?;
    let away: Vec<u32> = (args.last_host + 1..=args.last_host * IN_INVENTORY).collect();
    for numbers in away.chunks(HOSTS_AT_A_TIME) {
        let mut records = Vec::new();
        for number in numbers {
            let host: HostName = format!("host-{number}").parse()?;
            let at = WallTime(1_700_000_000_000);
            records.push(Record::HostSeen { host: host.clone(), at, version: "bench".into() });
            let upserts = (1..=args.guests).map(|guest| self::guest(&host, guest));
            records.push(Record::Inventory {
                host: host.clone(),
                replace: true,
                upserts: upserts.collect::<anyhow::Result<_>>()?,
                removed: Vec::new(),
                digest: 1,
            });
        }
        store.append(&records).await?;
    }
    Ok(())
}

fn guest(host: &HostName, number: u32) -> anyhow::Result<Guest> {
    let name = format!("{host}-desk-{number}");
    Ok(Guest {
        id: GuestId::local(host, "simulated", &name)?,
        name: name.into(),
        provider: "simulated".into(),
        os: OsFamily::Linux,
        power: PowerState::Running,
        is_host: false,
        labels: Default::default(),
    })
}
