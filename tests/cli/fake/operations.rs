//! The fake's OperationService.

use super::{Service, Then, digest, page};
use curfew_proto::v1;
use curfew_proto::v1::operation_service_server::OperationService;
use std::pin::Pin;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

type Answer<T> = Result<Response<T>, Status>;

fn answer<T>(message: T) -> Answer<T> {
    Ok(Response::new(message))
}

#[tonic::async_trait]
impl OperationService for Service {
    type WatchOperationStream =
        Pin<Box<dyn Stream<Item = Result<v1::WatchOperationResponse, Status>> + Send + 'static>>;

    async fn start_operation(
        &self,
        request: Request<v1::StartOperationRequest>,
    ) -> Answer<v1::StartOperationResponse> {
        let request = request.into_inner();
        let count = request.expected_count.map(|count| format!(" count {count}")).unwrap_or_default();
        let shown = match request.expected_digest.as_str() {
            "" => String::new(),
            digest => format!(" digest {digest}"),
        };
        let mut script = self.asked(format!("start {}{count}{shown}", request.request_id))?;
        script.specs.extend(request.spec);
        if let Some(guests) = script.preview_then.take() {
            script.preview = guests;
            return Err(Status::failed_precondition("the set of guests has another digest now"));
        }
        if script.unanswered_starts > 0 {
            script.unanswered_starts -= 1;
            script.cut_connections();
            return Err(Status::unavailable("nobody hears this"));
        }
        answer(v1::StartOperationResponse { operation: Some(script.operation.clone()) })
    }

    async fn preview_operation(
        &self,
        request: Request<v1::PreviewOperationRequest>,
    ) -> Answer<v1::PreviewOperationResponse> {
        let script = self.asked(if request.get_ref().live { "preview live" } else { "preview" }.into())?;
        let request = request.into_inner();
        let (guests, next_page_token) = page(&script.preview, request.page_size, &request.page_token);
        let included = script.preview.iter().filter(|guest| guest.included).count() as u64;
        answer(v1::PreviewOperationResponse {
            guests,
            next_page_token,
            included_count: included,
            left_out_count: script.preview.len() as u64 - included,
            selection_digest: digest(&script.preview),
            ..script.preview_as.clone()
        })
    }

    async fn get_operation(
        &self,
        request: Request<v1::GetOperationRequest>,
    ) -> Answer<v1::GetOperationResponse> {
        let script = self.asked(format!("get {}", request.get_ref().operation_id))?;
        answer(v1::GetOperationResponse { operation: Some(script.operation.clone()) })
    }

    async fn list_operations(
        &self,
        _: Request<v1::ListOperationsRequest>,
    ) -> Answer<v1::ListOperationsResponse> {
        let script = self.asked("list operations".into())?;
        answer(v1::ListOperationsResponse {
            operations: vec![script.operation.clone()],
            next_page_token: String::new(),
        })
    }

    async fn watch_operation(
        &self,
        request: Request<v1::WatchOperationRequest>,
    ) -> Answer<Self::WatchOperationStream> {
        let mut script = self.asked(format!("watch after {}", request.get_ref().after_revision))?;
        let watch =
            script.watches.pop_front().ok_or_else(|| Status::not_found("no more watches are played"))?;
        let (picture_tx, picture_rx) = mpsc::channel(1);
        let shared = self.script.clone();
        tokio::spawn(async move {
            for operation in watch.pictures {
                let response = v1::WatchOperationResponse { operation: Some(operation), tasks: Vec::new() };
                // A client that left is not told any more.
                let _ = picture_tx.send(Ok(response)).await;
            }
            match watch.then {
                Then::End => {}
                Then::Silence => std::future::pending().await,
                Then::Cut => {
                    // What was sent before must have arrived: it is what the next watch resumes from.
                    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
                    shared.lock().expect("no test panicked").cut_connections();
                }
            }
        });
        answer(Box::pin(ReceiverStream::new(picture_rx)))
    }

    async fn wait_operation(
        &self,
        request: Request<v1::WaitOperationRequest>,
    ) -> Answer<v1::WaitOperationResponse> {
        let script = self.asked(format!("wait {}", request.get_ref().operation_id))?;
        answer(v1::WaitOperationResponse { operation: Some(script.operation.clone()) })
    }

    async fn cancel_operation(
        &self,
        request: Request<v1::CancelOperationRequest>,
    ) -> Answer<v1::CancelOperationResponse> {
        let request = request.into_inner();
        let mut script = self.asked(format!("cancel {} {}", request.operation_id, request.reason))?;
        script.operation.state = v1::OperationState::Cancelling.into();
        answer(v1::CancelOperationResponse { operation: Some(script.operation.clone()) })
    }

    async fn pause_operation(
        &self,
        request: Request<v1::PauseOperationRequest>,
    ) -> Answer<v1::PauseOperationResponse> {
        let request = request.into_inner();
        let mut script = self.asked(format!("pause {} {}", request.operation_id, request.reason))?;
        script.operation.state = v1::OperationState::Paused.into();
        script.operation.recorded = !script.is_store_away;
        answer(v1::PauseOperationResponse { operation: Some(script.operation.clone()) })
    }

    async fn resume_operation(
        &self,
        request: Request<v1::ResumeOperationRequest>,
    ) -> Answer<v1::ResumeOperationResponse> {
        let request = request.into_inner();
        let budgets = serde_json::to_string(&request.budgets).map_err(|_| Status::internal("no JSON"))?;
        let mut script = self.asked(format!("resume {} {budgets}", request.operation_id))?;
        script.operation.state = v1::OperationState::Running.into();
        answer(v1::ResumeOperationResponse { operation: Some(script.operation.clone()) })
    }

    async fn promote_operation(
        &self,
        request: Request<v1::PromoteOperationRequest>,
    ) -> Answer<v1::PromoteOperationResponse> {
        let request = request.into_inner();
        let mut script = self.asked(format!("promote {} {}", request.operation_id, request.wave))?;
        if let Some(next) = script.operation.waves.iter_mut().find(|wave| !wave.begun) {
            next.begun = true;
        }
        answer(v1::PromoteOperationResponse { operation: Some(script.operation.clone()) })
    }

    async fn approve_operation(
        &self,
        request: Request<v1::ApproveOperationRequest>,
    ) -> Answer<v1::ApproveOperationResponse> {
        let request = request.into_inner();
        let mut script =
            self.asked(format!("approve {} {}", request.operation_id, request.selection_digest))?;
        if let Some(approval) = script.approval.clone() {
            return answer(approval);
        }
        script.operation.state = v1::OperationState::Running.into();
        let operation = Some(script.operation.clone());
        answer(v1::ApproveOperationResponse { operation, ..v1::ApproveOperationResponse::default() })
    }

    async fn reject_operation(
        &self,
        request: Request<v1::RejectOperationRequest>,
    ) -> Answer<v1::RejectOperationResponse> {
        let request = request.into_inner();
        let script = self.asked(format!("reject {} {}", request.operation_id, request.reason))?;
        answer(v1::RejectOperationResponse { operation: Some(script.operation.clone()) })
    }

    async fn retry_operation(
        &self,
        request: Request<v1::RetryOperationRequest>,
    ) -> Answer<v1::RetryOperationResponse> {
        let request = request.into_inner();
        let what = if request.validate_only { "validate retry" } else { "retry" };
        let mut script = self.asked(format!("{what} {} {}", request.operation_id, request.request_id))?;
        if !request.validate_only && script.unanswered_starts > 0 {
            script.unanswered_starts -= 1;
            script.cut_connections();
            return Err(Status::unavailable("nobody hears this"));
        }
        let mut operation = script.operation.clone();
        if request.validate_only {
            // Four of which one would be skipped.
            operation.task_count = 4;
            operation.stages = vec![v1::StageCount { stage: v1::Stage::Queued.into(), tasks: 3 }];
        }
        answer(v1::RetryOperationResponse { operation: Some(operation), missing_guest_count: 1 })
    }

    async fn list_tasks(&self, request: Request<v1::ListTasksRequest>) -> Answer<v1::ListTasksResponse> {
        let request = request.into_inner();
        let script = self.asked(format!("list tasks not well {}", request.only_not_well))?;
        let (tasks, next_page_token) = page(&script.tasks, request.page_size, &request.page_token);
        answer(v1::ListTasksResponse { tasks, next_page_token, task_count: script.operation.task_count })
    }

    async fn get_task(&self, request: Request<v1::GetTaskRequest>) -> Answer<v1::GetTaskResponse> {
        let script = self.asked(format!("get task {}", request.get_ref().task_id))?;
        answer(v1::GetTaskResponse { task: script.tasks.first().cloned() })
    }

    async fn cancel_task(&self, request: Request<v1::CancelTaskRequest>) -> Answer<v1::CancelTaskResponse> {
        let script = self.asked(format!("cancel task {}", request.get_ref().task_id))?;
        answer(v1::CancelTaskResponse { task: script.tasks.first().cloned(), status: None })
    }

    async fn wait_task(&self, request: Request<v1::WaitTaskRequest>) -> Answer<v1::WaitTaskResponse> {
        let script = self.asked(format!("wait task {:?}", request.get_ref().timeout_ms))?;
        answer(v1::WaitTaskResponse { task: script.tasks.first().cloned() })
    }
}
