//! Watching an operation: where it stands, then what changed, coalesced, until it ends.
//!
//! A watcher holds a revision, not a queue: however slow it is, the next message is the state as it is then.

use super::{Error, page, present};
use crate::driver::{Handle, Published, Unavailable};
use crate::store::{Store, TaskQuery};
use curfew_controller_core::view::OperationView;
use curfew_proto::v1;
use curfew_types::{OperationId, OperationState};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// Changes within this time go into one message: well under the 200 ms within which a watcher is to see them.
const COALESCE: Duration = Duration::from_millis(100);
/// Most tasks that are read of the store at a time, about 400 bytes each where few people are logged on.
const TASKS_AT_A_TIME: u32 = 2000;
/// Messages that wait for a slow watcher.
const QUEUE: usize = 2;

/// The stream of a watch.
pub(super) type WatchStream = ReceiverStream<Result<v1::WatchOperationResponse, Status>>;

/// After a change: waits for those that come soon after it, but not once the operation has ended.
pub(super) async fn coalesce(changes: &mut watch::Receiver<Published>) {
    // Whichever comes first; that nobody publishes any more shows at the next wait.
    let _ = tokio::time::timeout(COALESCE, changes.wait_for(|published| published.ended)).await;
}

/// Starts a watch.
pub(super) fn stream(
    handle: Handle,
    store: Arc<dyn Store>,
    id: OperationId,
    after_revision: u64,
    include_tasks: bool,
) -> WatchStream {
    let (tx, rx) = mpsc::channel(QUEUE);
    let watcher = Watcher { handle, store, id, seen: after_revision, include_tasks, tx };
    tokio::spawn(watcher.run());
    ReceiverStream::new(rx)
}

struct Watcher {
    handle: Handle,
    store: Arc<dyn Store>,
    id: OperationId,
    seen: u64,
    include_tasks: bool,
    tx: mpsc::Sender<Result<v1::WatchOperationResponse, Status>>,
}

impl Watcher {
    async fn run(mut self) {
        if let Err(error) = self.follow().await {
            // A watcher that is gone does not need to be told.
            let _ = self.tx.send(Err(error.into())).await;
        }
    }

    async fn follow(&mut self) -> Result<(), Error> {
        let mut changes = self.handle.changes(self.id);
        let mut ended = self.look(true).await?;
        while !ended {
            // Every arm may be cancelled: what changed shows in the next message.
            tokio::select! {
                changed = changes.changed() => changed.map_err(|_| Unavailable::Stopped)?,
                () = self.tx.closed() => return Ok(()),
                () = self.handle.stopping() => return Err(Unavailable::Stopped.into()),
            }
            coalesce(&mut changes).await;
            let published = changes.borrow_and_update().operation.clone();
            ended = match published {
                // Asking would wait for two turns of the driver's, which are long when there is most to see.
                Some(view) if !self.include_tasks => self.tell(&view).await,
                Some(_) | None => self.look(false).await?,
            };
        }
        Ok(())
    }

    /// Looks at the operation and sends what changed since the last message, and at the `first` time how it stands in any case.
    /// Tells whether it has ended.
    async fn look(&mut self, first: bool) -> Result<bool, Error> {
        let (id, seen, include_tasks) = (self.id, self.seen, self.include_tasks);
        let look = move |core: &mut curfew_controller_core::Core, _| {
            let view = core.operation(id)?;
            let tasks = if include_tasks { core.changed_tasks(id, seen)? } else { Vec::new() };
            Some((view, tasks))
        };
        let answer = self.handle.ask_safer(look).await?;
        let Some((view, tasks)) = answer.value else { return self.history().await };
        // What is not stored is not shown: it may never have been.
        if !answer.recorded || (!first && !self.is_news(&view)) {
            return Ok(false);
        }
        let tasks: Vec<v1::Task> = tasks.into_iter().map(present::live_task).collect();
        Ok(self.say(view, tasks).await)
    }

    /// Sends how the operation stood when it was published, if that is news. Tells whether it has ended.
    async fn tell(&mut self, published: &OperationView) -> bool {
        self.is_news(published) && self.say(published.clone(), Vec::new()).await
    }

    fn is_news(&self, view: &OperationView) -> bool {
        view.revision != self.seen || view.state == OperationState::Ended
    }

    async fn say(&mut self, view: OperationView, tasks: Vec<v1::Task>) -> bool {
        self.seen = view.revision;
        let ended = view.state == OperationState::Ended;
        self.send(present::live_operation(view, true), tasks).await;
        ended
    }

    /// Sends an operation that has left memory, and so has ended.
    async fn history(&mut self) -> Result<bool, Error> {
        let stored = self.store.operation(self.id).await?;
        let Some(row) = stored else {
            return Err(Error::NotFound(format!("there is no operation {}", self.id)));
        };
        let unseen = row.ended.is_none_or(|ended| ended.revision != self.seen);
        let operation = present::stored_operation(row);
        let mut from = 0;
        while self.include_tasks && unseen && !self.tx.is_closed() {
            let query = TaskQuery { from, limit: TASKS_AT_A_TIME, ..TaskQuery::default() };
            let page = self.store.tasks(self.id, &query).await?;
            from = page.items.last().map_or(from, |task| task.index + 1);
            let tasks =
                page.items.into_iter().map(|task| present::stored_task(self.id, task, None)).collect();
            self.send(operation.clone(), tasks).await;
            if !page.more {
                return Ok(true);
            }
        }
        self.send_one(operation, Vec::new()).await;
        Ok(true)
    }

    /// Sends tasks in as many messages as they need, at least one.
    async fn send(&self, operation: v1::Operation, mut tasks: Vec<v1::Task>) {
        loop {
            let fitting = page::fitting(&tasks);
            if fitting >= tasks.len() {
                break;
            }
            let rest = tasks.split_off(fitting);
            self.send_one(operation.clone(), std::mem::replace(&mut tasks, rest)).await;
        }
        self.send_one(operation, tasks).await;
    }

    async fn send_one(&self, operation: v1::Operation, tasks: Vec<v1::Task>) {
        // A watcher that is gone is noticed by `closed` at the next wait.
        let _ = self.tx.send(Ok(v1::WatchOperationResponse { operation: Some(operation), tasks })).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn changes_wait_for_those_that_follow_but_the_end_is_told_at_once() {
        let (tx, mut changes) = watch::channel(Published::default());
        let told_after = async |changes: &mut watch::Receiver<Published>| {
            let began = Instant::now();
            coalesce(changes).await;
            began.elapsed()
        };
        tx.send_replace(Published::default());
        assert_eq!(told_after(&mut changes).await, COALESCE);
        let end = async {
            tokio::time::sleep(COALESCE / 4).await;
            tx.send_replace(Published::default());
            tokio::time::sleep(COALESCE / 4).await;
            tx.send_replace(Published { ended: true, ..Published::default() });
        };
        let (elapsed, ()) = tokio::join!(told_after(&mut changes), end);
        assert_eq!(elapsed, COALESCE / 2, "the end is told when it comes");
        assert_eq!(told_after(&mut changes).await, Duration::ZERO, "it is over");
    }
}
