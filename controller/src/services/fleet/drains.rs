//! Guests that refuse new logons for a while: asked for by hand, lifted by hand, and listed as their agents tell them.
//!
//! The agents keep the drains, so a call passes a wish on and watches for what the agent tells. None waits for the store.

use super::Fleet;
use super::inventory::{guest_id, host_name};
use super::safeguards::named;
use crate::services::fields::optional_text;
use crate::services::{Error, page, present};
use curfew_controller_core::Core;
use curfew_controller_core::drains::{DrainAsked, DrainView};
use curfew_proto::convert::drain_time;
use curfew_proto::v1;
use curfew_types::{DrainOwner, OperationId};
use std::time::Duration;
use tokio::time::Instant;

/// How long a call waits for the agent's word, as the proto's documentation says.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// The pause before the first look, and the longest one: most guests answer within a second.
const FIRST_LOOK: Duration = Duration::from_millis(20);
const LOOK_EVERY: Duration = Duration::from_millis(250);

impl Fleet {
    pub(super) async fn drain(
        &self,
        by: String,
        request: v1::DrainGuestRequest,
    ) -> Result<v1::DrainGuestResponse, Error> {
        let guest = named(request.guest)?;
        let for_ms = drain_time("drain_for", request.drain_for)?;
        let reason = one_line("reason", request.reason)?;
        let (shown, asker) = (guest.clone(), by.clone());
        let ask = move |core: &mut Core, _| core.ask_drain(&guest, for_ms, &by, &reason);
        let asked = self.handle.ask_safer(ask).await?.value?;
        tracing::info!(guest = ?shown, by = ?asker, for_ms, "drain asked for");
        let host = asked.hosts.first().map(ToString::to_string).unwrap_or_default();
        let asked = self.wait_for_agent(asked).await?;
        match self.handle.ask_safer(move |core, _| core.drain_by_hand(&asked)).await?.value {
            Some(view) => Ok(v1::DrainGuestResponse { drain: Some(present::drain(view)) }),
            None => Err(Error::Late(format!(
                "the agent of host {host} has not said within {} s that it drains guest {shown:?}; it may still do so, \
                 `curfew guest drains` shows it then",
                ANSWER_WITHIN.as_secs()
            ))),
        }
    }

    pub(super) async fn undrain(
        &self,
        by: String,
        request: v1::UndrainGuestRequest,
    ) -> Result<v1::UndrainGuestResponse, Error> {
        let guest = named(request.guest)?;
        let owner = owner(&request.operation_id, request.all)?;
        let shown = guest.clone();
        let ask = move |core: &mut Core, _| core.ask_undrain(&guest, owner);
        let asked = self.handle.ask_safer(ask).await?.value?;
        tracing::info!(guest = ?shown, by = ?by, owner = ?owner, "undrain asked for");
        let guest = self.wait_for_agent(asked).await?.guest;
        let left = self.handle.ask_safer(move |core, _| core.drains_of(&guest)).await?.value;
        Ok(v1::UndrainGuestResponse { drains: left.into_iter().map(present::drain).collect() })
    }

    pub(super) async fn list_drains(
        &self,
        request: v1::ListDrainsRequest,
    ) -> Result<v1::ListDrainsResponse, Error> {
        let after = match page::parts::<3>(&request.page_token)? {
            Some([host, guest, owner]) => Some((
                host_name("page_token", &host)?,
                guest_id("page_token", &guest)?,
                owner_of_token(&owner)?,
            )),
            None => None,
        };
        let size = page::size(request.page_size);
        let look = move |core: &mut Core, _| {
            let after = after.as_ref().map(|(host, guest, owner)| (host, guest, *owner));
            (core.drains(after, size + 1), core.unconnected_hosts())
        };
        let (mut drains, unconnected_host_count) = self.handle.ask_safer(look).await?.value;
        let more = drains.len() > size;
        drains.truncate(size);
        Ok(v1::ListDrainsResponse {
            next_page_token: drains.last().filter(|_| more).map_or_else(String::new, token),
            drains: drains.into_iter().map(present::drain).collect(),
            unconnected_host_count,
        })
    }

    /// Waits until the agents have told what was asked for, but no longer than a person would.
    async fn wait_for_agent(&self, mut asked: DrainAsked) -> Result<DrainAsked, Error> {
        let over = Instant::now() + ANSWER_WITHIN;
        let mut pause = FIRST_LOOK;
        loop {
            // Both arms may be cancelled: they hold nothing.
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.handle.stopping() => return Ok(asked),
            }
            let look = move |core: &mut Core, _| (core.is_drain_answered(&asked), asked);
            let is_answered;
            (is_answered, asked) = self.handle.ask_safer(look).await?.value;
            if is_answered || Instant::now() >= over {
                return Ok(asked);
            }
            pause = (pause * 2).min(LOOK_EVERY);
        }
    }
}

/// Whose drains are to be lifted; `None` is everybody's.
fn owner(operation: &str, all: bool) -> Result<Option<DrainOwner>, Error> {
    match (operation, all) {
        ("", false) => Ok(Some(DrainOwner::Hand)),
        ("", true) => Ok(None),
        (_, true) => Err(Error::invalid("all", "it goes without operation_id: all of them, or that one")),
        (id, false) => operation_id("operation_id", id).map(|id| Some(DrainOwner::Operation(id))),
    }
}

/// Where a page ended. A drain by hand has no operation.
fn token(last: &DrainView) -> String {
    let owner = match last.drain.owner {
        DrainOwner::Hand => String::new(),
        DrainOwner::Operation(id) => id.to_string(),
    };
    page::token(&[last.host.as_str(), last.drain.guest.as_str(), &owner])
}

fn owner_of_token(text: &str) -> Result<DrainOwner, Error> {
    if text.is_empty() {
        return Ok(DrainOwner::Hand);
    }
    operation_id("page_token", text).map(DrainOwner::Operation)
}

fn operation_id(field: &'static str, text: &str) -> Result<OperationId, Error> {
    text.parse().map_err(|error: curfew_types::id::IdError| Error::invalid(field, error.to_string()))
}

/// A text that people are shown where they log on: it must do nothing to their terminals.
fn one_line(field: &'static str, text: String) -> Result<String, Error> {
    if text.chars().any(char::is_control) {
        return Err(Error::invalid(field, "it has a control character; write one line of text"));
    }
    optional_text(field, text)
}
