//! How an operation stands and what made it so: its standing, its events, its counts by reason.

use super::batch::OperationChange;
use super::body::BodyError;
use super::fault::{Fault, Result};
use super::rows::Rows;
use super::transaction::Transaction;
use curfew_types::operation::{EventKind, OperationEvent, Standing};
use curfew_types::{OperationId, OperationSpec, OperationState, Outcome, Reason, WallTime};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};

static EVENTS: Rows = Rows::new("operation_events", &["operation", "seq", "at", "what", "actor", "why"], "");

static REASONS: Rows = Rows::new(
    "operation_reasons",
    &["operation", "outcome", "reason", "tasks"],
    "ON CONFLICT (operation, outcome, reason) DO UPDATE SET tasks = tasks + excluded.tasks",
);

/// The number of a state in `operations.state`.
pub(super) fn state_number(state: OperationState) -> i64 {
    match state {
        OperationState::Running => super::STATE_RUNNING,
        OperationState::Cancelling => super::STATE_CANCELLING,
        OperationState::Ended => super::STATE_ENDED,
        OperationState::AwaitingApproval => super::STATE_AWAITING_APPROVAL,
        OperationState::Paused => super::STATE_PAUSED,
        OperationState::Halted => super::STATE_HALTED,
    }
}

/// The state with a number.
///
/// # Errors
/// When this version does not know it.
pub(super) fn state(number: i64) -> Result<OperationState, BodyError> {
    Ok(match number {
        super::STATE_RUNNING => OperationState::Running,
        super::STATE_CANCELLING => OperationState::Cancelling,
        super::STATE_ENDED => OperationState::Ended,
        super::STATE_AWAITING_APPROVAL => OperationState::AwaitingApproval,
        super::STATE_PAUSED => OperationState::Paused,
        super::STATE_HALTED => OperationState::Halted,
        other => return Err(BodyError::Unknown(format!("operation state {other}"))),
    })
}

/// The state column of an operation that has not ended and was not cancelled.
///
/// # Errors
/// When the standing says what only a cancel or the end can make so.
pub(super) fn unfinished_number(id: OperationId, standing: &Standing) -> Result<i64> {
    match standing.state {
        OperationState::Cancelling | OperationState::Ended => {
            Err(Fault::Refused(format!("{id} cannot be made to stand as {}", standing.state.as_str())))
        }
        state => Ok(state_number(state)),
    }
}

/// Writes how an operation stands since this transaction, and what made it so.
///
/// # Errors
/// When the standing says what only a cancel or the end can make so, or the database refuses.
pub(super) async fn write(
    to: &mut Transaction<'_>,
    id: OperationId,
    change: &OperationChange<'_>,
) -> Result<()> {
    let number = id.number().cast_signed();
    let reasons: Vec<_> = change.counts.reasons.iter().collect();
    REASONS
        .insert(to, reasons, |values, ((outcome, reason), tasks)| {
            let outcome = i64::try_from(outcome.place()).unwrap_or(i64::MAX);
            values.bind(number).bind(outcome).bind(reason.as_str()).bind(tasks);
        })
        .await?;
    let Some(standing) = change.standing else { return Ok(()) };
    // Whoever cancels an operation has the last word about its state.
    to.add(
        "UPDATE operations SET standing = ?, state = CASE WHEN cancelled_by IS NULL THEN ? ELSE state END WHERE id = ?",
    )
    .bind(serde_json::to_string(standing)?)
    .bind(unfinished_number(id, standing)?)
    .bind(number);
    let first: i64 =
        sqlx::query_scalar("SELECT COALESCE(MAX(seq), -1) + 1 FROM operation_events WHERE operation = ?")
            .bind(number)
            .fetch_one(to.reading().await?)
            .await?;
    let events: Vec<_> = change.events.iter().zip(first..).collect();
    EVENTS
        .insert(to, events, |values, (event, seq)| {
            values.bind(number).bind(seq).bind(event.at.0).bind(event.what.as_str());
            values.bind(&event.by).bind(&event.why);
        })
        .await
}

/// How the operation in a row with its `standing` stands.
///
/// # Errors
/// When it cannot be understood.
pub(super) fn read_standing(row: &SqliteRow, spec: &OperationSpec) -> Result<Standing> {
    match row.try_get::<Option<&str>, _>("standing")? {
        Some(text) => Ok(serde_json::from_str(text)?),
        None => Ok(Standing::running(spec.budgets)),
    }
}

/// The counts in a row's `reasons`: a JSON list of [outcome, reason, tasks].
///
/// # Errors
/// When one cannot be understood.
pub(super) fn read_reasons(row: &SqliteRow) -> Result<Vec<(Outcome, Reason, u64)>> {
    let listed: Vec<(usize, String, u64)> = serde_json::from_str(row.try_get("reasons")?)?;
    let count = |(place, word, tasks): (usize, String, u64)| {
        let outcome = Outcome::ALL.get(place).copied();
        let known = outcome.zip(Reason::from_word(&word));
        known
            .map(|(outcome, reason)| (outcome, reason, tasks))
            .ok_or_else(|| BodyError::Unknown(format!("outcome {place} with reason {word:?}")))
    };
    let mut reasons: Vec<_> = listed.into_iter().map(count).collect::<Result<_, _>>()?;
    reasons.sort_unstable_by_key(|(outcome, reason, _)| (outcome.place(), reason.as_str()));
    Ok(reasons)
}

/// An operation's events, oldest first; none of one that is unknown or being removed.
pub(super) async fn events(readers: &SqlitePool, operation: OperationId) -> Result<Vec<OperationEvent>> {
    let rows = sqlx::query(
        "SELECT at, what, actor, why FROM operation_events JOIN operations ON operations.id = operation \
         WHERE operation = ? AND state <> ? ORDER BY seq",
    )
    .bind(operation.number().cast_signed())
    .bind(super::STATE_REMOVING)
    .fetch_all(readers)
    .await?;
    let event = |row: &SqliteRow| -> Result<OperationEvent> {
        let word: &str = row.try_get(1)?;
        Ok(OperationEvent {
            at: WallTime(row.try_get(0)?),
            what: EventKind::from_word(word).ok_or_else(|| BodyError::Unknown(format!("event {word:?}")))?,
            by: row.try_get(2)?,
            why: row.try_get(3)?,
        })
    };
    rows.iter().map(event).collect()
}
