//! Asking the agents who is logged on, for as many guests as a call is about.

use super::Error;
use crate::driver::{Handle, Unavailable};
use crate::sessions::Queries;
use curfew_controller_core::fleet::GuestView;
use curfew_proto::agent::v1::{AttachResponse, SessionsAnswer, SessionsQuery, attach_response};
use curfew_proto::convert::milliseconds;
use curfew_proto::v1;
use curfew_types::{GuestId, HostName, PowerState, StatusCode};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long a guest may take to answer unless the call says otherwise, in milliseconds.
const SESSIONS_TIMEOUT_DEFAULT_MS: u64 = 10_000;
/// The range that the proto's documentation states.
const SESSIONS_TIMEOUT_MS: std::ops::RangeInclusive<u64> = 100..=60_000;
/// Time for an answer to travel, on top of what the guest may take.
const TRAVEL: Duration = Duration::from_secs(2);
/// Most guests in one query message; the proto's documentation says so.
const QUERY_MAX: usize = 1000;
/// The time that a call gives each guest, in milliseconds.
///
/// # Errors
/// When it is out of the range that the proto states.
pub(super) fn timeout_ms(field: &'static str, timeout: Option<pbjson_types::Duration>) -> Result<u64, Error> {
    let Some(timeout) = timeout else { return Ok(SESSIONS_TIMEOUT_DEFAULT_MS) };
    milliseconds(&timeout)
        .filter(|ms| SESSIONS_TIMEOUT_MS.contains(ms))
        .ok_or_else(|| Error::invalid(field, "it must be between 100 ms and 60 s"))
}

/// One question on its way.
pub(super) struct Asking {
    pub(super) handle: Handle,
    pub(super) queries: Arc<Queries>,
    /// How long a guest may take.
    pub(super) timeout_ms: u64,
    /// Where the answers go, one for each guest, as they come; once it is closed nobody is asked any more.
    pub(super) tx: mpsc::Sender<Heard>,
}

/// What was heard of one guest.
pub(super) struct Heard {
    pub(super) view: GuestView,
    /// S_OK, or why its sessions cannot be listed.
    pub(super) code: StatusCode,
    /// The same in words; empty when there is nothing to say.
    pub(super) message: String,
    pub(super) sessions: Vec<v1::Session>,
}

impl Asking {
    /// Asks, and ends once every guest has its answer or time is over.
    pub(super) async fn run(self, guests: Vec<GuestView>) {
        let mut query = self.queries.open();
        let mut open: HashMap<GuestId, GuestView> = HashMap::new();
        let mut by_host: BTreeMap<HostName, Vec<GuestId>> = BTreeMap::new();
        for view in guests {
            match unaskable(&view) {
                Some((code, why)) => self.tell(view, code, why.into(), Vec::new()).await,
                None => {
                    by_host.entry(view.host.clone()).or_default().push(view.guest.id.clone());
                    open.insert(view.guest.id.clone(), view);
                }
            }
        }
        for (host, ids) in by_host {
            for ids in ids.chunks(QUERY_MAX) {
                if !self.ask(query.number, &host, ids).await.unwrap_or(false) {
                    for view in ids.iter().filter_map(|id| open.remove(id)) {
                        let why = "its host is not connected any more, or is too far behind";
                        self.tell(view, StatusCode::AdditionsNotAvail, why.into(), Vec::new()).await;
                    }
                }
            }
        }
        let over = tokio::time::sleep(Duration::from_millis(self.timeout_ms) + TRAVEL);
        tokio::pin!(over);
        while !open.is_empty() {
            // Every arm may be cancelled: the queue keeps what was not received.
            tokio::select! {
                answer = query.answers.recv() => match answer {
                    Some((host, answer)) => self.take(&mut open, &host, answer).await,
                    None => break,
                },
                () = &mut over => break,
                () = self.tx.closed() => return,
            }
        }
        for view in open.into_values() {
            let why = "neither the guest nor its host answered in time";
            self.tell(view, StatusCode::TimedOut, why.into(), Vec::new()).await;
        }
    }

    async fn ask(&self, query: u64, host: &HostName, ids: &[GuestId]) -> Result<bool, Unavailable> {
        let query = SessionsQuery {
            query,
            guest_ids: ids.iter().map(ToString::to_string).collect(),
            timeout_ms: u32::try_from(self.timeout_ms).unwrap_or(u32::MAX),
        };
        let message = Some(attach_response::Message::Sessions(query));
        self.handle.send(host.clone(), Ok(AttachResponse { message })).await
    }

    /// Takes an answer of the host that was asked; an agent answers for its own guests only.
    async fn take(&self, open: &mut HashMap<GuestId, GuestView>, host: &HostName, answer: SessionsAnswer) {
        let Ok(id) = answer.guest_id.parse::<GuestId>() else { return };
        if open.get(&id).is_none_or(|view| view.host != *host) {
            return;
        }
        let Some(view) = open.remove(&id) else { return };
        let code = answer
            .status
            .and_then(|status| StatusCode::try_from(status).ok())
            .unwrap_or(StatusCode::Unexpected);
        self.tell(view, code, answer.message, answer.sessions).await;
    }

    async fn tell(&self, view: GuestView, code: StatusCode, message: String, sessions: Vec<v1::Session>) {
        // Somebody who has gone is noticed by `closed`.
        let _ = self.tx.send(Heard { view, code, message, sessions }).await;
    }
}

/// Why a guest need not be asked.
fn unaskable(view: &GuestView) -> Option<(StatusCode, &'static str)> {
    match view.guest.power {
        PowerState::Stopped => Some((StatusCode::VmNotRunning, "the guest is not running")),
        PowerState::Paused => Some((StatusCode::VmPaused, "the guest is paused")),
        PowerState::Running | PowerState::Unknown if !view.connected => {
            Some((StatusCode::AdditionsNotAvail, "its host is not connected"))
        }
        PowerState::Running | PowerState::Unknown => None,
    }
}
