//! One stream to the controller, from the dial to its end: hello, welcome, then words up and down. When it ends, the
//! driver has been told, and nothing of it is left.

use super::Link;
use super::uplink::Uplink;
use crate::driver::Input;
use crate::sessions::Queries;
use curfew_agent_core::Event;
use curfew_proto::agent::v1 as wire;
use curfew_proto::agent::v1::agent_service_client::AgentServiceClient;
use curfew_proto::agent::v1::attach_response::Message;
use curfew_proto::dial::DialError;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tonic::{Code, Status, Streaming};

/// Time for the controller's welcome: as long as a dial may take, since a storm of agents delays both.
const WELCOME_TIMEOUT: Duration = curfew_proto::dial::CONNECT_TIMEOUT;
/// After so many heartbeats without a word the other side is gone: one may be late, two may be lost in a moment.
const SILENT_HEARTBEATS: u32 = 3;
/// What a heartbeat may be at least and at most, whatever the controller says: neither a flood, nor so long that a
/// dead controller is taken for a quiet one for hours. What keeps the connection in firewalls' memory is the dial's.
const HEARTBEAT_MIN: Duration = Duration::from_millis(50);
const HEARTBEAT_MAX: Duration = Duration::from_secs(600);
/// Time for the last words of an agent that stops.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);

/// How a stream ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The agent stops.
    Stopped,
    /// There was a stream, and it is lost.
    Lost {
        /// For how long there was one.
        lived: Duration,
        /// What happened.
        why: String,
    },
    /// None came about; trying again may help.
    Failed {
        /// What happened.
        why: String,
    },
    /// The controller does not want this agent; somebody must change something first.
    Refused {
        /// Its reason.
        why: String,
    },
}

/// A stream on which the controller has welcomed the agent.
struct Attached {
    uplink: Arc<Uplink>,
    down: Streaming<wire::AttachResponse>,
    heartbeat: Duration,
    queries: Queries,
    /// When something was last heard, or could have been: not counted while the driver has no room.
    heard_at: Instant,
    /// A word for which the driver has no room yet; nothing more is heard meanwhile.
    pending: Option<Input>,
}

impl Link {
    /// Holds one stream until it ends.
    pub(super) async fn hold_one_stream(&self) -> Ended {
        let mut stop_rx = self.stop_rx.clone();
        let opened = tokio::select! {
            // May be cancelled: a half-made connection is dropped.
            opened = self.open() => opened,
            // May be cancelled: the value stays.
            _ = stop_rx.wait_for(|stop| *stop) => return Ended::Stopped,
        };
        let attached = match opened {
            Ok(attached) => attached,
            Err(ended) => return ended,
        };
        let began = Instant::now();
        tracing::info!(endpoint = self.connect.endpoint(), "attached");
        self.attached_tx.send_replace(true);
        let why = self.talk(attached).await;
        self.attached_tx.send_replace(false);
        self.inventory.detach();
        // The driver ends before the link only when the agent stops.
        self.inputs_tx.send(Input::Happened(Box::new(Event::Disconnected))).await.ok();
        match why {
            None => Ended::Stopped,
            Some(why) => Ended::Lost { lived: began.elapsed(), why },
        }
    }

    async fn open(&self) -> Result<Attached, Ended> {
        let channel = self.connect.connect().await.map_err(|error| match &error {
            DialError::Refused { .. } => Ended::Refused { why: chain(&error) },
            _ => Ended::Failed { why: chain(&error) },
        })?;
        let (hello_tx, hello_rx) = oneshot::channel();
        // Without a driver there is no agent.
        self.inputs_tx.send(Input::Greet(hello_tx)).await.map_err(|_| Ended::Stopped)?;
        let hello = *hello_rx.await.map_err(|_| Ended::Stopped)?;
        let told_digest = hello.inventory_digest;
        let hello = wire::Hello::new(hello, self.host.as_str(), env!("CARGO_PKG_VERSION"));
        let uplink = Uplink::new(hello);
        let greet = async {
            let mut client = AgentServiceClient::new(channel);
            let mut down = client.attach(uplink.messages()).await?.into_inner();
            let first = down.message().await?;
            Ok::<_, Status>((down, first))
        };
        let greeted = tokio::time::timeout(WELCOME_TIMEOUT, greet).await;
        let (down, first) = greeted
            .map_err(|_| Ended::Failed { why: "the controller did not answer the hello in time".into() })?
            .map_err(|status| not_welcome(&status))?;
        let Some(Message::Welcome(welcome)) = first.and_then(|first| first.message) else {
            return Err(Ended::Failed { why: "the controller did not begin with a welcome".into() });
        };
        if welcome.protocol_version > curfew_proto::PROTOCOL_VERSION || welcome.protocol_version == 0 {
            let version = welcome.protocol_version;
            let why = format!("the controller wants version {version} of the protocol; upgrade the agent");
            return Err(Ended::Refused { why });
        }
        let whole_inventory = self.inventory.attach(&uplink, told_digest, welcome.send_inventory);
        let welcomed = Input::Welcomed {
            epoch: welcome.epoch,
            acknowledged: welcome.acknowledged_sequence,
            whole_inventory,
            uplink: Arc::clone(&uplink),
        };
        self.inputs_tx.send(welcomed).await.map_err(|_| Ended::Stopped)?;
        let heartbeat = Duration::from_millis(welcome.heartbeat_ms.into());
        Ok(Attached {
            uplink,
            down,
            heartbeat: heartbeat.clamp(HEARTBEAT_MIN, HEARTBEAT_MAX),
            queries: Queries::new(Arc::clone(&self.inventory)),
            heard_at: Instant::now(),
            pending: None,
        })
    }

    /// Carries words until the stream ends. Returns why it did, or nothing when the agent stops.
    async fn talk(&self, mut attached: Attached) -> Option<String> {
        let mut stop_rx = self.stop_rx.clone();
        let timer = tokio::time::sleep_until(attached.next_moment());
        tokio::pin!(timer);
        loop {
            let has_pending = attached.pending.is_some();
            tokio::select! {
                // May be cancelled: a half-read message stays in the stream.
                heard = attached.down.message(), if !has_pending => match heard {
                    Ok(Some(word)) => {
                        attached.heard_at = Instant::now();
                        self.hear(&mut attached, word);
                    }
                    Ok(None) => return Some("the controller ended the stream".into()),
                    Err(status) => return Some(lost(&status)),
                },
                // May be cancelled: no room was taken.
                room = self.inputs_tx.reserve(), if has_pending => {
                    let Ok(room) = room else { return None };
                    if let Some(input) = attached.pending.take() {
                        room.send(input);
                    }
                    attached.heard_at = Instant::now();
                }
                // May be cancelled: the moment is computed again.
                () = &mut timer => {
                    if attached.is_silent() {
                        let silent = attached.heard_at.elapsed().as_secs();
                        return Some(format!("nothing was heard of the controller for {silent} s"));
                    }
                    if attached.uplink.said_at().elapsed() >= attached.heartbeat {
                        attached.uplink.beat();
                    }
                    timer.as_mut().reset(attached.next_moment());
                }
                // May be cancelled: the value stays.
                _ = stop_rx.wait_for(|stop| *stop) => break,
            }
        }
        attached.say_farewell().await;
        None
    }

    /// Hands a word on. One that cannot be read is said in the log and left: the controller's own timeouts see to
    /// what it was about.
    fn hear(&self, attached: &mut Attached, word: wire::AttachResponse) {
        let event = match word.message {
            Some(Message::Order(order)) => match order.try_into() {
                Ok(order) => Event::Ordered(Box::new(order)),
                Err(error) => return tracing::warn!("an order cannot be read and was left: {error}"),
            },
            Some(Message::Cancel(cancel)) => match cancel.try_into() {
                Ok(cancel) => Event::CancelAsked(cancel),
                Err(error) => return tracing::warn!("a cancel cannot be read and was left: {error}"),
            },
            Some(Message::Safeguards(safeguards)) => match safeguards.try_into() {
                Ok(safeguards) => Event::Safeguarded(safeguards),
                Err(error) => return tracing::error!("safeguards cannot be read and were left: {error}"),
            },
            Some(Message::Drain(request)) => match request.try_into() {
                Ok(ask) => Event::DrainAsked(ask),
                Err(error) => {
                    return tracing::warn!("a request about drains cannot be read and was left: {error}");
                }
            },
            Some(Message::Acknowledgement(stored)) => Event::Acknowledged(stored.sequence),
            Some(Message::Sessions(query)) => return attached.queries.answer(query, &attached.uplink),
            Some(Message::Inventory(_)) => return self.inventory.send_all(),
            Some(Message::Heartbeat(_)) => return,
            Some(Message::Welcome(_)) => return tracing::warn!("a second welcome was left"),
            None => return tracing::warn!("the controller said something that this version does not know"),
        };
        let input = Input::Happened(Box::new(event));
        // A driver that ended has no use for it; one without room gets it later.
        if let Err(tokio::sync::mpsc::error::TrySendError::Full(input)) = self.inputs_tx.try_send(input) {
            attached.pending = Some(input);
        }
    }
}

impl Attached {
    /// When to look at the clock next: for this side's heartbeat, or for the other side's silence.
    fn next_moment(&self) -> Instant {
        let beat = self.uplink.said_at() + self.heartbeat;
        let silence = self.heard_at + self.heartbeat * SILENT_HEARTBEATS;
        // A heartbeat that waits for a slow transport must not be asked for in a loop.
        let soon = Instant::now() + self.heartbeat / 4;
        beat.min(silence).max(soon)
    }

    fn is_silent(&self) -> bool {
        self.pending.is_none() && self.heard_at.elapsed() >= self.heartbeat * SILENT_HEARTBEATS
    }

    /// Says what is left to say and lets the controller end the stream.
    async fn say_farewell(&mut self) {
        self.uplink.close();
        let end = async { while let Ok(Some(_)) = self.down.message().await {} };
        // What was not taken by then stays in the ledger and is said again after the next start.
        tokio::time::timeout(FAREWELL_TIMEOUT, end).await.ok();
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.uplink.close();
    }
}

/// What a status instead of a welcome means.
fn not_welcome(status: &Status) -> Ended {
    let why = lost(status);
    match status.code() {
        Code::PermissionDenied
        | Code::Unauthenticated
        | Code::Unimplemented
        | Code::InvalidArgument
        | Code::FailedPrecondition => Ended::Refused { why },
        // Another stream of this identity may live: the one this agent has just lost, for a while.
        _ => Ended::Failed { why },
    }
}

/// A status in words. Its code is no reason by itself: a lost connection and a timeout both come as `CANCELLED`.
fn lost(status: &Status) -> String {
    if let Some(error) = DialError::of_status(status) {
        return chain(error);
    }
    let message: String = status.message().chars().take(500).collect();
    match status.code() {
        Code::PermissionDenied | Code::AlreadyExists | Code::Unauthenticated | Code::Unimplemented => {
            format!("the controller refuses this agent: {message:?} ({:?})", status.code())
        }
        code => format!("the connection is lost: {message:?} ({code:?})"),
    }
}

/// An error with its sources.
fn chain(error: &DialError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
