//! What a certificate of Curfew's looks like, and how long each kind lives.

use super::{Identity, PkiError, TrustDomain};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The authority: ten years. Replacing it means new certificates for every agent and operator, so it outlives the
/// machines; its key never leaves the data directory.
const AUTHORITY_DAYS: u32 = 3650;
/// The controller's own: 825 days, the most that strict clients accept. Its key lies beside the authority's, so a
/// shorter life would protect nothing, and it must not run out under a controller that is never restarted.
const SERVER_DAYS: u32 = 825;
/// An agent's: one year. Until agents can renew by themselves somebody has to carry a new one to each host.
const AGENT_DAYS: u32 = 365;
/// An operator's: 90 days. It may log off a fleet, lies on somebody's own machine, and cannot be revoked yet.
const OPERATOR_DAYS: u32 = 90;
/// How far a certificate is dated back, for clocks that are a little behind.
const BACKDATED: Duration = Duration::from_secs(5 * 60);

/// From when until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// The first moment.
    pub not_before: SystemTime,
    /// The last moment.
    pub not_after: SystemTime,
}

impl Lifetime {
    fn days(now: SystemTime, days: u32) -> Lifetime {
        Lifetime { not_before: now - BACKDATED, not_after: now + DAY * days }
    }

    /// The usual life of this identity's certificates, beginning now.
    pub fn of(identity: &Identity, now: SystemTime) -> Lifetime {
        Lifetime::days(
            now,
            match identity {
                Identity::Agent(_) => AGENT_DAYS,
                Identity::Operator(_) => OPERATOR_DAYS,
                Identity::Controller => SERVER_DAYS,
            },
        )
    }

    pub(super) fn of_authority(now: SystemTime) -> Lifetime {
        Lifetime::days(now, AUTHORITY_DAYS)
    }

    /// No longer than `end`: nothing outlives the authority that signed it.
    pub(super) fn capped(self, end: SystemTime) -> Lifetime {
        Lifetime { not_after: self.not_after.min(end), ..self }
    }
}

/// A certificate that was just issued, and its key.
#[derive(Clone)]
pub struct Issued {
    /// The certificate as PEM.
    pub certificate_pem: String,
    /// Its private key as PEM (PKCS#8): written where only its bearer reads, and never logged.
    pub key_pem: String,
    /// Until when it is valid.
    pub not_after: SystemTime,
}

/// The key is never shown.
impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

/// A new ECDSA P-256 key: the kind that every TLS stack reads.
pub(super) fn new_key() -> Result<KeyPair, PkiError> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
        .map_err(|source| PkiError::Make { what: "a key", source })
}

/// The authority's own certificate; its domain stands in it as a URI, as SPIFFE asks.
pub(super) fn authority_params(domain: &TrustDomain, now: SystemTime) -> Result<CertificateParams, PkiError> {
    // Two authorities of one domain must differ by name: TLS looks signers up by it, and one found under the right
    // name with the wrong key is reported as a damaged certificate.
    let mut tag = [0_u8; 4];
    getrandom::fill(&mut tag).map_err(|_| PkiError::NoRandomness)?;
    let name = format!("Curfew authority of {domain} ({:08x})", u32::from_be_bytes(tag));
    let mut params = params(&name, Lifetime::of_authority(now))?;
    params.subject_alt_names = vec![uri(format!("spiffe://{domain}"))?];
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// Issues a certificate: a server's for the controller, a client's for everybody else.
pub(super) fn issue(
    issuer: &Issuer<'_, KeyPair>,
    domain: &TrustDomain,
    identity: &Identity,
    names: &[String],
    lifetime: Lifetime,
) -> Result<Issued, PkiError> {
    let mut params = params(&identity.to_string(), lifetime)?;
    params.subject_alt_names = vec![uri(identity.uri(domain))?];
    for name in names {
        params.subject_alt_names.push(host_name(name)?);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![match identity {
        Identity::Controller => ExtendedKeyUsagePurpose::ServerAuth,
        Identity::Agent(_) | Identity::Operator(_) => ExtendedKeyUsagePurpose::ClientAuth,
    }];
    params.use_authority_key_identifier_extension = true;
    let key = new_key()?;
    let certificate =
        params.signed_by(&key, issuer).map_err(|source| PkiError::Make { what: "a certificate", source })?;
    Ok(Issued {
        certificate_pem: certificate.pem(),
        key_pem: key.serialize_pem(),
        not_after: lifetime.not_after,
    })
}

fn params(common_name: &str, lifetime: Lifetime) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let since = |moment: SystemTime| {
        // Certificates know whole seconds.
        Duration::from_secs(moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
    };
    params.not_before = epoch + since(lifetime.not_before);
    params.not_after = epoch + since(lifetime.not_after);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name.to_owned());
    params.serial_number = Some(new_serial()?);
    Ok(params)
}

/// 127 random bits: a serial number must be positive, unique and not to be guessed.
fn new_serial() -> Result<SerialNumber, PkiError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|_| PkiError::NoRandomness)?;
    bytes[0] &= 0x7f;
    Ok(SerialNumber::from_slice(&bytes))
}

fn uri(text: String) -> Result<SanType, PkiError> {
    let text = text.try_into().map_err(|source| PkiError::Make { what: "an identity's URI", source })?;
    Ok(SanType::URI(text))
}

fn host_name(name: &str) -> Result<SanType, PkiError> {
    let bad = || PkiError::Name { name: name.into() };
    if let Ok(ip) = name.parse() {
        return Ok(SanType::IpAddress(ip));
    }
    rustls_pki_types::DnsName::try_from(name).map_err(|_| bad())?;
    Ok(SanType::DnsName(name.to_owned().try_into().map_err(|_| bad())?))
}
