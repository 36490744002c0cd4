//! What the TLS server needs, whichever PKI it comes from; the built-in one renews the controller's own certificate.

use super::{Authority, Leaf, PkiError, TrustDomain};
use crate::data_dir::{DataDir, write_private};
use curfew_proto::dial::pem;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const CERTIFICATE: &str = "controller.pem";
const KEY: &str = "controller.key";
/// A start renews the controller's certificate once less than this is left of its 825 days: a controller then has
/// 550 days without a restart before its agents could no longer come back.
const RENEWED_BELOW: Duration = Duration::from_secs(550 * 24 * 60 * 60);
/// When to begin to warn about an authority that ends: time enough to plan the change of every certificate.
const AUTHORITY_WARNING: Duration = Duration::from_secs(180 * 24 * 60 * 60);

/// Where certificates come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PkiSource {
    /// The authority in the data directory.
    BuiltIn,
    /// Files of somebody else's authority; nothing is made.
    Files {
        /// The authority (or several) that clients' certificates must come from.
        ca: PathBuf,
        /// The controller's certificate, with its intermediates.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
    },
}

/// The controller's certificate and key, and whom it trusts.
pub struct Material {
    /// Whose signature makes a client's certificate good.
    pub authorities: Vec<CertificateDer<'static>>,
    /// The controller's certificate, with its intermediates.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
    /// Whose identities are accepted.
    pub domain: TrustDomain,
}

/// The key is never shown.
impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material").field("domain", &self.domain).finish_non_exhaustive()
    }
}

impl Material {
    /// Reads it; of the built-in PKI, what is missing, about to expire or made for other `names` is made anew.
    ///
    /// # Errors
    /// When files cannot be read or made; see [`PkiError`].
    pub fn ensure(
        source: &PkiSource,
        dir: &DataDir,
        domain: &TrustDomain,
        names: &[String],
    ) -> Result<Material, PkiError> {
        match source {
            PkiSource::BuiltIn => built_in(dir, domain, names),
            PkiSource::Files { ca, certificate, key } => Ok(Material {
                authorities: pem::certificates(&pem::read(ca)?, ca.display())?,
                chain: pem::certificates(&pem::read(certificate)?, certificate.display())?,
                key: pem::private_key(&pem::read(key)?, key.display())?,
                domain: domain.clone(),
            }),
        }
    }
}

/// The names that the controller's certificate is made for: those configured, the machine's own, the address it
/// listens on, and this machine as seen from itself.
pub fn server_names(configured: &[String], listen: SocketAddr) -> Vec<String> {
    let mut names: BTreeSet<String> = configured.iter().cloned().collect();
    names.extend(["localhost", "127.0.0.1", "::1"].map(String::from));
    if !listen.ip().is_unspecified() {
        names.insert(listen.ip().to_string());
    }
    let node = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
    // A machine's name may be none that a certificate can hold; it was nobody's choice, so it is left out.
    if rustls_pki_types::DnsName::try_from(node.as_str()).is_ok() {
        names.insert(node);
    }
    names.into_iter().collect()
}

fn built_in(dir: &DataDir, domain: &TrustDomain, names: &[String]) -> Result<Material, PkiError> {
    let (authority, origin) = Authority::ensure(dir, domain)?;
    let now = SystemTime::now();
    if origin == super::Origin::Made {
        tracing::info!(directory = %dir.pki().display(), "made a new authority");
    }
    if authority.not_after() < now + AUTHORITY_WARNING {
        let until = humantime::format_rfc3339_seconds(authority.not_after()).to_string();
        tracing::warn!(%until, "the built-in authority ends soon; every certificate ends with it");
    }
    let (certificate, key) = (dir.pki().join(CERTIFICATE), dir.pki().join(KEY));
    if let Some(reason) = why_renew(&certificate, &key, &authority, names, now) {
        let issued = authority.issue_controller(names)?;
        // Should a crash separate the two, they no longer belong together and the next start makes both anew.
        write_private(&key, issued.key_pem.as_bytes())?;
        write_private(&certificate, issued.certificate_pem.as_bytes())?;
        let until = humantime::format_rfc3339_seconds(issued.not_after).to_string();
        tracing::info!(reason, %until, names = names.join(" "), "made the controller's certificate");
    }
    Ok(Material {
        authorities: vec![authority.certificate().clone()],
        chain: pem::certificates(&pem::read(&certificate)?, certificate.display())?,
        key: pem::private_key(&pem::read(&key)?, key.display())?,
        domain: domain.clone(),
    })
}

/// Why the controller's certificate must be made (anew), or `None` if it is good. A damaged file is a reason too: it
/// can be made again at no cost, unlike the authority.
fn why_renew(
    certificate: &Path,
    key: &Path,
    authority: &Authority,
    names: &[String],
    now: SystemTime,
) -> Option<&'static str> {
    if !certificate.exists() {
        return Some("there was none");
    }
    let Some((chain, key)) = read_pair(certificate, key) else { return Some("its files were damaged") };
    let Some(leaf) = chain.first().and_then(|der| Leaf::read(der).ok()) else {
        return Some("its files were damaged");
    };
    if !signed_by(authority, &chain) {
        return Some("it was signed by another authority");
    }
    if !belong_together(&chain, &key) {
        return Some("its files did not belong together");
    }
    let made_for: BTreeSet<&str> = leaf.names.iter().map(String::as_str).collect();
    if made_for != names.iter().map(String::as_str).collect() {
        return Some("the names changed");
    }
    // At the end of the authority's own life a new certificate would last no longer.
    if leaf.not_after < (now + RENEWED_BELOW).min(authority.not_after()) {
        return Some("it was old");
    }
    None
}

fn read_pair(
    certificate: &Path,
    key: &Path,
) -> Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain = pem::certificates(&pem::read(certificate).ok()?, certificate.display()).ok()?;
    let key = pem::private_key(&pem::read(key).ok()?, key.display()).ok()?;
    Some((chain, key))
}

fn belong_together(chain: &[CertificateDer<'static>], key: &PrivateKeyDer<'static>) -> bool {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    rustls::sign::CertifiedKey::from_der(chain.to_vec(), key.clone_key(), &provider).is_ok()
}

/// Whether the first certificate names this authority's key as its signer's.
fn signed_by(authority: &Authority, chain: &[CertificateDer<'static>]) -> bool {
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    if roots.add(authority.certificate().clone()).is_err() {
        return false;
    }
    let (Some(first), Ok(now)) = (chain.first(), SystemTime::now().duration_since(SystemTime::UNIX_EPOCH))
    else {
        return false;
    };
    let Ok(parsed) = rustls::server::ParsedCertificate::try_from(first) else { return false };
    let now = rustls_pki_types::UnixTime::since_unix_epoch(now);
    let algorithms = provider.signature_verification_algorithms.all;
    let verified =
        rustls::client::verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], now, algorithms);
    // Expiry is another reason, with words of its own.
    !matches!(
        verified,
        Err(rustls::Error::InvalidCertificate(
            rustls::CertificateError::UnknownIssuer | rustls::CertificateError::BadSignature
        ))
    )
}
