//! How tasks end: the outcome, its class for budgets, the contract's result and code, and why.

use crate::StatusCode;
use serde::{Deserialize, Serialize};

/// Longest text for people in a verdict, in bytes; longer ones are cut.
pub const MESSAGE_MAX: usize = 512;
/// Most sessions told one by one in a verdict, those that went least well first; the counts tell the rest.
pub const RESULTS_MAX: usize = 100;
/// Longest text for people about one session, in bytes; longer ones are cut.
pub const SESSION_WHY_MAX: usize = 160;

/// How a task ended. It ends once, with one of these, and that never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every target session is gone, and that was seen.
    Succeeded,
    /// Nobody was logged on.
    NothingToDo,
    /// The logoff was not started in this guest.
    Refused,
    /// It was started and did not end well.
    Failed,
    /// It was started, or tried, and its time ran out.
    TimedOut,
    /// No order was ever handed to the host's stream, and its time is over.
    Unreachable,
    /// An order was handed over and no outcome came in time.
    Unknown,
    /// It was cancelled; the reason says how far it had come.
    Cancelled,
    /// It was left out by choice or because its time never came.
    Skipped,
}

/// The class of an outcome that a failure budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeClass {
    /// Started and did not end well.
    Failed,
    /// Its time ran out.
    TimedOut,
    /// The host could not be reached, or was lost in the middle.
    Unreachable,
    /// The guest or the agent said no.
    Refused,
}

impl OutcomeClass {
    /// Every class.
    pub const ALL: [OutcomeClass; 4] =
        [OutcomeClass::Failed, OutcomeClass::TimedOut, OutcomeClass::Unreachable, OutcomeClass::Refused];

    /// The word used in listings.
    pub fn as_str(self) -> &'static str {
        match self {
            OutcomeClass::Failed => "failed",
            OutcomeClass::TimedOut => "timed out",
            OutcomeClass::Unreachable => "unreachable",
            OutcomeClass::Refused => "refused",
        }
    }
}

/// `VMTaskResult` of the original, with its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TaskResult {
    /// 0
    Success,
    /// 1
    Cancelled,
    /// 2
    UnexpectedError,
    /// 3
    OutOfMemoryError,
    /// 4
    DiskRelatedError,
    /// 5
    IncompatibleSavedStateError,
    /// 6
    TimeOutError,
    /// 7
    IllegalValueError,
    /// 8
    ThreadCrashError,
    /// 9
    ShutdownAbort,
}

impl TaskResult {
    /// The number in the original header.
    pub fn value(self) -> i32 {
        match self {
            TaskResult::Success => 0,
            TaskResult::Cancelled => 1,
            TaskResult::UnexpectedError => 2,
            TaskResult::OutOfMemoryError => 3,
            TaskResult::DiskRelatedError => 4,
            TaskResult::IncompatibleSavedStateError => 5,
            TaskResult::TimeOutError => 6,
            TaskResult::IllegalValueError => 7,
            TaskResult::ThreadCrashError => 8,
            TaskResult::ShutdownAbort => 9,
        }
    }
}

impl Outcome {
    /// Every outcome, in the order in which summaries show them.
    pub const ALL: [Outcome; 9] = [
        Outcome::Succeeded,
        Outcome::NothingToDo,
        Outcome::Refused,
        Outcome::Failed,
        Outcome::TimedOut,
        Outcome::Unreachable,
        Outcome::Unknown,
        Outcome::Cancelled,
        Outcome::Skipped,
    ];

    /// The class that budgets count it under, if any.
    pub fn class(self) -> Option<OutcomeClass> {
        match self {
            Outcome::Succeeded | Outcome::NothingToDo | Outcome::Cancelled | Outcome::Skipped => None,
            Outcome::Refused => Some(OutcomeClass::Refused),
            Outcome::Failed => Some(OutcomeClass::Failed),
            Outcome::TimedOut => Some(OutcomeClass::TimedOut),
            Outcome::Unreachable | Outcome::Unknown => Some(OutcomeClass::Unreachable),
        }
    }

    /// `IVMTask.Result` that goes with it.
    pub fn task_result(self) -> TaskResult {
        match self {
            Outcome::Succeeded | Outcome::NothingToDo => TaskResult::Success,
            Outcome::Cancelled | Outcome::Skipped => TaskResult::Cancelled,
            Outcome::TimedOut | Outcome::Unreachable => TaskResult::TimeOutError,
            Outcome::Refused | Outcome::Failed | Outcome::Unknown => TaskResult::UnexpectedError,
        }
    }

    /// The word used in listings.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Succeeded => "succeeded",
            Outcome::NothingToDo => "nothing to do",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
            Outcome::TimedOut => "timed out",
            Outcome::Unreachable => "unreachable",
            Outcome::Unknown => "unknown",
            Outcome::Cancelled => "cancelled",
            Outcome::Skipped => "skipped",
        }
    }

    /// Its place in [`Outcome::ALL`]: the index into per-outcome counters.
    pub fn place(self) -> usize {
        self as usize
    }
}

macro_rules! reasons {
    ($($variant:ident = $word:literal: $doc:literal;)+) => {
        /// Why a task ended as it did: the machine-readable half of a verdict.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Reason { $(#[doc = $doc] $variant,)+ }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Reason] = &[$(Reason::$variant),+];

            /// The word on the wire and in listings.
            pub fn as_str(self) -> &'static str {
                match self { $(Reason::$variant => $word),+ }
            }

            /// The reason with this word.
            pub fn from_word(word: &str) -> Option<Reason> {
                match word { $($word => Some(Reason::$variant),)+ _ => None }
            }
        }
    };
}

reasons! {
    SessionsEnded = "sessions_ended": "Every target session was ended or left by itself, and is gone.";
    GuestStopped = "guest_stopped": "The guest stopped or rebooted after acceptance, and its sessions went with it.";
    NoSessions = "no_sessions": "Nobody was logged on at the act moment whom the request means.";
    GuestUnknown = "guest_unknown": "The agent does not know the guest.";
    NotRunning = "not_running": "The guest is not running.";
    Paused = "paused": "The guest is paused.";
    AgentUnavailable = "agent_unavailable": "No guest agent answered until the task's timeout.";
    FeatureMissing = "feature_missing": "The guest agent or the guest lacks what is needed.";
    SessionsUnlistable = "sessions_unlistable": "The guest's sessions cannot be listed reliably.";
    AccessDenied = "access_denied": "The agent lacks the right to list or end sessions in this guest.";
    Conflict = "conflict": "Two hosts claim the guest as running.";
    Moved = "moved": "Another host claims the guest now.";
    ShuttingDown = "shutting_down": "The agent is shutting down and takes no new work.";
    UnsupportedOption = "unsupported_option": "The agent does not know an option of the order.";
    OrderExpired = "order_expired": "The order's time was over before it could be acted on.";
    StaleEpoch = "stale_epoch": "The order came from a controller that has been succeeded.";
    ProviderFailed = "provider_failed": "The provider met an error it could not explain.";
    Unverified = "unverified": "Sessions were ended, but looking again was not possible.";
    SessionsRemain = "sessions_remain": "Sessions that were asked to end are still there.";
    GuestSilent = "guest_silent": "The guest did not answer within the time given.";
    HostOffline = "host_offline": "The host was not connected while the order could be delivered.";
    NoReport = "no_report": "The order was handed over, and no outcome came in time.";
    LedgerLost = "ledger_lost": "The agent's ledger was lost or rolled back after the order was handed over.";
    HostRemoved = "host_removed": "The host was removed from the fleet.";
    NotStarted = "not_started": "Cancelled before the agent began.";
    BeforeAnySession = "before_any_session": "Cancelled after the agent began, before any session was ended.";
    AfterSomeSessions = "after_some_sessions": "Cancelled after some sessions had been told to end.";
    Excluded = "excluded": "Excluded by the request.";
    NotRunningByChoice = "not_running_by_choice": "Not running, and the request skips such guests.";
    DeadlineBeforeStart = "deadline_before_start": "The operation's deadline came before its turn.";
    Held = "held": "An operator holds the guest: nothing touches it until it is released.";
    BudgetSpent = "budget_spent": "A failure budget was spent before its turn, or before its order reached the agent.";
    NotApproved = "not_approved": "The operation was rejected, or its approval did not come in time.";
}

impl Reason {
    /// Whether a skip for this reason is what the requester chose, or an operator's hold.
    fn is_requesters_choice(self) -> bool {
        matches!(self, Reason::Excluded | Reason::NotRunningByChoice | Reason::Held)
    }
}

/// What was found and done about the sessions of one guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionCounts {
    /// Target sessions: those at the act moment, and those that were warned before and left by themselves.
    #[serde(skip_serializing_if = "is_zero")]
    pub found: u32,
    /// Targets that are gone, whichever way.
    #[serde(skip_serializing_if = "is_zero")]
    pub ended: u32,
    /// Targets that had to be killed.
    #[serde(skip_serializing_if = "is_zero")]
    pub forced: u32,
    /// Targets that are still there.
    #[serde(skip_serializing_if = "is_zero")]
    pub remaining: u32,
    /// Sessions left alone because a filter or a protection excludes them.
    #[serde(skip_serializing_if = "is_zero")]
    pub excluded: u32,
    /// Sessions that began after the act moment, left alone.
    #[serde(skip_serializing_if = "is_zero")]
    pub new: u32,
}

macro_rules! fates {
    ($($variant:ident = $word:literal: $doc:literal;)+) => {
        /// What became of one session. In the order in which a verdict tells them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum SessionFate { $(#[doc = $doc] $variant,)+ }

        impl SessionFate {
            /// Every fate. Its place is its number in the store: append only.
            pub const ALL: &[SessionFate] = &[$(SessionFate::$variant),+];

            /// The word used in listings.
            pub fn as_str(self) -> &'static str {
                match self { $(SessionFate::$variant => $word),+ }
            }

            /// Its place in [`SessionFate::ALL`].
            pub fn place(self) -> usize {
                self as usize
            }
        }
    };
}

fates! {
    Remaining = "remaining": "It was to end, and is still there.";
    Forced = "forced": "It had to be killed, and is gone.";
    Ended = "ended": "It was asked to end, and is gone.";
    LeftByItself = "left by itself": "It was gone before it was asked to end.";
    Excluded = "excluded": "It was left alone, because it was not asked for or its user is protected.";
    New = "new": "It began after the act moment, and was left alone.";
}

/// What became of one session of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionResult {
    /// The platform's session id.
    pub id: String,
    /// The user, as the guest writes it.
    pub user: String,
    /// What became of it.
    pub fate: SessionFate,
    /// How many notices were shown to it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub notices: u32,
    /// More in words: what holds a remaining one, why one was excluded, why it was shown no notice. May be empty; at
    /// most [`SESSION_WHY_MAX`] bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// How a task ended, in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The outcome.
    pub outcome: Outcome,
    /// The contract's code: `IVMTask.Error`, or the refusal's HRESULT.
    pub code: StatusCode,
    /// Why, for programs.
    pub reason: Reason,
    /// Why, for people; at most [`MESSAGE_MAX`] bytes.
    pub message: String,
    /// What was found and done.
    pub sessions: SessionCounts,
    /// What became of each session, those that went least well first; at most [`RESULTS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<SessionResult>,
}

impl Verdict {
    /// A verdict without sessions.
    pub fn new(outcome: Outcome, code: StatusCode, reason: Reason, message: impl Into<String>) -> Verdict {
        let mut verdict = Verdict {
            outcome,
            code,
            reason,
            message: message.into(),
            sessions: SessionCounts::default(),
            results: Vec::new(),
        };
        truncate_at_char(&mut verdict.message, MESSAGE_MAX);
        verdict
    }

    /// The same with what was found and done.
    #[must_use]
    pub fn with_sessions(mut self, sessions: SessionCounts, mut results: Vec<SessionResult>) -> Verdict {
        results.sort_by_key(|result| result.fate);
        results.truncate(RESULTS_MAX);
        for result in &mut results {
            truncate_at_char(&mut result.why, SESSION_WHY_MAX);
        }
        self.sessions = sessions;
        self.results = results;
        self
    }

    /// Whether two verdicts have the same shape: they differ in nothing but the ids and users of their sessions.
    pub fn is_like(&self, other: &Verdict) -> bool {
        let alike = |one: &SessionResult, other: &SessionResult| {
            one.fate == other.fate && one.notices == other.notices && one.why == other.why
        };
        self.outcome == other.outcome
            && self.reason == other.reason
            && self.code == other.code
            && self.sessions == other.sessions
            && self.message == other.message
            && self.results.len() == other.results.len()
            && self.results.iter().zip(&other.results).all(|(one, other)| alike(one, other))
    }

    /// The shape alone: the verdict without the ids and users of its sessions. Many verdicts of an operation have the same.
    #[must_use]
    pub fn shape(&self) -> Verdict {
        let nameless = |result: &SessionResult| SessionResult {
            id: String::new(),
            user: String::new(),
            why: result.why.clone(),
            ..*result
        };
        let results = self.results.iter().map(nameless).collect();
        Verdict { message: self.message.clone(), results, ..*self }
    }

    /// The verdict of this shape about sessions with these ids and users, in the order of [`Verdict::results`]. `None`
    /// if there are not as many of them.
    #[must_use]
    pub fn with_names(&self, names: impl IntoIterator<Item = (String, String)>) -> Option<Verdict> {
        let mut names = names.into_iter();
        let mut results = Vec::with_capacity(self.results.len());
        for result in &self.results {
            let (id, user) = names.next()?;
            results.push(SessionResult { id, user, why: result.why.clone(), ..*result });
        }
        let verdict = Verdict { message: self.message.clone(), results, ..*self };
        names.next().is_none().then_some(verdict)
    }

    /// The sessions with this fate.
    pub fn results_of(&self, fate: SessionFate) -> impl Iterator<Item = &SessionResult> {
        self.results.iter().filter(move |result| result.fate == fate)
    }

    /// Whether the requester has what was asked for.
    pub fn ended_well(&self) -> bool {
        match self.outcome {
            Outcome::Succeeded | Outcome::NothingToDo => true,
            Outcome::Skipped => self.reason.is_requesters_choice(),
            Outcome::Refused
            | Outcome::Failed
            | Outcome::TimedOut
            | Outcome::Unreachable
            | Outcome::Unknown
            | Outcome::Cancelled => false,
        }
    }
}

/// Cuts `text` to at most `max` bytes without splitting a character.
pub fn truncate_at_char(text: &mut String, max: usize) {
    if text.len() > max {
        let end = (0..=max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_place_and_result() {
        for (place, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome.place(), place);
        }
        assert_eq!(Outcome::Unreachable.task_result().value(), 6);
        assert_eq!(Outcome::Unknown.task_result().value(), 2);
    }

    #[test]
    fn only_the_requesters_own_skip_counts_as_ended_well() {
        let skipped = |reason| Verdict::new(Outcome::Skipped, StatusCode::Ok, reason, "").ended_well();
        assert!(skipped(Reason::Excluded));
        assert!(skipped(Reason::NotRunningByChoice));
        assert!(!skipped(Reason::DeadlineBeforeStart));
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let verdict =
            Verdict::new(Outcome::Failed, StatusCode::Unexpected, Reason::ProviderFailed, "é".repeat(400));
        assert_eq!(verdict.message.len(), MESSAGE_MAX);
    }

    #[test]
    fn a_verdict_is_its_shape_and_the_names_of_its_sessions() {
        let session = |id: &str, user: &str| SessionResult {
            id: id.into(),
            user: user.into(),
            fate: SessionFate::Remaining,
            notices: 2,
            why: "held by vim".into(),
        };
        let verdict = |results| {
            let counts = SessionCounts { found: 2, remaining: 2, ..SessionCounts::default() };
            Verdict::new(Outcome::TimedOut, StatusCode::TimedOut, Reason::SessionsRemain, "2 of 2")
                .with_sessions(counts, results)
        };
        let (one, other) = (
            verdict(vec![session("1", "ann"), session("2", "bob")]),
            verdict(vec![session("7", "eve"), session("8", "joe")]),
        );
        assert!(one.is_like(&other) && one.shape() == other.shape());
        assert!(!one.is_like(&verdict(vec![session("1", "ann")])));

        let names = || [("7".to_owned(), "eve".to_owned()), ("8".to_owned(), "joe".to_owned())];
        assert_eq!(one.shape().with_names(names()), Some(other));
        assert_eq!(one.shape().with_names(names().into_iter().take(1)), None);
        assert_eq!(one.shape().with_names(names().into_iter().chain(names())), None);
    }

    #[test]
    fn reasons_read_back_from_their_words() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_word(reason.as_str()), Some(*reason));
        }
    }
}
