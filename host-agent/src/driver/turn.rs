//! What the core wants done in one turn, sorted by when it may be done, and what the log says of it.

use crate::kill_point::{KillPoint, reach};
use curfew_agent_core::call::Request;
use curfew_agent_core::{Action, Core, Entry};
use curfew_types::agent::Report;
use curfew_types::{GuestId, TaskId};

/// A question to a provider.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) call: u64,
    pub(super) guest: GuestId,
    pub(super) request: Request,
    pub(super) budget_ms: u64,
}

/// One turn's work.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// First: on disk before anything else.
    pub(super) entries: Vec<Entry>,
    /// Then.
    pub(super) calls: Vec<Call>,
    /// Last.
    pub(super) reports: Vec<Report>,
    notes: Vec<(bool, String)>,
}

impl Turn {
    /// Takes all that the core wants.
    pub(super) fn drain(core: &mut Core) -> Turn {
        let mut turn = Turn::default();
        while let Some(action) = core.poll_action() {
            match action {
                Action::Write(entry) => {
                    if turn.entries.is_empty() {
                        turn.entries.reserve(core.actions_left() + 1);
                    }
                    turn.entries.push(entry);
                }
                Action::Call { call, guest, request, budget_ms } => {
                    if turn.calls.is_empty() {
                        turn.calls.reserve(core.actions_left() + 1);
                    }
                    turn.calls.push(Call { call, guest, request, budget_ms });
                }
                Action::Send(report) => turn.reports.push(report),
                Action::Note { warn, text } => turn.notes.push((warn, text)),
            }
        }
        turn
    }

    /// Whether what is written may become durable later: nothing is done or told in this turn, somebody looks at guests at
    /// most. What was accepted is ordered again if that is forgotten, and nobody has heard of it or felt it; what was
    /// acknowledged is told and acknowledged again.
    pub(super) fn may_be_durable_later(&self) -> bool {
        self.calls.iter().all(|call| matches!(call.request, Request::List(_)))
            && self.reports.is_empty()
            && self
                .entries
                .iter()
                .all(|entry| matches!(entry, Entry::Acknowledged { .. } | Entry::Accepted { .. }))
    }

    /// Whether some session is to be asked to end.
    pub(super) fn ends_a_session(&self) -> bool {
        self.calls.iter().any(|call| matches!(call.request, Request::End { .. }))
    }

    /// One line an event; texts that may come from a guest are escaped.
    pub(super) fn log(&self) {
        for (warn, text) in &self.notes {
            if *warn {
                tracing::warn!("{text}");
            } else {
                tracing::info!("{text}");
            }
        }
        for entry in &self.entries {
            match entry {
                Entry::Accepted { operation, tasks, .. } => {
                    tracing::info!(%operation, guests = tasks.len(), "an order was accepted");
                }
                Entry::Finished { operation, index, guest, verdict, .. } => {
                    let task = TaskId { operation: *operation, index: *index };
                    let outcome = verdict.outcome.as_str();
                    let code = verdict.code.name();
                    tracing::info!(%task, %guest, outcome, code, why = ?verdict.message, "a task ended");
                }
                Entry::Said { finding, .. } if finding.late => {
                    let task = TaskId { operation: finding.operation, index: finding.index };
                    let outcome = finding.verdict.outcome.as_str();
                    tracing::info!(
                        %task, guest = %finding.guest, outcome, why = ?finding.verdict.message, "late news of a task"
                    );
                }
                Entry::Telling { operation, index, told, .. } => {
                    let task = TaskId { operation: *operation, index: *index };
                    tracing::info!(%task, sessions = told.len(), "people are told that they will be logged off");
                }
                Entry::Forcing { operation, index, targets } => {
                    let task = TaskId { operation: *operation, index: *index };
                    tracing::info!(%task, sessions = targets.len(), "what has not ended by itself is killed");
                }
                Entry::DrainBegun { guest, owner, .. } => {
                    tracing::info!(%guest, %owner, "a guest is to refuse new logons");
                }
                Entry::DrainOver { guest, owner } => {
                    tracing::info!(%guest, %owner, "a drain is over");
                }
                Entry::Summary { .. }
                | Entry::EpochSeen { .. }
                | Entry::Acting { .. }
                | Entry::Shown { .. }
                | Entry::Added { .. }
                | Entry::Unmatched { .. }
                | Entry::Undrained { .. }
                | Entry::Said { .. }
                | Entry::FollowUpOver { .. }
                | Entry::Safeguarded { .. }
                | Entry::Acknowledged { .. } => {}
            }
        }
    }

    /// The points before the ledger is written.
    pub(super) fn reach_before_sync(&self) {
        for entry in &self.entries {
            match entry {
                Entry::Accepted { .. } => reach(KillPoint::BeforeAcceptSync),
                Entry::Finished { .. } => reach(KillPoint::BeforeOutcomeSync),
                _ => {}
            }
        }
    }

    /// The points after the ledger is written, before anything else is done.
    pub(super) fn reach_after_sync(&self) {
        for entry in &self.entries {
            match entry {
                Entry::Accepted { .. } => reach(KillPoint::AfterAcceptSync),
                Entry::DrainBegun { .. } => reach(KillPoint::AfterDrainSync),
                Entry::Telling { .. } => reach(KillPoint::AfterTellingSync),
                Entry::Acting { .. } => reach(KillPoint::AfterActSync),
                Entry::Forcing { .. } => reach(KillPoint::AfterForcingSync),
                Entry::Finished { .. } => reach(KillPoint::AfterOutcomeSync),
                Entry::Acknowledged { .. } => reach(KillPoint::AfterAckWritten),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
