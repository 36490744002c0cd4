//! How clients reach the controller: mutual TLS 1.3, HTTP/2, and errors that say what to do.
//!
//! Agents and the command line share this. A [`Dial`] is parsed once and may be connected any number of times; its
//! TLS sessions are resumed. It never falls back to anything weaker: no plain text, no unchecked certificate.

mod address;
mod error;
pub mod pem;
mod stream;

pub use address::DEFAULT_PORT;
pub use error::DialError;
pub use pem::PemError;

use crate::identity::Leaf;
use address::{host_and_port, server_name};
use error::Circumstances;
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use stream::{Verdict, WatchedStream};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

/// Time for name, TCP, TLS and the first answer together. A storm of 10,000 handshakes took 8 s on two cores: a
/// client that waits less would give up in vain and make the storm worse.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// How often an idle connection is asked for a sign of life: well under the minute or more after which firewalls
/// forget a connection.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// How long that sign of life may take.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a client shows and what it trusts.
pub struct Credentials {
    authorities: Vec<CertificateDer<'static>>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Credentials {
    /// Reads the three PEM files: the authority to trust, this client's certificate (chain) and its key.
    ///
    /// # Errors
    /// When a file cannot be read or is not what it should be; the error names it.
    pub fn from_files(ca: &Path, certificate: &Path, key: &Path) -> Result<Credentials, DialError> {
        Ok(Credentials {
            authorities: pem::certificates(&pem::read(ca)?, ca.display())?,
            chain: pem::certificates(&pem::read(certificate)?, certificate.display())?,
            key: pem::private_key(&pem::read(key)?, key.display())?,
        })
    }

    /// The same from PEM texts.
    ///
    /// # Errors
    /// When a text is not what it should be.
    pub fn from_pem(ca: &[u8], certificate: &[u8], key: &[u8]) -> Result<Credentials, DialError> {
        Ok(Credentials {
            authorities: pem::certificates(ca, "the CA")?,
            chain: pem::certificates(certificate, "the certificate")?,
            key: pem::private_key(key, "the key")?,
        })
    }

    /// What this client's certificate says of itself: an agent learns its name here.
    ///
    /// # Errors
    /// When it is not a readable X.509 certificate.
    pub fn leaf(&self) -> Result<Leaf, DialError> {
        let Some(first) = self.chain.first() else {
            return Err(DialError::Credentials { why: "there is no certificate".into() });
        };
        Leaf::read(first).map_err(|error| DialError::Credentials { why: format!("the certificate: {error}") })
    }

    fn into_config(self) -> Result<ClientConfig, DialError> {
        let unusable = |error: rustls::Error| {
            let why = if matches!(error, rustls::Error::InconsistentKeys(_)) {
                "the key does not belong to the certificate".into()
            } else {
                error.to_string()
            };
            DialError::Credentials { why }
        };
        let mut roots = RootCertStore::empty();
        for authority in self.authorities {
            roots
                .add(authority)
                .map_err(|error| DialError::Credentials { why: format!("the CA's certificate: {error}") })?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            // The controller speaks nothing older; see its `tls` module.
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(unusable)?
            .with_root_certificates(roots)
            .with_client_auth_cert(self.chain, self.key)
            .map_err(unusable)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }
}

/// The key is never shown.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("leaf", &self.leaf()).finish_non_exhaustive()
    }
}

/// One controller, as a client reaches it. Cheap to clone; clones share the TLS sessions that can be resumed.
#[derive(Clone)]
pub struct Dial {
    endpoint: String,
    host: String,
    port: u16,
    server_name: ServerName<'static>,
    tls: TlsConnector,
    own_not_after: SystemTime,
    timeout: Duration,
    keepalive: bool,
}

impl Dial {
    /// A dial of `https://HOST[:PORT]`; the port is 7443 if none is named.
    ///
    /// # Errors
    /// When the endpoint is no such address, or the credentials do not fit together.
    pub fn new(endpoint: &str, credentials: Credentials) -> Result<Dial, DialError> {
        let (host, port) = host_and_port(endpoint)?;
        let own_not_after = credentials.leaf()?.not_after;
        Ok(Dial {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            server_name: server_name(endpoint, &host)?,
            tls: TlsConnector::from(Arc::new(credentials.into_config()?)),
            host,
            port,
            own_not_after,
            timeout: CONNECT_TIMEOUT,
            keepalive: true,
        })
    }

    /// Expects this name in the controller's certificate instead of the endpoint's host: for tunnels.
    ///
    /// # Errors
    /// When the name is neither a DNS name nor an IP address.
    pub fn with_server_name(mut self, name: &str) -> Result<Dial, DialError> {
        self.server_name = server_name(name, name)?;
        Ok(self)
    }

    /// Gives a connection this long until its first answer, instead of [`CONNECT_TIMEOUT`].
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Dial {
        self.timeout = timeout;
        self
    }

    /// Asks for no signs of life by itself: for those whose protocol has heartbeats of its own both ways.
    #[must_use]
    pub fn without_keepalive(mut self) -> Dial {
        self.keepalive = false;
        self
    }

    /// The endpoint as it was given.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// When this client's own certificate expires.
    pub fn own_not_after(&self) -> SystemTime {
        self.own_not_after
    }

    /// Connects, and returns once the controller has let this client in.
    ///
    /// The channel dials again by itself when its connection is lost and a call is made;
    /// [`DialError::of_status`] finds what went wrong then.
    ///
    /// # Errors
    /// When the controller cannot be reached, or one side refuses the other; the text says what to do.
    pub async fn connect(&self) -> Result<Channel, DialError> {
        let connected = tokio::time::timeout(self.timeout, self.connect_untimed()).await;
        connected.unwrap_or_else(|_| Err(self.timed_out()))
    }

    async fn connect_untimed(&self) -> Result<Channel, DialError> {
        let (first, verdict_rx) = self.open().await?;
        let channel = self.channel(first).await?;
        match verdict_rx.await {
            Ok(Ok(())) => Ok(channel),
            Ok(Err(error)) => Err(self.circumstances().broken(&error)),
            // HTTP/2 gave the connection up without having read from it: a write failed.
            Err(_) => Err(self.circumstances().broken(&io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// One TLS connection, and where to hear whether the controller accepts it.
    async fn open(&self) -> Result<(WatchedStream, oneshot::Receiver<Verdict>), DialError> {
        let circumstances = self.circumstances();
        let tcp = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(|error| circumstances.unreachable(error))?;
        // Messages are small and someone waits for each; a socket that refuses the option still works.
        tcp.set_nodelay(true).ok();
        let tls = self
            .tls
            .connect(self.server_name.clone(), tcp)
            .await
            .map_err(|error| circumstances.broken(&error))?;
        if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
            let why = "it speaks TLS but not HTTP/2; is the port right?".to_owned();
            return Err(DialError::NotAController { endpoint: self.endpoint.clone(), why });
        }
        Ok(WatchedStream::new(tls))
    }

    /// A channel whose first connection is `first`; later ones are dialled as they are needed.
    async fn channel(&self, first: WatchedStream) -> Result<Channel, DialError> {
        let first = Arc::new(Mutex::new(Some(first)));
        let dial = self.clone();
        let connector = tower::service_fn(move |_: Uri| {
            let ready = first.lock().unwrap_or_else(PoisonError::into_inner).take();
            let dial = dial.clone();
            async move {
                match ready {
                    Some(stream) => Ok(TokioIo::new(stream)),
                    None => dial.redial().await.map(TokioIo::new),
                }
            }
        });
        let endpoint = self.http_endpoint()?;
        endpoint.connect_with_connector(connector).await.map_err(|error| DialError::NotAController {
            endpoint: self.endpoint.clone(),
            why: error.to_string(),
        })
    }

    async fn redial(&self) -> Result<WatchedStream, DialError> {
        match tokio::time::timeout(self.timeout, self.open()).await {
            // Nobody waits for this verdict: the call that made the channel dial again sees the failure itself.
            Ok(opened) => opened.map(|(stream, _verdict_rx)| stream),
            Err(_) => Err(self.timed_out()),
        }
    }

    /// tonic refuses `https` for connectors of others when its own TLS is compiled in, so the address says `http`
    /// and the origin, which is what travels, says `https`.
    fn http_endpoint(&self) -> Result<Endpoint, DialError> {
        let unusable = |_| DialError::Endpoint { text: self.endpoint.clone(), why: "it is no URI" };
        let authority = if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        };
        let origin = Uri::try_from(format!("https://{authority}"))
            .map_err(|_| DialError::Endpoint { text: self.endpoint.clone(), why: "it is no URI" })?;
        let endpoint = Endpoint::from_shared(format!("http://{authority}")).map_err(unusable)?;
        let endpoint = endpoint
            .user_agent(concat!("curfew/", env!("CARGO_PKG_VERSION")))
            .map_err(unusable)?
            .origin(origin);
        if !self.keepalive {
            return Ok(endpoint);
        }
        Ok(endpoint
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true))
    }

    fn timed_out(&self) -> DialError {
        DialError::TimedOut { endpoint: self.endpoint.clone(), after: self.timeout }
    }

    fn circumstances(&self) -> Circumstances<'_> {
        Circumstances {
            endpoint: &self.endpoint,
            own_not_after: Some(self.own_not_after),
            now: SystemTime::now(),
        }
    }
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dial").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}
