//! One task on its way: what it was asked to do, what it waits for, and how far it has come.

use crate::acting::Acting;
use crate::call::Error;
use crate::warning::Warning;
use curfew_types::{GuestId, Logoff, Mono, OperationId, SessionCounts, Stage, TaskId};
use std::sync::Arc;

/// What a run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Another task has the guest.
    Waiting,
    /// Waiting until the guest refuses new logons.
    Draining,
    /// Looking who is logged on; the act moment is when that succeeds, unless people are told first.
    Looking,
    /// People have time: looking whether they leave, telling newcomers, telling them again.
    Warning,
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
    /// How people are logged off; shared by the tasks of an order.
    pub(crate) logoff: Arc<Logoff>,
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
    /// By how much the last look came later than it was due.
    pub(crate) late_ms: u64,
    /// Its drain was begun, whether or not it is over by now: it is not begun a second time.
    pub(crate) drain_begun: bool,
    /// Who was told; `None` before the first notice and after the act moment.
    pub(crate) warning: Option<Warning>,
    /// Who is to end; `None` before the act moment.
    pub(crate) acting: Option<Acting>,
    /// It asks nobody any more, and ends when what it did is known. The first who stopped it stays here.
    pub(crate) stop: Option<Stop>,
    pub(crate) last_error: Option<Error>,
    /// Errors without an explanation since the last success.
    pub(crate) unexplained: u32,
    /// Where it stands as the controller was told last, on this stream or an earlier one.
    pub(crate) progress_told: Option<(Stage, SessionCounts)>,
    /// It stands elsewhere, or is asked about, and the next report is to say so.
    pub(crate) progress_untold: bool,
}

impl Run {
    pub(crate) fn new(
        guest: GuestId,
        accepted: Mono,
        expires: Mono,
        task_timeout_ms: u64,
        logoff: Arc<Logoff>,
    ) -> Run {
        Run {
            guest,
            accepted,
            expires,
            task_timeout_ms,
            logoff,
            in_doubt: false,
            phase: Phase::Waiting,
            deadline: accepted.plus(task_timeout_ms).min(expires),
            call: None,
            next: accepted,
            pause_ms: 0,
            late_ms: 0,
            drain_begun: false,
            warning: None,
            acting: None,
            stop: None,
            last_error: None,
            unexplained: 0,
            progress_told: None,
            progress_untold: false,
        }
    }

    /// The stage to report. It never goes back: what may still be forced is ending until it is, and who is asked again has been
    /// looked at before.
    pub(crate) fn stage(&self) -> Stage {
        let is_forcing = self.acting.as_ref().is_some_and(|acting| acting.forcing);
        let is_asked_again = self.acting.as_ref().is_some_and(|acting| acting.rounds > 0);
        match self.phase {
            Phase::Waiting | Phase::Draining | Phase::Looking if self.warning.is_none() => Stage::Accepted,
            Phase::Waiting | Phase::Draining | Phase::Looking | Phase::Warning => Stage::Warning,
            Phase::Ending { .. } | Phase::Verifying if is_forcing => Stage::Forcing,
            Phase::Ending { .. } | Phase::Verifying if self.logoff.force_after_ms.is_some() => Stage::Ending,
            Phase::Ending { .. } if !is_asked_again => Stage::Ending,
            Phase::Ending { .. } | Phase::Verifying => Stage::Verifying,
        }
    }

    /// Whether people may be told at `now` that they will be logged off.
    pub(crate) fn may_warn(&self, now: Mono) -> bool {
        self.may_end(now)
    }

    /// When what has not ended by itself is killed; `None`: never, or that has begun.
    pub(crate) fn force_at(&self) -> Option<Mono> {
        let acting = self.acting.as_ref().filter(|acting| !acting.forcing)?;
        Some(acting.at.plus(self.logoff.force_after_ms?))
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

    /// Nobody waits any more for the answer of a request that is out: it may have been carried out all the same.
    pub(crate) fn give_up_answer(&mut self) {
        if let (Some(_), Phase::Ending { turn }, Some(acting)) = (self.call, self.phase, &mut self.acting) {
            let is_forced = acting.forcing;
            if let Some(target) = acting.targets.get_mut(turn) {
                target.was_asked(is_forced);
            }
        }
    }

    /// Whether a request is out to end a session whose user has become protected meanwhile.
    pub(crate) fn is_asking_a_spared_one(&self) -> bool {
        let (Some(_), Phase::Ending { turn }, Some(acting)) = (self.call, self.phase, &self.acting) else {
            return false;
        };
        acting.targets.get(turn).is_some_and(|target| target.spared)
    }

    pub(crate) fn counts(&self) -> SessionCounts {
        match (&self.acting, &self.warning) {
            (Some(acting), _) => acting.counts(),
            (None, Some(warning)) => warning.counts(),
            (None, None) => SessionCounts::default(),
        }
    }
}

/// The key of a task in this agent's books.
pub(crate) fn key(operation: OperationId, index: u32) -> TaskId {
    TaskId { operation, index }
}
