//! What one stream still has to say to the controller. The transport pulls: while it is slow, what is newer replaces
//! what is older, and nothing queues beyond what the agent's own books hold. It decides nothing else.

use curfew_proto::agent::v1::attach_request::Message;
use curfew_proto::agent::v1::{self as wire, AttachRequest};
use curfew_types::agent::{Finding, Report, TaskProgress};
use curfew_types::{OperationId, TaskId};
use futures::Stream;
use prost::Message as _;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// Bytes of a message after which what is left goes in the next one: some twenty findings. The controller's buffers grow
/// to more than twice a stream's largest message and stay so, and it has thousands of streams: eight kilobytes each do.
pub(crate) const MESSAGE_BYTES: usize = 3584;
/// Most inventory changes that wait; with more, the whole inventory says the same in fewer words.
const CHANGES_MAX: usize = 16;

/// The way up of one stream. Whoever has something to say puts it in; the transport takes it out.
#[derive(Debug)]
pub(crate) struct Uplink {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Taken by the first message.
    hello: Option<Box<wire::Hello>>,
    /// At most a whole inventory and [`CHANGES_MAX`] changes.
    inventory: VecDeque<wire::Inventory>,
    /// At most as many as there are permits.
    answers: VecDeque<(wire::SessionsAnswer, OwnedSemaphorePermit)>,
    /// At most what the core's outbox and its unfinished tasks hold.
    report: Option<Report>,
    heartbeat: bool,
    /// Nothing more comes: the stream ends when what is here has been taken.
    closed: bool,
    /// When something was last taken.
    said_at: Instant,
    waker: Option<Waker>,
}

impl Uplink {
    /// A way up that begins with this hello.
    pub(crate) fn new(hello: wire::Hello) -> Arc<Uplink> {
        let state = State {
            hello: Some(Box::new(hello)),
            inventory: VecDeque::new(),
            answers: VecDeque::new(),
            report: None,
            heartbeat: false,
            closed: false,
            said_at: Instant::now(),
            waker: None,
        };
        Arc::new(Uplink { state: Mutex::new(state) })
    }

    /// The messages, for the transport.
    pub(crate) fn messages(self: &Arc<Uplink>) -> Messages {
        Messages(Arc::clone(self))
    }

    /// Says what a report says: progress replaces older progress of the same task, findings are kept.
    pub(crate) fn report(&self, report: Report) {
        self.change(|state| match &mut state.report {
            None => state.report = Some(report),
            Some(waiting) => merge(waiting, report),
        });
    }

    /// Says what changed in the inventory. Returns false, and says nothing, when so much waits already that the
    /// whole inventory should be said instead.
    pub(crate) fn change_inventory(&self, change: wire::Inventory) -> bool {
        self.change(|state| {
            let fits = state.inventory.len() < CHANGES_MAX;
            if fits {
                state.inventory.push_back(change);
            }
            fits
        })
    }

    /// Says the whole inventory, which makes all that waits of it superfluous.
    pub(crate) fn replace_inventory(&self, whole: Vec<wire::Inventory>) {
        self.change(|state| state.inventory = whole.into());
    }

    /// Says who is logged on to a guest. The permit is given back when the answer has been taken.
    pub(crate) fn answer(&self, answer: wire::SessionsAnswer, permit: OwnedSemaphorePermit) {
        self.change(|state| state.answers.push_back((answer, permit)));
    }

    /// Says that this agent lives.
    pub(crate) fn beat(&self) {
        self.change(|state| state.heartbeat = true);
    }

    /// Nothing more will be said.
    pub(crate) fn close(&self) {
        self.change(|state| state.closed = true);
    }

    /// When something was last said.
    pub(crate) fn said_at(&self) -> Instant {
        self.state().said_at
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let result = change(&mut state);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        result
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the transport pulls.
#[derive(Debug)]
pub(crate) struct Messages(Arc<Uplink>);

impl Stream for Messages {
    type Item = AttachRequest;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<AttachRequest>> {
        let mut state = self.0.state();
        match state.next() {
            Some(message) => {
                state.said_at = Instant::now();
                Poll::Ready(Some(AttachRequest { message: Some(message) }))
            }
            None if state.closed => Poll::Ready(None),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl State {
    /// The next message: what the controller needs first comes first.
    fn next(&mut self) -> Option<Message> {
        if let Some(hello) = self.hello.take() {
            return Some(Message::Hello(*hello));
        }
        if let Some(inventory) = self.inventory.pop_front() {
            return Some(Message::Inventory(inventory));
        }
        if let Some(report) = self.report.take() {
            return Some(Message::Report(self.take_report(report)));
        }
        if let Some((answer, _permit)) = self.answers.pop_front() {
            return Some(Message::Sessions(answer));
        }
        let beats = std::mem::take(&mut self.heartbeat);
        beats.then_some(Message::Heartbeat(wire::Heartbeat {}))
    }

    /// As much of the report as one message holds, at least one finding; the rest of its findings waits.
    fn take_report(&mut self, mut report: Report) -> wire::Report {
        let first_sequence = report.first_sequence;
        let mut rest = std::mem::take(&mut report.findings).into_iter();
        let ledger = report.ledger;
        let safeguards = report.safeguards;
        let mut message = wire::Report::from(report);
        let mut bytes = message.encoded_len();
        while message.findings.is_empty() || bytes < MESSAGE_BYTES {
            let Some(finding) = rest.next() else { break };
            let finding = wire::Finding::from(finding);
            bytes += finding.encoded_len();
            message.findings.push(finding);
        }
        let findings: Vec<Finding> = rest.collect();
        if !findings.is_empty() {
            let first_sequence = first_sequence + message.findings.len() as u64;
            let drains = None;
            let progress = Vec::new();
            self.report = Some(Report { progress, first_sequence, findings, ledger, safeguards, drains });
        }
        message
    }
}

/// Adds a newer report to one that waits. Findings are numbered without gaps, so what both have is seen.
fn merge(waiting: &mut Report, newer: Report) {
    let done: BTreeSet<TaskId> = newer.findings.iter().map(|f| id(f.operation, f.index)).collect();
    if !newer.findings.is_empty() {
        let end = waiting.first_sequence + waiting.findings.len() as u64;
        let overlaps = waiting.first_sequence <= newer.first_sequence && newer.first_sequence <= end;
        if waiting.findings.is_empty() || !overlaps {
            // Said from the beginning again: what waits is part of it, or is acknowledged.
            waiting.first_sequence = newer.first_sequence;
            waiting.findings = newer.findings;
        } else {
            let known = usize::try_from(end - newer.first_sequence).unwrap_or(usize::MAX);
            waiting.findings.extend(newer.findings.into_iter().skip(known));
        }
    }
    let progress = waiting.progress.drain(..).chain(newer.progress);
    let latest: BTreeMap<TaskId, TaskProgress> =
        progress.map(|p| (id(p.operation, p.index), p)).filter(|(id, _)| !done.contains(id)).collect();
    waiting.progress = latest.into_values().collect();
    waiting.ledger = newer.ledger;
    waiting.safeguards = newer.safeguards;
    waiting.drains = newer.drains.or(waiting.drains.take());
}

fn id(operation: OperationId, index: u32) -> TaskId {
    TaskId { operation, index }
}

#[cfg(test)]
mod tests;
