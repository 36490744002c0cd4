//! The only door: mutual TLS on one TCP port, and for every connection the identity that its certificate proves.
//!
//! TLS 1.3 only. Every gRPC stack in use speaks it; under 1.2 clients' certificates, and with them the names of hosts
//! and people, would travel in the clear. Handshakes run beside one another, bounded and timed; a refused one is
//! logged with its reason in words and harms nobody else.
//!
//! A handler finds out who asks with `request.extensions().get::<PeerInfo>()`.

mod config;
mod connection;
mod handshake;
mod listener;
mod open_files;
mod refusal;
mod tickets;
mod verifier;

pub use config::{ServerTls, TlsError};
pub use connection::{Connection, PeerInfo};
pub use listener::{HANDSHAKE_TIMEOUT, Incoming, Listener};
pub use tickets::Tickets;
