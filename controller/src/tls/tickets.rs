//! Tickets: what a client shows to resume a session without showing its certificate again, also to a controller that was
//! restarted since. A fleet that comes back is most of what a restart costs, and a resumed handshake signs and verifies nothing.
//!
//! A ticket is sealed with a key that follows from the controller's private key, the authorities it trusts and the week. So
//! nothing is stored, a ticket ends with any of them, and whoever could make one could pose as the controller anyway.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{self, SHA256};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ProducesTickets;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a session may be resumed: the longest that TLS 1.3 allows (RFC 8446, 4.6.1). An agent gets its ticket when it
/// connects, so one that has been connected for longer shakes hands in full.
pub(super) const LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long tickets are sealed with the same key.
const PERIOD: Duration = LIFETIME;
/// Tells these keys from all others that may ever follow from the same secret.
const PURPOSE: &[u8] = b"curfew tls tickets 1";
/// What each ticket begins with: when it was made, in seconds since 1970, big-endian.
const MADE_LEN: usize = size_of::<u64>();
const KEY_LEN: usize = 32;

/// Makes and opens tickets.
pub struct Tickets {
    secret: Prk,
    clock: fn() -> SystemTime,
}

impl Tickets {
    /// Those of the controller with this key that trusts these authorities.
    pub fn new(key: &PrivateKeyDer<'_>, authorities: &[CertificateDer<'_>]) -> Tickets {
        Tickets::at(key, authorities, SystemTime::now)
    }

    fn at(key: &PrivateKeyDer<'_>, authorities: &[CertificateDer<'_>], clock: fn() -> SystemTime) -> Tickets {
        let mut trusted = digest::Context::new(&SHA256);
        for authority in authorities {
            // Of a fixed length each, so that no two lists run together to the same bytes.
            trusted.update(digest::digest(&SHA256, authority).as_ref());
        }
        let secret = Salt::new(HKDF_SHA256, trusted.finish().as_ref()).extract(key.secret_der());
        Tickets { secret, clock }
    }

    /// Seconds since 1970; a clock before that makes no tickets and opens none.
    fn now(&self) -> Option<u64> {
        (self.clock)().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
    }

    /// The key of tickets made at this second.
    fn key(&self, made: u64) -> Result<RandomizedNonceKey, Unspecified> {
        let period = (made / PERIOD.as_secs()).to_be_bytes();
        let mut bytes = [0; KEY_LEN];
        self.secret.expand(&[PURPOSE, &period], HKDF_SHA256)?.fill(&mut bytes)?;
        RandomizedNonceKey::new(&AES_256_GCM_SIV, &bytes)
    }

    fn seal(&self, made: u64, session: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let made_bytes = made.to_be_bytes();
        let mut sealed = session.to_vec();
        let nonce = self.key(made)?.seal_in_place_append_tag(Aad::from(made_bytes), &mut sealed)?;
        Ok([&made_bytes[..], nonce.as_ref(), &sealed].concat())
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME.as_secs() as u32
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(self.now()?, plain).ok()
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let (made_bytes, rest) = cipher.split_first_chunk::<MADE_LEN>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let made = u64::from_be_bytes(*made_bytes);
        let age = self.now()?.checked_sub(made)?;
        if age > LIFETIME.as_secs() {
            return None;
        }
        let mut session = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.key(made).ok()?.open_in_place(nonce, Aad::from(made_bytes), &mut session).ok()?;
        let length = opened.len();
        session.truncate(length);
        Some(session)
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::PrivatePkcs8KeyDer;

    const SESSION: &[u8] = b"what is to be resumed";
    const MADE: Duration = Duration::from_secs(1_796_000_000);

    fn of(key: u8, authorities: &[&'static [u8]], clock: fn() -> SystemTime) -> Tickets {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(vec![key; 100]));
        let authorities: Vec<_> = authorities.iter().map(|&one| CertificateDer::from(one)).collect();
        Tickets::at(&key, &authorities, clock)
    }

    fn made() -> Vec<u8> {
        of(1, &[b"ours"], || UNIX_EPOCH + MADE).encrypt(SESSION).unwrap()
    }

    #[test]
    fn a_ticket_is_opened_by_a_controller_with_the_same_key_and_authorities() {
        let restarted = of(1, &[b"ours"], || UNIX_EPOCH + MADE);
        assert_eq!(restarted.decrypt(&made()).as_deref(), Some(SESSION));
        assert!(!made().windows(SESSION.len()).any(|window| window == SESSION), "it can be read");
        assert_ne!(made(), made(), "two tickets of one session are told apart by nobody");
    }

    #[test]
    fn a_ticket_ends_with_the_key_and_with_any_change_of_authorities() {
        for other in [
            of(2, &[b"ours"], || UNIX_EPOCH + MADE),
            of(1, &[b"theirs"], || UNIX_EPOCH + MADE),
            of(1, &[b"ours", b"theirs"], || UNIX_EPOCH + MADE),
            of(1, &[b"ou", b"rs"], || UNIX_EPOCH + MADE),
            of(1, &[], || UNIX_EPOCH + MADE),
        ] {
            assert_eq!(other.decrypt(&made()), None);
        }
    }

    #[test]
    fn a_ticket_ends_after_a_week_and_is_not_taken_before_it_was_made() {
        let at_last = of(1, &[b"ours"], || UNIX_EPOCH + MADE + LIFETIME);
        assert_eq!(at_last.decrypt(&made()).as_deref(), Some(SESSION));
        let late = of(1, &[b"ours"], || UNIX_EPOCH + MADE + LIFETIME + Duration::from_secs(1));
        assert_eq!(late.decrypt(&made()), None);
        let early = of(1, &[b"ours"], || UNIX_EPOCH + MADE - Duration::from_secs(1));
        assert_eq!(early.decrypt(&made()), None);
    }

    #[test]
    fn a_ticket_that_was_changed_or_cut_is_none() {
        let tickets = of(1, &[b"ours"], || UNIX_EPOCH + MADE);
        let good = made();
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1;
            assert_eq!(tickets.decrypt(&changed), None, "byte {at}");
            assert_eq!(tickets.decrypt(&good[..at]), None, "cut at {at}");
        }
    }
}
