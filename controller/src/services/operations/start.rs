//! Starting operations: once by the client's own id, exactly the guests that were expected, or what an earlier one left.

use super::{Operations, parse, parse_digest, parse_id};
use crate::services::fields::optional_text;
use crate::services::{Error, present};
use crate::store::TaskQuery;
use curfew_controller_core::{Core, StartError, StartRequest};
use curfew_proto::v1;
use curfew_types::operation::TARGETS_MAX;
use curfew_types::{GuestId, OperationId, OperationSpec};
use std::collections::HashSet;
use std::sync::Arc;

/// Tasks read at a time: about a megabyte of names.
const TASKS_AT_A_TIME: u32 = 10_000;

/// What is asked for, before there is entropy.
struct Asked {
    requester: String,
    spec: OperationSpec,
    only: Option<HashSet<GuestId>>,
    expected_count: Option<u64>,
    expected_digest: Option<u64>,
}

impl Operations {
    pub(super) async fn start(
        &self,
        requester: String,
        request: v1::StartOperationRequest,
    ) -> Result<v1::Operation, Error> {
        let spec = parse(request.spec, request.request_id)?;
        let expected_digest = match request.expected_digest.as_str() {
            "" => None,
            digest => Some(parse_digest("expected_digest", digest)?),
        };
        let asked =
            Asked { requester, spec, only: None, expected_count: request.expected_count, expected_digest };
        if request.validate_only {
            return self.validated(asked).await;
        }
        match self.earlier(&asked.requester, &asked.spec).await? {
            Some(earlier) => Ok(earlier),
            None => self.begin(asked).await,
        }
    }

    /// A new operation over the guests of an ended one that did not end well.
    pub(super) async fn retry(
        &self,
        requester: String,
        request: v1::RetryOperationRequest,
    ) -> Result<v1::RetryOperationResponse, Error> {
        let id: OperationId = parse_id("operation_id", &request.operation_id)?;
        let request_id = optional_text("request_id", request.request_id)?;
        let Some(row) = self.store.operation(id).await? else {
            return Err(Error::NotFound(format!("there is no operation {id}")));
        };
        if row.ended.is_none() {
            return Err(Error::Refused(format!(
                "operation {id} has not ended; wait for it with `curfew operation wait {id}` or cancel it, then try again"
            )));
        }
        let left = self.did_not_end_well(id).await?;
        if left.is_empty() {
            return Err(Error::Refused(format!(
                "every guest of operation {id} ended well, so there is nothing to try again"
            )));
        }
        let mut spec = row.spec;
        spec.request_id = (!request_id.is_empty()).then_some(request_id);
        spec.retry_of = Some(id);
        let count = left.len() as u64;
        let asked = Asked { requester, spec, only: Some(left), expected_count: None, expected_digest: None };
        let operation = if request.validate_only {
            self.validated(asked).await
        } else {
            match self.earlier(&asked.requester, &asked.spec).await? {
                Some(earlier) => Ok(earlier),
                None => self.begin(asked).await,
            }
        };
        let operation = operation.map_err(|error| match error {
            // Its selection was fine once: what is wrong with it now is that its guests are gone.
            Error::Start(StartError::Invalid(_)) => Error::Refused(format!(
                "none of the {count} guests of operation {id} that did not end well is in the fleet any more; \
                 start a new operation over what there is"
            )),
            other => other,
        })?;
        let missing_guest_count = count.saturating_sub(operation.task_count);
        Ok(v1::RetryOperationResponse { operation: Some(operation), missing_guest_count })
    }

    async fn did_not_end_well(&self, operation: OperationId) -> Result<HashSet<GuestId>, Error> {
        let mut left = HashSet::new();
        let mut query = TaskQuery { limit: TASKS_AT_A_TIME, only_not_well: true, ..TaskQuery::default() };
        loop {
            let page = self.store.tasks(operation, &query).await?;
            query.from = page.items.last().map_or(query.from, |task| task.index.saturating_add(1));
            left.extend(page.items.into_iter().map(|task| task.guest));
            if !page.more || left.len() >= TARGETS_MAX {
                return Ok(left);
            }
        }
    }

    async fn begin(&self, asked: Asked) -> Result<v1::Operation, Error> {
        let entropy = getrandom::u64().map_err(|error| Error::Internal(format!("no entropy: {error}")))?;
        let Asked { requester, spec, only, expected_count, expected_digest } = asked;
        let request = StartRequest { requester, spec, only, expected_count, expected_digest, entropy };
        let store = Arc::clone(&self.store);
        let start =
            move |core: &mut Core, now| core.start_telling(now, request, |hosts| store.expect_targets(hosts));
        let view = self.handle.ask(start).await??;
        Ok(present::live_operation(view, true))
    }

    /// What an operation would be; it has no id.
    async fn validated(&self, asked: Asked) -> Result<v1::Operation, Error> {
        let Asked { requester, spec, only, expected_count, expected_digest } = asked;
        let shown = spec.clone();
        let plan = self.handle.ask_safer(move |core, _| core.plan(&spec, only.as_ref())).await?.value?;
        let found = plan.included();
        if let Some(expected) = expected_count.filter(|expected| *expected != found) {
            return Err(StartError::CountDiffers { expected, found }.into());
        }
        if let Some(expected) = expected_digest.filter(|expected| *expected != plan.digest) {
            return Err(StartError::DigestDiffers { expected, found: plan.digest }.into());
        }
        Ok(present::planned_operation(&plan, shown, requester))
    }

    /// The operation that the same request started before, if it has left memory.
    async fn earlier(&self, requester: &str, spec: &OperationSpec) -> Result<Option<v1::Operation>, Error> {
        let Some(request_id) = &spec.request_id else { return Ok(None) };
        let Some(row) = self.store.operation_by_request_id(requester, request_id).await? else {
            return Ok(None);
        };
        if row.spec != *spec {
            return Err(StartError::RequestIdReused(row.id).into());
        }
        self.find(row.id).await.map(Some)
    }
}
