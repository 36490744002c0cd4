//! `OperationService`.

mod find;
mod list;
mod preview;
mod start;
mod steer;

use super::{Error, watch};
use crate::driver::Handle;
use crate::peer::require_operator;
use crate::sessions::Queries;
use crate::store::Store;
use curfew_proto::convert::{milliseconds, operation_spec};
use curfew_proto::v1;
use curfew_proto::v1::operation_service_server::OperationService;
use curfew_types::task_wait::Wait;
use curfew_types::{OperationSpec, StatusCode, TaskId};
use std::sync::Arc;
use std::time::Duration;
use tonic::{Request, Response, Status};

/// The service.
pub struct Operations {
    handle: Handle,
    store: Arc<dyn Store>,
    queries: Arc<Queries>,
}

impl Operations {
    /// A service over the driver behind `handle`, the history in `store` and the agents behind `queries`.
    pub fn new(handle: Handle, store: Arc<dyn Store>, queries: Arc<Queries>) -> Operations {
        Operations { handle, store, queries }
    }
}

#[tonic::async_trait]
impl OperationService for Operations {
    type WatchOperationStream = watch::WatchStream;

    async fn start_operation(
        &self,
        request: Request<v1::StartOperationRequest>,
    ) -> Result<Response<v1::StartOperationResponse>, Status> {
        let requester = require_operator(&request)?;
        let operation = self.start(requester, request.into_inner()).await?;
        Ok(Response::new(v1::StartOperationResponse { operation: Some(operation) }))
    }

    async fn preview_operation(
        &self,
        request: Request<v1::PreviewOperationRequest>,
    ) -> Result<Response<v1::PreviewOperationResponse>, Status> {
        require_operator(&request)?;
        Ok(Response::new(self.preview(request.into_inner()).await?))
    }

    async fn get_operation(
        &self,
        request: Request<v1::GetOperationRequest>,
    ) -> Result<Response<v1::GetOperationResponse>, Status> {
        require_operator(&request)?;
        let id = parse_id("operation_id", &request.into_inner().operation_id)?;
        Ok(Response::new(v1::GetOperationResponse { operation: Some(self.find_whole(id).await?) }))
    }

    async fn list_operations(
        &self,
        request: Request<v1::ListOperationsRequest>,
    ) -> Result<Response<v1::ListOperationsResponse>, Status> {
        require_operator(&request)?;
        Ok(Response::new(self.list(request.into_inner()).await?))
    }

    async fn watch_operation(
        &self,
        request: Request<v1::WatchOperationRequest>,
    ) -> Result<Response<Self::WatchOperationStream>, Status> {
        require_operator(&request)?;
        let request = request.into_inner();
        let id = parse_id("operation_id", &request.operation_id)?;
        // An unknown operation is told at once, not as the first message of a stream.
        self.find(id).await?;
        let (handle, store) = (self.handle.clone(), self.store.clone());
        Ok(Response::new(watch::stream(handle, store, id, request.after_revision, request.include_tasks)))
    }

    async fn wait_operation(
        &self,
        request: Request<v1::WaitOperationRequest>,
    ) -> Result<Response<v1::WaitOperationResponse>, Status> {
        require_operator(&request)?;
        let request = request.into_inner();
        let id = parse_id("operation_id", &request.operation_id)?;
        let limit = match &request.timeout {
            Some(timeout) => {
                let ms = milliseconds(timeout)
                    .ok_or_else(|| Error::invalid("timeout", "it must not be negative"))?;
                Some(Duration::from_millis(ms))
            }
            None => None,
        };
        self.wait_for_end(id, limit).await?;
        let operation = self.find_whole(id).await?;
        Ok(Response::new(v1::WaitOperationResponse { operation: Some(operation) }))
    }

    async fn cancel_operation(
        &self,
        request: Request<v1::CancelOperationRequest>,
    ) -> Result<Response<v1::CancelOperationResponse>, Status> {
        let by = require_operator(&request)?;
        let operation = self.cancel(by, request.into_inner()).await?;
        Ok(Response::new(v1::CancelOperationResponse { operation: Some(operation) }))
    }

    async fn pause_operation(
        &self,
        request: Request<v1::PauseOperationRequest>,
    ) -> Result<Response<v1::PauseOperationResponse>, Status> {
        let by = require_operator(&request)?;
        let operation = self.pause(by, request.into_inner()).await?;
        Ok(Response::new(v1::PauseOperationResponse { operation: Some(operation) }))
    }

    async fn resume_operation(
        &self,
        request: Request<v1::ResumeOperationRequest>,
    ) -> Result<Response<v1::ResumeOperationResponse>, Status> {
        let by = require_operator(&request)?;
        let operation = self.resume(by, request.into_inner()).await?;
        Ok(Response::new(v1::ResumeOperationResponse { operation: Some(operation) }))
    }

    async fn promote_operation(
        &self,
        request: Request<v1::PromoteOperationRequest>,
    ) -> Result<Response<v1::PromoteOperationResponse>, Status> {
        let by = require_operator(&request)?;
        let operation = self.promote(by, request.into_inner()).await?;
        Ok(Response::new(v1::PromoteOperationResponse { operation: Some(operation) }))
    }

    async fn approve_operation(
        &self,
        request: Request<v1::ApproveOperationRequest>,
    ) -> Result<Response<v1::ApproveOperationResponse>, Status> {
        let by = require_operator(&request)?;
        Ok(Response::new(self.approve(by, request.into_inner()).await?))
    }

    async fn reject_operation(
        &self,
        request: Request<v1::RejectOperationRequest>,
    ) -> Result<Response<v1::RejectOperationResponse>, Status> {
        let by = require_operator(&request)?;
        let operation = self.reject(by, request.into_inner()).await?;
        Ok(Response::new(v1::RejectOperationResponse { operation: Some(operation) }))
    }

    async fn retry_operation(
        &self,
        request: Request<v1::RetryOperationRequest>,
    ) -> Result<Response<v1::RetryOperationResponse>, Status> {
        let by = require_operator(&request)?;
        Ok(Response::new(self.retry(by, request.into_inner()).await?))
    }

    async fn list_tasks(
        &self,
        request: Request<v1::ListTasksRequest>,
    ) -> Result<Response<v1::ListTasksResponse>, Status> {
        require_operator(&request)?;
        Ok(Response::new(self.list_tasks(request.into_inner()).await?))
    }

    async fn get_task(
        &self,
        request: Request<v1::GetTaskRequest>,
    ) -> Result<Response<v1::GetTaskResponse>, Status> {
        require_operator(&request)?;
        let id = parse_id("task_id", &request.into_inner().task_id)?;
        Ok(Response::new(v1::GetTaskResponse { task: Some(self.find_task(id).await?) }))
    }

    async fn cancel_task(
        &self,
        request: Request<v1::CancelTaskRequest>,
    ) -> Result<Response<v1::CancelTaskResponse>, Status> {
        let by = require_operator(&request)?;
        let task = self.cancel_task(by, request.into_inner()).await?;
        Ok(Response::new(v1::CancelTaskResponse { task: Some(task), status: Some(StatusCode::Ok.into()) }))
    }

    async fn wait_task(
        &self,
        request: Request<v1::WaitTaskRequest>,
    ) -> Result<Response<v1::WaitTaskResponse>, Status> {
        require_operator(&request)?;
        let request = request.into_inner();
        let id = parse_id::<TaskId>("task_id", &request.task_id)?;
        let timeout = request.timeout_ms.ok_or_else(|| Error::missing("timeout_ms"))?;
        let wait = Wait::from_ms(timeout).map_err(|why| Error::invalid("timeout_ms", why))?;
        let task = self.wait_for_task(id, wait.limit()).await?;
        Ok(Response::new(v1::WaitTaskResponse { task: Some(task) }))
    }
}

fn parse(spec: Option<v1::OperationSpec>, request_id: String) -> Result<OperationSpec, Error> {
    Ok(operation_spec(spec, request_id)?)
}

fn parse_id<T: std::str::FromStr<Err = curfew_types::id::IdError>>(
    field: &'static str,
    text: &str,
) -> Result<T, Error> {
    if text.is_empty() {
        return Err(Error::missing(field));
    }
    text.parse().map_err(|error: curfew_types::id::IdError| Error::invalid(field, error.to_string()))
}

/// A digest as [`super::present::digest`] writes it.
fn parse_digest(field: &'static str, text: &str) -> Result<u64, Error> {
    let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = is_hex.then(|| u64::from_str_radix(text, 16).ok()).flatten();
    number.ok_or_else(|| {
        Error::invalid(
            field,
            "it is not a digest; copy the 16 digits that the preview or the operation shows",
        )
    })
}
