//! Why a dial failed, in words that say what to do: TLS's errors and alerts are translated here.

#![allow(clippy::wildcard_enum_match_arm, reason = "the enums matched here are other crates' and open-ended")]

use super::pem::PemError;
use rustls::{AlertDescription, CertificateError};
use std::error::Error as StdError;
use std::io;
use std::time::{Duration, SystemTime};

/// Why the controller could not be reached, or did not let this client in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The endpoint is no address.
    #[error(
        "{text:?} is not an endpoint: {why}; write it as https://HOST:PORT, such as https://localhost:7443"
    )]
    Endpoint {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file of the credentials cannot be used.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The credentials are readable but do not fit together.
    #[error("these credentials cannot be used: {why}")]
    Credentials {
        /// What is wrong.
        why: String,
    },
    /// No connection came about.
    #[error("cannot reach {endpoint}: {hint}")]
    Unreachable {
        /// Where.
        endpoint: String,
        /// What it means and what to do.
        hint: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// The time was over.
    #[error(
        "{endpoint} did not answer within {} s: is the address right, and does a firewall let it through?",
        after.as_secs()
    )]
    TimedOut {
        /// Where.
        endpoint: String,
        /// After how long.
        after: Duration,
    },
    /// The controller's certificate did not convince this client.
    #[error("the certificate of {endpoint} is not to be trusted: {why}")]
    Untrusted {
        /// Where.
        endpoint: String,
        /// What is wrong with it and what to do.
        why: String,
    },
    /// This client's certificate did not convince the controller.
    #[error("the controller at {endpoint} refused this client's certificate: {why}")]
    Refused {
        /// Where.
        endpoint: String,
        /// What is wrong with it and what to do.
        why: String,
    },
    /// Something answered, and it was not a Curfew controller.
    #[error("{endpoint} answers, but not as a Curfew controller: {why}")]
    NotAController {
        /// Where.
        endpoint: String,
        /// What it did instead.
        why: String,
    },
    /// The connection ended before the first answer.
    #[error("{endpoint} closed the connection before it answered{hint}")]
    Closed {
        /// Where.
        endpoint: String,
        /// What may be the reason, with its punctuation; empty if nothing is known.
        hint: String,
    },
}

/// What is known when an error is translated.
pub(super) struct Circumstances<'a> {
    pub(super) endpoint: &'a str,
    /// When this client's own certificate expires, if it could be read.
    pub(super) own_not_after: Option<SystemTime>,
    pub(super) now: SystemTime,
}

impl Circumstances<'_> {
    fn expired_since(&self) -> Option<String> {
        self.own_not_after.filter(|end| *end < self.now).map(stamp)
    }

    /// A connection that no address accepted.
    pub(super) fn unreachable(&self, source: io::Error) -> DialError {
        let hint = match source.kind() {
            io::ErrorKind::ConnectionRefused => {
                "nothing listens there; is the controller running, and is the port right (its default is 7443)?"
            }
            io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                "there is no way to that address; is the network up, and does a firewall let it through?"
            }
            io::ErrorKind::NotFound => "that host name is not known; is it spelt right?",
            // The resolver's failures come without a kind of their own.
            _ => "is the host name right, and is the network up?",
        };
        DialError::Unreachable { endpoint: self.endpoint.into(), hint, source }
    }

    /// A failure of the handshake, or of the connection before the first answer.
    pub(super) fn broken(&self, error: &io::Error) -> DialError {
        let endpoint = self.endpoint.to_owned();
        let Some(tls) = tls_error(error) else {
            return DialError::Closed { endpoint, hint: self.closed_hint(error) };
        };
        if let rustls::Error::AlertReceived(alert) = tls {
            return self.alerted(*alert);
        }
        if let rustls::Error::InvalidCertificate(problem) = tls {
            return DialError::Untrusted { endpoint, why: self.untrusted(problem) };
        }
        if matches!(tls, rustls::Error::InvalidMessage(_)) {
            let why = "it does not speak TLS; is the port right?".to_owned();
            return DialError::NotAController { endpoint, why };
        }
        DialError::NotAController { endpoint, why: tls.to_string() }
    }

    fn closed_hint(&self, error: &io::Error) -> String {
        if let Some(since) = self.expired_since() {
            return format!("; this client's certificate has expired since {since}: have a new one issued");
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                "; the controller's log has the reason".to_owned()
            }
            _ => format!(": {error}"),
        }
    }

    fn alerted(&self, alert: AlertDescription) -> DialError {
        let endpoint = self.endpoint.to_owned();
        let why = match alert {
            AlertDescription::CertificateExpired => match self.expired_since() {
                Some(since) => format!("it has expired since {since}: have a new one issued"),
                None => "it is expired or not yet valid: have a new one issued, or set this machine's clock \
                         and the controller's right"
                    .to_owned(),
            },
            AlertDescription::UnknownCA => "it is not signed by the controller's authority: have one issued \
                                            by this controller"
                .to_owned(),
            AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
                "none was presented: give a certificate and a key".to_owned()
            }
            AlertDescription::CertificateRevoked => "it has been revoked: have a new one issued".to_owned(),
            AlertDescription::AccessDenied | AlertDescription::CertificateUnknown => {
                "its identity is not one this controller knows; the controller's log has the reason"
                    .to_owned()
            }
            AlertDescription::UnsupportedCertificate => {
                "it is not made for clients: have a client certificate issued".to_owned()
            }
            AlertDescription::BadCertificate | AlertDescription::DecryptError => {
                "it is damaged, or not signed by the authority it names: have a new one issued".to_owned()
            }
            AlertDescription::ProtocolVersion
            | AlertDescription::HandshakeFailure
            | AlertDescription::NoApplicationProtocol => {
                let why = format!("it refuses TLS 1.3 with HTTP/2 ({alert:?}); is the port right?");
                return DialError::NotAController { endpoint, why };
            }
            other => {
                return DialError::Closed { endpoint, hint: format!(" with the TLS alert {other:?}") };
            }
        };
        DialError::Refused { endpoint, why }
    }

    fn untrusted(&self, problem: &CertificateError) -> String {
        match problem {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "it is not signed by the authority in this client's CA file; use the ca.pem of this controller, \
                 and see that the address is really its own"
                    .to_owned()
            }
            CertificateError::ExpiredContext { not_after, .. } => format!(
                "it has expired since {}; restart the controller to have it renewed, and see that this machine's \
                 clock is right",
                stamp(SystemTime::UNIX_EPOCH + Duration::from_secs(not_after.as_secs()))
            ),
            CertificateError::NotValidYetContext { not_before, .. } => format!(
                "it is valid only from {}; set this machine's clock and the controller's right",
                stamp(SystemTime::UNIX_EPOCH + Duration::from_secs(not_before.as_secs()))
            ),
            CertificateError::NotValidForNameContext { expected, presented } => format!(
                "it is not made for {}, but for {}; dial one of these names, or add the name to the controller's \
                 `names` and restart it",
                expected.to_str(),
                plain_names(presented).join(", ")
            ),
            other => other.to_string(),
        }
    }
}

/// The library writes `DnsName("a")` and `IpAddress(1.2.3.4)`: people write the name alone.
fn plain_names(presented: &[String]) -> Vec<String> {
    let plain = |name: &String| {
        let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
        inner.trim_matches('"').to_owned()
    };
    presented.iter().filter(|name| !name.starts_with("UniformResourceIdentifier")).map(plain).collect()
}

/// A moment as RFC 3339 in UTC.
pub(super) fn stamp(moment: SystemTime) -> String {
    humantime::format_rfc3339_seconds(moment).to_string()
}

/// The TLS error inside an I/O error, if it is one.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>())
}

impl DialError {
    /// The reason behind a failed call, where it is a dial's: a channel that lost its connection dials again by
    /// itself, and what went wrong then stands deep in the status's sources.
    pub fn of_status(status: &tonic::Status) -> Option<&DialError> {
        let mut next = StdError::source(status);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref::<DialError>() {
                return Some(found);
            }
            next = error.source();
        }
        None
    }
}
