//! A controller's door with a health service behind it, the log of what it refuses, and clients of every kind.

use curfew_controller::data_dir::DataDir;
use curfew_controller::pki::{Authority, Identity, Issued, Material, PkiSource, TrustDomain};
use curfew_controller::tls::{HANDSHAKE_TIMEOUT, Listener, PeerInfo, ServerTls};
use curfew_proto::dial::{Credentials, Dial, DialError};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tracing_subscriber::fmt::MakeWriter;

/// What was logged on this thread, where the whole test runs.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    /// Waits until a line has all the parts.
    pub(crate) async fn expect(&self, parts: &[&str]) {
        for _ in 0..1000 {
            if self.text().lines().any(|line| parts.iter().all(|part| line.contains(part))) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no line has {parts:?} in:\n{}", self.text());
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Write::write(&mut *self.0.lock().unwrap(), bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;

    fn make_writer(&'a self) -> Log {
        self.clone()
    }
}

/// A controller's door with a health service behind it.
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) authority: Authority,
    pub(crate) log: Log,
    pub(crate) peers: Arc<Mutex<Vec<PeerInfo>>>,
    pub(crate) dir: DataDir,
    _logging: tracing::subscriber::DefaultGuard,
    _temp: TempDir,
}

pub(crate) fn authority(domain: &str) -> (TempDir, DataDir, Authority) {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::ensure(&temp.path().join("data")).unwrap();
    let (authority, _) = Authority::ensure(&dir, &domain.parse().unwrap()).unwrap();
    (temp, dir, authority)
}

/// The data directory's own PKI.
pub(crate) fn built_in(dir: &DataDir) -> Material {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    Material::ensure(&PkiSource::BuiltIn, dir, &TrustDomain::default(), &names).unwrap()
}

/// Serves until the test ends, and remembers who came.
fn serve(material: Material, handshake_timeout: Duration, peers: &Arc<Mutex<Vec<PeerInfo>>>) -> SocketAddr {
    let tls = ServerTls::new(material).unwrap();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), tls)
        .unwrap()
        .with_handshake_timeout(handshake_timeout);
    let address = listener.local_addr().unwrap();
    let seen = peers.clone();
    let (_reporter, service) = tonic_health::server::health_reporter();
    let service =
        tonic::service::interceptor::InterceptedService::new(service, move |request: tonic::Request<()>| {
            seen.lock().unwrap().push(request.extensions().get::<PeerInfo>().unwrap().clone());
            Ok(request)
        });
    tokio::spawn(
        tonic::transport::Server::builder().add_service(service).serve_with_incoming(listener.accept()),
    );
    address
}

impl Door {
    pub(crate) async fn open() -> Door {
        Door::open_for(HANDSHAKE_TIMEOUT).await
    }

    pub(crate) async fn open_for(handshake_timeout: Duration) -> Door {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
        let logging = tracing::subscriber::set_default(subscriber);
        let (temp, dir, authority) = authority("curfew");
        let peers = Arc::default();
        let address = serve(built_in(&dir), handshake_timeout, &peers);
        Door { address, authority, log, peers, dir, _logging: logging, _temp: temp }
    }

    /// Opens again on the same data directory, as a controller that was restarted does; the address is another.
    pub(crate) fn reopen(&mut self) {
        self.reopen_with(built_in(&self.dir));
    }

    /// Opens again with another PKI.
    pub(crate) fn reopen_with(&mut self, material: Material) {
        self.address = serve(material, HANDSHAKE_TIMEOUT, &self.peers);
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    pub(crate) fn dial(&self, issued: &Issued) -> Dial {
        dial(&self.endpoint(), self.authority.certificate_pem(), issued)
    }

    pub(crate) fn operator(&self) -> Issued {
        self.authority.issue_operator("alice").unwrap()
    }

    pub(crate) async fn serves_a_good_client(&self) {
        let channel = self.dial(&self.operator()).connect().await.unwrap();
        let mut client = HealthClient::new(channel);
        client.check(HealthCheckRequest::default()).await.unwrap();
        assert_eq!(self.peers.lock().unwrap().last().unwrap().identity, Identity::operator("alice").unwrap());
    }

    pub(crate) async fn raw(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A client with TLS of its own, to do what [`Dial`] never does.
    pub(crate) fn tls(&self, issued: Option<&Issued>) -> TlsConnector {
        self.tls_of(issued, rustls::DEFAULT_VERSIONS)
    }

    pub(crate) fn tls_of(
        &self,
        issued: Option<&Issued>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.certificate().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match issued {
            None => builder.with_no_client_auth(),
            Some(issued) => {
                let chain = CertificateDer::pem_slice_iter(issued.certificate_pem.as_bytes());
                let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).unwrap()
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        TlsConnector::from(Arc::new(config))
    }

    /// A client that has been here before, and has a ticket from then.
    pub(crate) async fn returning(&self, issued: &Issued) -> TlsConnector {
        let connector = self.tls(Some(issued));
        // The ticket comes with the server's first words.
        self.shake(&connector).await.read_u8().await.unwrap();
        connector
    }

    pub(crate) async fn shake(&self, connector: &TlsConnector) -> TlsStream<TcpStream> {
        self.try_shake(connector).await.unwrap()
    }

    pub(crate) async fn try_shake(&self, connector: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from("localhost").unwrap();
        connector.connect(name, self.raw().await).await
    }
}

pub(crate) fn dial(endpoint: &str, ca: &str, issued: &Issued) -> Dial {
    let credentials =
        Credentials::from_pem(ca.as_bytes(), issued.certificate_pem.as_bytes(), issued.key_pem.as_bytes());
    Dial::new(endpoint, credentials.unwrap()).unwrap()
}

pub(crate) fn words(failed: Result<tonic::transport::Channel, DialError>) -> String {
    failed.unwrap_err().to_string()
}
