//! Changing the course of operations that run: pause, resume, promote, approve, reject, cancel.
//!
//! What makes things safer (pause, cancel) is done while the store is away, too; the rest waits for the store.

use super::{Operations, parse_id};
use crate::driver::Answer;
use crate::services::fields::optional_text;
use crate::services::{Error, present};
use curfew_controller_core::view::OperationView;
use curfew_controller_core::{CancelError, SteerError};
use curfew_proto::convert::failure_budgets;
use curfew_proto::v1;
use curfew_types::{OperationId, TaskId};

impl Operations {
    pub(super) async fn pause(
        &self,
        by: String,
        request: v1::PauseOperationRequest,
    ) -> Result<v1::Operation, Error> {
        let id = parse_id("operation_id", &request.operation_id)?;
        let reason = optional_text("reason", request.reason)?;
        let answer =
            self.handle.ask_safer(move |core, now| core.pause_operation(now, id, &by, &reason)).await?;
        self.steered(id, "pause", answer).await
    }

    pub(super) async fn resume(
        &self,
        by: String,
        request: v1::ResumeOperationRequest,
    ) -> Result<v1::Operation, Error> {
        let id = parse_id("operation_id", &request.operation_id)?;
        let reason = optional_text("reason", request.reason)?;
        let budgets = failure_budgets("budgets", request.budgets)?;
        let work = move |core: &mut curfew_controller_core::Core, now| {
            core.resume_operation(now, id, &by, &reason, budgets)
        };
        let value = self.handle.ask(work).await?;
        self.steered(id, "resume", Answer { value, recorded: true }).await
    }

    pub(super) async fn promote(
        &self,
        by: String,
        request: v1::PromoteOperationRequest,
    ) -> Result<v1::Operation, Error> {
        let id = parse_id("operation_id", &request.operation_id)?;
        let wave = request.wave;
        let value = self.handle.ask(move |core, now| core.promote_operation(now, id, &by, wave)).await?;
        self.steered(id, "promote", Answer { value, recorded: true }).await
    }

    pub(super) async fn approve(
        &self,
        by: String,
        request: v1::ApproveOperationRequest,
    ) -> Result<v1::ApproveOperationResponse, Error> {
        let id = parse_id("operation_id", &request.operation_id)?;
        if request.selection_digest.is_empty() {
            return Err(Error::missing("selection_digest"));
        }
        let digest = super::parse_digest("selection_digest", &request.selection_digest)?;
        let reason = optional_text("reason", request.reason)?;
        let work = move |core: &mut curfew_controller_core::Core, now| {
            core.approve_operation(now, id, &by, &reason, digest)
        };
        match self.handle.ask(work).await? {
            Ok(approved) => {
                let new_guest_count = approved.new_guest_count;
                tracing::info!(operation = %id, new_guest_count, "approval given");
                Ok(v1::ApproveOperationResponse {
                    operation: Some(present::live_operation(approved.operation, true)),
                    new_guest_count,
                    new_guests: approved.new_guests,
                })
            }
            Err(error) => Err(self.not_steered(id, error).await?),
        }
    }

    pub(super) async fn reject(
        &self,
        by: String,
        request: v1::RejectOperationRequest,
    ) -> Result<v1::Operation, Error> {
        let id = parse_id("operation_id", &request.operation_id)?;
        let reason = optional_text("reason", request.reason)?;
        let value = self.handle.ask(move |core, now| core.reject_operation(now, id, &by, &reason)).await?;
        self.steered(id, "reject", Answer { value, recorded: true }).await
    }

    async fn steered(
        &self,
        id: OperationId,
        what: &'static str,
        answer: Answer<Result<OperationView, SteerError>>,
    ) -> Result<v1::Operation, Error> {
        match answer.value {
            Ok(view) => {
                tracing::info!(operation = %id, "{what} asked for");
                Ok(present::live_operation(view, answer.recorded))
            }
            Err(error) => Err(self.not_steered(id, error).await?),
        }
    }

    /// One that has ended and left memory cannot be steered; one that never was is not found.
    async fn not_steered(&self, id: OperationId, error: SteerError) -> Result<Error, Error> {
        if error != SteerError::NotInMemory {
            return Ok(Error::Steer { id, error });
        }
        Ok(match self.store.operation(id).await? {
            Some(_) => Error::Steer { id, error: SteerError::Ended },
            None => Error::NotFound(format!("there is no operation {id}")),
        })
    }

    pub(super) async fn cancel(
        &self,
        by: String,
        request: v1::CancelOperationRequest,
    ) -> Result<v1::Operation, Error> {
        let id = parse_id("operation_id", &request.operation_id)?;
        let reason = optional_text("reason", request.reason)?;
        let answer =
            self.handle.ask_safer(move |core, now| core.cancel_operation(now, id, &by, &reason)).await?;
        match answer.value {
            Ok(view) => {
                tracing::info!(operation = %id, "cancel asked for");
                Ok(present::live_operation(view, answer.recorded))
            }
            Err(error) => {
                // One that has ended and left memory cannot be cancelled; one that never was is not found.
                let stored = self.store.operation(id).await?;
                let error = if stored.is_some() { CancelError::Ended } else { error };
                Err(Error::Cancel { what: format!("operation {id}"), error })
            }
        }
    }

    pub(super) async fn cancel_task(
        &self,
        by: String,
        request: v1::CancelTaskRequest,
    ) -> Result<v1::Task, Error> {
        let id = parse_id::<TaskId>("task_id", &request.task_id)?;
        let answer = self.handle.ask_safer(move |core, now| core.cancel_task(now, id, &by)).await?;
        match answer.value {
            Ok(_) if answer.recorded => self.find_task(id).await,
            Ok(view) => Ok(present::live_task(view)),
            Err(error) => {
                let stored = self.store.task(id.operation, id.index).await?;
                let ended = stored.is_some();
                let error = if ended { CancelError::Ended } else { error };
                Err(Error::Cancel { what: format!("task {id}"), error })
            }
        }
    }
}
