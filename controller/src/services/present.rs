//! Operations, tasks, hosts and guests as they stand on the wire.

use crate::store::{OperationSummary, StoredTask};
use curfew_controller_core::fleet::{GuestView, HostView};
use curfew_controller_core::view::{OperationView, TaskView};
use curfew_proto::convert::timestamp;
use curfew_proto::v1;
use curfew_types::{
    OperationId, OperationState, Outcome, SessionCounts, Stage, TaskId, TaskResult, Verdict, WallTime,
};

/// A live operation.
pub(super) fn live_operation(view: OperationView, recorded: bool) -> v1::Operation {
    let percent_completed = view.percent();
    let stages = Stage::ALL.into_iter().zip(view.stages).filter(|(_, tasks)| *tasks > 0);
    v1::Operation {
        id: view.id.to_string(),
        request_id: view.spec.request_id.clone().unwrap_or_default(),
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
    }
}

/// An operation as the store has it.
pub(super) fn stored_operation(row: OperationSummary) -> v1::Operation {
    let finished = row.finished();
    let tasks = u64::from(row.task_count);
    v1::Operation {
        id: row.id.to_string(),
        request_id: row.spec.request_id.clone().unwrap_or_default(),
        spec: Some(row.spec.into()),
        requester: row.requester,
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
        cancel_requester: row.cancelled.map(|cancelled| cancelled.by).unwrap_or_default(),
        ended_well_count: row.ended_well,
        recorded: true,
    }
}

fn outcome_counts(outcomes: &[u64; 9]) -> Vec<v1::OutcomeCount> {
    let counted = Outcome::ALL.into_iter().zip(outcomes.iter().copied()).filter(|(_, tasks)| *tasks > 0);
    counted
        .map(|(outcome, tasks)| v1::OutcomeCount { outcome: v1::Outcome::from(outcome).into(), tasks })
        .collect()
}

/// A digest as people compare it.
pub(super) fn digest(digest: u64) -> String {
    format!("{digest:016x}")
}

/// A task in memory. Its late findings are the store's to tell.
pub(super) fn live_task(view: TaskView) -> v1::Task {
    task(Parts {
        id: view.id,
        guest_id: view.guest.to_string(),
        guest_name: view.name,
        host: view.host.to_string(),
        stage: view.stage,
        sessions: view.sessions,
        verdict: view.verdict,
        waiting_for: view.waiting_for,
        late: Vec::new(),
    })
}

/// A task as the store has it, with what is known of it in memory while it runs.
pub(super) fn stored_task(operation: OperationId, row: StoredTask, live: Option<TaskView>) -> v1::Task {
    let id = TaskId { operation, index: row.index };
    let verdict = row.verdict.map(|(verdict, _)| verdict);
    let fallback = if row.handed { Stage::Ordered } else { Stage::Queued };
    let (stage, sessions, waiting_for) = match (&verdict, live) {
        (Some(verdict), _) => (Stage::Done, verdict.sessions, String::new()),
        // The store has not got the outcome yet: neither has the operator.
        (None, Some(live)) if live.stage == Stage::Done => {
            (fallback, SessionCounts::default(), String::new())
        }
        (None, Some(live)) => (live.stage, live.sessions, live.waiting_for),
        (None, None) => (fallback, SessionCounts::default(), String::new()),
    };
    task(Parts {
        id,
        guest_id: row.guest.to_string(),
        guest_name: row.name,
        host: row.host.to_string(),
        stage,
        sessions,
        verdict,
        waiting_for,
        late: row.late,
    })
}

struct Parts {
    id: TaskId,
    guest_id: String,
    guest_name: String,
    host: String,
    stage: Stage,
    sessions: SessionCounts,
    verdict: Option<Verdict>,
    waiting_for: String,
    late: Vec<(Verdict, WallTime)>,
}

fn task(parts: Parts) -> v1::Task {
    let result: Option<TaskResult> = parts.verdict.as_ref().map(|verdict| verdict.outcome.task_result());
    let late = |(verdict, at): (Verdict, WallTime)| v1::LateFinding {
        verdict: Some(verdict.into()),
        record_time: Some(timestamp(at)),
    };
    v1::Task {
        id: parts.id.to_string(),
        operation_id: parts.id.operation.to_string(),
        description: format!("Log off the users of guest {} on host {}", parts.guest_name, parts.host),
        guest_id: parts.guest_id,
        guest_name: parts.guest_name,
        host: parts.host,
        stage: v1::Stage::from(parts.stage).into(),
        percent_completed: parts.stage.percent(),
        is_complete: parts.stage == Stage::Done,
        is_cancelable: parts.stage != Stage::Done,
        result: result.map_or(v1::TaskResult::Unspecified, v1::TaskResult::from).into(),
        result_value: result.map_or(0, TaskResult::value),
        ended_well: parts.verdict.as_ref().is_some_and(Verdict::ended_well),
        verdict: parts.verdict.map(Into::into),
        waiting_for: parts.waiting_for,
        late_findings: parts.late.into_iter().map(late).collect(),
        sessions: Some(parts.sessions.into()),
    }
}

pub(super) fn host(view: HostView) -> v1::Host {
    v1::Host {
        name: view.name.to_string(),
        connected: view.connected,
        last_seen_time: view.seen.map(timestamp),
        labels: view.labels.into_iter().collect(),
        guest_count: u32::try_from(view.guests).unwrap_or(u32::MAX),
        agent_version: view.version,
    }
}

pub(super) fn guest(view: GuestView) -> v1::Guest {
    v1::Guest {
        id: view.guest.id.to_string(),
        name: view.guest.name.clone(),
        host: view.host.to_string(),
        provider: view.guest.provider.clone(),
        os: view.guest.os.as_str().into(),
        power_state: v1::PowerState::from(view.guest.power).into(),
        labels: view.labels.into_iter().collect(),
        is_host: view.guest.is_host,
        other_hosts: view.other_hosts.iter().map(ToString::to_string).collect(),
        host_connected: view.connected,
    }
}
