//! The built-in authority: made once, never replaced by itself, and the only place that holds its key.

use super::issue::{self, Issued, Lifetime};
use super::{Identity, Leaf, PkiError, TrustDomain};
use crate::data_dir::{DataDir, write_private};
use curfew_proto::dial::pem;
use curfew_types::HostName;
use rcgen::{Issuer, KeyPair};
use rustls_pki_types::CertificateDer;
use std::fs::File;
use std::path::Path;
use std::time::SystemTime;

const CERTIFICATE: &str = "ca.pem";
const KEY: &str = "ca.key";

/// Whether an authority was there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was made just now.
    Made,
    /// It was there.
    Found,
}

/// An authority that can issue certificates of its trust domain.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    domain: TrustDomain,
    not_after: SystemTime,
}

impl Authority {
    /// The authority of this data directory, made if there is none. Safe against another process that does the same,
    /// and against a crash between its two files.
    ///
    /// # Errors
    /// When it cannot be made or read, has expired, or is of another trust domain.
    pub fn ensure(dir: &DataDir, domain: &TrustDomain) -> Result<(Authority, Origin), PkiError> {
        let pki = dir.ensure_pki()?;
        let _lock = lock(&pki)?;
        if pki.join(CERTIFICATE).exists() {
            return Ok((Authority::read(&pki, domain)?, Origin::Found));
        }
        make(&pki, domain)?;
        Ok((Authority::read(&pki, domain)?, Origin::Made))
    }

    /// The authority of this data directory, which must be there.
    ///
    /// # Errors
    /// When there is none, or it cannot be read, has expired, or is of another trust domain.
    pub fn open(dir: &DataDir, domain: &TrustDomain) -> Result<Authority, PkiError> {
        let pki = dir.pki();
        if !pki.join(CERTIFICATE).exists() {
            return Err(PkiError::NoAuthority { path: pki });
        }
        Authority::read(&pki, domain)
    }

    fn read(pki: &Path, domain: &TrustDomain) -> Result<Authority, PkiError> {
        let path = pki.join(CERTIFICATE);
        let key_path = pki.join(KEY);
        if !key_path.exists() {
            return Err(PkiError::KeyLost { key: key_path });
        }
        let certificate_pem = pem::read(&path)?;
        let certificate = pem::certificates(&certificate_pem, path.display())?.swap_remove(0);
        let certificate_pem = String::from_utf8_lossy(&certificate_pem).into_owned();
        let key_der = pem::private_key(&pem::read(&key_path)?, key_path.display())?;
        let make = |source| PkiError::Make { what: "an issuer of the authority's files", source };
        let key = KeyPair::try_from(&key_der).map_err(make)?;
        let leaf = Leaf::read(&certificate)
            .map_err(|source| PkiError::Certificate { path: path.clone(), source })?;
        check_pair(&path, &certificate, &key)?;
        check_domain(&path, &leaf, domain)?;
        if leaf.not_after <= SystemTime::now() {
            let since = humantime::format_rfc3339_seconds(leaf.not_after).to_string();
            return Err(PkiError::AuthorityExpired { path, since });
        }
        Ok(Authority {
            issuer: Issuer::from_ca_cert_der(&certificate, key).map_err(make)?,
            certificate,
            certificate_pem,
            domain: domain.clone(),
            not_after: leaf.not_after,
        })
    }

    /// The authority's certificate, which every client trusts.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The same as DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Until when the authority is valid.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Issues a host agent's client certificate.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn issue_agent(&self, host: &HostName) -> Result<Issued, PkiError> {
        self.issue_usual(&Identity::Agent(host.clone()), &[])
    }

    /// Issues an operator's client certificate.
    ///
    /// # Errors
    /// When the name is no operator's, or it cannot be made.
    pub fn issue_operator(&self, name: &str) -> Result<Issued, PkiError> {
        let identity =
            Identity::operator(name).map_err(|source| PkiError::Certificate { path: name.into(), source })?;
        self.issue_usual(&identity, &[])
    }

    /// Issues the controller's server certificate for these DNS names and IP addresses.
    ///
    /// # Errors
    /// When a name is neither, or it cannot be made.
    pub fn issue_controller(&self, names: &[String]) -> Result<Issued, PkiError> {
        self.issue_usual(&Identity::Controller, names)
    }

    fn issue_usual(&self, identity: &Identity, names: &[String]) -> Result<Issued, PkiError> {
        self.issue(identity, names, Lifetime::of(identity, SystemTime::now()))
    }

    /// Issues a certificate with a lifetime of the caller's, cut to the authority's own.
    ///
    /// # Errors
    /// When a name is neither a DNS name nor an IP address, or it cannot be made.
    pub fn issue(
        &self,
        identity: &Identity,
        names: &[String],
        lifetime: Lifetime,
    ) -> Result<Issued, PkiError> {
        issue::issue(&self.issuer, &self.domain, identity, names, lifetime.capped(self.not_after))
    }
}

/// Keeps a second process from making an authority at the same time; let go when the file is closed.
fn lock(pki: &Path) -> Result<File, PkiError> {
    let failed = |source| crate::data_dir::DataDirError::Io { action: "lock", path: pki.into(), source };
    let directory = File::open(pki).map_err(failed)?;
    directory.lock().map_err(failed)?;
    Ok(directory)
}

/// The key is written first: a certificate that stands there always has its key. A key alone is what a crash left,
/// and nothing was issued with it.
fn make(pki: &Path, domain: &TrustDomain) -> Result<(), PkiError> {
    let key = issue::new_key()?;
    let params = issue::authority_params(domain, SystemTime::now())?;
    let certificate = params
        .self_signed(&key)
        .map_err(|source| PkiError::Make { what: "the authority's certificate", source })?;
    write_private(&pki.join(KEY), key.serialize_pem().as_bytes())?;
    write_private(&pki.join(CERTIFICATE), certificate.pem().as_bytes())?;
    Ok(())
}

fn check_pair(path: &Path, certificate: &CertificateDer<'_>, key: &KeyPair) -> Result<(), PkiError> {
    use x509_parser::prelude::{FromDer, X509Certificate};
    let foreign = || PkiError::KeyForeign { certificate: path.into() };
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| foreign())?;
    let same = parsed.public_key().subject_public_key.data.as_ref() == key.public_key_raw();
    same.then_some(()).ok_or_else(foreign)
}

fn check_domain(path: &Path, leaf: &Leaf, domain: &TrustDomain) -> Result<(), PkiError> {
    let made = match leaf.uris.as_slice() {
        [uri] => uri.strip_prefix("spiffe://").unwrap_or(uri),
        _ => "",
    };
    if made == domain.as_str() {
        return Ok(());
    }
    Err(PkiError::TrustDomain { path: path.into(), made: made.into(), set: domain.to_string() })
}
