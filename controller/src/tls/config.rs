//! The TLS settings of the server, built from whichever PKI there is.

use super::tickets::Tickets;
use super::verifier::IdentityVerifier;
use crate::pki::{Material, TrustDomain};
use rustls::crypto::aws_lc_rs;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use std::fmt;
use std::sync::Arc;

/// Tickets sent after a handshake. Agents hold one connection and come back with one ticket; more would only cost.
const TICKETS: usize = 1;

/// Why the server's TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The authority's certificate is not usable.
    #[error("the authority's certificate cannot be trusted with clients")]
    Authority {
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The controller's certificate or key is not usable.
    #[error("the controller's certificate and key cannot be used together")]
    Own {
        /// Why not.
        source: rustls::Error,
    },
    /// The library refused a setting.
    #[error("cannot set up TLS")]
    Setup {
        /// Why not.
        source: rustls::Error,
    },
}

/// What the server does with every connection. Cheap to clone.
#[derive(Clone)]
pub struct ServerTls {
    pub(super) config: Arc<ServerConfig>,
    pub(super) verifier: Arc<IdentityVerifier>,
    pub(super) domain: TrustDomain,
}

impl ServerTls {
    /// Builds it.
    ///
    /// # Errors
    /// When the certificates or the key cannot be used.
    pub fn new(material: Material) -> Result<ServerTls, TlsError> {
        let tickets = Arc::new(Tickets::new(&material.key, &material.authorities));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        for authority in material.authorities {
            roots.add(authority).map_err(|source| TlsError::Authority { source: source.into() })?;
        }
        let chain = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map_err(|source| TlsError::Authority { source: source.into() })?;
        let verifier = Arc::new(IdentityVerifier::new(chain, material.domain.clone()));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|source| TlsError::Setup { source })?
            .with_client_cert_verifier(verifier.clone())
            .with_single_cert(material.chain, material.key)
            .map_err(|source| TlsError::Own { source })?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        // Sessions are resumed with tickets that clients keep: 10,000 agents cost the server no memory.
        config.ticketer = tickets;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = TICKETS;
        Ok(ServerTls { config: Arc::new(config), verifier, domain: material.domain })
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("domain", &self.domain).finish_non_exhaustive()
    }
}
