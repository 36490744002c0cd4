//! Operations as they stand on the wire: planned, in memory, or as the store has them.

use crate::store::OperationSummary;
use curfew_controller_core::select::Plan;
use curfew_controller_core::view::{OperationView, SlowTask};
use curfew_proto::convert::{duration, timestamp};
use curfew_proto::v1;
use curfew_types::operation::{OperationEvent, Standing};
use curfew_types::{
    OperationId, OperationSpec, OperationState, Outcome, OutcomeClass, Reason, Stage, TaskId,
};

/// What would be started; it has no id.
pub(in crate::services) fn planned_operation(
    plan: &Plan,
    spec: OperationSpec,
    requester: String,
) -> v1::Operation {
    let waves = plan.wave_sizes.iter().map(|tasks| v1::Wave { tasks: *tasks, ended: 0, begun: false });
    v1::Operation {
        request_id: spec.request_id.clone().unwrap_or_default(),
        retry_of: spec.retry_of.map(|id| id.to_string()).unwrap_or_default(),
        seed: spec.rollout.seed.unwrap_or_default(),
        spec: Some(spec.into()),
        requester,
        task_count: u64::from(plan.selected()),
        stages: vec![v1::StageCount { stage: v1::Stage::Queued.into(), tasks: plan.included() }],
        selection_digest: digest(plan.digest),
        waves: if plan.wave_sizes.len() > 1 { waves.collect() } else { Vec::new() },
        waiting_for: plan.blocked_by.clone(),
        approval: plan.needs_approval.then(v1::Approval::default),
        ..v1::Operation::default()
    }
}

/// A live operation.
pub(in crate::services) fn live_operation(view: OperationView, recorded: bool) -> v1::Operation {
    let percent_completed = view.percent();
    let stages = Stage::ALL.into_iter().zip(view.stages).filter(|(_, tasks)| *tasks > 0);
    let waves =
        view.waves.iter().map(|wave| v1::Wave { tasks: wave.tasks, ended: wave.ended, begun: wave.begun });
    let budgets = view.budgets.iter().map(|budget| v1::BudgetStatus {
        class: v1::FailureClass::from(budget.class).into(),
        budget: Some(budget.budget.into()),
        allowed: budget.allowed,
        spent: budget.spent,
    });
    v1::Operation {
        id: view.id.to_string(),
        request_id: view.spec.request_id.clone().unwrap_or_default(),
        retry_of: view.spec.retry_of.map(|id| id.to_string()).unwrap_or_default(),
        spec: Some(view.spec.into()),
        requester: view.requester,
        state: v1::OperationState::from(view.state).into(),
        create_time: Some(timestamp(view.created)),
        deadline_time: Some(timestamp(view.deadline)),
        end_time: view.ended.map(timestamp),
        task_count: view.tasks,
        percent_completed,
        outcomes: outcome_counts(&view.outcomes),
        stages: stages
            .map(|(stage, tasks)| v1::StageCount { stage: v1::Stage::from(stage).into(), tasks })
            .collect(),
        ended_well: view.state == OperationState::Ended && view.ended_well == view.tasks,
        selection_digest: digest(view.digest),
        revision: view.revision,
        late_finding_count: view.late_findings,
        cancel_requester: view.cancelled_by.unwrap_or_default(),
        ended_well_count: view.ended_well,
        recorded,
        seed: view.seed,
        waves: waves.collect(),
        budgets: budgets.collect(),
        waiting_for: view.waiting_for,
        reasons: reason_counts(view.reasons),
        approval: approval(view.standing),
        slowest: Vec::new(),
        events: Vec::new(),
    }
}

/// An operation as the store has it.
pub(in crate::services) fn stored_operation(row: OperationSummary) -> v1::Operation {
    let finished = row.finished();
    let tasks = u64::from(row.task_count);
    v1::Operation {
        id: row.id.to_string(),
        request_id: row.spec.request_id.clone().unwrap_or_default(),
        retry_of: row.spec.retry_of.map(|id| id.to_string()).unwrap_or_default(),
        state: v1::OperationState::from(row.state).into(),
        create_time: Some(timestamp(row.created)),
        deadline_time: Some(timestamp(row.deadline)),
        end_time: row.ended.map(|ended| timestamp(ended.at)),
        task_count: tasks,
        percent_completed: u32::try_from(finished * 100 / tasks.max(1)).unwrap_or(100),
        outcomes: outcome_counts(&row.outcomes),
        stages: Vec::new(),
        ended_well: row.state == OperationState::Ended && row.ended_well == tasks,
        selection_digest: digest(row.digest),
        revision: row.ended.map_or(0, |ended| ended.revision),
        late_finding_count: row.late_findings,
        ended_well_count: row.ended_well,
        recorded: true,
        seed: row.seed,
        waves: stored_waves(&row),
        budgets: stored_budgets(&row),
        waiting_for: String::new(),
        spec: Some(row.spec.into()),
        requester: row.requester,
        cancel_requester: row.cancelled.map(|cancelled| cancelled.by).unwrap_or_default(),
        reasons: reason_counts(row.reasons),
        approval: approval(row.standing),
        slowest: Vec::new(),
        events: Vec::new(),
    }
}

/// The waves of an operation that has left memory: all of them have ended.
fn stored_waves(row: &OperationSummary) -> Vec<v1::Wave> {
    let begun = |place: usize| u32::try_from(place).is_ok_and(|place| place <= row.standing.wave);
    let wave = |(place, tasks): (usize, &u64)| v1::Wave {
        tasks: *tasks,
        ended: if row.ended.is_some() { *tasks } else { 0 },
        begun: begun(place) && row.standing.state != OperationState::AwaitingApproval,
    };
    let waves = row.wave_sizes.iter().enumerate().filter(|_| row.wave_sizes.len() > 1);
    waves.map(wave).collect()
}

fn stored_budgets(row: &OperationSummary) -> Vec<v1::BudgetStatus> {
    let spent = |class| {
        let counted = Outcome::ALL.into_iter().zip(row.outcomes);
        counted.filter(|(outcome, _)| outcome.class() == Some(class)).map(|(_, tasks)| tasks).sum()
    };
    let status = |class: OutcomeClass| {
        let budget = row.standing.budgets.of(class)?;
        Some(v1::BudgetStatus {
            class: v1::FailureClass::from(class).into(),
            budget: Some(budget.into()),
            allowed: budget.as_budget(u64::from(row.task_count)),
            spent: spent(class),
        })
    };
    OutcomeClass::ALL.into_iter().filter_map(status).collect()
}

fn approval(standing: Standing) -> Option<v1::Approval> {
    if standing.approval_until.is_none() && standing.approved_by.is_none() {
        return None;
    }
    let expire_time = standing.approval_until.map(timestamp);
    Some(v1::Approval { expire_time, approver: standing.approved_by.unwrap_or_default() })
}

fn outcome_counts(outcomes: &[u64; 9]) -> Vec<v1::OutcomeCount> {
    let counted = Outcome::ALL.into_iter().zip(outcomes.iter().copied()).filter(|(_, tasks)| *tasks > 0);
    counted
        .map(|(outcome, tasks)| v1::OutcomeCount { outcome: v1::Outcome::from(outcome).into(), tasks })
        .collect()
}

fn reason_counts(reasons: Vec<(Outcome, Reason, u64)>) -> Vec<v1::ReasonCount> {
    let count = |(outcome, reason, tasks): (Outcome, Reason, u64)| v1::ReasonCount {
        outcome: v1::Outcome::from(outcome).into(),
        reason: reason.as_str().to_owned(),
        tasks,
    };
    reasons.into_iter().map(count).collect()
}

/// A digest as people compare it.
pub(in crate::services) fn digest(digest: u64) -> String {
    format!("{digest:016x}")
}

/// A task that takes long, or took.
pub(in crate::services) fn slow_task(operation: OperationId, task: SlowTask) -> v1::SlowTask {
    v1::SlowTask {
        task_id: TaskId { operation, index: task.index }.to_string(),
        guest_name: task.name,
        host: task.host.to_string(),
        stage: v1::Stage::from(task.stage).into(),
        elapsed: Some(duration(task.elapsed_ms)),
    }
}

/// Something that changed how an operation stands.
pub(in crate::services) fn event(event: OperationEvent) -> v1::OperationEvent {
    v1::OperationEvent {
        event_time: Some(timestamp(event.at)),
        what: event.what.as_str().to_owned(),
        actor: event.by.unwrap_or_default(),
        why: event.why,
    }
}
