//! Curfew's host agent: takes a controller's orders to log users off the guests of its host, remembers them in a
//! ledger, has providers carry them out, and reports what was seen.
//!
//! [`Agent`] is a whole agent for a process that runs one or many; [`run`] is the program. What to do is decided in
//! `curfew-agent-core`, and how to reach a guest in [`provider`].

mod agent;
mod ask;
mod clock;
pub mod config;
mod driver;
mod inventory;
pub mod kill_point;
mod ledger;
mod link;
pub mod logging;
pub mod provider;
pub mod run;
mod sessions;

pub use agent::{Agent, AgentHandle, DISCOVERY_INTERVAL, STOP_GRACE};
pub use ledger::LedgerError;
pub use link::Connect;
