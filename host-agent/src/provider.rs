//! The smallest trait that can do the work in a guest, whatever the platform; one file per provider below it.
//!
//! A provider never decides: when to look, whom to end and when to give up is `curfew-agent-core`'s. Every method
//! may be called for several guests at once, and must not let one guest wait for another.

use async_trait::async_trait;
pub use curfew_agent_core::call::{EndMode, EndReply, Error, SessionList};
use curfew_types::{Guest, GuestId, HostName, SessionKey};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

#[cfg(unix)]
mod login1;
#[cfg(target_os = "linux")]
pub mod logind;
#[cfg(unix)]
pub mod qga;
pub mod simulated;

/// A way to reach guests of one kind.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// The provider's name as it stands in configuration and inventories: `qga`, `logind`, ...
    fn name(&self) -> &'static str;

    /// Lists the guests that this provider reaches now, with their power state, ordered by name.
    ///
    /// Must be cheap enough to be called every few seconds, and must not wait for a guest that does not answer.
    /// A guest that has no identity yet (its hypervisor did not tell) is left out until it has one.
    ///
    /// # Errors
    /// When the guests cannot be listed at all; an error about one guest is that guest's state, not an error here.
    async fn discover(&self) -> Result<Vec<Guest>, Error>;

    /// Lists the guest's logon sessions of people, active and disconnected, from a source that proves absence.
    ///
    /// Returns within `budget`, give or take what the executor needs; a guest that has not answered by then is
    /// `VM_E_TIMED_OUT`. Sessions that are ending but still hold processes are listed, as `Closing`.
    ///
    /// # Errors
    /// The contract's code: not running, paused, unknown, not available yet, feature missing, access denied. A
    /// guest whose sessions cannot be listed reliably answers [`Error::unlistable`], never an empty list.
    async fn list_sessions(&self, guest: &GuestId, budget: Duration) -> Result<SessionList, Error>;

    /// Asks one session to end, after checking inside the guest, immediately before, that it is still that session
    /// and that `budget` is not over. Returns when the request was made, not when the session is gone.
    ///
    /// After an error the request may or may not have reached the session: only looking again tells. It does not
    /// reach it later than `budget` after the call, except for the window that the provider's documentation names.
    ///
    /// # Errors
    /// As for [`Provider::list_sessions`].
    async fn end_session(
        &self,
        guest: &GuestId,
        session: &SessionKey,
        how: EndMode,
        budget: Duration,
    ) -> Result<EndReply, Error>;
}

/// The providers of one agent, as its configuration file names them. A provider that is not named is not built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvidersConfig {
    /// Guests behind the QEMU guest agent, over its unix sockets.
    #[cfg(unix)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qga: Option<qga::QgaConfig>,
    /// The machine the agent runs on.
    #[cfg(target_os = "linux")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logind: Option<logind::LogindConfig>,
    /// Guests that do not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulated: Option<simulated::SimulatedConfig>,
}

/// Why a provider cannot be built from its configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration of provider {provider} cannot be used: {why}")]
pub struct BuildError {
    /// The provider's name.
    pub provider: &'static str,
    /// What is wrong, naming the field.
    pub why: String,
}

/// Builds the providers that the configuration names, for the host with this name. Opens no connection yet, so a
/// guest or bus that is away now is found later; must be called within a tokio runtime.
///
/// # Errors
/// When a field is out of its range, or the simulated guests' state file cannot be read.
pub fn build(config: &ProvidersConfig, host: &HostName) -> Result<Vec<Arc<dyn Provider>>, BuildError> {
    let mut built: Vec<Arc<dyn Provider>> = Vec::new();
    #[cfg(unix)]
    if let Some(config) = &config.qga {
        built.push(Arc::new(qga::Qga::new(config, host)?));
    }
    #[cfg(target_os = "linux")]
    if let Some(config) = config.logind.as_ref().filter(|config| config.enabled) {
        built.push(Arc::new(logind::Logind::new(config, host)?));
    }
    if let Some(config) = &config.simulated {
        built.push(Arc::new(simulated::Simulated::new(config, host)?));
    }
    Ok(built)
}
