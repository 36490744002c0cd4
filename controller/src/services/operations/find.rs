//! Looking operations and tasks up: in memory while they run, in the store afterwards; and waiting for them.

use super::Operations;
use crate::driver::Unavailable;
use crate::services::{Error, present, watch};
use crate::store::{OperationSummary, StoredTask};
use curfew_controller_core::Core;
use curfew_controller_core::view::SlowTask;
use curfew_proto::v1;
use curfew_types::{Now, OperationId, Stage, TaskId};
use std::collections::HashMap;
use std::time::Duration;

impl Operations {
    /// An operation as it stands, from memory or from the store.
    pub(super) async fn find(&self, id: OperationId) -> Result<v1::Operation, Error> {
        let live = self.handle.ask_safer(move |core, _| core.operation(id)).await?;
        if let Some(view) = live.value {
            return Ok(present::live_operation(view, live.recorded));
        }
        self.stored(id).await.map(present::stored_operation)
    }

    /// The same with its slowest tasks and what changed how it stands. While the store is away, what memory knows.
    pub(super) async fn find_whole(&self, id: OperationId) -> Result<v1::Operation, Error> {
        let look = move |core: &mut Core, now: Now| {
            Some((core.operation(id)?, core.slowest(now, id)?, core.has_events(id)?))
        };
        let live = self.handle.ask_safer(look).await?;
        let Some((view, slowest, has_events)) = live.value else {
            let row = self.stored(id).await?;
            let slowest = self.stored_slowest(&row).await?;
            let events = self.store.events(id).await?;
            let operation = present::stored_operation(row);
            return Ok(whole(operation, id, slowest, events.into_iter().map(present::event).collect()));
        };
        let operation = present::live_operation(view, live.recorded);
        let events = if has_events { self.events(id).await } else { Vec::new() };
        Ok(whole(operation, id, slowest, events))
    }

    /// What changed how an operation stands; nothing while the store is away.
    async fn events(&self, id: OperationId) -> Vec<v1::OperationEvent> {
        match self.store.events(id).await {
            Ok(events) => events.into_iter().map(present::event).collect(),
            Err(error) => {
                tracing::warn!(operation = %id, "its history is left out of an answer: {error}");
                Vec::new()
            }
        }
    }

    async fn stored(&self, id: OperationId) -> Result<OperationSummary, Error> {
        let stored = self.store.operation(id).await?;
        stored.ok_or_else(|| Error::NotFound(format!("there is no operation {id}")))
    }

    async fn stored_slowest(&self, row: &OperationSummary) -> Result<Vec<SlowTask>, Error> {
        let indices: Vec<u32> = row.slowest.iter().map(|(index, _)| *index).collect();
        let tasks = self.store.tasks_at(row.id, &indices).await?;
        let mut tasks: HashMap<u32, StoredTask> = tasks.into_iter().map(|task| (task.index, task)).collect();
        let named = |(index, elapsed_ms)| {
            let StoredTask { name, host, .. } = tasks.remove(&index)?;
            Some(SlowTask { index, name, host, stage: Stage::Done, elapsed_ms })
        };
        Ok(row.slowest.iter().copied().filter_map(named).collect())
    }

    pub(super) async fn find_task(&self, id: TaskId) -> Result<v1::Task, Error> {
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

    /// Waits until an operation has ended, or until time is over.
    pub(super) async fn wait_for_end(&self, id: OperationId, limit: Option<Duration>) -> Result<(), Error> {
        let mut changes = self.handle.changes(id);
        if self.find(id).await?.state() == v1::OperationState::Ended {
            return Ok(());
        }
        // Every arm may be cancelled: whoever waits looks at the operation then.
        tokio::select! {
            () = over(limit) => Ok(()),
            () = self.handle.stopping() => Err(Unavailable::Stopped.into()),
            end = changes.wait_for(|published| published.ended) => {
                end.map(|_| ()).map_err(|_| Unavailable::Stopped.into())
            }
        }
    }

    /// Waits until a task has its outcome, or until time is over, and tells how it stands then.
    pub(super) async fn wait_for_task(&self, id: TaskId, limit: Option<Duration>) -> Result<v1::Task, Error> {
        let mut changes = self.handle.changes(id.operation);
        let mut over = std::pin::pin!(over(limit));
        loop {
            changes.borrow_and_update();
            let found = self.find_task(id).await?;
            if found.is_complete {
                return Ok(found);
            }
            // Every arm may be cancelled: a change that is missed shows in what is found next.
            tokio::select! {
                () = &mut over => return Ok(found),
                () = self.handle.stopping() => return Err(Unavailable::Stopped.into()),
                _ = changes.changed() => watch::coalesce(&mut changes).await,
            }
        }
    }
}

/// Ends when the time is over, if it is limited.
async fn over(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

fn whole(
    operation: v1::Operation,
    id: OperationId,
    slowest: Vec<SlowTask>,
    events: Vec<v1::OperationEvent>,
) -> v1::Operation {
    let slowest = slowest.into_iter().map(|task| present::slow_task(id, task)).collect();
    v1::Operation { slowest, events, ..operation }
}
