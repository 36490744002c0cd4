//! The floor's server: takes streams, sends one batch down each, and counts what comes up.

use super::connection::Connection;
use super::order;
use crate::child::{Answer, Ask, answer_until_closed};
use crate::scene::{FleetArgs, SPARE_FILES, data_dir};
use crate::usage::{monotonic_ns, raise_file_limit};
use anyhow::Context as _;
use curfew_controller::pki::{Material, PkiSource, TrustDomain};
use curfew_controller::tls::Tickets;
use curfew_proto::agent::v1::agent_service_server::{AgentService, AgentServiceServer};
use curfew_proto::agent::v1::{
    Acknowledgement, AttachRequest, AttachResponse, Welcome, attach_request, attach_response,
};
use rustls::crypto::aws_lc_rs;
use rustls::server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpSocket;
use tokio::sync::{Notify, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

/// As the controller's.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
const BACKLOG: u32 = 4096;
/// Told to a real agent, which is not quiet for so long.
const HEARTBEAT_MS: u32 = 600_000;

type Down = Result<AttachResponse, Status>;

#[derive(Default)]
struct Books {
    agents: Mutex<HashMap<String, mpsc::Sender<Down>>>,
    outcomes: AtomicU64,
    all_in: Notify,
    expected: AtomicU64,
    batches: AtomicU64,
}

struct Floor(Arc<Books>);

#[tonic::async_trait]
impl AgentService for Floor {
    type AttachStream = ReceiverStream<Down>;

    async fn attach(
        &self,
        request: Request<Streaming<AttachRequest>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let mut up = request.into_inner();
        let Some(AttachRequest { message: Some(attach_request::Message::Hello(hello)) }) =
            up.message().await?
        else {
            return Err(Status::invalid_argument("the first message must be a hello"));
        };
        let (down_tx, down_rx) = mpsc::channel(4);
        // A real agent attaches, too: where its time from an order to the first guest is measured.
        let welcome = Welcome { protocol_version: 1, heartbeat_ms: HEARTBEAT_MS, ..Welcome::default() };
        let welcome = Some(attach_response::Message::Welcome(welcome));
        let _ = down_tx.send(Ok(AttachResponse { message: welcome })).await;
        let host = hello.host;
        // One with a ledger says what it found until that is acknowledged.
        let acknowledge_tx = hello.ledger.map(|_| down_tx.clone());
        lock(&self.0.agents).insert(host.clone(), down_tx);
        let books = Arc::clone(&self.0);
        tokio::spawn(async move {
            while let Ok(Some(message)) = up.message().await {
                if let Some(attach_request::Message::Report(report)) = message.message {
                    let found = report.findings.len() as u64;
                    if let Some(down_tx) = acknowledge_tx.as_ref().filter(|_| found > 0) {
                        let stored = Acknowledgement { sequence: report.first_sequence + found - 1 };
                        let stored = Some(attach_response::Message::Acknowledgement(stored));
                        let _ = down_tx.send(Ok(AttachResponse { message: stored })).await;
                    }
                    books.add(found);
                }
            }
            lock(&books.agents).remove(&host);
        });
        Ok(Response::new(ReceiverStream::new(down_rx)))
    }
}

impl Books {
    fn add(&self, outcomes: u64) {
        if outcomes > 0 {
            let before = self.outcomes.fetch_add(outcomes, Ordering::Relaxed);
            if before + outcomes == self.expected.load(Ordering::Relaxed) {
                self.all_in.notify_one();
            }
        }
    }

    /// One batch down to everybody, until every outcome has come up. Returns the moment before the first was sent, in
    /// nanoseconds of the machine's monotonic clock.
    async fn burst(&self, guests: u32) -> u64 {
        let agents: Vec<(String, mpsc::Sender<Down>)> =
            lock(&self.agents).iter().map(|(host, agent)| (host.clone(), agent.clone())).collect();
        self.outcomes.store(0, Ordering::Relaxed);
        self.expected.store(agents.len() as u64 * u64::from(guests), Ordering::Relaxed);
        let batch = self.batches.fetch_add(1, Ordering::Relaxed);
        let sent_ns = monotonic_ns();
        for (host, agent) in agents {
            // An agent that went away leaves the burst unfinished, which its caller notices.
            let _ = agent.send(Ok(order(&host, guests, batch))).await;
        }
        self.all_in.notified().await;
        sent_ns
    }
}

/// Serves until nobody asks any more.
///
/// # Errors
/// When it cannot serve.
pub(crate) async fn run(args: &FleetArgs) -> anyhow::Result<()> {
    raise_file_limit(u64::from(args.hosts()) + SPARE_FILES)?;
    let books = Arc::new(Books::default());
    let config = tls(args)?;
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], args.port)))?;
    let listener = socket.listen(BACKLOG)?;
    let port = listener.local_addr()?.port();
    let (ready_tx, ready_rx) = mpsc::channel(64);
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(config);
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, ready_tx) = (acceptor.clone(), ready_tx.clone());
            tokio::spawn(async move {
                tcp.set_nodelay(true).ok();
                if let Ok(stream) = acceptor.accept(tcp).await {
                    let _ = ready_tx.send(Ok::<_, std::io::Error>(Connection(stream))).await;
                }
            });
        }
    });
    let server = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .add_service(AgentServiceServer::new(Floor(Arc::clone(&books))))
        .serve_with_incoming(ReceiverStream::new(ready_rx));
    let server = tokio::spawn(server);
    let guests = args.guests;
    answer_until_closed(&port.to_string(), |ask| {
        let books = Arc::clone(&books);
        async move {
            Ok(match ask {
                Ask::Attached => Answer::Count(lock(&books.agents).len() as u64),
                Ask::Burst => Answer::Count(books.burst(guests).await),
                _ => anyhow::bail!("the floor's server knows nothing of {ask:?}"),
            })
        }
    })
    .await?;
    server.abort();
    Ok(())
}

fn tls(args: &FleetArgs) -> anyhow::Result<Arc<ServerConfig>> {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let data_dir = data_dir(&args.data_dir)?;
    let material = Material::ensure(&PkiSource::BuiltIn, &data_dir, &TrustDomain::default(), &names)?;
    let ticketer: Arc<dyn ProducesTickets> = if args.resumes {
        Arc::new(Tickets::new(&material.key, &material.authorities))
    } else {
        aws_lc_rs::Ticketer::new()?
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    for authority in material.authorities {
        roots.add(authority)?;
    }
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(clients)
        .with_single_cert(material.chain, material.key)
        .context("the floor's certificate")?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.ticketer = ticketer;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
