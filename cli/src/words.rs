//! The words that listings use for the API's enums, times and codes. Never longer than they need to be.

use crate::table::{Cell, Tone};
use curfew_proto::v1;
use curfew_types::StatusCode;
use std::time::Duration;

/// Now, in seconds since 1970; for ages only.
pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// How long ago, as kubectl has it: one unit, two while it is short.
pub(crate) fn age(time: Option<&pbjson_types::Timestamp>, now: i64) -> String {
    time.map_or_else(String::new, |time| {
        span(Duration::from_secs(now.saturating_sub(time.seconds).max(0) as u64))
    })
}

/// A span of time in at most two units.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let two = |big: u64, big_name: &str, small: u64, small_name: &str| match small {
        0 => format!("{big}{big_name}"),
        small => format!("{big}{big_name}{small}{small_name}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(seconds / 60, "m", seconds % 60, "s"),
        600..7200 => format!("{}m", seconds / 60),
        7200..36_000 => two(seconds / 3600, "h", seconds % 3600 / 60, "m"),
        36_000..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A point in time, in UTC.
pub(crate) fn time(time: Option<&pbjson_types::Timestamp>) -> String {
    let parsed = time.and_then(|time| jiff::Timestamp::new(time.seconds, time.nanos).ok());
    parsed.map_or_else(String::new, |time| format!("{time:.0}"))
}

/// A duration of the API as people write it.
pub(crate) fn duration(duration: Option<&pbjson_types::Duration>) -> String {
    duration.map_or_else(String::new, |time| humantime::format_duration(from_wire(time)).to_string())
}

/// A span of time as a stopwatch has it: to the tenth of a second while it is short.
pub(crate) fn elapsed(time: Duration) -> String {
    if time < Duration::from_secs(60) { format!("{:.1}s", time.as_secs_f64()) } else { span(time) }
}

/// A duration of the API; a negative one is none.
pub(crate) fn from_wire(duration: &pbjson_types::Duration) -> Duration {
    Duration::from_millis(curfew_proto::convert::milliseconds(duration).unwrap_or(0))
}

/// An amount of guests as it is typed.
pub(crate) fn amount(amount: Option<&v1::Amount>) -> String {
    match amount.and_then(|amount| amount.amount) {
        Some(v1::amount::Amount::Number(number)) => number.to_string(),
        Some(v1::amount::Amount::Percent(percent)) => format!("{percent}%"),
        None => String::new(),
    }
}

/// What a failure budget counts.
pub(crate) fn failure_class(class: v1::FailureClass) -> &'static str {
    match class {
        v1::FailureClass::Unspecified => "unknown",
        v1::FailureClass::Failed => "failed",
        v1::FailureClass::TimedOut => "timed out",
        v1::FailureClass::Unreachable => "unreachable",
        v1::FailureClass::Refused => "refused",
    }
}

/// The contract's code: its value first, since that is what stays when the cell is cut.
pub(crate) fn status(status: Option<&v1::Status>) -> String {
    status.map_or_else(String::new, |status| match StatusCode::from_value(status.hresult) {
        Some(code) => format!("0x{:08X} {}", code.value(), code.name()),
        None => format!("0x{:08X}", status.hresult),
    })
}

/// Whether a status says that all went well.
pub(crate) fn is_ok(status: Option<&v1::Status>) -> bool {
    status.is_some_and(|status| status.hresult == 0)
}

/// Labels in a selector's own spelling.
pub(crate) fn labels(labels: &std::collections::HashMap<String, String>) -> String {
    let mut pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.sort_unstable();
    pairs.join(",")
}

/// A number with its noun.
pub(crate) fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// How an operation stands.
pub(crate) fn operation_state(operation: &v1::Operation) -> Cell {
    match operation.state() {
        v1::OperationState::Unspecified => "unknown".into(),
        v1::OperationState::AwaitingApproval => Cell::toned("awaiting approval", Tone::Busy),
        v1::OperationState::Running => Cell::toned("running", Tone::Busy),
        v1::OperationState::Paused => Cell::toned("paused", Tone::Busy),
        v1::OperationState::Halted => Cell::toned("halted", Tone::Bad),
        v1::OperationState::Cancelling => Cell::toned("cancelling", Tone::Busy),
        v1::OperationState::Ended if operation.ended_well => Cell::toned("ended well", Tone::Good),
        v1::OperationState::Ended => Cell::toned("ended, not well", Tone::Bad),
    }
}

/// An outcome.
pub(crate) fn outcome(outcome: v1::Outcome) -> &'static str {
    match outcome {
        v1::Outcome::Unspecified => "not ended",
        v1::Outcome::Succeeded => "succeeded",
        v1::Outcome::NothingToDo => "nothing to do",
        v1::Outcome::Refused => "refused",
        v1::Outcome::Failed => "failed",
        v1::Outcome::TimedOut => "timed out",
        v1::Outcome::Unreachable => "unreachable",
        v1::Outcome::Unknown => "unknown",
        v1::Outcome::Cancelled => "cancelled",
        v1::Outcome::Skipped => "skipped",
    }
}

/// How an outcome is meant where only the outcome is known.
pub(crate) fn outcome_tone(outcome: v1::Outcome) -> Tone {
    match outcome {
        v1::Outcome::Succeeded | v1::Outcome::NothingToDo => Tone::Good,
        v1::Outcome::Unspecified | v1::Outcome::Skipped => Tone::Plain,
        v1::Outcome::Refused
        | v1::Outcome::Failed
        | v1::Outcome::TimedOut
        | v1::Outcome::Unreachable
        | v1::Outcome::Unknown
        | v1::Outcome::Cancelled => Tone::Bad,
    }
}

/// A stage.
pub(crate) fn stage(stage: v1::Stage) -> &'static str {
    match stage {
        v1::Stage::Unspecified => "unknown",
        v1::Stage::Queued => "queued",
        v1::Stage::Ordered => "ordered",
        v1::Stage::Accepted => "accepted",
        v1::Stage::Warning => "warning",
        v1::Stage::Ending => "ending",
        v1::Stage::Forcing => "forcing",
        v1::Stage::Verifying => "verifying",
        v1::Stage::Done => "done",
    }
}

/// How a task stands: its outcome, or how far it has come.
pub(crate) fn task_state(task: &v1::Task) -> Cell {
    match &task.verdict {
        Some(verdict) if task.ended_well => Cell::toned(outcome(verdict.outcome()), Tone::Good),
        Some(verdict) => Cell::toned(outcome(verdict.outcome()), Tone::Bad),
        None => Cell::toned(stage(task.stage()), Tone::Busy),
    }
}

/// Whether a guest runs.
pub(crate) fn power_state(state: v1::PowerState) -> &'static str {
    match state {
        v1::PowerState::Unspecified | v1::PowerState::Unknown => "unknown",
        v1::PowerState::Running => "running",
        v1::PowerState::Paused => "paused",
        v1::PowerState::Stopped => "stopped",
    }
}

/// Whether somebody sits at a session.
pub(crate) fn session_state(state: v1::SessionState) -> &'static str {
    match state {
        v1::SessionState::Unspecified => "unknown",
        v1::SessionState::Active => "active",
        v1::SessionState::Disconnected => "disconnected",
        v1::SessionState::Closing => "closing",
    }
}

/// How a drain stands.
pub(crate) fn drain_state(state: v1::DrainState) -> &'static str {
    match state {
        v1::DrainState::Unspecified => "unknown",
        v1::DrainState::Pending => "pending",
        v1::DrainState::InForce => "in force",
        v1::DrainState::SomebodyElses => "somebody else's",
        v1::DrainState::Lifting => "lifting",
    }
}

/// What became of a session.
pub(crate) fn fate(fate: v1::SessionFate) -> Cell {
    match fate {
        v1::SessionFate::Unspecified => "unknown".into(),
        v1::SessionFate::Remaining => Cell::toned("remaining", Tone::Bad),
        v1::SessionFate::Forced => Cell::toned("forced", Tone::Busy),
        v1::SessionFate::Ended => Cell::toned("ended", Tone::Good),
        v1::SessionFate::LeftByItself => Cell::toned("left by itself", Tone::Good),
        v1::SessionFate::Excluded => "excluded".into(),
        v1::SessionFate::New => "new".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_are_short() {
        let shown = [0, 59, 119, 120, 125, 599, 601, 7199, 7260, 36_000, 90_000, 200_000]
            .map(|seconds| span(Duration::from_secs(seconds)));
        let expected =
            ["0s", "59s", "119s", "2m", "2m5s", "9m59s", "10m", "119m", "2h1m", "10h", "25h", "2d"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_code_is_shown_by_value_and_name() {
        let known = v1::Status { code: v1::StatusCode::TimedOut.into(), hresult: 0xA004_0202 };
        assert_eq!(status(Some(&known)), "0xA0040202 VM_E_TIMED_OUT");
        let newer = v1::Status { code: 99, hresult: 0xA004_0999 };
        assert_eq!(status(Some(&newer)), "0xA0040999");
    }

    #[test]
    fn the_words_for_what_was_done_and_found_are_the_vocabularys() {
        for class in curfew_types::OutcomeClass::ALL {
            assert_eq!(failure_class(class.into()), class.as_str());
        }
        for (number, word) in curfew_types::Outcome::ALL.into_iter().enumerate() {
            let here = v1::Outcome::try_from(number as i32 + 1).expect("every outcome is on the wire");
            assert_eq!(outcome(here), word.as_str());
        }
        for (number, word) in curfew_types::Stage::ALL.into_iter().enumerate() {
            let here = v1::Stage::try_from(number as i32 + 1).expect("every stage is on the wire");
            assert_eq!(stage(here), word.as_str());
        }
        for word in curfew_types::SessionFate::ALL {
            assert_eq!(fate((*word).into()).text(), word.as_str());
        }
        for word in [
            curfew_types::DrainState::Pending,
            curfew_types::DrainState::InForce,
            curfew_types::DrainState::SomebodyElses,
            curfew_types::DrainState::Lifting,
        ] {
            assert_eq!(drain_state(word.into()), word.as_str());
        }
    }
}
