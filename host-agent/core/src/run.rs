//! One task on its way: what is known of its guest, who is to be ended, and what it waits for.

use crate::call::Error;
use curfew_types::{GuestId, Mono, OperationId, SessionCounts, SessionKey, Stage, TaskId};
use serde::{Deserialize, Serialize};

/// A session that is to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its whole identity.
    pub session: SessionKey,
    /// Whose it is, for reports.
    pub user: String,
    /// How often it was asked to end.
    #[serde(skip)]
    pub asked: u32,
    /// It was seen to be gone.
    #[serde(skip)]
    pub gone: bool,
    /// Its user was protected after the act moment: it is not asked any more, and nobody waits for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spared: bool,
}

/// What a run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Another task has the guest.
    Waiting,
    /// Looking who is logged on; the act moment is when that succeeds.
    Looking,
    /// Asking the targets to end, one after the other.
    Ending {
        /// The place of the target whose turn it is.
        turn: usize,
    },
    /// Looking whether the targets are gone.
    Verifying,
}

/// Who stopped a run before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The operation was cancelled.
    Cancelled,
    /// Its guest is held.
    Held,
}

/// An accepted task without an outcome.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) guest: GuestId,
    pub(crate) accepted: Mono,
    /// After this moment nobody's session is ended any more.
    pub(crate) expires: Mono,
    pub(crate) task_timeout_ms: u64,
    /// This machine has rebooted since: whether the time is over cannot be told, so nobody's session is ended.
    pub(crate) in_doubt: bool,
    pub(crate) phase: Phase,
    /// When the task times out.
    pub(crate) deadline: Mono,
    /// The call that is out, if any.
    pub(crate) call: Option<u64>,
    /// When to go on, while no call is out.
    pub(crate) next: Mono,
    /// The pause before the next look; doubles up to a limit.
    pub(crate) pause_ms: u64,
    /// Who is to end; `None` before the act moment.
    pub(crate) acting: Option<Acting>,
    /// It asks nobody any more, and ends when what it did is known. The first who stopped it stays here.
    pub(crate) stop: Option<Stop>,
    pub(crate) last_error: Option<Error>,
    /// Errors without an explanation since the last success.
    pub(crate) unexplained: u32,
}

/// What the act moment fixed, and what has been seen since.
#[derive(Clone, Debug)]
pub(crate) struct Acting {
    /// The act moment: the task's time counts from here.
    pub(crate) at: Mono,
    pub(crate) guest_boot: String,
    pub(crate) targets: Vec<Target>,
    /// Sessions of users that were protected at the act moment: no targets.
    pub(crate) excluded: Vec<SessionKey>,
    /// Sessions that began after the act moment, at the last look.
    pub(crate) new: u32,
    /// When the targets were last asked.
    pub(crate) asked_at: Mono,
    /// How many rounds of asking there were.
    pub(crate) rounds: u32,
    /// The last look succeeded: what it showed can be reported as seen.
    pub(crate) seen: bool,
}

impl Run {
    pub(crate) fn new(guest: GuestId, accepted: Mono, expires: Mono, task_timeout_ms: u64) -> Run {
        Run {
            guest,
            accepted,
            expires,
            task_timeout_ms,
            in_doubt: false,
            phase: Phase::Waiting,
            deadline: accepted.plus(task_timeout_ms).min(expires),
            call: None,
            next: accepted,
            pause_ms: 0,
            acting: None,
            stop: None,
            last_error: None,
            unexplained: 0,
        }
    }

    /// The stage to report.
    pub(crate) fn stage(&self) -> Stage {
        match self.phase {
            Phase::Waiting | Phase::Looking => Stage::Accepted,
            Phase::Ending { .. } => Stage::Ending,
            Phase::Verifying => Stage::Verifying,
        }
    }

    /// Whether ending sessions is allowed at `now`.
    pub(crate) fn may_end(&self, now: Mono) -> bool {
        !self.in_doubt && self.stop.is_none() && now < self.expires && now < self.deadline
    }

    /// Whether any session may have been told to end: one was, or a request is out whose answer is not known.
    pub(crate) fn may_have_asked(&self) -> bool {
        self.is_asking() || self.acting.as_ref().is_some_and(Acting::any_asked)
    }

    /// Whether a request to end a session is out.
    pub(crate) fn is_asking(&self) -> bool {
        self.call.is_some() && matches!(self.phase, Phase::Ending { .. })
    }

    /// Whether a request is out to end a session whose user has become protected meanwhile.
    pub(crate) fn is_asking_a_spared_one(&self) -> bool {
        let (Some(_), Phase::Ending { turn }, Some(acting)) = (self.call, self.phase, &self.acting) else {
            return false;
        };
        acting.targets.get(turn).is_some_and(|target| target.spared)
    }

    pub(crate) fn counts(&self) -> SessionCounts {
        self.acting.as_ref().map_or_else(SessionCounts::default, Acting::counts)
    }
}

impl Acting {
    pub(crate) fn counts(&self) -> SessionCounts {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let gone = self.targets.iter().filter(|target| target.gone).count();
        let spared = self.targets.iter().filter(|target| !target.gone && target.spared).count();
        SessionCounts {
            found: count(self.targets.len()),
            ended: count(gone),
            forced: 0,
            remaining: count(self.targets.len() - gone - spared),
            excluded: count(spared + self.excluded.len()),
            new: self.new,
        }
    }

    /// Takes in what a look showed. Returns whether the guest is still in the boot of the act moment.
    pub(crate) fn look(&mut self, list: &crate::call::SessionList) -> bool {
        self.seen = true;
        let same_boot = list.boot == self.guest_boot;
        let present = |key: &SessionKey| same_boot && list.sessions.iter().any(|session| session.key == *key);
        for target in &mut self.targets {
            target.gone = !present(&target.session);
        }
        let was_there = |key: &SessionKey| {
            self.targets.iter().any(|target| target.session == *key) || self.excluded.contains(key)
        };
        let new = list.sessions.iter().filter(|session| !was_there(&session.key)).count();
        self.new = u32::try_from(new).unwrap_or(u32::MAX);
        same_boot
    }

    /// Whether every target is gone that is to go.
    pub(crate) fn all_gone(&self) -> bool {
        self.targets.iter().all(|target| target.gone || target.spared)
    }

    pub(crate) fn any_asked(&self) -> bool {
        self.targets.iter().any(|target| target.asked > 0)
    }
}

/// The key of a task in this agent's books.
pub(crate) fn key(operation: OperationId, index: u32) -> TaskId {
    TaskId { operation, index }
}
