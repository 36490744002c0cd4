//! Builders for the unit tests.

use curfew_proto::v1;

/// An operation that has come this far.
pub(crate) fn operation(
    tasks: u64,
    outcomes: &[(v1::Outcome, u64)],
    stages: &[(v1::Stage, u64)],
) -> v1::Operation {
    let ended: u64 = outcomes.iter().map(|(_, tasks)| tasks).sum();
    let well = |outcome: &v1::Outcome| matches!(outcome, v1::Outcome::Succeeded | v1::Outcome::NothingToDo);
    let ended_well: u64 = outcomes.iter().filter(|(outcome, _)| well(outcome)).map(|(_, tasks)| tasks).sum();
    let state = if ended == tasks { v1::OperationState::Ended } else { v1::OperationState::Running };
    v1::Operation {
        id: "op-0123456789abc".into(),
        state: state.into(),
        task_count: tasks,
        percent_completed: u32::try_from(ended * 100 / tasks.max(1)).expect("at most 100"),
        outcomes: outcomes
            .iter()
            .map(|(outcome, tasks)| v1::OutcomeCount { outcome: (*outcome).into(), tasks: *tasks })
            .collect(),
        stages: stages
            .iter()
            .map(|(stage, tasks)| v1::StageCount { stage: (*stage).into(), tasks: *tasks })
            .collect(),
        ended_well: ended == tasks && ended_well == tasks,
        ended_well_count: ended_well,
        create_time: Some(pbjson_types::Timestamp { seconds: 1_795_000_000, nanos: 0 }),
        end_time: (ended == tasks)
            .then_some(pbjson_types::Timestamp { seconds: 1_795_000_003, nanos: 250_000_000 }),
        recorded: true,
        ..Default::default()
    }
}

/// A task that timed out.
pub(crate) fn timed_out(index: u64) -> v1::Task {
    v1::Task {
        id: format!("op-0123456789abc/{index}"),
        operation_id: "op-0123456789abc".into(),
        guest_id: format!("host-1/simulated/{index}"),
        guest_name: format!("desk-{index}"),
        host: "host-1".into(),
        stage: v1::Stage::Done.into(),
        percent_completed: 100,
        is_complete: true,
        result: v1::TaskResult::TimeOutError.into(),
        result_value: 6,
        verdict: Some(v1::Verdict {
            outcome: v1::Outcome::TimedOut.into(),
            status: Some(v1::Status { code: v1::StatusCode::TimedOut.into(), hresult: 0xA004_0202 }),
            reason: "guest_silent".into(),
            message: "the guest did not answer within the time given".into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}
