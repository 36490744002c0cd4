//! Accepts connections and shakes hands with each in a task of its own.
//!
//! The accept loop never waits for a peer. It ends when nobody takes connections from it any more.

use super::config::ServerTls;
use super::connection::Connection;
use super::handshake::{linger, shake};
use super::open_files;
use super::refusal::RefusalLog;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsAcceptor;
use tokio_stream::Stream;

/// How long a handshake may take, from the moment it is accepted: [`HANDSHAKES_MAX`] under way at once take less than
/// half of it even where one costs 4 ms, ten times what it usually does.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Handshakes under way at once. More would only share the cores until all of them are too late, and each holds up to
/// 20 KiB, so 20 MiB in all. It takes 1,024 peers that connect and stall to make others wait, for
/// [`HANDSHAKE_TIMEOUT`] at most. The rest queue in the kernel.
const HANDSHAKES_MAX: usize = 1024;
/// Connections the kernel keeps ready: as many as Linux allows by default.
const BACKLOG: u32 = 4096;
/// Connections that are ready and not yet taken: tonic only spawns a task for each, so a few are plenty.
const READY_MAX: usize = 64;
/// Refused peers that are being told why; beyond that, they are just hung up on.
const LINGERING_MAX: usize = 256;
/// How often refusals without a line are summed up.
const SETTLE_INTERVAL: Duration = Duration::from_secs(10);
/// The first and the longest pause after the system could not accept: it lacks files or memory, which only time gives.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_LONGEST: Duration = Duration::from_secs(1);

/// A bound port that does not accept yet.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    tls: ServerTls,
    handshake_timeout: Duration,
}

impl Listener {
    /// Binds the port, and raises the process's limit of open files as far as it may.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn bind(address: SocketAddr, tls: ServerTls) -> io::Result<Listener> {
        open_files::raise();
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A restarted controller takes its port back although old connections still linger in the kernel.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Listener { socket: socket.listen(BACKLOG)?, tls, handshake_timeout: HANDSHAKE_TIMEOUT })
    }

    /// Gives handshakes this long instead of [`HANDSHAKE_TIMEOUT`].
    #[must_use]
    pub fn with_handshake_timeout(mut self, limit: Duration) -> Listener {
        self.handshake_timeout = limit;
        self
    }

    /// The address it is bound to, with the real port if 0 was asked for.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Begins to accept; for tonic's `serve_with_incoming`. Dropping the stream closes the port.
    pub fn accept(self) -> Incoming {
        let (ready_tx, ready_rx) = mpsc::channel(READY_MAX);
        let shaker = Arc::new(Shaker {
            acceptor: TlsAcceptor::from(self.tls.config.clone()),
            tls: self.tls,
            limit: self.handshake_timeout,
            log: RefusalLog::new(Instant::now()),
            lingering: Semaphore::new(LINGERING_MAX),
        });
        tokio::spawn(accept_loop(self.socket, shaker, ready_tx));
        Incoming { ready_rx }
    }
}

/// Connections whose peers are known. It ends only when it is dropped.
#[derive(Debug)]
pub struct Incoming {
    ready_rx: mpsc::Receiver<Connection>,
}

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Connection>>> {
        self.ready_rx.poll_recv(cx).map(|ready| ready.map(Ok))
    }
}

/// What all handshakes share.
struct Shaker {
    acceptor: TlsAcceptor,
    tls: ServerTls,
    limit: Duration,
    log: RefusalLog,
    lingering: Semaphore,
}

impl Shaker {
    /// One handshake. The permit counts it until the connection is handed over or refused.
    async fn run(
        self: Arc<Self>,
        tcp: TcpStream,
        peer: SocketAddr,
        permit: OwnedSemaphorePermit,
        ready_tx: mpsc::Sender<Connection>,
    ) {
        match shake(&self.acceptor, &self.tls, tcp, peer, self.limit).await {
            // Nobody takes it when the server is stopping.
            Ok(connection) => drop(ready_tx.send(connection).await),
            Err(failed) => {
                drop(permit);
                self.log.write(Instant::now(), peer, &failed.refusal);
                if let (Some(tcp), Ok(_place)) = (failed.tcp, self.lingering.try_acquire()) {
                    linger(tcp).await;
                }
            }
        }
    }
}

async fn accept_loop(socket: TcpListener, shaker: Arc<Shaker>, ready_tx: mpsc::Sender<Connection>) {
    let places = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    // Dropped with this loop, and every handshake under way with it.
    let mut handshakes = JoinSet::new();
    let mut settle = tokio::time::interval(SETTLE_INTERVAL);
    settle.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pause = PAUSE_FIRST;
    // Empty while all places are taken.
    let mut place: Option<OwnedSemaphorePermit> = None;
    loop {
        tokio::select! {
            // Safe to cancel: it only looks.
            () = ready_tx.closed() => return,
            // Safe to cancel: a place that is not given stays in the semaphore.
            free = places.clone().acquire_owned(), if place.is_none() => place = free.ok(),
            // Safe to cancel: a connection that is not accepted stays in the kernel.
            accepted = socket.accept(), if place.is_some() => match (accepted, place.take()) {
                (Ok((tcp, peer)), Some(permit)) => {
                    pause = PAUSE_FIRST;
                    handshakes.spawn(shaker.clone().run(tcp, peer, permit, ready_tx.clone()));
                }
                (Err(error), kept) => {
                    place = kept;
                    pause = after_accept_error(&error, pause).await;
                }
                (Ok(_), None) => {}
            },
            // Safe to cancel: a finished task stays in the set.
            Some(joined) = handshakes.join_next() => report_panic(joined),
            // Safe to cancel: the tick comes again.
            _ = settle.tick() => shaker.log.settle(),
        }
    }
}

/// Waits as long as the error calls for, and returns the pause for the next one.
async fn after_accept_error(error: &io::Error, pause: Duration) -> Duration {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
        // That peer left before it was its turn; the next may be well.
        return PAUSE_FIRST;
    }
    // The pauses grow to a second, so this is a line a second at most.
    tracing::error!(%error, pause_ms = pause.as_millis(), "cannot accept connections; does the limit of open files need raising?");
    tokio::time::sleep(pause).await;
    (pause * 2).min(PAUSE_LONGEST)
}

fn report_panic(joined: Result<(), JoinError>) {
    if let Err(error) = joined
        && error.is_panic()
    {
        tracing::error!(%error, "a handshake panicked");
    }
}
