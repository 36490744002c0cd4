//! How long a fleet takes to confirm the cancel of an operation that runs on every guest.

use anyhow::{Context as _, ensure};
use curfew_proto::v1;
use curfew_tests::local::LocalFleet;
use curfew_types::{OperationId, Outcome, Stage};
use std::time::{Duration, Instant};

/// How often the controller's counters are read while it is waited.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Far longer than anything here takes.
const GIVE_UP_AFTER: Duration = Duration::from_secs(120);

/// What one round took, from the call.
pub(crate) struct Round {
    /// Until 99 % of the tasks were confirmed, durably.
    most: Duration,
    /// Until all were.
    all: Duration,
}

/// Starts a logoff of everybody, waits until every task runs, cancels it, and waits for the confirmations.
///
/// # Errors
/// When a task ends otherwise than as cancelled, or the store says something else than the operation.
pub(crate) async fn round(fleet: &LocalFleet, guests: u64) -> anyhow::Result<Round> {
    let client = fleet.client().await?;
    let selection = v1::Selection { all: true, ..v1::Selection::default() };
    let spec = v1::OperationSpec { selection: Some(selection), ..v1::OperationSpec::default() };
    let request = v1::StartOperationRequest { spec: Some(spec), ..v1::StartOperationRequest::default() };
    let started = client.operations().start_operation(request).await?.into_inner();
    let id = started.operation.context("an operation")?.id;
    let operation: OperationId = id.parse()?;
    wait(fleet, operation, |stages, _| {
        stages[Stage::Queued as usize] + stages[Stage::Ordered as usize] + stages[Stage::Accepted as usize]
            == 0
    })
    .await
    .context("waiting until everything runs")?;
    let began = Instant::now();
    let cancel = v1::CancelOperationRequest { operation_id: id.clone(), reason: "a bench".into() };
    client.operations().cancel_operation(cancel).await?;
    let most = guests * 99 / 100;
    wait(fleet, operation, |_, outcomes| outcomes.iter().sum::<u64>() >= most).await?;
    let most = began.elapsed();
    let outcomes = wait(fleet, operation, |_, outcomes| outcomes.iter().sum::<u64>() == guests).await?;
    let all = began.elapsed();
    ensure!(outcomes[Outcome::Cancelled.place()] == guests, "not every task was cancelled: {outcomes:?}");
    let wait = v1::WaitOperationRequest { operation_id: id.clone(), timeout: None };
    client.operations().wait_operation(wait).await?;
    let page =
        v1::ListTasksRequest { operation_id: id, page_size: 1, only_not_well: true, ..Default::default() };
    let stored = client.operations().list_tasks(page).await?.into_inner();
    ensure!(stored.task_count == guests, "the store knows {} tasks", stored.task_count);
    Ok(Round { most, all })
}

async fn wait(
    fleet: &LocalFleet,
    operation: OperationId,
    done: impl Fn(&[u64; 8], &[u64; 9]) -> bool,
) -> anyhow::Result<[u64; 9]> {
    let began = Instant::now();
    let handle = fleet.controller().handle();
    loop {
        // An answer comes after the turn's records are stored: what it counts is durable.
        let answer = handle.ask(move |core, _| core.operation(operation)).await?;
        let view = answer.context("the operation is in memory")?;
        if done(&view.stages, &view.outcomes) {
            return Ok(view.outcomes);
        }
        ensure!(
            began.elapsed() < GIVE_UP_AFTER,
            "not within {GIVE_UP_AFTER:?}: {:?} {:?}",
            view.stages,
            view.outcomes
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The medians, in words.
pub(crate) fn medians(rounds: &[Round]) -> String {
    let median = |of: fn(&Round) -> Duration| {
        let mut times: Vec<Duration> = rounds.iter().map(of).collect();
        times.sort_unstable();
        times.get(times.len() / 2).map_or(0.0, Duration::as_secs_f64)
    };
    format!(
        "cancel confirmed: 99 % of tasks after {:.3} s, all after {:.3} s (medians of {} rounds, from the call, durable)",
        median(|round| round.most),
        median(|round| round.all),
        rounds.len()
    )
}
