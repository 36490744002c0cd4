//! One handshake, from the first byte to a peer with a name, or to a reason why not.

use super::config::ServerTls;
use super::connection::{Connection, PeerInfo};
use super::refusal::{Refusal, stamp};
use super::verifier::{Found, with_finding};
use rustls::pki_types::UnixTime;
use rustls::server::danger::ClientCertVerifier;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Enough of what a peer sends first to tell TLS from HTTP.
const FIRST_BYTES: usize = 4;
/// How long, and how much, is still read from a peer that was refused: closing a socket with unread bytes in it resets
/// the connection, and the reason on its way would be lost.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 64 * 1024;

/// A failed handshake, and the socket if the peer may still be listening for the reason.
pub(super) struct Failed {
    pub(super) refusal: Refusal,
    pub(super) tcp: Option<TcpStream>,
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Failed { refusal, tcp: None }
    }
}

/// Shakes hands within `limit`.
pub(super) async fn shake(
    acceptor: &TlsAcceptor,
    tls: &ServerTls,
    tcp: TcpStream,
    address: SocketAddr,
    limit: Duration,
) -> Result<Connection, Failed> {
    match tokio::time::timeout(limit, shake_untimed(acceptor, tls, tcp, address)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Refusal::too_slow(limit).into()),
    }
}

async fn shake_untimed(
    acceptor: &TlsAcceptor,
    tls: &ServerTls,
    tcp: TcpStream,
    address: SocketAddr,
) -> Result<Connection, Failed> {
    // Until a peer has sent something it costs a socket and this task, and no TLS buffers.
    let mut first = [0_u8; FIRST_BYTES];
    let first = match tcp.peek(&mut first).await {
        Ok(0) => return Err(Refusal::silent().into()),
        Ok(count) => first[..count].to_vec(),
        Err(error) => return Err(Refusal::broken(&error, &[]).into()),
    };
    // Messages are small and someone waits for each; a socket that refuses the option still works.
    tcp.set_nodelay(true).ok();
    let (accepted, found) = with_finding(acceptor.accept(tcp).into_fallible()).await;
    let stream = accepted
        .map_err(|(error, tcp)| Failed { refusal: Refusal::broken(&error, &first), tcp: Some(tcp) })?;
    let found = found.map_or_else(|| resumed(&stream, tls), Ok)?;
    let peer = peer_of(found, address)?;
    Ok(Connection::new(stream, peer))
}

/// What the verifier found when the session began that is resumed here. Of a certificate that the authority itself has signed
/// nothing but the clock can have changed since; one with others in between is verified again, because they end, too.
fn resumed(stream: &TlsStream<TcpStream>, tls: &ServerTls) -> Result<Found, Refusal> {
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let (first, intermediates) = chain.split_first().ok_or_else(Refusal::no_certificate)?;
    if !intermediates.is_empty() {
        tls.verifier
            .verify_client_cert(first, intermediates, UnixTime::now())
            .map_err(|error| Refusal::broken(&io::Error::other(error), &[]))?;
    }
    Found::read(first, &tls.domain).map_err(|error| Refusal::identity(&error))
}

/// A resumed session skips the verifier, so what may have changed since is looked at here: the clock.
fn peer_of(found: Found, address: SocketAddr) -> Result<PeerInfo, Refusal> {
    let Found { leaf, identity } = found;
    if leaf.not_after < SystemTime::now() {
        return Err(Refusal::words(format!("its certificate has expired since {}", stamp(leaf.not_after))));
    }
    Ok(PeerInfo { identity, address, not_after: leaf.not_after, serial: leaf.serial.into() })
}

/// Gives a refused peer the time to read why.
pub(super) async fn linger(mut tcp: TcpStream) {
    let drain = async {
        tcp.shutdown().await?;
        tokio::io::copy(&mut tcp.take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    // The peer is refused already: how it leaves changes nothing.
    let _outcome = tokio::time::timeout(LINGER, drain).await;
}
