//! The one task that owns the core: it takes what happened, lets the core decide, and carries out what the core
//! wants in the one order that is safe: the ledger first, then calls to providers, then reports. An order's acceptance is
//! synced with the act moment, or before it is reported, whichever comes first.

mod turn;

use crate::ask;
use crate::clock;
use crate::inventory::Inventory;
use crate::kill_point::{KillPoint, reach};
use crate::ledger::{Durable, Ledger, LedgerError};
use crate::link::uplink::Uplink;
use curfew_agent_core::{CAPABILITIES, Core, Event};
use curfew_types::Now;
use curfew_types::agent::Hello;
use futures::FutureExt as _;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use turn::Turn;

/// Most that is taken in one turn, and what may wait for the next one. A turn costs one sync of the disk, so more at
/// once is cheaper; beyond this the link and the calls wait for room, and the controller for the link.
pub(crate) const INPUTS_DEPTH: usize = 256;
/// Most turns in a row of an agent whose guests answer at once, before others get theirs: a whole logoff of simulated guests,
/// whose books are in the processor's cache then.
const TURNS_IN_A_ROW: u32 = 8;
/// Longest sleep while the core waits for a moment: tokio's clock stands still while the machine is suspended, and
/// the core's does not.
const SLEEP_MAX: Duration = Duration::from_secs(5);
/// Pauses before the ledger is tried again.
const LEDGER_PAUSE_FIRST: Duration = Duration::from_millis(250);
const LEDGER_PAUSE_MAX: Duration = Duration::from_secs(5);

/// What happened, as others tell the driver. Small, since the channel reserves places for many.
#[derive(Debug)]
pub(crate) enum Input {
    /// A stream is about to begin: what is to be said first?
    Greet(oneshot::Sender<Box<Hello>>),
    /// The controller welcomed the agent; reports go here from now on.
    Welcomed {
        /// The controller's epoch.
        epoch: u64,
        /// The last finding that it has stored.
        acknowledged: u64,
        /// It is sent the whole inventory, which is not the one it knew when it read the hello.
        whole_inventory: bool,
        /// The way up.
        uplink: Arc<Uplink>,
    },
    /// Something else for the core.
    Happened(Box<Event>),
}

/// Whether the agent is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It is.
    No,
    /// It ends when nothing runs any more, or at this moment.
    By(Instant),
}

/// The driver.
pub(crate) struct Driver {
    core: Core,
    ledger: Ledger,
    inventory: Arc<Inventory>,
    inputs_rx: mpsc::Receiver<Input>,
    /// For the answers of calls that took a while.
    inputs_tx: mpsc::Sender<Input>,
    stop_rx: watch::Receiver<Stop>,
    /// Where reports go; `None` while there is no stream.
    uplink: Option<Arc<Uplink>>,
    /// Calls that are out. Dropped with the driver.
    calls: JoinSet<()>,
    /// Answers that came at once; emptied by the next turn.
    answers: Vec<Event>,
    /// How many turns were taken since others got theirs.
    turns_in_a_row: u32,
    /// Who waits for a hello; emptied by the same turn, once its entries are durable: a hello that told of more
    /// than the ledger holds would look like a ledger that was rolled back, after a crash.
    greeters: Vec<oneshot::Sender<Box<Hello>>>,
    /// A session's end was answered in this turn; for the kill point between two of them.
    took_an_end: bool,
}

impl Driver {
    /// A driver of this core, whose ledger this is.
    pub(crate) fn new(
        core: Core,
        ledger: Ledger,
        inventory: Arc<Inventory>,
        inputs: (mpsc::Sender<Input>, mpsc::Receiver<Input>),
        stop_rx: watch::Receiver<Stop>,
    ) -> Driver {
        let (inputs_tx, inputs_rx) = inputs;
        Driver {
            core,
            ledger,
            inventory,
            inputs_rx,
            inputs_tx,
            stop_rx,
            uplink: None,
            calls: JoinSet::new(),
            answers: Vec::new(),
            turns_in_a_row: 0,
            greeters: Vec::new(),
            took_an_end: false,
        }
    }

    /// Drives until the agent is to stop. Dropping it is a crash, and as safe as one.
    pub(crate) async fn run(mut self) {
        // Before that, every guest would be unknown, and unfinished tasks of a run before would be given up.
        tokio::select! {
            // May be cancelled: it only waits.
            () = self.inventory.wait_until_known() => {}
            // May be cancelled: it only waits.
            _ = self.stop_rx.wait_for(|stop| *stop != Stop::No) => return,
        }
        self.rewrite_if_grown(clock::now());
        let mut inputs = Vec::new();
        loop {
            let stop = *self.stop_rx.borrow_and_update();
            if let Stop::By(moment) = stop {
                self.core.begin_stop();
                if self.core.is_idle() || moment <= Instant::now() {
                    // What it would be without is only said again.
                    self.ledger.append(&[], Durable::Now).ok();
                    return;
                }
            }
            self.wait(stop, &mut inputs).await;
            let now = clock::now();
            self.take_in(now, &mut inputs);
            self.core.end_turn(now);
            if !self.carry_out(now).await {
                return;
            }
        }
    }

    /// Waits until something happened or the core's next moment has come.
    async fn wait(&mut self, stop: Stop, inputs: &mut Vec<Input>) {
        if !self.answers.is_empty() {
            while inputs.len() < INPUTS_DEPTH
                && let Ok(input) = self.inputs_rx.try_recv()
            {
                inputs.push(input);
            }
            self.turns_in_a_row += 1;
            if self.turns_in_a_row >= TURNS_IN_A_ROW {
                self.turns_in_a_row = 0;
                // A provider that answers everything at once must not keep other tasks from their turn.
                tokio::task::yield_now().await;
            }
            return;
        }
        self.turns_in_a_row = 0;
        let now = clock::mono();
        let next = self.core.poll_timeout().map(|(at, _why)| Duration::from_millis(at.since(now)));
        let until_stop = match stop {
            Stop::No => None,
            Stop::By(moment) => Some(moment.saturating_duration_since(Instant::now())),
        };
        let longest = next.into_iter().chain(until_stop).min().map(|time| time.min(SLEEP_MAX));
        tokio::select! {
            // May be cancelled: what was not taken stays in the channel.
            _ = self.inputs_rx.recv_many(inputs, INPUTS_DEPTH) => {}
            // May be cancelled: the core names the moment again.
            () = sleep(longest) => {}
            // May be cancelled: the loop reads the value itself.
            _ = self.stop_rx.changed() => {}
        }
    }

    fn take_in(&mut self, now: Now, inputs: &mut Vec<Input>) {
        while self.calls.try_join_next().is_some() {}
        self.took_an_end = false;
        for event in self.answers.drain(..) {
            self.took_an_end |= matches!(event, Event::Ended { .. });
            self.core.handle(now, event);
        }
        for input in inputs.drain(..) {
            match input {
                Input::Greet(hello_tx) => self.greeters.push(hello_tx),
                Input::Welcomed { epoch, acknowledged, whole_inventory, uplink } => {
                    self.uplink = Some(uplink);
                    if whole_inventory {
                        self.core.tell_drains_again();
                    }
                    self.core.handle(now, Event::Welcomed { epoch, acknowledged });
                }
                Input::Happened(event) => {
                    match *event {
                        Event::Disconnected => self.uplink = None,
                        Event::Ended { .. } => self.took_an_end = true,
                        Event::Acknowledged(_) => reach(KillPoint::AfterReportSent),
                        _ => {}
                    }
                    self.core.handle(now, *event);
                }
            }
        }
    }

    /// Carries a turn out. Returns false if the agent must stop before the ledger could be written: then nothing of
    /// the turn has happened.
    async fn carry_out(&mut self, now: Now) -> bool {
        let turn = Turn::drain(&mut self.core);
        turn.reach_before_sync();
        if !self.write_down(&turn).await {
            return false;
        }
        turn.reach_after_sync();
        turn.log();
        if self.took_an_end && turn.ends_a_session() {
            reach(KillPoint::BetweenEnds);
        }
        self.answers.reserve(turn.calls.len());
        for call in turn.calls {
            self.start(now, call);
        }
        if let Some(uplink) = &self.uplink {
            for report in turn.reports {
                uplink.report(report);
            }
        }
        for hello_tx in std::mem::take(&mut self.greeters) {
            let capabilities = CAPABILITIES.iter().map(|name| (*name).to_owned()).collect();
            let hello = self.core.hello(capabilities, self.inventory.digest());
            self.core.said_hello();
            // A link that went away has no use for it.
            hello_tx.send(Box::new(hello)).ok();
        }
        self.rewrite_if_grown(now);
        true
    }

    /// Writes a turn's entries, as often as it takes.
    async fn write_down(&mut self, turn: &Turn) -> bool {
        let mut pause = LEDGER_PAUSE_FIRST;
        let mut has_failed = false;
        // A report and a hello tell how far the ledger has come, so all before them is durable too.
        let waits = turn.may_be_durable_later() && self.greeters.is_empty();
        let when = if waits { Durable::WithTheNext } else { Durable::Now };
        while let Err(error) = self.ledger.append(&turn.entries, when) {
            if !has_failed {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the ledger cannot be written, and nothing is begun or reported until it can: free space on \
                     its disk, or repair it"
                );
            }
            has_failed = true;
            if let Stop::By(moment) = *self.stop_rx.borrow_and_update()
                && moment <= Instant::now()
            {
                return false;
            }
            tokio::select! {
                // May be cancelled: the loop tries again either way.
                () = tokio::time::sleep(pause) => {}
                // May be cancelled: the loop reads the value itself.
                _ = self.stop_rx.changed() => {}
            }
            pause = (pause * 2).min(LEDGER_PAUSE_MAX);
        }
        if has_failed {
            tracing::info!("the ledger can be written again; the agent goes on");
        }
        true
    }

    /// Puts a question to a provider. A guest that answers at once costs no task.
    fn start(&mut self, now: Now, call: turn::Call) {
        let deadline = now.mono.plus(call.budget_ms);
        let inventory = Arc::clone(&self.inventory);
        let mut asked = ask::answer(inventory, call.call, call.guest, call.request, deadline).boxed();
        match asked.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(event) => self.answers.push(event),
            Poll::Pending => {
                let inputs_tx = self.inputs_tx.clone();
                self.calls.spawn(async move {
                    let event = asked.await;
                    // A driver that ended has no use for it.
                    inputs_tx.send(Input::Happened(Box::new(event))).await.ok();
                });
            }
        }
    }

    fn rewrite_if_grown(&mut self, now: Now) {
        if !self.ledger.is_grown() {
            return;
        }
        self.core.forget_old(now);
        let rewritten: Result<(), LedgerError> = self.ledger.rewrite(&self.core.summary());
        if let Err(error) = rewritten {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the ledger could not be rewritten; the agent goes on with the old one");
        }
    }
}

async fn sleep(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
