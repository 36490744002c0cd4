//! The smallest trait that can do the work in a guest, whatever the platform; one file per provider below it.
//!
//! A provider never decides: when to look, whom to end and when to give up is `curfew-agent-core`'s. Every method
//! may be called for several guests at once, and must not let one guest wait for another.

use async_trait::async_trait;
pub use curfew_agent_core::call::{
    DrainOrder, DrainReply, EndMode, EndReply, Error, Look, NoticeReply, SessionList, UndrainReply,
};
use curfew_types::{Guest, GuestId, HostName, OnlyIf, SessionKey};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

#[cfg(unix)]
mod guest_agent;
#[cfg(unix)]
mod login1;
#[cfg(unix)]
mod pattern;

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
    async fn list_sessions(
        &self,
        guest: &GuestId,
        look: Look,
        budget: Duration,
    ) -> Result<SessionList, Error>;

    /// Shows `text` to each of these sessions by the means that its platform really shows (a terminal, a desktop's
    /// notifications, a message box), after checking that it is still that session. One reply a session, in order.
    /// A session that cannot be shown anything is a reply, not an error, and does not keep the others from it. Must not
    /// wait for a person to react, nor for a terminal that takes no output.
    ///
    /// # Errors
    /// As for [`Provider::list_sessions`]; feature missing where no session can ever be shown anything.
    async fn notify(
        &self,
        guest: &GuestId,
        sessions: &[SessionKey],
        text: &str,
        budget: Duration,
    ) -> Result<Vec<NoticeReply>, Error>;

    /// Asks one session to end, after checking inside the guest, immediately before, that it is still that session,
    /// that `only_if` holds, and that `budget` is not over. Returns when the request was made, not when the session is
    /// gone.
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
        only_if: OnlyIf,
        budget: Duration,
    ) -> Result<EndReply, Error>;

    /// Lets the guest refuse new logons for [`DrainOrder::for_ms`] from now on; asked again, the new time and text replace
    /// the old ones, and asked again with the same nothing changes. Sessions that are there are left alone. A timer of the
    /// guest's own ends it, where the platform has one; a guest that reboots need not remember it. What somebody else set
    /// to refuse logons is left as it is, now and when it ends.
    ///
    /// # Errors
    /// As for [`Provider::list_sessions`]; feature missing where new logons cannot be refused.
    async fn drain(&self, guest: &GuestId, order: &DrainOrder, budget: Duration)
    -> Result<DrainReply, Error>;

    /// Lets the guest take new logons again, by taking away what [`Provider::drain`] set and nothing else. A guest in which
    /// nothing was set is lifted.
    ///
    /// # Errors
    /// As for [`Provider::drain`].
    async fn undrain(&self, guest: &GuestId, budget: Duration) -> Result<UndrainReply, Error>;
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

/// Declares the providers: for each its module, its table in the configuration file, and how it is built, by its `build`,
/// which may answer with none where its configuration switches it off.
macro_rules! providers {
    ($($name:ident on $platform:meta: $config:ident, $about:literal;)*) => {
        $(#[cfg($platform)] pub mod $name;)*

        /// The providers of one agent, as its configuration file names them. A provider that is not named is not built.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct ProvidersConfig {
            $(
                #[cfg($platform)]
                #[doc = $about]
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $name: Option<$name::$config>,
            )*
        }

        /// Builds the providers that the configuration names, for the host with this name. Opens no connection yet, so a
        /// guest or bus that is away now is found later; must be called within a tokio runtime.
        ///
        /// # Errors
        /// When a field is out of its range, or the simulated guests' state file cannot be read.
        pub fn build(
            config: &ProvidersConfig,
            host: &HostName,
        ) -> Result<Vec<Arc<dyn Provider>>, BuildError> {
            let mut built: Vec<Arc<dyn Provider>> = Vec::new();
            $(
                #[cfg($platform)]
                if let Some(config) = &config.$name {
                    built.extend($name::build(config, host)?);
                }
            )*
            Ok(built)
        }
    };
}

providers! {
    qga on unix: QgaConfig, "Guests behind the QEMU guest agent, over its unix sockets.";
    libvirt on unix: LibvirtConfig, "Guests of libvirt, whose agents libvirt speaks to.";
    logind on target_os = "linux": LogindConfig, "The machine the agent runs on.";
    containers on target_os = "linux": ContainersConfig, "Containers with an own systemd on this host.";
    simulated on all(): SimulatedConfig, "Guests that do not exist.";
}
