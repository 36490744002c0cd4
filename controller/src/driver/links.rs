//! The queues of the attached agents' streams, one per host.

use curfew_controller_core::Frame;
use curfew_proto::agent::v1::{
    Acknowledgement, AttachResponse, InventoryQuery, Welcome, attach_response::Message,
};
use curfew_types::HostName;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::Status;

/// Depth of a stream's queue: an agent that is this many frames behind is cut off, and starts over by attaching. An
/// operation costs a host one order, one acknowledgement per report and seldom a cancel.
pub const LINK_QUEUE: usize = 256;

/// How long an acknowledgement may wait for later ones of the same host, which it then stands for: each costs as much
/// as a report. An agent says again what is not acknowledged after five seconds.
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_secs(1);

/// What goes down a stream: a frame, or the status that ends it.
pub type Down = Result<AttachResponse, Status>;

/// Who is attached.
#[derive(Default)]
pub(super) struct Links {
    hosts: HashMap<HostName, Link>,
    /// Hosts with an acknowledgement that waits; may name hosts that are gone. Emptied when those are sent.
    unacknowledged: Vec<HostName>,
    /// When those are sent; `None` while there are none.
    acknowledge_at: Option<Instant>,
}

struct Link {
    session: u64,
    frames: mpsc::Sender<Down>,
    /// Up to where its findings are stored, until it is told.
    stored: Option<u64>,
}

impl Links {
    pub(super) fn insert(&mut self, host: HostName, session: u64, frames: mpsc::Sender<Down>) {
        self.hosts.insert(host, Link { session, frames, stored: None });
    }

    pub(super) fn remove(&mut self, host: &HostName, session: u64) {
        if self.hosts.get(host).is_some_and(|link| link.session == session) {
            self.hosts.remove(host);
        }
    }

    /// Queues a frame for one attachment of a host; a host that is too far behind is cut off.
    pub(super) fn send(&mut self, host: &HostName, session: u64, frame: Down) {
        let Some(link) = self.hosts.get(host).filter(|link| link.session == session) else { return };
        if let Err(mpsc::error::TrySendError::Full(_)) = link.frames.try_send(frame) {
            tracing::warn!(%host, "its stream is {LINK_QUEUE} frames behind: cut off, it will attach again");
            self.hosts.remove(host);
        }
    }

    /// Tells one attachment of a host within a second that its findings are stored up to `sequence`.
    pub(super) fn acknowledge(&mut self, host: &HostName, session: u64, sequence: u64) {
        let Some(link) = self.hosts.get_mut(host).filter(|link| link.session == session) else { return };
        if link.stored.replace(sequence).is_none() {
            self.unacknowledged.push(host.clone());
            self.acknowledge_at.get_or_insert_with(|| Instant::now() + ACKNOWLEDGE_WITHIN);
        }
    }

    /// When acknowledgements are due.
    pub(super) fn timeout(&self) -> Option<Instant> {
        self.acknowledge_at
    }

    /// Sends the acknowledgements if they are due.
    pub(super) fn send_due(&mut self) {
        if self.acknowledge_at.is_none_or(|at| at > Instant::now()) {
            return;
        }
        self.acknowledge_at = None;
        for host in std::mem::take(&mut self.unacknowledged) {
            let Some(link) = self.hosts.get_mut(&host) else { continue };
            let Some(sequence) = link.stored.take() else { continue };
            let session = link.session;
            self.send(&host, session, Ok(on_the_wire(Frame::Acknowledge(sequence))));
        }
    }

    /// Queues a frame for a host's live attachment; tells whether it could be.
    pub(super) fn send_now(&self, host: &HostName, frame: Down) -> bool {
        self.hosts.get(host).is_some_and(|link| link.frames.try_send(frame).is_ok())
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
pub(super) fn on_the_wire(frame: Frame) -> AttachResponse {
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
