//! Enumerations, times and the small messages that both packages use.

use super::ConvertError;
use crate::v1;
use curfew_types::outcome::{MESSAGE_MAX, REMAINING_MAX, RemainingSession};
use curfew_types::session::USER_MAX;
use curfew_types::{
    NotRunning, OperationState, OsFamily, Outcome, OutcomeClass, PowerState, Reason, Session, SessionCounts,
    SessionKey, SessionState, Stage, StatusCode, TaskResult, Verdict, WallTime,
};
use pbjson_types::{Duration, Timestamp};

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

/// A moment on the wire.
pub fn timestamp(at: WallTime) -> Timestamp {
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

impl From<Verdict> for v1::Verdict {
    fn from(verdict: Verdict) -> v1::Verdict {
        let left = |session: RemainingSession| v1::RemainingSession { id: session.id, user: session.user };
        v1::Verdict {
            outcome: v1::Outcome::from(verdict.outcome).into(),
            status: Some(verdict.code.into()),
            reason: verdict.reason.as_str().into(),
            message: verdict.message,
            sessions: Some(verdict.sessions.into()),
            remaining: verdict.remaining.into_iter().map(left).collect(),
        }
    }
}

impl TryFrom<v1::Verdict> for Verdict {
    type Error = ConvertError;
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
        if verdict.remaining.len() > REMAINING_MAX {
            return Err(ConvertError::new(
                "verdict.remaining",
                format!("it has more than {REMAINING_MAX} sessions"),
            ));
        }
        if verdict.remaining.iter().any(|left| left.id.len() > USER_MAX || left.user.len() > USER_MAX) {
            let why = format!("an id or user is longer than {USER_MAX} bytes");
            return Err(ConvertError::new("verdict.remaining", why));
        }
        let left = |session: v1::RemainingSession| RemainingSession { id: session.id, user: session.user };
        Ok(Verdict {
            outcome: known::<v1::Outcome>("verdict.outcome", verdict.outcome)?.try_into()?,
            code: status.try_into()?,
            reason,
            message: verdict.message,
            sessions: verdict.sessions.unwrap_or_default().into(),
            remaining: verdict.remaining.into_iter().map(left).collect(),
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
