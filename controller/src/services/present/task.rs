//! Tasks as they stand on the wire.

use crate::store::StoredTask;
use curfew_controller_core::view::TaskView;
use curfew_proto::convert::timestamp;
use curfew_proto::v1;
use curfew_types::{OperationId, SessionCounts, Stage, TaskId, TaskResult, Verdict, WallTime};

/// A task in memory. Its late findings are the store's to tell.
pub(in crate::services) fn live_task(view: TaskView) -> v1::Task {
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
pub(in crate::services) fn stored_task(
    operation: OperationId,
    row: StoredTask,
    live: Option<TaskView>,
) -> v1::Task {
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
