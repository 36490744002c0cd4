//! Whose certificate is good: signed by the authority, in its time, for clients, and naming somebody of this domain.
//!
//! The identity is judged inside the handshake so that a stranger gets TLS's own refusal.

use crate::pki::{Identity, IdentityError, Leaf, TrustDomain};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use std::cell::RefCell;
use std::sync::Arc;

tokio::task_local! {
    /// What the verifier found in the handshake that runs in this task.
    static FOUND: RefCell<Option<Found>>;
}

/// A certificate that was verified, and whose it is.
pub(super) struct Found {
    pub(super) leaf: Leaf,
    pub(super) identity: Identity,
}

impl Found {
    /// Reads a certificate.
    ///
    /// # Errors
    /// When it is none, or names nobody of this domain.
    pub(super) fn read(der: &[u8], domain: &TrustDomain) -> Result<Found, IdentityError> {
        let leaf = Leaf::read(der)?;
        Ok(Found { identity: leaf.identity(domain)?, leaf })
    }
}

/// Lets a handshake go on to its end, and returns with it what the verifier found in it, which need not be read again: nothing
/// where a session was resumed, which asks no verifier.
pub(super) async fn with_finding<T>(handshake: impl Future<Output = T>) -> (T, Option<Found>) {
    let scoped = async {
        let outcome = handshake.await;
        (outcome, FOUND.with(RefCell::take))
    };
    FOUND.scope(RefCell::default(), scoped).await
}

/// The library's verifier, and after it the identity.
#[derive(Debug)]
pub(super) struct IdentityVerifier {
    chain: Arc<dyn ClientCertVerifier>,
    domain: TrustDomain,
}

impl IdentityVerifier {
    pub(super) fn new(chain: Arc<dyn ClientCertVerifier>, domain: TrustDomain) -> IdentityVerifier {
        IdentityVerifier { chain, domain }
    }
}

impl ClientCertVerifier for IdentityVerifier {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        let found = Found::read(end_entity, &self.domain)
            .map_err(|error| CertificateError::Other(OtherError(Arc::new(error))))?;
        // Where nobody asked for it, nobody needs it.
        FOUND.try_with(|place| place.replace(Some(found))).ok();
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
