//! Enumerations, times and the small messages that both packages use.

use super::ConvertError;
use crate::v1;
use curfew_types::outcome::{MESSAGE_MAX, RESULTS_MAX, SESSION_WHY_MAX};
use curfew_types::session::USER_MAX;
use curfew_types::{
    DrainState, NotRunning, OperationState, OsFamily, Outcome, OutcomeClass, PowerState, Reason, Session,
    SessionCounts, SessionFate, SessionKey, SessionResult, SessionState, Stage, StatusCode, TaskResult,
    Verdict, WallTime,
};
use pbjson_types::{Duration, Timestamp};

/// Most remaining sessions that stand in a verdict by themselves, beside the results.
const REMAINING_MAX: usize = 16;

/// Pairs of a wire enumeration and a type of the vocabulary: one table, both directions.
macro_rules! enumerations {
    ($($wire:ident <=> $ours:ident { $($theirs:ident = $variant:ident),+ $(,)? })+) => {$(
        impl From<$ours> for v1::$wire {
            fn from(value: $ours) -> v1::$wire {
                match value { $($ours::$variant => v1::$wire::$theirs),+ }
            }
        }

        impl TryFrom<v1::$wire> for $ours {
            type Error = ConvertError;
            fn try_from(value: v1::$wire) -> Result<$ours, ConvertError> {
                match value {
                    v1::$wire::Unspecified => Err(ConvertError::new(stringify!($wire), "it is not given")),
                    $(v1::$wire::$theirs => Ok($ours::$variant)),+
                }
            }
        }
    )+};
}

enumerations! {
    StatusCode <=> StatusCode {
        Ok = Ok, Unexpected = Unexpected, Pointer = Pointer, InvalidArg = InvalidArg,
        AccessDenied = AccessDenied, TimedOut = TimedOut, VmNotRunning = VmNotRunning, VmUnknown = VmUnknown,
        AppShuttingDown = AppShuttingDown, AdditionsNotAvail = AdditionsNotAvail,
        AdditionsFeatureNotAvail = AdditionsFeatureNotAvail, VmPaused = VmPaused, Fail = Fail,
        NoSuchLogonSession = NoSuchLogonSession,
    }
    Stage <=> Stage {
        Queued = Queued, Ordered = Ordered, Accepted = Accepted, Warning = Warning, Ending = Ending,
        Forcing = Forcing, Verifying = Verifying, Done = Done,
    }
    Outcome <=> Outcome {
        Succeeded = Succeeded, NothingToDo = NothingToDo, Refused = Refused, Failed = Failed,
        TimedOut = TimedOut, Unreachable = Unreachable, Unknown = Unknown, Cancelled = Cancelled,
        Skipped = Skipped,
    }
    TaskResult <=> TaskResult {
        Success = Success, Cancelled = Cancelled, UnexpectedError = UnexpectedError,
        OutOfMemoryError = OutOfMemoryError, DiskRelatedError = DiskRelatedError,
        IncompatibleSavedStateError = IncompatibleSavedStateError, TimeOutError = TimeOutError,
        IllegalValueError = IllegalValueError, ThreadCrashError = ThreadCrashError,
        ShutdownAbort = ShutdownAbort,
    }
    OperationState <=> OperationState {
        AwaitingApproval = AwaitingApproval, Running = Running, Paused = Paused, Halted = Halted,
        Cancelling = Cancelling, Ended = Ended,
    }
    FailureClass <=> OutcomeClass {
        Failed = Failed, TimedOut = TimedOut, Unreachable = Unreachable, Refused = Refused,
    }
    NotRunningPolicy <=> NotRunning { Skip = Skip, Refuse = Refuse }
    PowerState <=> PowerState { Running = Running, Paused = Paused, Stopped = Stopped, Unknown = Unknown }
    SessionFate <=> SessionFate {
        Remaining = Remaining, Forced = Forced, Ended = Ended, LeftByItself = LeftByItself, Excluded = Excluded,
        New = New,
    }
    DrainState <=> DrainState {
        Pending = Pending, InForce = InForce, SomebodyElses = SomebodyElses, Lifting = Lifting,
    }
    SessionState <=> SessionState { Active = Active, Disconnected = Disconnected, Closing = Closing }
}

/// A duration on the wire.
pub fn duration(ms: u64) -> Duration {
    let seconds = i64::try_from(ms / 1000).unwrap_or(i64::MAX);
    let nanos = i32::try_from(ms % 1000 * 1_000_000).unwrap_or(0);
    Duration { seconds, nanos }
}

/// Whole milliseconds of a duration; `None` for a negative one.
pub fn milliseconds(duration: &Duration) -> Option<u64> {
    let seconds = u64::try_from(duration.seconds).ok()?;
    let nanos = u64::try_from(duration.nanos).ok()?;
    seconds.checked_mul(1000)?.checked_add(nanos / 1_000_000)
}

/// The moments that a timestamp may tell, in milliseconds: the years 1 to 9999. A guest can claim any other, and a client
/// could not print it.
const TIMES_MS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

/// A moment on the wire; the first or last that there is for one beyond.
pub fn timestamp(at: WallTime) -> Timestamp {
    let at = WallTime(at.0.clamp(*TIMES_MS.start(), *TIMES_MS.end()));
    let nanos = i32::try_from(at.0.rem_euclid(1000) * 1_000_000).unwrap_or(0);
    Timestamp { seconds: at.0.div_euclid(1000), nanos }
}

/// A moment from the wire.
pub fn wall_time(at: &Timestamp) -> WallTime {
    WallTime(at.seconds.saturating_mul(1000).saturating_add(i64::from(at.nanos / 1_000_000)))
}

/// The value of a wire enumeration, or which field has a number that this version does not know.
pub(super) fn known<W: TryFrom<i32>>(field: &'static str, number: i32) -> Result<W, ConvertError> {
    W::try_from(number)
        .map_err(|_| ConvertError::new(field, format!("{number} is not known to this version")))
}

impl From<StatusCode> for v1::Status {
    fn from(code: StatusCode) -> v1::Status {
        v1::Status { code: v1::StatusCode::from(code).into(), hresult: code.value() }
    }
}

impl TryFrom<v1::Status> for StatusCode {
    type Error = ConvertError;
    fn try_from(status: v1::Status) -> Result<StatusCode, ConvertError> {
        known::<v1::StatusCode>("status.code", status.code)?.try_into()
    }
}

impl From<SessionCounts> for v1::SessionCounts {
    fn from(counts: SessionCounts) -> v1::SessionCounts {
        let SessionCounts { found, ended, forced, remaining, excluded, new } = counts;
        v1::SessionCounts { found, ended, forced, remaining, excluded, new }
    }
}

impl From<v1::SessionCounts> for SessionCounts {
    fn from(counts: v1::SessionCounts) -> SessionCounts {
        let v1::SessionCounts { found, ended, forced, remaining, excluded, new } = counts;
        SessionCounts { found, ended, forced, remaining, excluded, new }
    }
}

impl From<SessionResult> for v1::SessionResult {
    fn from(result: SessionResult) -> v1::SessionResult {
        v1::SessionResult {
            id: result.id,
            user: result.user,
            fate: v1::SessionFate::from(result.fate).into(),
            notices: result.notices,
            why: result.why,
        }
    }
}

impl TryFrom<v1::SessionResult> for SessionResult {
    type Error = ConvertError;
    fn try_from(result: v1::SessionResult) -> Result<SessionResult, ConvertError> {
        const FIELD: &str = "verdict.results";
        if result.id.len() > USER_MAX || result.user.len() > USER_MAX || result.why.len() > SESSION_WHY_MAX {
            return Err(ConvertError::new(FIELD, "an id, a user or an explanation is too long"));
        }
        Ok(SessionResult {
            id: result.id,
            user: result.user,
            fate: known::<v1::SessionFate>(FIELD, result.fate)?.try_into()?,
            notices: result.notices,
            why: result.why,
        })
    }
}

impl From<Verdict> for v1::Verdict {
    fn from(verdict: Verdict) -> v1::Verdict {
        (&verdict).into()
    }
}

impl From<&Verdict> for v1::Verdict {
    fn from(verdict: &Verdict) -> v1::Verdict {
        let left = |session: &SessionResult| v1::RemainingSession {
            id: session.id.clone(),
            user: session.user.clone(),
        };
        v1::Verdict {
            outcome: v1::Outcome::from(verdict.outcome).into(),
            status: Some(verdict.code.into()),
            reason: verdict.reason.as_str().into(),
            remaining: verdict.results_of(SessionFate::Remaining).take(REMAINING_MAX).map(left).collect(),
            message: verdict.message.clone(),
            sessions: Some(verdict.sessions.into()),
            results: verdict.results.iter().cloned().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::Verdict> for Verdict {
    type Error = ConvertError;

    /// The results say who remains; what stands beside them says it to clients.
    fn try_from(verdict: v1::Verdict) -> Result<Verdict, ConvertError> {
        let status = verdict.status.ok_or_else(|| ConvertError::new("verdict.status", "it is missing"))?;
        let Some(reason) = Reason::from_word(&verdict.reason) else {
            let why = format!("{:?} is not known to this version", verdict.reason);
            return Err(ConvertError::new("verdict.reason", why));
        };
        if verdict.message.len() > MESSAGE_MAX {
            return Err(ConvertError::new(
                "verdict.message",
                format!("it is longer than {MESSAGE_MAX} bytes"),
            ));
        }
        if verdict.results.len() > RESULTS_MAX {
            return Err(ConvertError::new("verdict.results", format!("there are more than {RESULTS_MAX}")));
        }
        // Made anew: converted in place it would keep the room that the wire's list had, mostly several times what it needs,
        // and millions of verdicts are kept.
        let mut results = Vec::with_capacity(verdict.results.len());
        for result in verdict.results {
            results.push(result.try_into()?);
        }
        Ok(Verdict {
            outcome: known::<v1::Outcome>("verdict.outcome", verdict.outcome)?.try_into()?,
            code: status.try_into()?,
            reason,
            message: verdict.message,
            sessions: verdict.sessions.unwrap_or_default().into(),
            results,
        })
    }
}

impl From<Session> for v1::Session {
    fn from(session: Session) -> v1::Session {
        v1::Session {
            id: session.key.id,
            user: session.user,
            state: v1::SessionState::from(session.state).into(),
            kind: session.kind,
            origin: session.origin,
            begin_time: Some(timestamp(session.since)),
            idle: session.idle_ms.map(duration),
        }
    }
}

impl TryFrom<v1::Session> for Session {
    type Error = ConvertError;

    /// The wire carries a session for people: its key has the platform's id only, and names no boot.
    fn try_from(session: v1::Session) -> Result<Session, ConvertError> {
        Ok(Session {
            key: SessionKey { boot: String::new(), id: session.id, began_us: 0 },
            user: session.user,
            state: known::<v1::SessionState>("session.state", session.state)?.try_into()?,
            kind: session.kind,
            origin: session.origin,
            since: session.begin_time.as_ref().map(wall_time).unwrap_or_default(),
            idle_ms: session.idle.as_ref().and_then(milliseconds),
        })
    }
}

/// The word for a guest's operating system; an unknown word is an unknown system.
pub(super) fn os_family(word: &str) -> OsFamily {
    match word {
        "linux" => OsFamily::Linux,
        "windows" => OsFamily::Windows,
        "other" => OsFamily::Other,
        _ => OsFamily::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_that_no_calendar_has_is_told_as_the_last_that_there_is() {
        let last = Timestamp { seconds: 253_402_300_799, nanos: 999_000_000 };
        assert_eq!(timestamp(WallTime(i64::MAX)), last);
        assert_eq!(timestamp(WallTime(i64::MIN)), Timestamp { seconds: -62_135_596_800, nanos: 0 });
        assert_eq!(timestamp(wall_time(&Timestamp { seconds: i64::MAX, nanos: -1 })), last);
        for ms in [-62_135_596_800_000, -1, 0, 1_795_000_000_123, 253_402_300_799_999] {
            assert_eq!(wall_time(&timestamp(WallTime(ms))), WallTime(ms));
        }
    }
}
