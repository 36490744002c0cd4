//! The verdicts of runs, in one place: which outcome, code and reason belongs to what was seen.

use crate::call::Error;
use crate::run::{Acting, Run, Stop};
use curfew_types::outcome::RemainingSession;
use curfew_types::{Outcome, Reason, SessionCounts, StatusCode, Verdict};

/// Every target is gone, and that was seen.
pub(crate) fn ended(acting: &Acting) -> Verdict {
    let counts = acting.counts();
    if counts.ended == 0 && !acting.any_asked() {
        return nothing_to_do(counts);
    }
    let n = counts.ended;
    let message = if n == 1 { "1 session ended".into() } else { format!("{n} sessions ended") };
    let message = match counts.excluded {
        0 => message,
        excluded => format!("{message}; {}", left_alone(excluded)),
    };
    Verdict::new(Outcome::Succeeded, StatusCode::Ok, Reason::SessionsEnded, message)
        .with_sessions(counts, Vec::new())
}

/// The guest stopped or rebooted after the act moment.
pub(crate) fn guest_stopped(acting: &Acting) -> Verdict {
    let seen = acting.counts();
    let counts = SessionCounts { ended: seen.ended + seen.remaining, remaining: 0, ..seen };
    let why = "the guest stopped or rebooted, and its sessions went with it";
    Verdict::new(Outcome::Succeeded, StatusCode::Ok, Reason::GuestStopped, why)
        .with_sessions(counts, Vec::new())
}

/// Nobody was logged on at the act moment who may be logged off.
pub(crate) fn nothing_to_do(counts: SessionCounts) -> Verdict {
    let why = match counts.excluded {
        0 => "nobody was logged on".into(),
        excluded => format!("nobody was logged on who may be logged off: {}", left_alone(excluded)),
    };
    Verdict::new(Outcome::NothingToDo, StatusCode::NoSuchLogonSession, Reason::NoSessions, why)
        .with_sessions(counts, Vec::new())
}

fn left_alone(excluded: u32) -> String {
    match excluded {
        1 => "1 session of a protected user was left alone".into(),
        n => format!("{n} sessions of protected users were left alone"),
    }
}

/// An operator holds the guest, and nothing was done in it.
pub(crate) fn held() -> Verdict {
    let why = "held: an operator holds this guest, and nothing was done in it; release it first";
    Verdict::new(Outcome::Skipped, StatusCode::Ok, Reason::Held, why)
}

/// How far a run had come when it was cancelled, or when its guest was held.
pub(crate) fn stopped(run: &Run) -> Verdict {
    if run.stop == Some(Stop::Held) {
        if !run.may_have_asked() {
            return held().with_sessions(run.counts(), remaining(run));
        }
        let why = "a hold of this guest stopped it after sessions had been told to end";
        return Verdict::new(Outcome::Cancelled, StatusCode::Ok, Reason::AfterSomeSessions, why)
            .with_sessions(run.counts(), remaining(run));
    }
    let (reason, why) = match &run.acting {
        None => (Reason::NotStarted, "cancelled before the agent began"),
        Some(_) if !run.may_have_asked() => {
            (Reason::BeforeAnySession, "cancelled before any session was ended")
        }
        Some(_) => (Reason::AfterSomeSessions, "cancelled after sessions had been told to end"),
    };
    Verdict::new(Outcome::Cancelled, StatusCode::Ok, reason, why).with_sessions(run.counts(), remaining(run))
}

/// The order's time was over, or cannot be told after a reboot: the agent looked and ended nobody.
pub(crate) fn expired(run: &Run, logged_on: usize) -> Verdict {
    let why = if run.in_doubt {
        format!(
            "the host rebooted after the order was accepted; {logged_on} sessions are logged on, none was ended since"
        )
    } else {
        format!("the order's time was over; {logged_on} sessions are logged on, none was ended since")
    };
    Verdict::new(Outcome::TimedOut, StatusCode::TimedOut, Reason::OrderExpired, why)
        .with_sessions(run.counts(), remaining(run))
}

/// The task's time is over. The second half says whether the guest is to be looked at again.
pub(crate) fn timed_out(run: &Run) -> (Verdict, bool) {
    if run.stop.is_some() {
        return (stopped(run), false);
    }
    let last = run.last_error.as_ref();
    match &run.acting {
        Some(acting) if acting.seen => (sessions_remain(acting), true),
        Some(_) => {
            let why = "the guest stopped answering after its sessions were told to end";
            let verdict = Verdict::new(Outcome::TimedOut, StatusCode::TimedOut, Reason::GuestSilent, why);
            (verdict.with_sessions(run.counts(), remaining(run)), true)
        }
        None => match last.map(|error| error.code) {
            Some(code @ StatusCode::AdditionsNotAvail) => {
                let why = last
                    .map_or_else(String::new, |error| format!("no guest agent answered in time: {error}"));
                (Verdict::new(Outcome::Refused, code, Reason::AgentUnavailable, why), false)
            }
            _ => {
                let why = "the guest did not answer in time; nobody was logged off";
                (Verdict::new(Outcome::TimedOut, StatusCode::TimedOut, Reason::GuestSilent, why), true)
            }
        },
    }
}

/// Targets are still there, and that was seen.
pub(crate) fn sessions_remain(acting: &Acting) -> Verdict {
    let counts = acting.counts();
    let why = format!("{} of {} sessions did not end in time", counts.remaining, counts.found);
    Verdict::new(Outcome::TimedOut, StatusCode::TimedOut, Reason::SessionsRemain, why)
        .with_sessions(counts, remaining_of(acting))
}

/// A final error before anything was done: the logoff was not started in this guest.
pub(crate) fn refused(error: &Error) -> Verdict {
    let reason = if error.unlistable { Reason::SessionsUnlistable } else { reason_of(error.code) };
    Verdict::new(Outcome::Refused, error.code, reason, error.message.as_str())
}

fn reason_of(code: StatusCode) -> Reason {
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "every other code of a provider says that something is missing"
    )]
    match code {
        StatusCode::VmNotRunning => Reason::NotRunning,
        StatusCode::VmPaused => Reason::Paused,
        StatusCode::VmUnknown => Reason::GuestUnknown,
        StatusCode::AccessDenied => Reason::AccessDenied,
        _ => Reason::FeatureMissing,
    }
}

/// The provider met an error that it cannot explain, before anything was done.
pub(crate) fn provider_failed(error: &Error) -> Verdict {
    Verdict::new(Outcome::Failed, error.code, Reason::ProviderFailed, error.message.as_str())
}

/// Sessions were told to end, and looking again is not possible.
pub(crate) fn unverified(run: &Run, error: &Error) -> Verdict {
    let reason = if error.code == StatusCode::VmUnknown { Reason::Moved } else { Reason::Unverified };
    let why = format!("sessions were told to end, but whether they are gone cannot be seen: {error}");
    Verdict::new(Outcome::Failed, error.code, reason, why).with_sessions(run.counts(), remaining(run))
}

/// Some sessions could not even be told to end.
pub(crate) fn denied(run: &Run, error: &Error) -> Verdict {
    let outcome = if run.may_have_asked() { Outcome::Failed } else { Outcome::Refused };
    let reason =
        if error.code == StatusCode::AccessDenied { Reason::AccessDenied } else { Reason::FeatureMissing };
    Verdict::new(outcome, error.code, reason, error.message.as_str())
        .with_sessions(run.counts(), remaining(run))
}

/// Late news of a guest in which nothing was ever done.
pub(crate) fn answers_again(logged_on: usize) -> Verdict {
    let why = format!(
        "the guest answers again; {logged_on} sessions are logged on, none was ended by this operation"
    );
    let new = u32::try_from(logged_on).unwrap_or(u32::MAX);
    Verdict::new(Outcome::TimedOut, StatusCode::TimedOut, Reason::GuestSilent, why)
        .with_sessions(SessionCounts { new, ..SessionCounts::default() }, Vec::new())
}

/// Late news: the guest is not running any more, and nothing was ever done in it.
pub(crate) fn stopped_since() -> Verdict {
    let why = "the guest is not running any more; nobody was logged off by this operation";
    Verdict::new(Outcome::TimedOut, StatusCode::VmNotRunning, Reason::GuestStopped, why)
}

fn remaining(run: &Run) -> Vec<RemainingSession> {
    run.acting.as_ref().map_or_else(Vec::new, remaining_of)
}

fn remaining_of(acting: &Acting) -> Vec<RemainingSession> {
    let left = acting.targets.iter().filter(|target| !target.gone && !target.spared);
    left.map(|target| RemainingSession { id: target.session.id.clone(), user: target.user.clone() }).collect()
}
