//! The verdicts of runs, in one place: which outcome, code and reason belongs to what was seen.

use crate::acting::Acting;
use crate::call::Error;
use crate::results;
use crate::run::{Run, Stop};
use curfew_types::{Outcome, Reason, SessionCounts, SessionFate, StatusCode, Verdict};

/// Every target is gone, and that was seen.
pub(crate) fn ended(acting: &Acting) -> Verdict {
    let counts = acting.counts();
    if counts.ended == 0 && !acting.any_asked() {
        return nothing_to_do(acting);
    }
    let n = counts.ended;
    let mut message = if n == 1 { "1 session ended".into() } else { format!("{n} sessions ended") };
    if counts.forced > 0 {
        message.push_str(&format!(", {} of them by force", counts.forced));
    }
    if counts.excluded > 0 {
        message.push_str(&format!("; {}", left_alone(acting)));
    }
    Verdict::new(Outcome::Succeeded, StatusCode::Ok, Reason::SessionsEnded, message)
        .with_sessions(counts, results::of_acting(acting))
}

/// Nobody is there at the act moment who is to be ended: everybody left in time, or nobody was there.
pub(crate) fn nobody_to_end(acting: &Acting) -> Verdict {
    if acting.left_early.is_empty() {
        return nothing_to_do(acting);
    }
    let why = match acting.left_early.len() {
        1 => "1 session left by itself".into(),
        n => format!("{n} sessions left by themselves"),
    };
    Verdict::new(Outcome::Succeeded, StatusCode::Ok, Reason::SessionsEnded, why)
        .with_sessions(acting.counts(), results::of_acting(acting))
}

/// The guest stopped or rebooted after the act moment.
pub(crate) fn guest_stopped(acting: &Acting) -> Verdict {
    let why = "the guest stopped or rebooted, and its sessions went with it";
    let mut acting = acting.clone();
    for target in acting.targets.iter_mut().filter(|target| !target.is_left_alone()) {
        target.gone = true;
    }
    Verdict::new(Outcome::Succeeded, StatusCode::Ok, Reason::GuestStopped, why)
        .with_sessions(acting.counts(), results::of_acting(&acting))
}

/// The guest stopped while people still had time.
pub(crate) fn guest_stopped_in_grace(run: &Run) -> Verdict {
    let seen = run.counts();
    let counts = SessionCounts { ended: seen.found, remaining: 0, ..seen };
    let why = "the guest was stopped while people still had time, and its sessions went with it";
    let mut results = results::of(run);
    for result in &mut results {
        result.fate = SessionFate::LeftByItself;
    }
    Verdict::new(Outcome::Succeeded, StatusCode::Ok, Reason::GuestStopped, why).with_sessions(counts, results)
}

/// Nobody was logged on at the act moment whom the request means and who may be logged off.
fn nothing_to_do(acting: &Acting) -> Verdict {
    let counts = acting.counts();
    let why = match counts.excluded {
        0 => "nobody was logged on".into(),
        _ => format!("nobody was logged on who is to be logged off: {}", left_alone(acting)),
    };
    Verdict::new(Outcome::NothingToDo, StatusCode::NoSuchLogonSession, Reason::NoSessions, why)
        .with_sessions(counts, results::of_acting(acting))
}

fn left_alone(acting: &Acting) -> String {
    let alone = || results::of_acting(acting).into_iter().filter(|it| it.fate == SessionFate::Excluded);
    let protected = alone().filter(|it| it.why == results::PROTECTED).count();
    let others = alone().count() - protected;
    let sessions = |n: usize, whose: &str| match n {
        0 => None,
        1 => Some(format!("1 session{whose} was left alone")),
        n => Some(format!("{n} sessions{whose} were left alone")),
    };
    let said =
        [sessions(protected, " of protected users"), sessions(others, " that the request does not mean")];
    said.into_iter().flatten().collect::<Vec<_>>().join(", ")
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
            return held().with_sessions(run.counts(), results::of(run));
        }
        let why = "a hold of this guest stopped it after sessions had been told to end";
        return Verdict::new(Outcome::Cancelled, StatusCode::Ok, Reason::AfterSomeSessions, why)
            .with_sessions(run.counts(), results::of(run));
    }
    let (reason, why) = match &run.acting {
        None if run.warning.is_some() => {
            (Reason::BeforeAnySession, "cancelled after people were told, before any session was ended")
        }
        None => (Reason::NotStarted, "cancelled before the agent began"),
        Some(_) if !run.may_have_asked() => {
            (Reason::BeforeAnySession, "cancelled before any session was ended")
        }
        Some(_) => (Reason::AfterSomeSessions, "cancelled after sessions had been told to end"),
    };
    Verdict::new(Outcome::Cancelled, StatusCode::Ok, reason, why)
        .with_sessions(run.counts(), results::of(run))
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
        .with_sessions(run.counts(), results::of(run))
}

/// The task's time is over. The second half says whether the guest is to be looked at again.
pub(crate) fn timed_out(run: &Run) -> (Verdict, bool) {
    if run.stop.is_some() {
        return (stopped(run), false);
    }
    let last = run.last_error.as_ref();
    if run.warning.is_some() && run.deadline >= run.expires {
        return (expired(run, run.counts().remaining as usize), false);
    }
    match &run.acting {
        Some(acting) if acting.seen => (sessions_remain(acting), true),
        Some(_) => {
            let why = "the guest stopped answering after its sessions were told to end";
            let verdict = Verdict::new(Outcome::TimedOut, StatusCode::TimedOut, Reason::GuestSilent, why);
            (verdict.with_sessions(run.counts(), results::of(run)), true)
        }
        None => match last.map(|error| error.code) {
            Some(code @ StatusCode::AdditionsNotAvail) => {
                let why = last
                    .map_or_else(String::new, |error| format!("no guest agent answered in time: {error}"));
                (Verdict::new(Outcome::Refused, code, Reason::AgentUnavailable, why), false)
            }
            _ => {
                let why = "the guest did not answer in time; nobody was logged off";
                let verdict = Verdict::new(Outcome::TimedOut, StatusCode::TimedOut, Reason::GuestSilent, why);
                (verdict.with_sessions(run.counts(), results::of(run)), true)
            }
        },
    }
}

/// Targets are still there, and that was seen.
pub(crate) fn sessions_remain(acting: &Acting) -> Verdict {
    let counts = acting.counts();
    let why = format!("{} of {} sessions did not end in time", counts.remaining, counts.found);
    Verdict::new(Outcome::TimedOut, StatusCode::TimedOut, Reason::SessionsRemain, why)
        .with_sessions(counts, results::of_acting(acting))
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
    Verdict::new(Outcome::Failed, error.code, reason, why).with_sessions(run.counts(), results::of(run))
}

/// Some sessions could not even be told to end.
pub(crate) fn denied(run: &Run, error: &Error) -> Verdict {
    let outcome = if run.may_have_asked() { Outcome::Failed } else { Outcome::Refused };
    let reason =
        if error.code == StatusCode::AccessDenied { Reason::AccessDenied } else { Reason::FeatureMissing };
    Verdict::new(outcome, error.code, reason, error.message.as_str())
        .with_sessions(run.counts(), results::of(run))
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
