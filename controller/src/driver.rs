//! The one task that owns the core: takes what has come in, appends, publishes, sends; in that order.
//!
//! Everybody else holds a cheap [`Handle`]. While the store is away the driver keeps what it could not append,
//! sends only what makes things safer, and goes on once the store is back.

mod backlog;
mod gathering;
mod links;
mod turn;

use crate::clock;
use crate::store::{self, Store};
use backlog::Backlog;
use curfew_controller_core::record::Recovered;
use curfew_controller_core::view::OperationView;
use curfew_controller_core::{Core, Event, Settings};
use curfew_types::agent::Hello;
use curfew_types::{HostName, Now, OperationId, OperationState};
use gathering::Gathering;
use links::Links;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use turn::{Replies, Turn};

pub use curfew_controller_core::AttachError;
pub use links::{Down, LINK_QUEUE};
pub(crate) use links::{Downlink, NotSent, Outbound, on_the_wire};

/// Most inputs in one turn: large enough for one commit to serve a burst of reports, small enough that a turn's
/// records stay far below a second of the store's time (FACTS: over a million packed rows a second).
const TURN_MAX: usize = 2048;
/// Depth of each input queue: one turn being worked on, one waiting.
const INPUT_QUEUE: usize = 2 * TURN_MAX;
/// Pause between two tries to reach a store that is away.
const STORE_RETRY: Duration = Duration::from_secs(1);
/// Records kept while the store is away before agents' reports are left in their outboxes.
const BACKLOG_MAX: usize = 100_000;

/// Runs when the turn's records are stored, or, with `false`, when the store is away and waiting would be unsafe.
type Reply = Box<dyn FnOnce(bool) + Send>;
/// Works on the core and leaves the reply, with whether that may go out while the store is away.
type Job = Box<dyn FnOnce(&mut Core, Now) -> (bool, Reply) + Send>;

/// What agents' streams bring.
enum FromAgent {
    Attach {
        host: HostName,
        session: u64,
        hello: Box<Hello>,
        version: String,
        down: Downlink,
        reply: oneshot::Sender<Result<(), AttachError>>,
    },
    Event(Event),
}

/// What the services ask.
enum Request {
    Job(Job),
    Send { host: HostName, frame: Box<Down>, sent: oneshot::Sender<bool> },
    BeginStop,
    Finish,
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The store cannot be written, so nothing new is taken on.
    #[error("the controller's store is away; ask again when it is back")]
    StoreAway,
    /// The driver has stopped.
    #[error("the controller is shutting down")]
    Stopped,
}

/// An answer, and whether what it rests on is on disk.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    /// The answer.
    pub value: T,
    /// False only while the store is away.
    pub recorded: bool,
}

/// What was published last of an operation: all of it is stored.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// How it stood; nothing where it has not changed since somebody asked for it.
    pub operation: Option<Arc<OperationView>>,
    /// It has ended: what its tasks came to is stored.
    pub ended: bool,
}

/// The operations whose changes somebody hears of, or did a while ago.
type Watched = Arc<Mutex<HashMap<OperationId, watch::Sender<Published>>>>;

/// How everybody else reaches the core.
#[derive(Clone)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    agents: mpsc::Sender<FromAgent>,
    watched: Watched,
    stopping: watch::Receiver<bool>,
}

impl Handle {
    /// Resolves once the controller has begun to stop: endless streams end then.
    pub async fn stopping(&self) {
        let mut stopping = self.stopping.clone();
        // An error means that the driver is gone, which is as good a reason to end.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }

    /// Works on the core; the answer comes once what was done is durable. While the store is away nothing is done.
    ///
    /// # Errors
    /// When the store is away or the controller has stopped.
    pub async fn ask<T, F>(&self, work: F) -> Result<T, Unavailable>
    where
        T: Send + 'static,
        F: FnOnce(&mut Core, Now) -> T + Send + 'static,
    {
        let (tx, rx) = oneshot::channel();
        let job: Job = Box::new(move |core, now| {
            if core.store_is_away() {
                // Nothing was done, so there is nothing to wait for.
                return (true, Box::new(move |_| drop(tx.send(Err(Unavailable::StoreAway)))));
            }
            let value = work(core, now);
            (false, Box::new(move |_| drop(tx.send(Ok(value)))))
        });
        self.post(Request::Job(job)).await?;
        rx.await.map_err(|_| Unavailable::Stopped)?
    }

    /// Works on the core in a way that only makes things safer, or only looks: the answer comes once it is durable,
    /// or at once while the store is away.
    ///
    /// # Errors
    /// When the controller has stopped.
    pub async fn ask_safer<T, F>(&self, work: F) -> Result<Answer<T>, Unavailable>
    where
        T: Send + 'static,
        F: FnOnce(&mut Core, Now) -> T + Send + 'static,
    {
        let (tx, rx) = oneshot::channel();
        let job: Job = Box::new(move |core, now| {
            let value = work(core, now);
            (true, Box::new(move |recorded| drop(tx.send(Answer { value, recorded }))))
        });
        self.post(Request::Job(job)).await?;
        rx.await.map_err(|_| Unavailable::Stopped)
    }

    /// Attaches an agent's stream; its welcome is the first frame.
    pub(crate) async fn attach(
        &self,
        host: HostName,
        session: u64,
        hello: Hello,
        version: String,
        down: Downlink,
    ) -> Result<Result<(), AttachError>, Unavailable> {
        let (reply, rx) = oneshot::channel();
        let hello = Box::new(hello);
        let input = FromAgent::Attach { host, session, hello, version, down, reply };
        self.agents.send(input).await.map_err(|_| Unavailable::Stopped)?;
        rx.await.map_err(|_| Unavailable::Stopped)
    }

    /// Brings what an agent said; waits while the driver is behind, which slows the agent's stream down.
    pub(crate) async fn event(&self, event: Event) -> Result<(), Unavailable> {
        self.agents.send(FromAgent::Event(event)).await.map_err(|_| Unavailable::Stopped)
    }

    /// Sends a frame that is no order to a connected host; tells whether it could be.
    pub(crate) async fn send(&self, host: HostName, frame: Down) -> Result<bool, Unavailable> {
        let (sent, rx) = oneshot::channel();
        self.post(Request::Send { host, frame: Box::new(frame), sent }).await?;
        rx.await.map_err(|_| Unavailable::Stopped)
    }

    /// Nothing new is taken on from now on.
    ///
    /// # Errors
    /// When the driver has stopped already.
    pub async fn begin_stop(&self) -> Result<(), Unavailable> {
        self.post(Request::BeginStop).await
    }

    /// Ends the driver after what has come in by now, whoever still holds a handle.
    pub(crate) async fn finish(&self) -> Result<(), Unavailable> {
        self.post(Request::Finish).await
    }

    /// Tells when an operation changes: the receiver holds what was published last.
    pub fn changes(&self, id: OperationId) -> watch::Receiver<Published> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|_, sender| sender.receiver_count() > 0);
        watched.entry(id).or_insert_with(|| watch::channel(Published::default()).0).subscribe()
    }

    async fn post(&self, request: Request) -> Result<(), Unavailable> {
        self.requests.send(request).await.map_err(|_| Unavailable::Stopped)
    }
}

/// The task that owns the core.
pub struct Driver {
    core: Core,
    store: Arc<dyn Store>,
    requests: mpsc::Receiver<Request>,
    agents: Gathering,
    watched: Watched,
    stopping: watch::Sender<bool>,
    heartbeat_ms: u32,
    is_finishing: bool,
    links: Links,
    backlog: Backlog,
}

impl Driver {
    /// A driver that goes on from what the store knows. [`Driver::run`] must be spawned for anything to happen.
    pub fn new(store: Arc<dyn Store>, settings: Settings, recovered: Recovered) -> (Driver, Handle) {
        let core = Core::recover(clock::now(), settings, recovered);
        let (requests_tx, requests) = mpsc::channel(INPUT_QUEUE);
        let (agents_tx, agents) = mpsc::channel(INPUT_QUEUE);
        let watched = Watched::default();
        let (stopping, stopping_rx) = watch::channel(false);
        let handle = Handle {
            requests: requests_tx,
            agents: agents_tx,
            watched: watched.clone(),
            stopping: stopping_rx,
        };
        let heartbeat_ms = u32::try_from(settings.heartbeat_ms).unwrap_or(u32::MAX);
        let (links, backlog) = (Links::default(), Backlog::default());
        (
            Driver {
                core,
                store,
                requests,
                agents: Gathering::of(agents),
                watched,
                stopping,
                heartbeat_ms,
                is_finishing: false,
                links,
                backlog,
            },
            handle,
        )
    }

    /// Runs until it is told to finish, or every handle is gone.
    ///
    /// # Errors
    /// When the store refuses what the core wrote: the two disagree, and going on would make it worse.
    pub async fn run(mut self) -> Result<(), store::Error> {
        // The epoch is raised durably before anything else.
        self.end_turn(Replies::default()).await?;
        loop {
            let wake = self.wake_in();
            let open = self.backlog.records() < BACKLOG_MAX;
            let mut replies = Replies::default();
            // Every arm may be cancelled: what was received is kept, and a timer holds nothing.
            tokio::select! {
                request = self.requests.recv() => match request {
                    Some(request) => self.take_request(request, &mut replies),
                    None => return self.finish().await,
                },
                true = self.agents.ready(|input| is_alone(&self.core, input)), if open => {}
                () = tokio::time::sleep(wake) => {}
            }
            self.agents.turn_begins(self.core.under_way());
            for _ in 0..TURN_MAX {
                if let Ok(request) = self.requests.try_recv() {
                    self.take_request(request, &mut replies);
                } else if let (true, Some(input)) = (open, self.agents.take()) {
                    self.take_agent(input, &mut replies);
                } else {
                    break;
                }
            }
            self.core.handle(clock::now(), Event::Tick);
            self.end_turn(replies).await?;
            if self.is_finishing {
                return self.finish().await;
            }
        }
    }

    fn wake_in(&self) -> Duration {
        if !self.backlog.is_empty() {
            return STORE_RETRY;
        }
        let now = clock::now().mono;
        let wake = self.core.poll_timeout().map(|(at, _)| Duration::from_millis(at.since(now)));
        // Without a timer nothing happens by itself; an hour costs nothing and needs no special case.
        wake.unwrap_or(Duration::from_secs(3600))
    }

    fn take_request(&mut self, request: Request, replies: &mut Replies) {
        match request {
            Request::Job(job) => replies.answers.push(job(&mut self.core, clock::now())),
            Request::Send { host, frame, sent } => {
                let done = self.links.send_now(&host, *frame);
                let _ = sent.send(done);
            }
            Request::Finish => self.is_finishing = true,
            Request::BeginStop => {
                self.core.begin_stop();
                self.links.close();
                self.stopping.send_replace(true);
            }
        }
    }

    fn take_agent(&mut self, input: FromAgent, replies: &mut Replies) {
        match input {
            FromAgent::Attach { host, session, hello, version, down, reply } => {
                let answer = self.core.attach(clock::now(), &host, session, &hello, &version);
                let heartbeat_ms = self.heartbeat_ms;
                if answer.is_ok() {
                    self.links.insert(host, session, down.clone());
                }
                replies.welcomes.push(Box::new(move |_| {
                    // A stream that is gone already says so by itself.
                    let _ = reply.send(answer.map(|welcome| {
                        let _ = down.send(Ok(links::welcome(welcome, heartbeat_ms)));
                    }));
                }));
            }
            FromAgent::Event(event) => {
                if let Event::Detached { host, session } = &event {
                    self.links.remove(host, *session);
                }
                self.core.handle(clock::now(), event);
            }
        }
    }

    /// Appends what the turn wrote, then publishes, then sends and replies.
    async fn end_turn(&mut self, replies: Replies) -> Result<(), store::Error> {
        let turn = Turn::drain(&mut self.core, replies);
        if !self.backlog.is_empty() {
            let rest = turn.carry_out_urgent(&mut self.links);
            self.backlog.push(rest);
            return self.try_backlog().await;
        }
        turn.before_append();
        let stored = if turn.records.is_empty() { Ok(()) } else { self.store.append(&turn.records).await };
        match stored {
            Ok(()) => {
                self.carry_out(turn);
                Ok(())
            }
            Err(error @ store::Error::Away { .. }) => {
                tracing::error!(
                    error = error_chain(&error),
                    "the store is away: nothing new starts until it is back"
                );
                self.core.handle(clock::now(), Event::StoreAway);
                let rest = turn.carry_out_urgent(&mut self.links);
                self.backlog.push(rest);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn try_backlog(&mut self) -> Result<(), store::Error> {
        if !self.backlog.is_due() {
            return Ok(());
        }
        while let Some(turn) = self.backlog.front() {
            match self.store.append(&turn.records).await {
                Ok(()) => {
                    if let Some(mut turn) = self.backlog.pop() {
                        turn.after_append();
                        turn.forget_orders();
                        self.backlog.unpublished.append(&mut turn.published);
                        turn.carry_out(&mut self.links);
                    }
                }
                Err(store::Error::Away { .. }) => {
                    self.backlog.retry_in(STORE_RETRY);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        // Only now is everything stored that watchers would see.
        let published = std::mem::take(&mut self.backlog.unpublished);
        self.publish(&published);
        tracing::warn!("the store is back");
        self.core.handle(clock::now(), Event::StoreBack);
        Box::pin(self.end_turn(Replies::default())).await
    }

    fn carry_out(&mut self, turn: Turn) {
        turn.after_append();
        self.publish(&turn.published);
        turn.carry_out(&mut self.links);
    }

    fn publish(&self, operations: &[OperationId]) {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        for id in operations {
            let Some(sender) = watched.get(id).filter(|sender| sender.receiver_count() > 0) else { continue };
            if let Some(view) = self.core.operation(*id) {
                let ended = view.state == OperationState::Ended;
                sender.send_replace(Published { operation: Some(Arc::new(view)), ended });
            }
        }
    }

    /// The last turn: what is in the backlog gets one more try.
    async fn finish(mut self) -> Result<(), store::Error> {
        self.end_turn(Replies::default()).await?;
        if !self.backlog.is_empty() {
            tracing::error!(
                records = self.backlog.records(),
                "stopping while the store is away: what it could not take is lost here and kept by the agents"
            );
        }
        Ok(())
    }
}

/// Whether no other report is due while this input waits: it says how all tasks ended that are under way, or is none.
fn is_alone(core: &Core, input: &FromAgent) -> bool {
    match input {
        FromAgent::Event(Event::Reported { report, .. }) => report.findings.len() >= core.under_way(),
        FromAgent::Event(_) | FromAgent::Attach { .. } => true,
    }
}

fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
