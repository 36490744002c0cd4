//! Answers the controller's question who is logged on. It only looks, and has nothing to do with the core.

use crate::ask;
use crate::inventory::Inventory;
use crate::link::uplink::Uplink;
use crate::provider::{Error, SessionList};
use curfew_proto::agent::v1 as wire;
use curfew_types::{GuestId, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Most guests that are looked at at once: a look at a guest costs a process in it.
const AT_ONCE: usize = 32;
/// Most questions that are being answered at once: some operators looking at the same host.
const QUERIES_MAX: usize = 16;
/// Most guests in one question, as the wire says.
const GUESTS_MAX: usize = 1000;
/// Longest time for one guest: nobody waits longer for a list.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// The questions that one stream asked. Dropping it drops them.
#[derive(Debug)]
pub(crate) struct Queries {
    inventory: Arc<Inventory>,
    /// A permit is held from the look at a guest until its answer was taken by the transport.
    permits: Arc<Semaphore>,
    tasks: JoinSet<()>,
}

impl Queries {
    /// No questions yet.
    pub(crate) fn new(inventory: Arc<Inventory>) -> Queries {
        Queries { inventory, permits: Arc::new(Semaphore::new(AT_ONCE)), tasks: JoinSet::new() }
    }

    /// Begins to answer a question; the answers go up as they come.
    pub(crate) fn answer(&mut self, query: wire::SessionsQuery, uplink: &Arc<Uplink>) {
        while self.tasks.try_join_next().is_some() {}
        if self.tasks.len() >= QUERIES_MAX || query.guest_ids.len() > GUESTS_MAX {
            let guests = query.guest_ids.len();
            tracing::warn!(
                guests,
                "a question who is logged on was left unanswered: there are too many at once"
            );
            return;
        }
        let asked = Asked {
            inventory: Arc::clone(&self.inventory),
            uplink: Arc::clone(uplink),
            query: query.query,
            timeout: Duration::from_millis(query.timeout_ms.into()).min(TIMEOUT_MAX),
        };
        let permits = Arc::clone(&self.permits);
        self.tasks.spawn(async move {
            let asked = Arc::new(asked);
            let mut looks = JoinSet::new();
            for guest in query.guest_ids {
                // The semaphore is never closed.
                let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
                let asked = Arc::clone(&asked);
                looks.spawn(async move {
                    let answer = asked.look(guest).await;
                    asked.uplink.answer(answer, permit);
                });
            }
            while looks.join_next().await.is_some() {}
        });
    }
}

/// One question.
struct Asked {
    inventory: Arc<Inventory>,
    uplink: Arc<Uplink>,
    query: u64,
    timeout: Duration,
}

impl Asked {
    async fn look(&self, guest_id: String) -> wire::SessionsAnswer {
        let result = match guest_id.parse::<GuestId>() {
            Ok(guest) => ask::sessions(&self.inventory, &guest, self.timeout).await,
            Err(error) => Err(Error::new(StatusCode::VmUnknown, error.to_string())),
        };
        let (status, message, clock, sessions) = match result {
            Ok(SessionList { sessions, clock, .. }) => (StatusCode::Ok, String::new(), Some(clock), sessions),
            Err(error) => (error.code, error.message, None, Vec::new()),
        };
        wire::SessionsAnswer {
            query: self.query,
            guest_id,
            status: Some(status.into()),
            message,
            clock: clock.map(curfew_proto::convert::timestamp),
            sessions: sessions.into_iter().map(Into::into).collect(),
        }
    }
}
