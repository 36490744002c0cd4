//! One turn's results, sorted by when they may take effect.

use super::Reply;
use super::links::{Down, Links, on_the_wire};
use crate::kill_point::KillPoint;
use curfew_controller_core::record::Record;
use curfew_controller_core::{Action, Core, Frame};
use curfew_types::{HostName, OperationId};

/// What is waited for during a turn.
#[derive(Default)]
pub(super) struct Replies {
    /// Attachments to welcome.
    pub(super) welcomes: Vec<Reply>,
    /// Answers to requests, each with whether it may go out while the store is away.
    pub(super) answers: Vec<(bool, Reply)>,
}

/// What a turn came to.
#[derive(Default)]
pub(super) struct Turn {
    pub(super) records: Vec<Record>,
    pub(super) published: Vec<OperationId>,
    /// Attachments that are welcomed before anything else goes down their streams.
    welcomes: Vec<Reply>,
    sends: Vec<Send>,
    /// Host, attachment, and up to where its findings are stored.
    acknowledgements: Vec<(HostName, u64, u64)>,
    disconnects: Vec<(HostName, u64, String)>,
    replies: Vec<(bool, Reply)>,
}

struct Send {
    host: HostName,
    session: u64,
    frame: Down,
    urgent: bool,
    is_order: bool,
}

impl Turn {
    /// Takes everything the core wants done. Notes go to the log at once: they are about what was seen.
    pub(super) fn drain(core: &mut Core, replies: Replies) -> Turn {
        let mut turn = Turn { welcomes: replies.welcomes, replies: replies.answers, ..Turn::default() };
        while let Some(action) = core.poll_action() {
            match action {
                Action::Record(record) => turn.records.push(record),
                Action::Publish(operation) => turn.published.push(operation),
                Action::Send { host, session, frame: Frame::Acknowledge(sequence), urgent: false } => {
                    turn.acknowledgements.push((host, session, sequence));
                }
                Action::Send { host, session, frame, urgent } => {
                    let is_order = matches!(frame, Frame::Order(_));
                    turn.sends.push(Send { host, session, frame: Ok(on_the_wire(frame)), urgent, is_order });
                }
                Action::Disconnect { host, session, why } => turn.disconnects.push((host, session, why)),
                Action::Note { warn: true, text } => tracing::warn!("{text}"),
                Action::Note { warn: false, text } => tracing::info!("{text}"),
            }
        }
        turn
    }

    pub(super) fn before_append(&self) {
        if self.records.iter().any(|record| matches!(record, Record::Started(_))) {
            KillPoint::BeforeStartStored.reach();
        }
    }

    pub(super) fn after_append(&self) {
        for record in &self.records {
            match record {
                Record::Started(_) => KillPoint::AfterStartStored.reach(),
                Record::Handed { .. } => KillPoint::AfterHandedStored.reach(),
                Record::Finished { .. } => KillPoint::AfterFindingsStored.reach(),
                Record::CancelRequested { .. } => KillPoint::AfterCancelStored.reach(),
                Record::EpochRaised { .. }
                | Record::ClockSet { .. }
                | Record::Replanned(_)
                | Record::Steered { .. }
                | Record::Late { .. }
                | Record::Ended { .. }
                | Record::HostSeen { .. }
                | Record::LedgerSeen { .. }
                | Record::Inventory { .. }
                | Record::HostLabelled { .. }
                | Record::GuestLabelled { .. }
                | Record::HostRemoved { .. }
                | Record::Held { .. }
                | Record::Released { .. }
                | Record::Protected { .. }
                | Record::Unprotected { .. }
                | Record::FreezeChanged { .. } => {}
            }
        }
    }

    /// Leaves the orders out: they waited while the store was away, and the time they name has gone by. The core says
    /// them again with the time that is left.
    pub(super) fn forget_orders(&mut self) {
        self.sends.retain(|send| !send.is_order);
    }

    /// Sends, disconnects and replies; everything is stored.
    pub(super) fn carry_out(self, links: &mut Links) {
        for welcome in self.welcomes {
            welcome(true);
        }
        let mut orders = false;
        for send in self.sends {
            orders |= send.is_order;
            links.send(&send.host, send.session, send.frame);
        }
        for (host, session, sequence) in self.acknowledgements {
            links.acknowledge(&host, session, sequence);
        }
        if orders {
            KillPoint::AfterOrdersSent.reach();
        }
        for (host, session, why) in self.disconnects {
            links.disconnect(&host, session, why);
        }
        for (_, reply) in self.replies {
            reply(true);
        }
    }

    /// Sends and answers what makes things safer, although nothing is stored; the rest waits.
    pub(super) fn carry_out_urgent(mut self, links: &mut Links) -> Turn {
        // An agent that is not attached cannot be told to stop.
        for welcome in std::mem::take(&mut self.welcomes) {
            welcome(false);
        }
        let (urgent, sends): (Vec<Send>, Vec<Send>) = self.sends.into_iter().partition(|send| send.urgent);
        self.sends = sends;
        for send in urgent {
            links.send(&send.host, send.session, send.frame);
        }
        for (host, session, why) in std::mem::take(&mut self.disconnects) {
            links.disconnect(&host, session, why);
        }
        let (safer, replies): (Vec<_>, Vec<_>) = self.replies.into_iter().partition(|(safer, _)| *safer);
        self.replies = replies;
        for (_, reply) in safer {
            reply(false);
        }
        self
    }
}
