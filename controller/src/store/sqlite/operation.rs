//! Writes the rows of operations: their start, and what changes about the whole of them.

use super::batch::{Counts, OperationChange, Replanned};
use super::expected::Expected;
use super::fault::{Fault, Result};
use super::rows::Rows;
use super::steering;
use super::transaction::Transaction;
use curfew_controller_core::record::{NO_WAVE, Started, TargetHost};
use curfew_types::OperationId;

static TARGETS: Rows = Rows::new("targets", &["operation", "chunk", "body"], "");

/// Writes an operation that starts.
///
/// # Errors
/// When it stands as none does at its start, or its tasks are not numbered without gaps. That there is one with its id is
/// found by the database, when the transaction runs.
pub(super) async fn insert(to: &mut Transaction<'_>, started: &Started, expected: &Expected) -> Result<()> {
    let id = started.id.number().cast_signed();
    let spec = serde_json::to_string(&started.spec)?;
    to.add(
        "INSERT INTO operations (id, state, requester, request_id, created_at, deadline_at, digest, task_count, \
         host_count, seed, standing, wave_sizes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(id)
    .bind(steering::unfinished_number(started.id, &started.standing)?)
    .bind(&started.requester)
    .bind(&started.spec.request_id)
    .bind(started.created.0)
    .bind(started.deadline.0)
    .bind(started.digest.cast_signed())
    .bind(started.task_count())
    .bind(u32::try_from(started.hosts.len()).unwrap_or(u32::MAX))
    .bind(started.seed.cast_signed())
    .bind(serde_json::to_string(&started.standing)?)
    .bind(wave_sizes(&started.hosts)?);
    to.add("INSERT INTO specs (operation, spec) VALUES (?, ?)").bind(id).bind(spec);
    insert_targets(to, started, expected).await
}

/// Gives an operation that waits for approval another set of guests.
///
/// # Errors
/// When it does not wait for approval, anything is known of one of its tasks, or the new tasks are not numbered without
/// gaps.
pub(super) async fn replan(
    to: &mut Transaction<'_>,
    replanned: Replanned<'_>,
    expected: &Expected,
) -> Result<()> {
    let started = replanned.with;
    let id = started.id.number().cast_signed();
    let stored: Option<(i64, bool)> = sqlx::query_as(
        "SELECT state, EXISTS (SELECT 1 FROM journal WHERE operation = id) FROM operations WHERE id = ?",
    )
    .bind(id)
    .fetch_optional(to.reading().await?)
    .await?;
    let (state, has_journal) = stored.ok_or_else(|| Fault::Refused(format!("{} is unknown", started.id)))?;
    let waited = !replanned.check_stored || state == super::STATE_AWAITING_APPROVAL;
    if replanned.too_late || !waited || has_journal {
        return Err(Fault::Refused(format!("{} has its guests for good", started.id)));
    }
    to.add(
        "UPDATE operations SET deadline_at = ?, digest = ?, task_count = ?, host_count = ?, seed = ?, wave_sizes = ? \
         WHERE id = ?",
    )
    .bind(started.deadline.0)
    .bind(started.digest.cast_signed())
    .bind(started.task_count())
    .bind(u32::try_from(started.hosts.len()).unwrap_or(u32::MAX))
    .bind(started.seed.cast_signed())
    .bind(wave_sizes(&started.hosts)?)
    .bind(id);
    let spec = serde_json::to_string(&started.spec)?;
    to.add("UPDATE specs SET spec = ? WHERE operation = ?").bind(spec).bind(id);
    to.add("DELETE FROM targets WHERE operation = ?").bind(id);
    insert_targets(to, started, expected).await
}

/// Tasks by wave, as they are stored.
fn wave_sizes(hosts: &[TargetHost]) -> Result<String> {
    let mut sizes: Vec<u64> = Vec::new();
    let guests = hosts.iter().flat_map(|host| &host.guests);
    for guest in guests.filter(|guest| guest.wave != NO_WAVE) {
        let wave = usize::from(guest.wave);
        if sizes.len() <= wave {
            sizes.resize(wave + 1, 0);
        }
        sizes[wave] += 1;
    }
    Ok(serde_json::to_string(&sizes)?)
}

async fn insert_targets(to: &mut Transaction<'_>, started: &Started, expected: &Expected) -> Result<()> {
    let id = started.id.number().cast_signed();
    let mut parts = expected.packing(&started.hosts).ok_or_else(|| {
        Fault::Refused(format!("the tasks of {} are not numbered without gaps", started.id))
    })?;
    let mut chunk = 0_u32..;
    while let Some(part) = parts.next().await {
        if chunk.start > 0 {
            // What came before it goes in while the next is packed.
            to.run().await?;
        }
        let part: Vec<_> = part?.into_iter().zip(chunk.by_ref()).collect();
        TARGETS
            .insert(to, part, |values, (body, chunk)| {
                values.bind(id).bind(chunk).bind(body);
            })
            .await?;
    }
    Ok(())
}

/// Writes what changes about the whole of an operation.
///
/// # Errors
/// When the database refuses.
pub(super) async fn update(
    to: &mut Transaction<'_>,
    id: OperationId,
    change: &OperationChange<'_>,
) -> Result<()> {
    update_counts(to, id.number().cast_signed(), &change.counts);
    steering::write(to, id, change).await?;
    update_state(to, id.number().cast_signed(), change)
}

fn update_counts(to: &mut Transaction<'_>, id: i64, counts: &Counts) {
    if *counts != Counts::default() {
        let values = to.add(
            "UPDATE operations SET succeeded = succeeded + ?, nothing_to_do = nothing_to_do + ?, \
             refused = refused + ?, failed = failed + ?, timed_out = timed_out + ?, \
             unreachable = unreachable + ?, unknown = unknown + ?, cancelled = cancelled + ?, \
             skipped = skipped + ?, ended_well = ended_well + ?, late_findings = late_findings + ? \
             WHERE id = ?",
        );
        let Counts { outcomes, ended_well, late, .. } = counts;
        let values = outcomes.iter().fold(values, |values, count| values.bind(count));
        values.bind(ended_well).bind(late).bind(id);
    }
}

fn update_state(to: &mut Transaction<'_>, id: i64, change: &OperationChange<'_>) -> Result<()> {
    if let Some(cancel) = change.cancelled {
        to.add(
            "UPDATE operations SET state = ?, cancelled_by = ?, cancel_reason = ?, cancelled_at = ? \
             WHERE id = ? AND cancelled_by IS NULL",
        )
        .bind(super::STATE_CANCELLING)
        .bind(cancel.by)
        .bind(cancel.reason)
        .bind(cancel.at.0)
        .bind(id);
    }
    if let Some(end) = change.ended {
        to.add("UPDATE operations SET state = ?, ended_at = ?, revision = ?, slowest = ? WHERE id = ?")
            .bind(super::STATE_ENDED)
            .bind(end.at.0)
            .bind(end.revision.cast_signed())
            .bind(serde_json::to_string(end.slowest)?)
            .bind(id);
    }
    Ok(())
}
