//! The queues of the attached agents' streams, one per host.

use curfew_controller_core::Frame;
use curfew_proto::agent::v1::{
    Acknowledgement, AttachResponse, InventoryQuery, Welcome, attach_response::Message,
};
use curfew_types::HostName;
use std::collections::HashMap;
use tokio::sync::mpsc;
use tonic::Status;

/// Depth of a stream's queue: an agent that is this many frames behind is cut off, and starts over by attaching. An
/// operation costs a host one order, one acknowledgement per report and seldom a cancel.
pub const LINK_QUEUE: usize = 256;

/// What goes down a stream: a frame, or the status that ends it.
pub type Down = Result<AttachResponse, Status>;

/// Who is attached.
#[derive(Default)]
pub(super) struct Links(HashMap<HostName, Link>);

struct Link {
    session: u64,
    frames: mpsc::Sender<Down>,
}

impl Links {
    pub(super) fn insert(&mut self, host: HostName, session: u64, frames: mpsc::Sender<Down>) {
        self.0.insert(host, Link { session, frames });
    }

    pub(super) fn remove(&mut self, host: &HostName, session: u64) {
        if self.0.get(host).is_some_and(|link| link.session == session) {
            self.0.remove(host);
        }
    }

    /// Queues a frame for one attachment of a host; a host that is too far behind is cut off.
    pub(super) fn send(&mut self, host: &HostName, session: u64, frame: Down) {
        let Some(link) = self.0.get(host).filter(|link| link.session == session) else { return };
        if let Err(mpsc::error::TrySendError::Full(_)) = link.frames.try_send(frame) {
            tracing::warn!(%host, "its stream is {LINK_QUEUE} frames behind: cut off, it will attach again");
            self.0.remove(host);
        }
    }

    /// Queues a frame for a host's live attachment; tells whether it could be.
    pub(super) fn send_now(&self, host: &HostName, frame: Down) -> bool {
        self.0.get(host).is_some_and(|link| link.frames.try_send(frame).is_ok())
    }

    /// Ends every stream: the agents attach again, here or elsewhere.
    pub(super) fn close(&mut self) {
        self.0.clear();
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
