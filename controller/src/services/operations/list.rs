//! Pages of operations and of tasks.

use super::{Operations, parse_id};
use crate::services::{Error, page, present};
use crate::store::{OperationQuery, TaskQuery};
use curfew_controller_core::view::OperationView;
use curfew_proto::v1;
use curfew_types::{OperationId, OperationState, Outcome, TaskId};
use std::collections::HashMap;

impl Operations {
    pub(super) async fn list(
        &self,
        request: v1::ListOperationsRequest,
    ) -> Result<v1::ListOperationsResponse, Error> {
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
        // A page of history waits for no turn of the driver.
        let (live, recorded) = match ids.is_empty() {
            true => (Vec::new(), true),
            false => {
                let live = move |core: &mut curfew_controller_core::Core, _| -> Vec<OperationView> {
                    ids.into_iter().filter_map(|id| core.operation(id)).collect()
                };
                let live = self.handle.ask_safer(live).await?;
                (live.value, live.recorded)
            }
        };
        let ids: Vec<OperationId> = page.items.iter().map(|row| row.id).collect();
        let shown = page.items.into_iter().map(|row| match live.iter().find(|view| view.id == row.id) {
            Some(view) => present::live_operation(view.clone(), recorded),
            None => present::stored_operation(row),
        });
        let mut operations: Vec<v1::Operation> = shown.collect();
        let more = page::cut(&mut operations) || page.more;
        let last = operations.len().checked_sub(1).and_then(|place| ids.get(place)).filter(|_| more);
        Ok(v1::ListOperationsResponse {
            operations,
            next_page_token: last.map_or_else(String::new, |id| page::token(&[&id.to_string()])),
        })
    }

    pub(super) async fn list_tasks(
        &self,
        request: v1::ListTasksRequest,
    ) -> Result<v1::ListTasksResponse, Error> {
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
        // Tasks that have ended wait for no turn of the driver.
        let is_over = unfinished.is_empty();
        let live = move |core: &mut curfew_controller_core::Core, _| {
            let view = |index| core.task(TaskId { operation, index }).map(|view| (index, view));
            unfinished.into_iter().filter_map(view).collect::<HashMap<_, _>>()
        };
        let mut live = match is_over {
            true => HashMap::new(),
            false => self.handle.ask_safer(live).await?.value,
        };
        let indices: Vec<u32> = page.items.iter().map(|task| task.index).collect();
        let shown = page.items.into_iter().map(|task| {
            let view = live.remove(&task.index);
            present::stored_task(operation, task, view)
        });
        let mut tasks: Vec<v1::Task> = shown.collect();
        let more = page::cut(&mut tasks) || page.more;
        let last = tasks.len().checked_sub(1).and_then(|place| indices.get(place)).filter(|_| more);
        let next = last.map(|index| index.saturating_add(1).to_string());
        Ok(v1::ListTasksResponse {
            tasks,
            next_page_token: next.map_or_else(String::new, |at| page::token(&[&at])),
            task_count: u64::from(row.task_count),
        })
    }
}
