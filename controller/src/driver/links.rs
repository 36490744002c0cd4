//! The queues of the attached agents' streams, one per host.

use curfew_controller_core::Frame;
use curfew_proto::agent::v1::{
    Acknowledgement, AttachResponse, InventoryQuery, Welcome, attach_response::Message,
};
use curfew_types::HostName;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::adapters::Map;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// Depth of a stream's queue: an agent that is this many frames behind is cut off, and starts over by attaching. An
/// operation costs a host one order and seldom a cancel; acknowledgements take the place of heartbeats.
pub const LINK_QUEUE: usize = 256;

/// What goes down a stream: a frame, or the status that ends it.
pub type Down = Result<AttachResponse, Status>;

/// Where the frames of a [`Downlink`] come out. They are boxed on the way: a channel has room for dozens from the beginning,
/// and most of thousands of them hold one at a time.
pub(crate) type Outbound = Map<ReceiverStream<Box<Down>>, fn(Box<Down>) -> Down>;

/// Why a frame was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotSent {
    /// The agent does not read.
    Full,
    /// The stream is over.
    Closed,
}

/// The way down to one attached agent.
#[derive(Clone)]
pub(crate) struct Downlink {
    frames: mpsc::Sender<Box<Down>>,
    /// Up to where the agent's findings are stored, until it is told; 0 where there is nothing to tell. Its stream tells it
    /// in place of a heartbeat: an acknowledgement costs as much as a report, nobody waits for it, and the last one
    /// stands for all before it.
    stored: Arc<AtomicU64>,
}

impl Downlink {
    /// A way down, and where its frames come out.
    pub(crate) fn new() -> (Downlink, Outbound) {
        let (frames, outbound) = mpsc::channel(LINK_QUEUE);
        let unbox: fn(Box<Down>) -> Down = |frame| *frame;
        (Downlink { frames, stored: Arc::default() }, ReceiverStream::new(outbound).map(unbox))
    }

    /// Queues what goes down next.
    ///
    /// # Errors
    /// When the queue is full, or nobody reads it any more.
    pub(crate) fn send(&self, frame: Down) -> Result<(), NotSent> {
        self.frames.try_send(Box::new(frame)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NotSent::Full,
            mpsc::error::TrySendError::Closed(_) => NotSent::Closed,
        })
    }

    /// Resolves once nobody reads what goes down.
    pub(crate) async fn closed(&self) {
        self.frames.closed().await;
    }

    /// Up to where the agent's findings are stored, if it is to be told now.
    pub(crate) fn take_stored(&self) -> Option<u64> {
        // Nothing else is read on its strength: the sequence itself is all there is to see.
        Some(self.stored.swap(0, Ordering::Relaxed)).filter(|sequence| *sequence > 0)
    }
}

/// Who is attached.
#[derive(Default)]
pub(super) struct Links {
    hosts: HashMap<HostName, Link>,
}

struct Link {
    session: u64,
    down: Downlink,
}

impl Links {
    pub(super) fn insert(&mut self, host: HostName, session: u64, down: Downlink) {
        self.hosts.insert(host, Link { session, down });
    }

    pub(super) fn remove(&mut self, host: &HostName, session: u64) {
        if self.hosts.get(host).is_some_and(|link| link.session == session) {
            self.hosts.remove(host);
        }
    }

    /// Queues a frame for one attachment of a host; a host that is too far behind is cut off.
    pub(super) fn send(&mut self, host: &HostName, session: u64, frame: Down) {
        let Some(link) = self.hosts.get(host).filter(|link| link.session == session) else { return };
        if link.down.send(frame) == Err(NotSent::Full) {
            tracing::warn!(%host, "its stream is {LINK_QUEUE} frames behind: cut off, it will attach again");
            self.hosts.remove(host);
        }
    }

    /// Lets one attachment of a host be told that its findings are stored up to `sequence`.
    pub(super) fn acknowledge(&self, host: &HostName, session: u64, sequence: u64) {
        if let Some(link) = self.hosts.get(host).filter(|link| link.session == session) {
            link.down.stored.store(sequence, Ordering::Relaxed);
        }
    }

    /// Queues a frame for a host's live attachment; tells whether it could be.
    pub(super) fn send_now(&self, host: &HostName, frame: Down) -> bool {
        self.hosts.get(host).is_some_and(|link| link.down.send(frame).is_ok())
    }

    /// Ends every stream: the agents attach again, here or elsewhere.
    pub(super) fn close(&mut self) {
        self.hosts.clear();
    }

    pub(super) fn disconnect(&mut self, host: &HostName, session: u64, why: String) {
        self.send(host, session, Err(Status::permission_denied(why)));
        self.remove(host, session);
    }
}

/// The first frame of a stream.
pub(super) fn welcome(welcome: curfew_controller_core::Welcome, heartbeat_ms: u32) -> AttachResponse {
    let message = Message::Welcome(Welcome {
        protocol_version: curfew_proto::PROTOCOL_VERSION,
        epoch: welcome.epoch,
        heartbeat_ms,
        send_inventory: welcome.send_inventory,
        acknowledged_sequence: welcome.acknowledged_sequence,
    });
    AttachResponse { message: Some(message) }
}

/// The frame of the wire for a frame of the core's.
pub(crate) fn on_the_wire(frame: Frame) -> AttachResponse {
    let message = match frame {
        Frame::Order(order) => Message::Order(order.into()),
        Frame::Cancel(cancel) => Message::Cancel(cancel.into()),
        Frame::Acknowledge(sequence) => Message::Acknowledgement(Acknowledgement { sequence }),
        Frame::SendInventory => Message::Inventory(InventoryQuery {}),
        Frame::Drain(ask) => Message::Drain(ask.into()),
        Frame::Safeguards(safeguards) => Message::Safeguards((*safeguards).clone().into()),
    };
    AttachResponse { message: Some(message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_acknowledgement_stands_for_those_before_it_and_is_told_once() {
        let (down, _outbound) = Downlink::new();
        let host: HostName = "h1".parse().unwrap();
        let mut links = Links::default();
        links.insert(host.clone(), 1, down.clone());
        links.acknowledge(&host, 1, 3);
        links.acknowledge(&host, 1, 5);
        // Of an attachment that is over: the agent that is attached now may not hold these any more, or hold others.
        links.acknowledge(&host, 7, 9);
        assert_eq!(down.take_stored(), Some(5));
        assert_eq!(down.take_stored(), None);
    }
}
