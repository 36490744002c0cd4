//! Curfew's controller: takes fleet-wide logoffs over gRPC, hands orders to the agents of the hosts, and keeps what
//! became of each.
//!
//! The shell around `curfew-controller-core`: TLS, gRPC, the store and the clock are here, every decision is there.

pub mod clock;
pub mod commands;
pub mod config;
pub mod data_dir;
pub mod driver;
pub mod history;
pub mod kill_point;
mod link;
mod peer;
pub mod pki;
mod server;
mod services;
mod sessions;
pub mod store;
pub mod tls;

pub use server::{Controller, ServerError};
