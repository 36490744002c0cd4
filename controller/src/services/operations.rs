//! `OperationService`.

use super::{Error, page, present, watch};
use crate::driver::Handle;
use crate::peer::require_operator;
use crate::store::{OperationQuery, Store, TaskQuery};
use curfew_controller_core::view::OperationView;
use curfew_proto::convert::{SpecError, milliseconds, operation_spec};
use curfew_proto::status::bad_request;
use curfew_proto::v1;
use curfew_proto::v1::operation_service_server::OperationService;
use curfew_types::operation::TEXT_MAX;
use curfew_types::task_wait::Wait;
use curfew_types::{OperationId, OperationSpec, OperationState, Outcome, StatusCode, TaskId};
use std::sync::Arc;
use std::time::Duration;
use tonic::{Request, Response, Status};

/// The service.
pub struct Operations {
    handle: Handle,
    store: Arc<dyn Store>,
}

impl Operations {
    /// A service over the driver behind `handle` and the history in `store`.
    pub fn new(handle: Handle, store: Arc<dyn Store>) -> Operations {
        Operations { handle, store }
    }

    /// An operation as it stands, from memory or from the store.
    async fn find(&self, id: OperationId) -> Result<v1::Operation, Error> {
        let live = self.handle.ask_safer(move |core, _| core.operation(id)).await?;
        if let Some(view) = live.value {
            return Ok(present::live_operation(view, live.recorded));
        }
        let stored = self.store.operation(id).await?;
        stored
            .map(present::stored_operation)
            .ok_or_else(|| Error::NotFound(format!("there is no operation {id}")))
    }

    async fn find_task(&self, id: TaskId) -> Result<v1::Task, Error> {
        // Memory first: an outcome that is stored in between then shows from the store.
        let live = self.handle.ask_safer(move |core, _| core.task(id)).await?;
        let stored = match self.store.task(id.operation, id.index).await {
            Ok(stored) => stored,
            // While the store is away the task is shown as memory has it.
            Err(error) => match live.value {
                Some(view) => return Ok(present::live_task(view)),
                None => return Err(error.into()),
            },
        };
        let stored = stored.ok_or_else(|| Error::NotFound(format!("there is no task {id}")))?;
        Ok(present::stored_task(id.operation, stored, live.value))
    }

    async fn start(
        &self,
        requester: String,
        request: v1::StartOperationRequest,
    ) -> Result<v1::Operation, Status> {
        let spec = parse(request.spec, request.request_id)?;
        if request.validate_only {
            return Ok(self.validated(requester, spec).await?);
        }
        if let Some(earlier) = self.earlier(&requester, &spec).await? {
            return Ok(earlier);
        }
        let entropy = getrandom::u64().map_err(|error| Status::internal(format!("no entropy: {error}")))?;
        let started = self.handle.ask(move |core, now| core.start(now, &requester, spec, entropy)).await;
        let view = started.map_err(Error::from)?.map_err(Error::from)?;
        Ok(present::live_operation(view, true))
    }

    /// What an operation would be; it has no id.
    async fn validated(&self, requester: String, spec: OperationSpec) -> Result<v1::Operation, Error> {
        let shown = spec.clone();
        let plan = self.handle.ask_safer(move |core, _| core.plan(&spec)).await?.value?;
        let count = |n: usize| n as u64;
        Ok(v1::Operation {
            request_id: shown.request_id.clone().unwrap_or_default(),
            spec: Some(shown.into()),
            requester,
            task_count: count(plan.guests.len()),
            stages: vec![v1::StageCount { stage: v1::Stage::Queued.into(), tasks: count(plan.included()) }],
            selection_digest: present::digest(plan.digest),
            ..v1::Operation::default()
        })
    }

    /// The operation that the same request started before, if it has left memory.
    async fn earlier(&self, requester: &str, spec: &OperationSpec) -> Result<Option<v1::Operation>, Error> {
        let Some(request_id) = &spec.request_id else { return Ok(None) };
        let Some(row) = self.store.operation_by_request_id(requester, request_id).await? else {
            return Ok(None);
        };
        if row.spec != *spec {
            return Err(curfew_controller_core::StartError::RequestIdReused(row.id).into());
        }
        self.find(row.id).await.map(Some)
    }

    async fn preview(
        &self,
        request: v1::PreviewOperationRequest,
    ) -> Result<v1::PreviewOperationResponse, Status> {
        let spec = parse(request.spec, String::new())?;
        let size = page::size(request.page_size);
        let from = match page::parts::<1>(&request.page_token)? {
            Some([at]) => {
                at.parse().map_err(|_| Error::invalid("page_token", "it is not one of this call's"))?
            }
            None => 0_usize,
        };
        let plan = self.handle.ask_safer(move |core, _| core.plan(&spec)).await.map_err(Error::from)?;
        let plan = plan.value.map_err(Error::from)?;
        let included = plan.included();
        let more = plan.guests.len() > from.saturating_add(size);
        let shown = plan.guests.iter().skip(from).take(size).map(|guest| v1::PreviewGuest {
            guest_id: guest.id.to_string(),
            guest_name: guest.name.clone(),
            host: guest.host.to_string(),
            included: guest.left_out.is_none(),
            note: guest.note.clone(),
        });
        Ok(v1::PreviewOperationResponse {
            guests: shown.collect(),
            next_page_token: if more { page::token(&[&(from + size).to_string()]) } else { String::new() },
            included_count: included as u64,
            left_out_count: (plan.guests.len() - included) as u64,
            selection_digest: present::digest(plan.digest),
        })
    }

    async fn list(&self, request: v1::ListOperationsRequest) -> Result<v1::ListOperationsResponse, Error> {
        let state = match v1::OperationState::try_from(request.state) {
            Ok(v1::OperationState::Unspecified) => None,
            Ok(state) => OperationState::try_from(state).ok(),
            Err(_) => return Err(Error::invalid("state", "this version does not know it")),
        };
        let before = match page::parts::<1>(&request.page_token)? {
            Some([id]) => Some(parse_id("page_token", &id)?),
            None => None,
        };
        let limit = u32::try_from(page::size(request.page_size)).unwrap_or(u32::MAX);
        let page = self.store.operations(&OperationQuery { state, before, limit }).await?;
        let ids: Vec<OperationId> =
            page.items.iter().filter(|row| row.ended.is_none()).map(|row| row.id).collect();
        let live = move |core: &mut curfew_controller_core::Core, _| -> Vec<OperationView> {
            ids.into_iter().filter_map(|id| core.operation(id)).collect()
        };
        let live = self.handle.ask_safer(live).await?;
        let last = page.items.last().map(|row| row.id.to_string());
        let shown =
            page.items.into_iter().map(|row| match live.value.iter().find(|view| view.id == row.id) {
                Some(view) => present::live_operation(view.clone(), live.recorded),
                None => present::stored_operation(row),
            });
        Ok(v1::ListOperationsResponse {
            operations: shown.collect(),
            next_page_token: last.filter(|_| page.more).map_or_else(String::new, |id| page::token(&[&id])),
        })
    }

    async fn list_tasks(&self, request: v1::ListTasksRequest) -> Result<v1::ListTasksResponse, Error> {
        let operation = parse_id("operation_id", &request.operation_id)?;
        let outcomes = request.outcomes.iter().map(|number| {
            let known =
                v1::Outcome::try_from(*number).ok().and_then(|outcome| Outcome::try_from(outcome).ok());
            known.ok_or_else(|| Error::invalid("outcomes", format!("this version does not know {number}")))
        });
        let from = match page::parts::<1>(&request.page_token)? {
            Some([at]) => {
                at.parse().map_err(|_| Error::invalid("page_token", "it is not one of this call's"))?
            }
            None => 0_u32,
        };
        let query = TaskQuery {
            from,
            limit: u32::try_from(page::size(request.page_size)).unwrap_or(u32::MAX),
            outcomes: outcomes.collect::<Result<_, _>>()?,
            only_not_well: request.only_not_well,
        };
        let Some(row) = self.store.operation(operation).await? else {
            return Err(Error::NotFound(format!("there is no operation {operation}")));
        };
        let page = self.store.tasks(operation, &query).await?;
        let unfinished: Vec<u32> =
            page.items.iter().filter(|task| task.verdict.is_none()).map(|task| task.index).collect();
        let live = move |core: &mut curfew_controller_core::Core, _| {
            let view = |index| core.task(TaskId { operation, index }).map(|view| (index, view));
            unfinished.into_iter().filter_map(view).collect::<std::collections::HashMap<_, _>>()
        };
        let mut live = self.handle.ask_safer(live).await?.value;
        let next = page.items.last().map(|task| task.index.saturating_add(1).to_string());
        let shown = page.items.into_iter().map(|task| {
            let view = live.remove(&task.index);
            present::stored_task(operation, task, view)
        });
        Ok(v1::ListTasksResponse {
            tasks: shown.collect(),
            next_page_token: next.filter(|_| page.more).map_or_else(String::new, |at| page::token(&[&at])),
            task_count: u64::from(row.task_count),
        })
    }

    async fn cancel(&self, by: String, request: v1::CancelOperationRequest) -> Result<v1::Operation, Error> {
        let id = parse_id("operation_id", &request.operation_id)?;
        if request.reason.len() > TEXT_MAX {
            return Err(Error::invalid("reason", format!("it is longer than {TEXT_MAX} bytes")));
        }
        let reason = request.reason;
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
                let error = if stored.is_some() { curfew_controller_core::CancelError::Ended } else { error };
                Err(Error::Cancel { what: format!("operation {id}"), error })
            }
        }
    }

    async fn cancel_task(&self, by: String, request: v1::CancelTaskRequest) -> Result<v1::Task, Error> {
        let id = parse_id::<TaskId>("task_id", &request.task_id)?;
        let answer = self.handle.ask_safer(move |core, now| core.cancel_task(now, id, &by)).await?;
        match answer.value {
            Ok(_) if answer.recorded => self.find_task(id).await,
            Ok(view) => Ok(present::live_task(view)),
            Err(error) => {
                let stored = self.store.task(id.operation, id.index).await?;
                let ended = stored.is_some();
                let error = if ended { curfew_controller_core::CancelError::Ended } else { error };
                Err(Error::Cancel { what: format!("task {id}"), error })
            }
        }
    }

    /// Waits until `done` says so of what `find` finds, an operation's change at a time, or until time is over.
    async fn wait<T, F>(
        &self,
        operation: OperationId,
        limit: Option<Duration>,
        find: impl Fn() -> F,
        done: impl Fn(&T) -> bool,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut changes = self.handle.revisions(operation);
        let over = async {
            match limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(over);
        loop {
            changes.borrow_and_update();
            let found = find().await?;
            if done(&found) {
                return Ok(found);
            }
            // Every arm may be cancelled: a change that is missed shows in what is found next.
            tokio::select! {
                () = &mut over => return Ok(found),
                () = self.handle.stopping() => return Err(crate::driver::Unavailable::Stopped.into()),
                _ = changes.changed() => tokio::time::sleep(watch::COALESCE).await,
            }
        }
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
        Ok(Response::new(v1::GetOperationResponse { operation: Some(self.find(id).await?) }))
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
        let ended = |operation: &v1::Operation| operation.state() == v1::OperationState::Ended;
        let operation = self.wait(id, limit, || self.find(id), ended).await?;
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
        let complete = |task: &v1::Task| task.is_complete;
        let task = self.wait(id.operation, wait.limit(), || self.find_task(id), complete).await?;
        Ok(Response::new(v1::WaitTaskResponse { task: Some(task) }))
    }
}

fn parse(spec: Option<v1::OperationSpec>, request_id: String) -> Result<OperationSpec, Status> {
    operation_spec(spec, request_id).map_err(|error| match error {
        SpecError::Missing(violations) => bad_request(StatusCode::Pointer, &violations),
        SpecError::Invalid(violations) => bad_request(StatusCode::InvalidArg, &violations),
    })
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
