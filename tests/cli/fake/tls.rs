//! Mutual TLS for the fake, with an authority of its own; a connection can be cut from the test.

use super::Service;
use curfew_proto::v1::fleet_service_server::FleetServiceServer;
use curfew_proto::v1::operation_service_server::OperationServiceServer;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::DuplexStream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;

/// The operator's files. The folder goes when they do.
pub(super) struct Files {
    pub(super) config: String,
    _folder: TempDir,
}

/// Connections that wait for the server: each test opens a few.
const WAITING: usize = 16;
/// Bytes between TLS and the server.
const BUFFER: usize = 64 * 1024;

/// Serves on a port of its own; answers with the files that lead there.
pub(super) async fn serve(service: Service) -> Files {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (server_tx, server_rx) = mpsc::channel::<io::Result<DuplexStream>>(WAITING);
    let acceptor = authority.acceptor();
    let script = service.script.clone();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let connection = tokio::spawn(carry(tcp, acceptor.clone(), server_tx.clone()));
            script.lock().expect("no test panicked").connections.push(connection.abort_handle());
        }
    });
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(OperationServiceServer::new(service.clone()))
            .add_service(FleetServiceServer::new(service))
            .serve_with_incoming(ReceiverStream::new(server_rx)),
    );
    authority.operator_files(port)
}

/// Carries one connection between TLS and the server; aborted, it cuts both.
async fn carry(tcp: TcpStream, acceptor: TlsAcceptor, server_tx: mpsc::Sender<io::Result<DuplexStream>>) {
    let Ok(mut tls) = acceptor.accept(tcp).await else { return };
    let (mut near, far) = tokio::io::duplex(BUFFER);
    if server_tx.send(Ok(far)).await.is_ok() {
        // Either end may go at any time: that is the point.
        let _ = tokio::io::copy_bidirectional(&mut tls, &mut near).await;
    }
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

impl Authority {
    fn new() -> Authority {
        let key = key();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).expect("it signs itself");
        Authority { issuer: Issuer::new(params, key), certificate }
    }

    fn issue(&self, name: SanType, usage: ExtendedKeyUsagePurpose) -> (rcgen::Certificate, KeyPair) {
        let key = key();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![name];
        params.extended_key_usages = vec![usage];
        (params.signed_by(&key, &self.issuer).expect("it is signed"), key)
    }

    fn acceptor(&self) -> TlsAcceptor {
        let localhost = SanType::DnsName("localhost".try_into().expect("a name"));
        let (certificate, key) = self.issue(localhost, ExtendedKeyUsagePurpose::ServerAuth);
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.der().clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
                .build()
                .expect("a verifier");
        let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .expect("they belong together");
        config.alpn_protocols = vec![b"h2".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    fn operator_files(&self, port: u16) -> Files {
        let name = SanType::URI("spiffe://curfew/operator/tester".try_into().expect("a URI"));
        let (certificate, key) = self.issue(name, ExtendedKeyUsagePurpose::ClientAuth);
        let folder = TempDir::new().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        write("ca.pem", &self.certificate.pem());
        write("cert.pem", &certificate.pem());
        write("key.pem", &key.serialize_pem());
        write(
            "config.toml",
            &format!(
                "current = \"here\"\n\n[contexts.here]\nendpoint = \"https://localhost:{port}\"\nca = \"ca.pem\"\n\
                 certificate = \"cert.pem\"\nkey = \"key.pem\"\n\n[contexts.gone]\nendpoint = \"https://localhost:1\"\n\
                 ca = \"ca.pem\"\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n"
            ),
        );
        let config = folder.path().join("config.toml").display().to_string();
        Files { config, _folder: folder }
    }
}

fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key")
}
