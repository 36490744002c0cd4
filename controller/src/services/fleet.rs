//! `FleetService`.

use super::{Error, page, present};
use crate::driver::{Handle, Unavailable};
use crate::peer::require_operator;
use crate::sessions::Queries;
use curfew_controller_core::fleet::GuestView;
use curfew_proto::agent::v1::{AttachResponse, SessionsAnswer, SessionsQuery, attach_response};
use curfew_proto::convert::milliseconds;
use curfew_proto::v1;
use curfew_proto::v1::fleet_service_server::FleetService;
use curfew_types::glob::Glob;
use curfew_types::label::Labels;
use curfew_types::selector::LabelSelector;
use curfew_types::{GuestId, HostName, PowerState, StatusCode};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// How long a guest may take to answer unless the call says otherwise, in milliseconds.
const SESSIONS_TIMEOUT_DEFAULT_MS: u64 = 10_000;
/// The range that the proto's documentation states.
const SESSIONS_TIMEOUT_MS: std::ops::RangeInclusive<u64> = 100..=60_000;
/// Time for an answer to travel, on top of what the guest may take.
const TRAVEL: Duration = Duration::from_secs(2);
/// Most guests in one query message; the proto's documentation says so.
const QUERY_MAX: usize = 1000;
/// Answers that wait for a slow client.
const ANSWER_QUEUE: usize = 64;

/// The service.
pub struct Fleet {
    handle: Handle,
    queries: Arc<Queries>,
}

impl Fleet {
    /// A service over the driver behind `handle`.
    pub fn new(handle: Handle, queries: Arc<Queries>) -> Fleet {
        Fleet { handle, queries }
    }

    async fn list_hosts(&self, request: v1::ListHostsRequest) -> Result<v1::ListHostsResponse, Error> {
        let selector = selector(&request.label_selector)?;
        let after = match page::parts::<1>(&request.page_token)? {
            Some([name]) => Some(host_name("page_token", &name)?),
            None => None,
        };
        let size = page::size(request.page_size);
        let look = move |core: &mut curfew_controller_core::Core, _| {
            core.hosts(after.as_ref(), size + 1, |host| {
                let label = |key: &str| match key {
                    "host" => Some(host.name.as_str()),
                    key => host.labels.get(key).map(String::as_str),
                };
                selector.as_ref().is_none_or(|selector| selector.matches_with(label))
            })
        };
        let mut hosts = self.handle.ask_safer(look).await?.value;
        let more = hosts.len() > size;
        hosts.truncate(size);
        let last = hosts.last().map(|host| host.name.to_string());
        Ok(v1::ListHostsResponse {
            next_page_token: last.filter(|_| more).map_or_else(String::new, |name| page::token(&[&name])),
            hosts: hosts.into_iter().map(present::host).collect(),
        })
    }

    async fn list_guests(&self, request: v1::ListGuestsRequest) -> Result<v1::ListGuestsResponse, Error> {
        let filter = Filter::new(&request.label_selector, &request.hosts, &[])?;
        let after = match page::parts::<3>(&request.page_token)? {
            Some([host, name, id]) => {
                Some((host_name("page_token", &host)?, name, guest_id("page_token", &id)?))
            }
            None => None,
        };
        let size = page::size(request.page_size);
        let look = move |core: &mut curfew_controller_core::Core, _| {
            let after = after.as_ref().map(|(host, name, id)| (host, name.as_str(), id));
            core.guests(after, size + 1, |guest| filter.wants(guest))
        };
        let mut guests = self.handle.ask_safer(look).await?.value;
        let more = guests.len() > size;
        guests.truncate(size);
        let token =
            |last: &GuestView| page::token(&[last.host.as_str(), &last.guest.name, last.guest.id.as_str()]);
        Ok(v1::ListGuestsResponse {
            next_page_token: guests.last().filter(|_| more).map_or_else(String::new, token),
            guests: guests.into_iter().map(present::guest).collect(),
        })
    }

    async fn list_sessions(&self, request: v1::ListSessionsRequest) -> Result<SessionsStream, Error> {
        let filter = Filter::new(&request.label_selector, &request.hosts, &request.guests)?;
        let timeout_ms = match &request.timeout {
            None => SESSIONS_TIMEOUT_DEFAULT_MS,
            Some(timeout) => milliseconds(timeout)
                .filter(|ms| SESSIONS_TIMEOUT_MS.contains(ms))
                .ok_or_else(|| Error::invalid("timeout", "it must be between 100 ms and 60 s"))?,
        };
        let look = move |core: &mut curfew_controller_core::Core, _| {
            core.guests(None, usize::MAX, |guest| filter.wants(guest))
        };
        let guests = self.handle.ask_safer(look).await?.value;
        if guests.is_empty() {
            return Err(Error::NotFound(
                "no guest fits the selection; `curfew guest list` shows what there is".into(),
            ));
        }
        let (tx, rx) = mpsc::channel(ANSWER_QUEUE);
        let asking = Asking { handle: self.handle.clone(), queries: self.queries.clone(), timeout_ms, tx };
        tokio::spawn(asking.run(guests));
        Ok(ReceiverStream::new(rx))
    }
}

type SessionsStream = ReceiverStream<Result<v1::ListSessionsResponse, Status>>;

/// Which guests a listing wants.
struct Filter {
    labels: Option<LabelSelector>,
    hosts: Vec<Glob>,
    guests: Vec<Glob>,
}

impl Filter {
    fn new(labels: &str, hosts: &[String], guests: &[String]) -> Result<Filter, Error> {
        Ok(Filter {
            labels: selector(labels)?,
            hosts: globs("hosts", hosts)?,
            guests: globs("guests", guests)?,
        })
    }

    fn wants(&self, view: &GuestView) -> bool {
        let any = |globs: &[Glob], texts: &[&str]| {
            globs.is_empty() || globs.iter().any(|glob| texts.iter().any(|text| glob.matches(text)))
        };
        any(&self.hosts, &[view.host.as_str()])
            && any(&self.guests, &[&view.guest.name, view.guest.id.as_str()])
            && self.labels.as_ref().is_none_or(|labels| labels.matches(&view.labels))
    }
}

/// One session listing on its way.
struct Asking {
    handle: Handle,
    queries: Arc<Queries>,
    timeout_ms: u64,
    tx: mpsc::Sender<Result<v1::ListSessionsResponse, Status>>,
}

impl Asking {
    async fn run(self, guests: Vec<GuestView>) {
        let mut query = self.queries.open();
        let mut open: HashMap<GuestId, GuestView> = HashMap::new();
        let mut by_host: BTreeMap<HostName, Vec<GuestId>> = BTreeMap::new();
        for view in guests {
            match unaskable(&view) {
                Some((code, why)) => self.tell(&view, code, why.into(), Vec::new()).await,
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
                        self.tell(&view, StatusCode::AdditionsNotAvail, why.into(), Vec::new()).await;
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
            self.tell(&view, StatusCode::TimedOut, why.into(), Vec::new()).await;
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
        self.tell(&view, code, answer.message, answer.sessions).await;
    }

    async fn tell(&self, view: &GuestView, code: StatusCode, message: String, sessions: Vec<v1::Session>) {
        let answer = v1::ListSessionsResponse {
            guest_id: view.guest.id.to_string(),
            guest_name: view.guest.name.clone(),
            host: view.host.to_string(),
            status: Some(code.into()),
            message,
            sessions,
        };
        // A client that is gone is noticed by `closed`.
        let _ = self.tx.send(Ok(answer)).await;
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

#[tonic::async_trait]
impl FleetService for Fleet {
    type ListSessionsStream = SessionsStream;

    async fn list_hosts(
        &self,
        request: Request<v1::ListHostsRequest>,
    ) -> Result<Response<v1::ListHostsResponse>, Status> {
        require_operator(&request)?;
        Ok(Response::new(self.list_hosts(request.into_inner()).await?))
    }

    async fn get_host(
        &self,
        request: Request<v1::GetHostRequest>,
    ) -> Result<Response<v1::GetHostResponse>, Status> {
        require_operator(&request)?;
        let name = host_name("name", &request.into_inner().name)?;
        let host = self.handle.ask_safer(move |core, _| core.host(&name)).await.map_err(Error::from)?;
        let host = host.value.map_err(Error::from)?;
        Ok(Response::new(v1::GetHostResponse { host: Some(present::host(host)) }))
    }

    async fn label_host(
        &self,
        request: Request<v1::LabelHostRequest>,
    ) -> Result<Response<v1::LabelHostResponse>, Status> {
        require_operator(&request)?;
        let request = request.into_inner();
        let name = host_name("name", &request.name)?;
        let (set, remove) = (labels(request.set), request.remove);
        let host = self
            .handle
            .ask(move |core, _| core.label_host(&name, &set, &remove))
            .await
            .map_err(Error::from)?;
        let host = host.map_err(Error::from)?;
        Ok(Response::new(v1::LabelHostResponse { host: Some(present::host(host)) }))
    }

    async fn remove_host(
        &self,
        request: Request<v1::RemoveHostRequest>,
    ) -> Result<Response<v1::RemoveHostResponse>, Status> {
        let by = require_operator(&request)?;
        let request = request.into_inner();
        let name = host_name("name", &request.name)?;
        let (removed, force) = (name.clone(), request.force);
        let done = self
            .handle
            .ask(move |core, now| core.remove_host(now, &name, force))
            .await
            .map_err(Error::from)?;
        done.map_err(Error::from)?;
        tracing::info!(host = %removed, by = ?by, "host removed");
        Ok(Response::new(v1::RemoveHostResponse {}))
    }

    async fn list_guests(
        &self,
        request: Request<v1::ListGuestsRequest>,
    ) -> Result<Response<v1::ListGuestsResponse>, Status> {
        require_operator(&request)?;
        Ok(Response::new(self.list_guests(request.into_inner()).await?))
    }

    async fn get_guest(
        &self,
        request: Request<v1::GetGuestRequest>,
    ) -> Result<Response<v1::GetGuestResponse>, Status> {
        require_operator(&request)?;
        let guest = request.into_inner().guest;
        if guest.is_empty() {
            return Err(Error::missing("guest").into());
        }
        let guest = self.handle.ask_safer(move |core, _| core.guest(&guest)).await.map_err(Error::from)?;
        let guest = guest.value.map_err(Error::from)?;
        Ok(Response::new(v1::GetGuestResponse { guest: Some(present::guest(guest)) }))
    }

    async fn label_guest(
        &self,
        request: Request<v1::LabelGuestRequest>,
    ) -> Result<Response<v1::LabelGuestResponse>, Status> {
        require_operator(&request)?;
        let request = request.into_inner();
        if request.guest.is_empty() {
            return Err(Error::missing("guest").into());
        }
        let (set, remove) = (labels(request.set), request.remove);
        let work =
            move |core: &mut curfew_controller_core::Core, _| core.label_guest(&request.guest, &set, &remove);
        let guest = self.handle.ask(work).await.map_err(Error::from)?.map_err(Error::from)?;
        Ok(Response::new(v1::LabelGuestResponse { guest: Some(present::guest(guest)) }))
    }

    async fn list_sessions(
        &self,
        request: Request<v1::ListSessionsRequest>,
    ) -> Result<Response<Self::ListSessionsStream>, Status> {
        require_operator(&request)?;
        Ok(Response::new(self.list_sessions(request.into_inner()).await?))
    }
}

fn labels(pairs: HashMap<String, String>) -> Labels {
    pairs.into_iter().collect()
}

fn selector(text: &str) -> Result<Option<LabelSelector>, Error> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: curfew_types::selector::SelectorError| {
        Error::invalid("label_selector", error.to_string())
    })
}

fn globs(field: &'static str, texts: &[String]) -> Result<Vec<Glob>, Error> {
    let parse = |text: &String| {
        text.parse().map_err(|error: curfew_types::glob::GlobError| Error::invalid(field, error.to_string()))
    };
    texts.iter().map(parse).collect()
}

fn host_name(field: &'static str, text: &str) -> Result<HostName, Error> {
    if text.is_empty() {
        return Err(Error::missing(field));
    }
    text.parse().map_err(|error: curfew_types::id::IdError| Error::invalid(field, error.to_string()))
}

fn guest_id(field: &'static str, text: &str) -> Result<GuestId, Error> {
    text.parse().map_err(|error: curfew_types::id::IdError| Error::invalid(field, error.to_string()))
}
