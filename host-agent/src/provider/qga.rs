//! The `qga` provider: guests behind the QEMU guest agent, over its unix sockets, as QEMU and Proxmox lay them out.
//! It holds no connection between two exchanges, and never speaks to libvirt's guests, whose sockets libvirt holds.
//!
//! What happens in a guest, and what cannot be atomic in it, is [`super::guest_agent`]'s.

mod about;
mod channel;
mod config;
#[cfg(test)]
mod fake;
mod inventory;
mod qmp;

pub use config::{QgaConfig, QgaGuest};

use super::guest_agent::{AgentChannel, GuestAgents, Reach, Seen};
use crate::provider::{BuildError, Error, Provider};
use async_trait::async_trait;
use channel::Channel;
use curfew_types::HostName;
use inventory::{Inventory, Place};
use std::sync::Arc;
use tokio::time::Instant;

const NAME: &str = "qga";

/// Guests behind sockets.
struct Sockets {
    inventory: Inventory,
}

/// Checks the configuration; opens nothing.
///
/// # Errors
/// When a pattern, name or UUID cannot be used.
pub fn build(config: &QgaConfig, host: &HostName) -> Result<Option<Arc<dyn Provider>>, BuildError> {
    let inventory = Inventory::new(host.clone(), config.check(host)?);
    Ok(Some(Arc::new(GuestAgents::new(Sockets { inventory }))))
}

#[async_trait]
impl Reach for Sockets {
    type Place = Place;
    const NAME: &'static str = NAME;

    async fn look(&self) -> Result<Vec<Seen<Place>>, Error> {
        self.inventory.look().await
    }

    async fn check(&self, name: &str, place: &Place) -> Result<(), Error> {
        self.inventory.check(name, place).await
    }

    async fn open(&self, place: &Place, deadline: Instant) -> Result<Box<dyn AgentChannel>, Error> {
        Ok(Box::new(Channel::open(&place.socket, deadline).await?))
    }
}

#[cfg(test)]
mod tests;
