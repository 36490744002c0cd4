//! How long a fleet takes to confirm the cancel of an operation that runs on every guest.

use super::{Size, burst};
use crate::report::{Bound, Figure, Unit, median};
use crate::scene::{Fleet, Kind, Scene};
use anyhow::{Context as _, ensure};
use curfew_cli::client::Client;
use curfew_proto::v1;
use std::time::{Duration, Instant};

/// How often the operation is looked at while it is waited for something.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Far longer than anything here takes.
const GIVE_UP_AFTER: Duration = Duration::from_secs(120);

/// What one round took, in seconds from the call.
struct Round {
    /// Until 99 % of the tasks were confirmed, on disk.
    most: f64,
    /// Until all were.
    all: f64,
}

/// Measures it.
pub(super) async fn measure(size: Size) -> anyhow::Result<Vec<Figure>> {
    let scene = Scene::new()?;
    let mut args = scene.fleet("controller", size.hosts, size.guests)?;
    args.lasting = true;
    let mut fleet = Fleet::start(Kind::Curfew, args).await?;
    fleet.attach().await?;
    let client = fleet.client().await?;
    let mut rounds = Vec::new();
    for _ in 0..size.rounds {
        rounds.push(round(&client, size.tasks()).await?);
        fleet.log_on().await?;
    }
    fleet.stop().await?;
    let figure = |what: &str, value: fn(&Round) -> f64, bound| Figure {
        row: "cancel of an operation that runs on every guest",
        what: format!("{} tasks: {what}", size.tasks()),
        unit: Unit::Seconds,
        floor: None,
        curfew: median(rounds.iter().map(value)),
        bound,
        rounds: rounds.len(),
    };
    Ok(vec![
        figure("call to 99 % confirmed", |round| round.most, Bound::AtMost(2.0)),
        figure("call to all confirmed", |round| round.all, Bound::None),
    ])
}

/// Starts a logoff of everybody, waits until every task runs, cancels it, and waits for the confirmations.
async fn round(client: &Client, tasks: u64) -> anyhow::Result<Round> {
    let id = burst::start(client, v1::OperationSpec::default()).await?;
    let runs = |operation: &v1::Operation| {
        let early = [v1::Stage::Queued, v1::Stage::Ordered, v1::Stage::Accepted].map(i32::from);
        operation.stages.iter().filter(|count| early.contains(&count.stage)).all(|count| count.tasks == 0)
    };
    wait(client, &id, runs).await.context("waiting until everything runs")?;
    let began = Instant::now();
    let cancel = v1::CancelOperationRequest { operation_id: id.clone(), reason: "a bench".into() };
    client.operations().cancel_operation(cancel).await?;
    let confirmed =
        |operation: &v1::Operation| operation.outcomes.iter().map(|count| count.tasks).sum::<u64>();
    wait(client, &id, |operation| confirmed(operation) >= tasks * 99 / 100).await?;
    let most = began.elapsed().as_secs_f64();
    let ended = wait(client, &id, |operation| confirmed(operation) == tasks).await?;
    let all = began.elapsed().as_secs_f64();
    let cancelled = |count: &&v1::OutcomeCount| count.outcome() == v1::Outcome::Cancelled;
    let count = ended.outcomes.iter().find(cancelled).map_or(0, |count| count.tasks);
    ensure!(count == tasks, "not every task was cancelled: {:?}", ended.outcomes);
    let wait = v1::WaitOperationRequest { operation_id: id.clone(), timeout: None };
    client.operations().wait_operation(wait).await?;
    let page =
        v1::ListTasksRequest { operation_id: id, page_size: 1, only_not_well: true, ..Default::default() };
    let stored = client.operations().list_tasks(page).await?.into_inner();
    ensure!(stored.task_count == tasks, "the store knows {} tasks", stored.task_count);
    Ok(Round { most, all })
}

async fn wait(
    client: &Client,
    id: &str,
    done: impl Fn(&v1::Operation) -> bool,
) -> anyhow::Result<v1::Operation> {
    let began = Instant::now();
    loop {
        let request = v1::GetOperationRequest { operation_id: id.to_owned() };
        let got = client.operations().get_operation(request).await?.into_inner();
        // It shows only what is stored: an answer comes after its turn's records.
        let operation = got.operation.context("the operation")?;
        if done(&operation) {
            return Ok(operation);
        }
        ensure!(began.elapsed() < GIVE_UP_AFTER, "not within {GIVE_UP_AFTER:?}: {:?}", operation.stages);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
