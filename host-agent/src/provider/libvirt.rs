//! The `libvirt` provider: libvirt's domains, whose guest agents' sockets libvirt holds. It speaks to libvirt through its own
//! program `virsh`, so that the agent needs no library of libvirt's and works with every version of it.
//!
//! Nothing is sent to the agent of a domain that does not run: libvirt itself refuses that, under the domain's lock, which
//! no question asked before could do as well. What happens in a guest, and what cannot be atomic in it, is
//! [`super::guest_agent`]'s.

mod channel;
mod config;
mod domains;
mod failure;
#[cfg(test)]
mod fake;
mod virsh;

pub use config::LibvirtConfig;

use super::guest_agent::{AgentChannel, GuestAgents, Reach, Seen};
use crate::provider::{BuildError, Error, Provider};
use async_trait::async_trait;
use channel::Channel;
use curfew_types::HostName;
use domains::Uuid;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use virsh::Virsh;

const NAME: &str = "libvirt";

/// How long libvirt may take to list its domains: it knows them by heart, and answers within 50 ms unless it hangs.
const LIST_WAIT: Duration = Duration::from_secs(10);

/// libvirt's domains.
struct Domains {
    virsh: Arc<Virsh>,
}

/// Checks the configuration; starts nothing.
///
/// # Errors
/// When the URI or the program's path cannot be used.
pub fn build(config: &LibvirtConfig, _host: &HostName) -> Result<Option<Arc<dyn Provider>>, BuildError> {
    let virsh = Arc::new(Virsh::new(config.check()?));
    Ok(Some(Arc::new(GuestAgents::new(Domains { virsh }))))
}

#[async_trait]
impl Reach for Domains {
    type Place = Uuid;
    const NAME: &'static str = NAME;

    async fn look(&self) -> Result<Vec<Seen<Uuid>>, Error> {
        let printed = self.virsh.run(&[domains::COMMANDS], Instant::now() + LIST_WAIT).await;
        let printed = printed.map_err(|failure| failure.error("listing libvirt's domains"))?;
        domains::read(&printed)
    }

    async fn check(&self, _name: &str, _place: &Uuid) -> Result<(), Error> {
        Ok(())
    }

    async fn open(&self, place: &Uuid, deadline: Instant) -> Result<Box<dyn AgentChannel>, Error> {
        Ok(Box::new(Channel::new(Arc::clone(&self.virsh), place.clone(), deadline)))
    }
}

#[cfg(test)]
mod tests;
