//! A controller and a provider for the agent's tests: in this process, over plain TCP, doing only what a test says.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use async_trait::async_trait;
use curfew_agent::provider::{
    DrainOrder, DrainReply, EndMode, EndReply, Error, Look, NoticeReply, Provider, SessionList, UndrainReply,
};
use curfew_agent::{Agent, AgentHandle, Connect};
use curfew_proto::agent::v1::agent_service_server::{AgentService, AgentServiceServer};
use curfew_proto::agent::v1::{self as wire, attach_request as up, attach_response as down};
use curfew_proto::dial::DialError;
use curfew_types::agent::{Finding, Order, OrderedTask, TaskProgress};
use curfew_types::{
    Guest, GuestId, HostName, OnlyIf, OperationId, OsFamily, PowerState, Session, SessionKey, SessionState,
    WallTime,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

/// Nothing here takes this long; a test that does has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits, but not for ever.
pub async fn soon<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("no {what} came"))
}

pub fn host() -> HostName {
    "h1".parse().unwrap()
}

pub fn operation(number: u64) -> OperationId {
    OperationId::from_number(number).unwrap()
}

/// A controller that a test plays.
pub struct Controller {
    pub addr: SocketAddr,
    streams_rx: mpsc::Receiver<Stream>,
}

/// A stream that an agent opened.
pub struct Stream {
    pub hello: wire::Hello,
    up: Streaming<wire::AttachRequest>,
    down_tx: mpsc::Sender<Result<wire::AttachResponse, Status>>,
}

struct Service {
    streams_tx: mpsc::Sender<Stream>,
    /// What the next streams are refused with.
    refusals: Arc<Mutex<Vec<Status>>>,
}

#[async_trait]
impl AgentService for Service {
    type AttachStream = ReceiverStream<Result<wire::AttachResponse, Status>>;

    async fn attach(
        &self,
        request: Request<Streaming<wire::AttachRequest>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        if let Some(refusal) = self.refusals.lock().unwrap().pop() {
            return Err(refusal);
        }
        let mut up = request.into_inner();
        let Some(up::Message::Hello(hello)) = up.message().await?.and_then(|first| first.message) else {
            return Err(Status::invalid_argument("no hello"));
        };
        let (down_tx, down_rx) = mpsc::channel(16);
        self.streams_tx.send(Stream { hello, up, down_tx }).await.ok();
        Ok(Response::new(ReceiverStream::new(down_rx)))
    }
}

impl Controller {
    pub async fn start() -> Controller {
        Controller::refusing(Vec::new()).await
    }

    /// One that refuses the first streams: the last refusal comes first.
    pub async fn refusing(refusals: Vec<Status>) -> Controller {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (streams_tx, streams_rx) = mpsc::channel(16);
        let service = Service { streams_tx, refusals: Arc::new(Mutex::new(refusals)) };
        let server = Server::builder().add_service(AgentServiceServer::new(service));
        // Small words follow one another; without this each waits for the other side's delayed acknowledgement.
        let incoming =
            TcpListenerStream::new(listener).map(|tcp| tcp.inspect(|tcp| tcp.set_nodelay(true).unwrap()));
        tokio::spawn(server.serve_with_incoming(incoming));
        Controller { addr, streams_rx }
    }

    /// The next stream, welcomed.
    pub async fn accept(&mut self) -> Stream {
        let stream = self.accept_unwelcomed().await;
        stream.welcome(wire::Welcome::default()).await;
        stream
    }

    pub async fn accept_unwelcomed(&mut self) -> Stream {
        soon("stream", self.streams_rx.recv()).await.unwrap()
    }

    /// An agent of this controller, with one provider.
    pub fn agent(&self, data_dir: &Path, provider: Arc<dyn Provider>) -> AgentHandle {
        self.agent_parts(data_dir, vec![provider]).start().unwrap()
    }

    pub fn agent_parts(&self, data_dir: &Path, providers: Vec<Arc<dyn Provider>>) -> Agent {
        let plain = Plain { endpoint: format!("http://{}", self.addr) };
        Agent::new(host(), Arc::new(plain), data_dir.join("agent"), providers)
    }
}

impl Stream {
    /// Welcomes, with what a test leaves out filled in.
    pub async fn welcome(&self, welcome: wire::Welcome) {
        let or = |value: u32, default| if value == 0 { default } else { value };
        let welcome = wire::Welcome {
            protocol_version: or(welcome.protocol_version, 1),
            epoch: welcome.epoch.max(1),
            heartbeat_ms: or(welcome.heartbeat_ms, 15_000),
            ..welcome
        };
        self.say(down::Message::Welcome(welcome)).await;
    }

    pub async fn say(&self, message: down::Message) {
        self.down_tx.send(Ok(wire::AttachResponse { message: Some(message) })).await.unwrap();
    }

    pub async fn order(&self, operation: OperationId, guests: &[&GuestId]) {
        self.say(down::Message::Order(self.plain_order(operation, guests).into())).await;
    }

    /// An order without options.
    pub fn plain_order(&self, operation: OperationId, guests: &[&GuestId]) -> Order {
        let task = |(index, guest): (usize, &&GuestId)| OrderedTask {
            index: u32::try_from(index).unwrap(),
            guest: (*guest).clone(),
        };
        Order {
            operation,
            epoch: 1,
            remaining_ms: 60_000,
            task_timeout_ms: 30_000,
            required_capabilities: Vec::new(),
            logoff: curfew_types::Logoff::default(),
            safeguards: curfew_types::agent::SafeguardsMark::default(),
            tasks: guests.iter().enumerate().map(task).collect(),
        }
    }

    pub async fn acknowledge(&self, sequence: u64) {
        self.say(down::Message::Acknowledgement(wire::Acknowledgement { sequence })).await;
    }

    /// The next thing the agent says; nothing if it ended the stream.
    pub async fn hear(&mut self) -> Option<up::Message> {
        let message = soon("message", self.up.message()).await;
        message.ok().flatten().and_then(|message| message.message)
    }

    /// The next finding with its number; nothing else that is said counts.
    pub async fn finding(&mut self) -> (u64, Finding) {
        let (first, mut findings) = self.findings().await;
        assert_eq!(findings.len(), 1, "one finding was expected: {findings:?}");
        (first, findings.remove(0))
    }

    pub async fn findings(&mut self) -> (u64, Vec<Finding>) {
        loop {
            match self.hear().await {
                Some(up::Message::Report(report)) if !report.findings.is_empty() => {
                    let findings = report.findings.into_iter().map(|f| f.try_into().unwrap()).collect();
                    return (report.first_sequence, findings);
                }
                Some(_) => {}
                None => panic!("the agent ended the stream"),
            }
        }
    }

    /// The next progress.
    pub async fn progress(&mut self) -> Vec<TaskProgress> {
        loop {
            match self.hear().await {
                Some(up::Message::Report(report)) if !report.progress.is_empty() => {
                    return report.progress.into_iter().map(|p| p.try_into().unwrap()).collect();
                }
                Some(_) => {}
                None => panic!("the agent ended the stream"),
            }
        }
    }
}

/// A way to the controller without TLS.
struct Plain {
    endpoint: String,
}

#[async_trait]
impl Connect for Plain {
    async fn connect(&self) -> Result<Channel, DialError> {
        let endpoint = Endpoint::from_shared(self.endpoint.clone()).unwrap();
        endpoint.connect().await.map_err(|error| DialError::NotAController {
            endpoint: self.endpoint.clone(),
            why: error.to_string(),
        })
    }

    fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

/// What was asked of the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    List(GuestId),
    End(GuestId, String),
    Drain(GuestId),
    Undrain(GuestId),
}

/// A provider whose guests do what a test says.
pub struct Guests {
    sessions: Mutex<BTreeMap<GuestId, Vec<Session>>>,
    /// Each end of a session takes a permit.
    pub ends: Semaphore,
    asked_tx: mpsc::UnboundedSender<Asked>,
    /// Looked at before each answer, with what was asked.
    pub probe: Box<dyn Fn(&Asked) + Send + Sync>,
}

impl Guests {
    /// Guests by name with so many sessions each, and what will be asked of them.
    pub fn new(guests: &[(&str, u32)]) -> (Guests, mpsc::UnboundedReceiver<Asked>) {
        let (asked_tx, asked_rx) = mpsc::unbounded_channel();
        let with_sessions =
            |(name, sessions): &(&str, u32)| (guest_id(name), (1..=*sessions).map(session).collect());
        let guests = Guests {
            sessions: Mutex::new(guests.iter().map(with_sessions).collect()),
            ends: Semaphore::new(Semaphore::MAX_PERMITS),
            asked_tx,
            probe: Box::new(|_| {}),
        };
        (guests, asked_rx)
    }

    fn note(&self, asked: Asked) {
        (self.probe)(&asked);
        self.asked_tx.send(asked).ok();
    }
}

pub fn guest_id(name: &str) -> GuestId {
    GuestId::local(&host(), "fake", name).unwrap()
}

fn session(number: u32) -> Session {
    Session {
        key: SessionKey { boot: "b1".into(), id: number.to_string(), began_us: u64::from(number) },
        user: format!("user{number}"),
        state: SessionState::Active,
        kind: "ssh".into(),
        origin: String::new(),
        since: WallTime(0),
        idle_ms: None,
    }
}

#[async_trait]
impl Provider for Guests {
    fn name(&self) -> &'static str {
        "fake"
    }

    async fn discover(&self) -> Result<Vec<Guest>, Error> {
        let guest = |id: &GuestId| Guest {
            id: id.clone(),
            name: id.as_str().rsplit('/').next().unwrap().into(),
            provider: "fake".into(),
            os: OsFamily::Linux,
            power: PowerState::Running,
            is_host: false,
            labels: BTreeMap::default(),
        };
        Ok(self.sessions.lock().unwrap().keys().map(guest).collect())
    }

    async fn list_sessions(
        &self,
        guest: &GuestId,
        _look: Look,
        _budget: Duration,
    ) -> Result<SessionList, Error> {
        self.note(Asked::List(guest.clone()));
        let sessions = self.sessions.lock().unwrap()[guest].clone();
        Ok(SessionList { boot: "b1".into(), sessions, ..SessionList::default() })
    }

    async fn notify(
        &self,
        _: &GuestId,
        sessions: &[SessionKey],
        _: &str,
        _: Duration,
    ) -> Result<Vec<NoticeReply>, Error> {
        Ok(vec![NoticeReply::Shown; sessions.len()])
    }

    async fn drain(&self, guest: &GuestId, _: &DrainOrder, _: Duration) -> Result<DrainReply, Error> {
        self.note(Asked::Drain(guest.clone()));
        Ok(DrainReply::InForce)
    }

    async fn undrain(&self, guest: &GuestId, _: Duration) -> Result<UndrainReply, Error> {
        self.note(Asked::Undrain(guest.clone()));
        Ok(UndrainReply::Lifted)
    }

    async fn end_session(
        &self,
        guest: &GuestId,
        session: &SessionKey,
        _how: EndMode,
        _only_if: OnlyIf,
        _budget: Duration,
    ) -> Result<EndReply, Error> {
        self.note(Asked::End(guest.clone(), session.id.clone()));
        self.ends.acquire().await.unwrap().forget();
        self.sessions.lock().unwrap().get_mut(guest).unwrap().retain(|kept| kept.key != *session);
        Ok(EndReply::Asked)
    }
}
