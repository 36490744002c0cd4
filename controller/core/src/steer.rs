//! Steering: pausing an operation and letting it go on. Every change is written down with who, why and when.

use crate::budgets::spent_in_words;
use crate::core::Core;
use crate::operation::Operation;
use crate::record::Record;
use crate::view::OperationView;
use curfew_types::operation::{EventKind, OperationEvent};
use curfew_types::{Budgets, Now, OperationId, OperationState};

/// Why an operation cannot be steered so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SteerError {
    /// It is not among the unfinished ones; the shell asks the store whether it ever was.
    #[error("it is not running")]
    NotInMemory,
    /// It has ended.
    #[error("it has ended; `curfew operation retry` starts a new one over what did not end well")]
    Ended,
    /// The second person is the first one.
    #[error("it was asked for by the same person; somebody else has to approve it")]
    OwnRequest,
    /// Not as it stands now; the text says what to do.
    #[error("{0}")]
    Refused(String),
}

impl Core {
    /// Pauses an operation: nothing new starts, what was ordered goes on. Asking again is no error.
    ///
    /// # Errors
    /// When it has ended, or does not run anyway.
    pub fn pause_operation(
        &mut self,
        now: Now,
        id: OperationId,
        by: &str,
        reason: &str,
    ) -> Result<OperationView, SteerError> {
        let operation = self.steerable(id)?;
        let refused = |why: String| Err(SteerError::Refused(why));
        match operation.state {
            OperationState::Running => {}
            OperationState::Paused => return self.operation(id).ok_or(SteerError::NotInMemory),
            OperationState::Halted => {
                return refused(format!("{id} is halted, so nothing starts; resume or cancel it"));
            }
            OperationState::AwaitingApproval => {
                return refused(format!("{id} waits for approval, so nothing starts; reject it to end it"));
            }
            OperationState::Cancelling | OperationState::Ended => {
                return refused(format!("{id} is being cancelled, so nothing starts"));
            }
        }
        operation.state = OperationState::Paused;
        operation.standing.state = OperationState::Paused;
        operation.standing.why = match reason {
            "" => format!("paused by {by}"),
            why => format!("paused by {by}: {why}"),
        };
        self.steer(now, id, EventKind::Paused, Some(by), reason.to_owned());
        self.settle(now);
        self.operation(id).ok_or(SteerError::NotInMemory)
    }

    /// Lets a paused or halted operation go on, with new budgets where `budgets` says something.
    ///
    /// # Errors
    /// When it has ended, waits for something else, or a budget is still spent.
    pub fn resume_operation(
        &mut self,
        now: Now,
        id: OperationId,
        by: &str,
        reason: &str,
        budgets: Budgets,
    ) -> Result<OperationView, SteerError> {
        let operation = self.steerable(id)?;
        let refused = |why: String| Err(SteerError::Refused(why));
        match operation.state {
            OperationState::Paused | OperationState::Halted | OperationState::Running => {}
            OperationState::AwaitingApproval => {
                return refused(format!("{id} waits for approval: `curfew operation approve {id}`"));
            }
            OperationState::Cancelling | OperationState::Ended => {
                return refused(format!(
                    "{id} is being cancelled; once it has ended, `curfew operation retry {id}` tries again"
                ));
            }
        }
        let together = operation.standing.budgets.replaced_by(budgets);
        if let Some((class, allowed, spent)) = operation.overspent(&together) {
            let flag = class.as_str().replace(' ', "-");
            return refused(format!(
                "{}; resume it with a larger one (--max-{flag} {spent} or more), or cancel it",
                spent_in_words(class, allowed, spent)
            ));
        }
        if operation.state == OperationState::Running && together == operation.standing.budgets {
            return self.operation(id).ok_or(SteerError::NotInMemory);
        }
        operation.state = OperationState::Running;
        operation.standing.state = OperationState::Running;
        operation.standing.budgets = together;
        operation.standing.why = String::new();
        operation.startable_since = now.mono;
        self.steer(now, id, EventKind::Resumed, Some(by), reason.to_owned());
        self.make_hosts_ready(now, id);
        self.touch(id);
        self.settle(now);
        self.operation(id).ok_or(SteerError::NotInMemory)
    }

    /// The operation, if its course can still be changed.
    pub(crate) fn steerable(&mut self, id: OperationId) -> Result<&mut Operation, SteerError> {
        match self.operations.get_mut(&id) {
            Some(operation) if operation.state == OperationState::Ended => Err(SteerError::Ended),
            Some(operation) => Ok(operation),
            None => Err(SteerError::NotInMemory),
        }
    }

    /// Writes down what changed how an operation stands, after it was changed.
    pub(crate) fn steer(
        &mut self,
        now: Now,
        id: OperationId,
        what: EventKind,
        by: Option<&str>,
        why: String,
    ) {
        let Some(operation) = self.operations.get_mut(&id) else { return };
        operation.revision += 1;
        operation.has_events = true;
        let standing = operation.standing.clone();
        let event = OperationEvent { at: now.wall, what, by: by.map(str::to_owned), why };
        self.record(Record::Steered { operation: id, event, standing });
        self.touch(id);
    }

    /// Why nothing starts fleet-wide, in words; empty while it may.
    pub(crate) fn blocked_by(&self) -> String {
        if let Some(freeze) = &self.freeze {
            return format!(
                "{} froze the fleet: {}; `curfew unfreeze` lets it go on",
                freeze.by, freeze.reason
            );
        }
        if self.stopping {
            return "the controller is shutting down".into();
        }
        if self.store_away { "the controller's store is away".into() } else { String::new() }
    }
}
