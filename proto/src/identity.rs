//! Who a certificate says its bearer is: one URI in one scheme, written and read here and nowhere else.
//!
//! `spiffe://<trust-domain>/agent/<host>`, `spiffe://<trust-domain>/operator/<name>` and
//! `spiffe://<trust-domain>/controller`. The scheme is SPIFFE's, so that an existing PKI can issue these certificates.
//! Nothing here verifies a signature: that is TLS's work, and it is done before these functions are asked.

use curfew_types::HostName;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Longest trust domain: SPIFFE's limit.
const TRUST_DOMAIN_MAX: usize = 255;
/// Longest operator name: it is shown in tables and logs, and 64 holds any login name.
const OPERATOR_MAX: usize = 64;

/// Why a certificate or a text does not name somebody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The text is no trust domain.
    #[error(
        "{text:?} is not a trust domain: use 1 to 255 lower-case letters, digits, '-', '_' and '.', such as \"curfew\""
    )]
    TrustDomain {
        /// What was given.
        text: String,
    },
    /// The text is no operator name.
    #[error("{text:?} is not an operator name: use 1 to 64 letters, digits, '-', '_' and '.'")]
    Operator {
        /// What was given.
        text: String,
    },
    /// The bytes are no X.509 certificate.
    #[error("it is not a readable X.509 certificate")]
    NotACertificate,
    /// There must be exactly one URI.
    #[error("it carries {count} URI names where exactly one is expected")]
    UriCount {
        /// How many there are.
        count: usize,
    },
    /// The URI is not one of the scheme's.
    #[error(
        "its URI {uri:?} is not one of spiffe://DOMAIN/agent/HOST, spiffe://DOMAIN/operator/NAME or spiffe://DOMAIN/controller"
    )]
    Uri {
        /// The URI.
        uri: String,
    },
    /// The URI belongs to another installation.
    #[error("its URI {uri:?} is of another trust domain than {expected:?}")]
    ForeignTrustDomain {
        /// The URI.
        uri: String,
        /// The trust domain in force.
        expected: String,
    },
}

/// The name of one installation's identities, the authority part of their URIs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TrustDomain(String);

impl TrustDomain {
    /// The domain as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TrustDomain {
    fn default() -> Self {
        TrustDomain("curfew".into())
    }
}

impl FromStr for TrustDomain {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
        if (1..=TRUST_DOMAIN_MAX).contains(&text.len()) && text.chars().all(plain) {
            return Ok(TrustDomain(text.into()));
        }
        Err(IdentityError::TrustDomain { text: shown(text) })
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who somebody is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// The agent of this host.
    Agent(HostName),
    /// A person or an automation that asks for operations.
    Operator(String),
    /// The controller.
    Controller,
}

impl Identity {
    /// An operator's identity.
    ///
    /// # Errors
    /// When the name has characters a SPIFFE path segment cannot hold, or is empty or too long.
    pub fn operator(name: &str) -> Result<Identity, IdentityError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let dots = name == "." || name == "..";
        if (1..=OPERATOR_MAX).contains(&name.len()) && name.chars().all(plain) && !dots {
            return Ok(Identity::Operator(name.into()));
        }
        Err(IdentityError::Operator { text: shown(name) })
    }

    /// The URI that a certificate carries for this identity.
    pub fn uri(&self, domain: &TrustDomain) -> String {
        format!("spiffe://{domain}/{self}")
    }

    /// Reads the URI of a certificate of this trust domain.
    ///
    /// # Errors
    /// When the URI is of another domain or another scheme.
    pub fn of_uri(uri: &str, domain: &TrustDomain) -> Result<Identity, IdentityError> {
        let (found, identity) = Identity::of_any_uri(uri)?;
        if found != *domain {
            return Err(IdentityError::ForeignTrustDomain { uri: shown(uri), expected: domain.to_string() });
        }
        Ok(identity)
    }

    /// Reads the URI of a certificate of whatever trust domain: for an agent that learns its own name from its own
    /// certificate. Never use it to decide whom to let in.
    ///
    /// # Errors
    /// When the URI is not one of the scheme's.
    pub fn of_any_uri(uri: &str) -> Result<(TrustDomain, Identity), IdentityError> {
        let bad = || IdentityError::Uri { uri: shown(uri) };
        let rest = uri.strip_prefix("spiffe://").ok_or_else(bad)?;
        let (domain, path) = rest.split_once('/').ok_or_else(bad)?;
        let domain = domain.parse().map_err(|_| bad())?;
        let identity = match path.split_once('/') {
            None if path == "controller" => Identity::Controller,
            Some(("agent", host)) => Identity::Agent(host.parse().map_err(|_| bad())?),
            Some(("operator", name)) => Identity::operator(name).map_err(|_| bad())?,
            _ => return Err(bad()),
        };
        Ok((domain, identity))
    }
}

/// `agent/HOST`, `operator/NAME` or `controller`.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identity::Agent(host) => write!(f, "agent/{host}"),
            Identity::Operator(name) => write!(f, "operator/{name}"),
            Identity::Controller => f.write_str("controller"),
        }
    }
}

/// What Curfew reads from the first certificate of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The URI names it carries.
    pub uris: Vec<String>,
    /// The DNS names and IP addresses it is valid for.
    pub names: Vec<String>,
    /// The first moment at which it is valid.
    pub not_before: SystemTime,
    /// The last moment at which it is valid.
    pub not_after: SystemTime,
    /// Its serial number in hexadecimal, as `openssl x509 -serial` would print it in lower case.
    pub serial: String,
}

impl Leaf {
    /// Reads a certificate.
    ///
    /// # Errors
    /// When the bytes are not a certificate, or its names are not readable.
    pub fn read(der: &[u8]) -> Result<Leaf, IdentityError> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| IdentityError::NotACertificate)?;
        let extension = certificate.subject_alternative_name().map_err(|_| IdentityError::NotACertificate)?;
        let mut uris = Vec::new();
        let mut names = Vec::new();
        for name in extension.iter().flat_map(|found| &found.value.general_names) {
            if let GeneralName::URI(uri) = name {
                uris.push((*uri).to_owned());
            } else if let GeneralName::DNSName(dns) = name {
                names.push((*dns).to_owned());
            } else if let GeneralName::IPAddress(bytes) = name {
                names.extend(ip(bytes));
            }
        }
        let serial = certificate.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect();
        let moment = |seconds: i64| UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let validity = certificate.validity();
        Ok(Leaf {
            uris,
            names,
            not_before: moment(validity.not_before.timestamp()),
            not_after: moment(validity.not_after.timestamp()),
            serial,
        })
    }

    /// Who the bearer is, in this trust domain.
    ///
    /// # Errors
    /// When there is not exactly one URI, or it is not one of this domain's identities.
    pub fn identity(&self, domain: &TrustDomain) -> Result<Identity, IdentityError> {
        Identity::of_uri(self.only_uri()?, domain)
    }

    /// Who the bearer is and in which trust domain; see [`Identity::of_any_uri`] for what it is not for.
    ///
    /// # Errors
    /// When there is not exactly one URI, or it is not one of the scheme's.
    pub fn any_identity(&self) -> Result<(TrustDomain, Identity), IdentityError> {
        Identity::of_any_uri(self.only_uri()?)
    }

    fn only_uri(&self) -> Result<&str, IdentityError> {
        match self.uris.as_slice() {
            [uri] => Ok(uri),
            uris => Err(IdentityError::UriCount { count: uris.len() }),
        }
    }
}

fn ip(bytes: &[u8]) -> Option<String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(four).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|sixteen| std::net::Ipv6Addr::from(sixteen).to_string())
}

/// What a stranger wrote, short enough for a log line.
fn shown(text: &str) -> String {
    text.chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain() -> TrustDomain {
        TrustDomain::default()
    }

    #[test]
    fn every_identity_survives_its_uri() {
        let all = [
            Identity::Agent("rack1-host.example".parse().unwrap()),
            Identity::operator("Jane.Doe_2").unwrap(),
            Identity::Controller,
        ];
        for identity in all {
            assert_eq!(Identity::of_uri(&identity.uri(&domain()), &domain()), Ok(identity));
        }
    }

    #[test]
    fn another_trust_domain_is_refused_by_name() {
        let error = Identity::of_uri("spiffe://other/agent/h1", &domain()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "its URI \"spiffe://other/agent/h1\" is of another trust domain than \"curfew\""
        );
    }

    #[test]
    fn anything_beside_the_scheme_is_refused() {
        for uri in [
            "https://curfew/agent/h1",
            "spiffe://curfew",
            "spiffe://curfew/",
            "spiffe://curfew/agent",
            "spiffe://curfew/agent/",
            "spiffe://curfew/agent/H1",
            "spiffe://curfew/agent/h1/more",
            "spiffe://curfew/agent/h1?x",
            "spiffe://curfew/operator/..",
            "spiffe://curfew/operator/a b",
            "spiffe://curfew/controller/x",
            "spiffe://Curfew/controller",
            "spiffe://curfew:1/controller",
        ] {
            assert!(Identity::of_uri(uri, &domain()).is_err(), "{uri}");
        }
    }
}
