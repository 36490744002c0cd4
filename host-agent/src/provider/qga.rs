//! The `qga` provider.

mod config;

pub use config::{QgaConfig, QgaGuest};

use crate::provider::{BuildError, EndMode, EndReply, Error, Provider, SessionList};
use async_trait::async_trait;
use curfew_types::{Guest, GuestId, HostName, SessionKey, StatusCode};
use std::time::Duration;

const NAME: &str = "qga";

/// Guests behind the QEMU guest agent.
pub struct Qga {}

impl Qga {
    /// Checks the configuration; opens nothing.
    ///
    /// # Errors
    /// When a pattern, name or UUID cannot be used.
    pub fn new(config: &QgaConfig, host: &HostName) -> Result<Qga, BuildError> {
        config.check(host)?;
        Ok(Qga {})
    }
}

#[async_trait]
impl Provider for Qga {
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
