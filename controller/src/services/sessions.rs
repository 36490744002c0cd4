//! Asking the agents who is logged on, for as many guests as a call is about.

use super::Error;
use crate::clock;
use crate::driver::{Handle, Unavailable};
use crate::sessions::Queries;
use curfew_controller_core::fleet::GuestView;
use curfew_proto::agent::v1::{AttachResponse, SessionsAnswer, SessionsQuery, attach_response};
use curfew_proto::convert::{duration, milliseconds, timestamp, wall_time};
use curfew_proto::v1;
use curfew_types::filter::IDLE_MAX_MS;
use curfew_types::{GuestId, HostName, Mismatch, PowerState, Session, SessionFilter, StatusCode, WallTime};
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
    /// When they were listed.
    pub(super) listed: Listed,
}

/// The moment of a listing, on both wall clocks: a guest's is often wrong.
#[derive(Clone, Copy, Default)]
pub(super) struct Listed {
    guest: WallTime,
    here: WallTime,
}

impl Listed {
    /// Why a filter does not mean a session. One that this version cannot read is not hidden from anybody: it fits.
    pub(super) fn mismatch(self, filter: &SessionFilter, session: &v1::Session) -> Option<Mismatch> {
        if filter.is_everybody() {
            return None;
        }
        let session = Session::try_from(session.clone()).ok()?;
        filter.check(&session, self.guest, self.here).err()
    }
}

impl Asking {
    /// Asks, and ends once every guest has its answer or time is over.
    pub(super) async fn run(self, guests: Vec<GuestView>) {
        let mut query = self.queries.open();
        let mut open: HashMap<GuestId, GuestView> = HashMap::new();
        let mut by_host: BTreeMap<HostName, Vec<GuestId>> = BTreeMap::new();
        for view in guests {
            match unaskable(&view) {
                Some((code, why)) => self.tell(view, code, why.into()).await,
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
                        self.tell(view, StatusCode::AdditionsNotAvail, why.into()).await;
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
            self.tell(view, StatusCode::TimedOut, why.into()).await;
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
        let here = clock::now().wall;
        // An agent of an older version does not say: its guests' clocks are taken for right.
        let listed = Listed { guest: answer.clock.as_ref().map_or(here, wall_time), here };
        let SessionsAnswer { message, sessions, .. } = answer;
        let sessions = sessions.into_iter().map(printable).collect();
        self.pass_on(Heard { view, code, message, sessions, listed }).await;
    }

    /// Says of a guest that nothing is known of its sessions.
    async fn tell(&self, view: GuestView, code: StatusCode, message: String) {
        self.pass_on(Heard { view, code, message, sessions: Vec::new(), listed: Listed::default() }).await;
    }

    async fn pass_on(&self, heard: Heard) {
        // Somebody who has gone is noticed by `closed`.
        let _ = self.tx.send(heard).await;
    }
}

/// A session with times that every client can print, whatever its guest claims.
fn printable(session: v1::Session) -> v1::Session {
    v1::Session {
        begin_time: session.begin_time.map(|at| timestamp(wall_time(&at))),
        idle: session.idle.and_then(|idle| milliseconds(&idle)).map(|ms| duration(ms.min(IDLE_MAX_MS))),
        ..session
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
