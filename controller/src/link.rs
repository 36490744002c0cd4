//! `AgentService`: one task per attached agent, which checks what the agent says and brings it to the driver.

use crate::driver::{AttachError, Downlink, Handle, NotSent, Outbound, on_the_wire};
use crate::peer::require_agent;
use crate::sessions::Queries;
use curfew_controller_core::{Event, Frame};
use curfew_proto::agent::v1::agent_service_server::AgentService;
use curfew_proto::agent::v1::{
    AttachRequest, AttachResponse, Heartbeat, Hello, Inventory, attach_request, attach_response,
};
use curfew_proto::convert::ConvertError;
use curfew_proto::status::refusal;
use curfew_types::{Guest, GuestId, HostName, StatusCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};

/// How long a new stream may take to say hello.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// Most guests in one inventory message; the proto's documentation says so.
const INVENTORY_MESSAGE_MAX: usize = 1000;
/// A stream on which nothing was heard for this many heartbeats is dead.
const SILENT_HEARTBEATS: u32 = 3;
/// How long an acknowledgement waits at most, where heartbeats are rarer: an agent says again after a minute what was
/// not acknowledged.
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_secs(30);

/// The service.
pub struct Attachments {
    handle: Handle,
    queries: Arc<Queries>,
    heartbeat: Duration,
    next_session: AtomicU64,
}

impl Attachments {
    /// A service that brings agents to the driver behind `handle`.
    pub fn new(handle: Handle, queries: Arc<Queries>, heartbeat: Duration) -> Attachments {
        Attachments { handle, queries, heartbeat, next_session: AtomicU64::new(1) }
    }
}

#[tonic::async_trait]
impl AgentService for Attachments {
    type AttachStream = Outbound;

    async fn attach(
        &self,
        request: Request<Streaming<AttachRequest>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let host = require_agent(&request)?;
        let mut inbound = request.into_inner();
        let hello = self.hello(&host, &mut inbound).await?;
        let version: String = hello.agent_version.chars().take(64).collect();
        let hello = hello.try_into().map_err(|error| malformed(&host, &error))?;
        let session = self.next_session.fetch_add(1, Ordering::Relaxed);
        let (down, outbound) = Downlink::new();
        let attached = self.handle.attach(host.clone(), session, hello, version.clone(), down.clone()).await;
        attached.map_err(shutting_down)?.map_err(|error| refused(&host, error))?;
        tracing::info!(%host, session, version = ?version, "agent attached");
        let (handle, queries) = (self.handle.clone(), self.queries.clone());
        let stream = Stream { host, session, handle, queries, down, heartbeat: self.heartbeat };
        tokio::spawn(stream.run(inbound));
        Ok(Response::new(outbound))
    }
}

impl Attachments {
    async fn hello(&self, host: &HostName, inbound: &mut Streaming<AttachRequest>) -> Result<Hello, Status> {
        let first = tokio::time::timeout(HELLO_WITHIN, inbound.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("no hello came within 10 s"))??;
        let Some(AttachRequest { message: Some(attach_request::Message::Hello(hello)) }) = first else {
            tracing::warn!(%host, "its stream did not begin with a hello: refused");
            return Err(Status::invalid_argument("the first message must be a hello"));
        };
        if hello.host != host.as_str() {
            tracing::warn!(%host, claimed = ?hello.host, "an agent claims another host's name: refused");
            let why = format!("the hello names host {:?}, the certificate is {host}'s", hello.host);
            return Err(refusal(StatusCode::AccessDenied, why));
        }
        if hello.protocol_version == 0 {
            return Err(Status::failed_precondition(
                "the hello names no protocol version; upgrade the agent",
            ));
        }
        Ok(hello)
    }
}

/// One attached agent.
struct Stream {
    host: HostName,
    session: u64,
    handle: Handle,
    queries: Arc<Queries>,
    down: Downlink,
    heartbeat: Duration,
}

impl Stream {
    async fn run(self, inbound: Streaming<AttachRequest>) {
        let why = self.read(inbound).await;
        match why {
            Ok(why) => tracing::info!(host = %self.host, session = self.session, "agent detached: {why}"),
            Err(status) => {
                tracing::warn!(host = %self.host, session = self.session, "agent cut off: {}", status.message());
                // A full queue means that the agent does not read; it will see the end of the stream instead.
                let _ = self.down.send(Err(status));
            }
        }
        let detached = Event::Detached { host: self.host.clone(), session: self.session };
        // The driver being gone is the end of everything that would want to know.
        let _ = self.handle.event(detached).await;
    }

    /// Reads until the stream ends, says why, or says what was wrong with it.
    async fn read(&self, mut inbound: Streaming<AttachRequest>) -> Result<&'static str, Status> {
        let period = self.heartbeat.min(ACKNOWLEDGE_WITHIN);
        // The agent was told a moment ago that it is welcome.
        let mut tick = tokio::time::interval_at(Instant::now() + period, period);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut heard_at, mut said_at) = (Instant::now(), Instant::now());
        // Made once: a burst brings many messages, and each would make them anew.
        let closed = self.down.closed();
        let stopping = self.handle.stopping();
        tokio::pin!(closed, stopping);
        loop {
            // The message arm may be cancelled: tonic keeps what was read of a message. Ticks hold nothing. Messages come
            // first, since the other arms need not be asked then; tokio lets each task run for a while only, so that a flood
            // of them keeps nobody else waiting.
            tokio::select! {
                biased;
                message = inbound.message() => {
                    match message {
                        Ok(Some(message)) => self.take(message).await?,
                        Ok(None) => return Ok("it closed the stream"),
                        Err(status) if status.code() == tonic::Code::OutOfRange => return Err(status),
                        Err(_) => return Ok("the connection was lost"),
                    }
                    // Not before: what waits while the driver is behind is not the agent's silence.
                    heard_at = Instant::now();
                }
                _ = tick.tick() => {
                    if heard_at.elapsed() > self.heartbeat * SILENT_HEARTBEATS {
                        return Ok("nothing was heard of it for three heartbeats");
                    }
                    let Some(word) = self.next_word(said_at, period) else { continue };
                    said_at = Instant::now();
                    if self.down.send(Ok(word)) == Err(NotSent::Closed) {
                        return Ok("the stream down to it is closed");
                    }
                }
                () = &mut closed => return Ok("the stream down to it is closed"),
                () = &mut stopping => return Ok("the controller is shutting down"),
            }
        }
    }

    /// What is to be said now: that findings are stored, or, where a heartbeat's time would be over before the next turn,
    /// that this side lives.
    fn next_word(&self, said_at: Instant, period: Duration) -> Option<AttachResponse> {
        if let Some(sequence) = self.down.take_stored() {
            return Some(on_the_wire(Frame::Acknowledge(sequence)));
        }
        let message = Some(attach_response::Message::Heartbeat(Heartbeat {}));
        (said_at.elapsed() + period > self.heartbeat).then_some(AttachResponse { message })
    }

    async fn take(&self, message: AttachRequest) -> Result<(), Status> {
        let Some(message) = message.message else {
            return Err(Status::invalid_argument(
                "the message is empty, or of a kind that this version does not know",
            ));
        };
        let (host, session) = (self.host.clone(), self.session);
        let event = match message {
            attach_request::Message::Report(report) => {
                let report = report.try_into().map_err(|error| malformed(&self.host, &error))?;
                Event::Reported { host, session, report }
            }
            attach_request::Message::Inventory(inventory) => self.inventory(inventory)?,
            attach_request::Message::Sessions(answer) => {
                self.queries.answer(&self.host, answer);
                return Ok(());
            }
            attach_request::Message::Heartbeat(Heartbeat {}) => return Ok(()),
            attach_request::Message::Hello(_) => {
                return Err(Status::invalid_argument("only the first message may be a hello"));
            }
        };
        self.handle.event(event).await.map_err(shutting_down)
    }

    fn inventory(&self, inventory: Inventory) -> Result<Event, Status> {
        if inventory.upserts.len() > INVENTORY_MESSAGE_MAX
            || inventory.removed.len() > 10 * INVENTORY_MESSAGE_MAX
        {
            return Err(Status::invalid_argument("an inventory message has more than 1000 guests"));
        }
        let upserts: Result<Vec<Guest>, ConvertError> =
            inventory.upserts.into_iter().map(Guest::try_from).collect();
        let removed: Result<Vec<GuestId>, _> = inventory.removed.iter().map(|id| id.parse()).collect();
        Ok(Event::InventoryChanged {
            host: self.host.clone(),
            session: self.session,
            replace: inventory.replace,
            upserts: upserts.map_err(|error| malformed(&self.host, &error))?,
            removed: removed
                .map_err(|error| Status::invalid_argument(format!("inventory.removed: {error}")))?,
            digest: inventory.digest,
        })
    }
}

fn malformed(host: &HostName, error: &ConvertError) -> Status {
    tracing::warn!(%host, "its message is malformed: {error}");
    Status::invalid_argument(error.to_string())
}

fn refused(host: &HostName, error: AttachError) -> Status {
    tracing::warn!(%host, "refused to attach: {error}");
    match error {
        AttachError::AlreadyAttached => Status::already_exists(error.to_string()),
        AttachError::ShuttingDown => refusal(StatusCode::AppShuttingDown, error.to_string()),
    }
}

fn shutting_down(error: crate::driver::Unavailable) -> Status {
    refusal(StatusCode::AppShuttingDown, error.to_string())
}
