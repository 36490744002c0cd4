//! Why a peer was refused, in words, and a log of it that a flood cannot fill.

#![allow(clippy::wildcard_enum_match_arm, reason = "the enums matched here are other crates' and open-ended")]

use rustls::{AlertDescription, CertificateError};
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Lines that may come at once: a rack of agents with old certificates is still told host by host.
const BURST: u32 = 50;
/// One more line each second after that: 86,400 a day at the very most.
const REFILL: Duration = Duration::from_secs(1);

/// Why a peer was refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    reason: String,
    /// Whether this is nobody's trouble: a load balancer that looks whether the port is open.
    quiet: bool,
}

impl Refusal {
    pub(super) fn words(reason: impl Into<String>) -> Refusal {
        Refusal { reason: reason.into(), quiet: false }
    }

    pub(super) fn silent() -> Refusal {
        Refusal { reason: "it closed the connection without sending anything".into(), quiet: true }
    }

    pub(super) fn too_slow(limit: Duration) -> Refusal {
        Refusal::words(format!("it did not finish the handshake within {} s", limit.as_secs_f32()))
    }

    pub(super) fn no_certificate() -> Refusal {
        Refusal::words("it presented no client certificate")
    }

    pub(super) fn identity(error: &crate::pki::IdentityError) -> Refusal {
        Refusal::words(format!("its certificate names nobody here: {error}"))
    }

    /// A handshake that broke off; `first` are the bytes that it began with.
    pub(super) fn broken(error: &io::Error, first: &[u8]) -> Refusal {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match (inner, error.kind()) {
            (Some(tls), _) => Refusal::words(tls_words(tls, first)),
            (None, io::ErrorKind::UnexpectedEof) => {
                Refusal::words("it closed the connection during the handshake")
            }
            (None, _) => Refusal::words(format!("the connection broke during the handshake: {error}")),
        }
    }
}

fn tls_words(error: &rustls::Error, first: &[u8]) -> String {
    if let rustls::Error::InvalidCertificate(problem) = error {
        return certificate_words(problem);
    }
    if let rustls::Error::AlertReceived(alert) = error {
        return alert_words(*alert);
    }
    if matches!(error, rustls::Error::NoCertificatesPresented) {
        return "it presented no client certificate".into();
    }
    if matches!(error, rustls::Error::InvalidMessage(_)) {
        return match first {
            b"PRI " => "it speaks HTTP/2 without TLS; clients must use https".into(),
            b"GET " | b"POST" | b"HEAD" | b"PUT " | b"OPTI" => "it speaks HTTP without TLS".into(),
            b"SSH-" => "it speaks SSH".into(),
            _ => "what it sent is not TLS".into(),
        };
    }
    if matches!(error, rustls::Error::PeerIncompatible(_)) {
        return format!("it does not speak TLS 1.3 as needed here: {error}");
    }
    if matches!(error, rustls::Error::NoApplicationProtocol) {
        return "it does not speak HTTP/2".into();
    }
    format!("the handshake failed: {error}")
}

fn certificate_words(problem: &CertificateError) -> String {
    let at = |seconds: u64| stamp(UNIX_EPOCH + Duration::from_secs(seconds));
    match problem {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is signed by an unknown authority".into()
        }
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("its certificate has expired since {}", at(not_after.as_secs()))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("its certificate is valid only from {}; is a clock wrong?", at(not_before.as_secs()))
        }
        CertificateError::Revoked => "its certificate has been revoked".into(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is not made for clients".into()
        }
        CertificateError::BadEncoding => "its certificate is not readable".into(),
        CertificateError::Other(error) => format!("its certificate names nobody here: {error}"),
        other => format!("its certificate is not accepted: {other}"),
    }
}

fn alert_words(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            "it does not trust this controller's authority; give it the ca.pem of \
                                        this controller"
                .into()
        }
        AlertDescription::BadCertificate => {
            "it did not accept this controller's certificate; was the name it \
                                             dialled added to `names`?"
                .into()
        }
        AlertDescription::CertificateExpired => {
            "it holds this controller's certificate for expired; is a clock wrong?".into()
        }
        other => format!("it broke the handshake off with the TLS alert {other:?}"),
    }
}

/// A moment as RFC 3339 in UTC.
pub(super) fn stamp(moment: SystemTime) -> String {
    humantime::format_rfc3339_seconds(moment).to_string()
}

/// Writes refusals to the log: a burst of lines, then one each second, and what was left out as a number.
#[derive(Debug)]
pub(super) struct RefusalLog {
    budget: Mutex<Budget>,
}

#[derive(Debug)]
struct Budget {
    lines: u32,
    refilled: Instant,
    /// Refusals without a line since the last one that had one.
    left_out: u64,
}

impl RefusalLog {
    pub(super) fn new(now: Instant) -> RefusalLog {
        RefusalLog { budget: Mutex::new(Budget { lines: BURST, refilled: now, left_out: 0 }) }
    }

    pub(super) fn write(&self, now: Instant, peer: SocketAddr, refusal: &Refusal) {
        let reason = refusal.reason.as_str();
        if refusal.quiet {
            tracing::debug!(%peer, reason, "refused a connection");
            return;
        }
        match self.admit(now) {
            Some(0) => tracing::warn!(%peer, reason, "refused a connection"),
            Some(left_out) => {
                tracing::warn!(%peer, reason, left_out, "refused a connection, and others before it");
            }
            None => {}
        }
    }

    /// Says how many refusals had no line, so that the end of a flood is not forgotten.
    pub(super) fn settle(&self) {
        let left_out = std::mem::take(&mut self.lock().left_out);
        if left_out > 0 {
            tracing::warn!(left_out, "refused more connections, too many to tell each");
        }
    }

    /// Whether there is a line for one more; if so, how many had none before it.
    fn admit(&self, now: Instant) -> Option<u64> {
        self.lock().admit(now)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Budget {
    fn admit(&mut self, now: Instant) -> Option<u64> {
        let since = now.saturating_duration_since(self.refilled);
        let earned = u32::try_from(since.as_secs() / REFILL.as_secs()).unwrap_or(BURST);
        if earned > 0 {
            self.refilled = now;
            self.lines = self.lines.saturating_add(earned).min(BURST);
        }
        if self.lines == 0 {
            self.left_out += 1;
            return None;
        }
        self.lines -= 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_gets_a_burst_of_lines_and_then_one_each_second() {
        let start = Instant::now();
        let log = RefusalLog::new(start);
        let lines = (0..1000).filter(|_| log.admit(start).is_some()).count();
        assert_eq!(lines, 50);
        assert_eq!(log.admit(start + Duration::from_secs(1)), Some(950));
        assert_eq!(log.admit(start + Duration::from_secs(1)), None);
        assert_eq!(log.admit(start + Duration::from_secs(3)), Some(1));
        assert_eq!(log.admit(start + Duration::from_secs(3)), Some(0));
    }

    #[test]
    fn plain_http_is_called_by_its_name() {
        let tls = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        assert_eq!(tls_words(&tls, b"GET "), "it speaks HTTP without TLS");
        assert_eq!(tls_words(&tls, b"\x00\x01"), "what it sent is not TLS");
    }
}
