//! The `logind` provider.

use crate::provider::{BuildError, EndMode, EndReply, Error, Provider, SessionList};
use async_trait::async_trait;
use curfew_types::{Guest, GuestId, HostName, SessionKey, StatusCode};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const NAME: &str = "logind";

/// Whether the agent may log users off the machine it runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogindConfig {
    /// Must be said by word: `enabled = true`.
    pub enabled: bool,
}

/// Guests behind the QEMU guest agent.
pub struct Logind {}

impl Logind {
    /// Checks the configuration; opens nothing.
    ///
    /// # Errors
    /// When a pattern, name or UUID cannot be used.
    pub fn new(_config: &LogindConfig, _host: &HostName) -> Result<Logind, BuildError> {
        Ok(Logind {})
    }
}

#[async_trait]
impl Provider for Logind {
    fn name(&self) -> &'static str {
        NAME
    }
    async fn discover(&self) -> Result<Vec<Guest>, Error> {
        Ok(Vec::new())
    }
    async fn list_sessions(&self, _guest: &GuestId, _budget: Duration) -> Result<SessionList, Error> {
        Err(Error::new(StatusCode::VmUnknown, "not there yet"))
    }
    async fn end_session(
        &self,
        _: &GuestId,
        _: &SessionKey,
        _: EndMode,
        _: Duration,
    ) -> Result<EndReply, Error> {
        Err(Error::new(StatusCode::VmUnknown, "not there yet"))
    }
}
