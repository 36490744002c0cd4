//! What protects the fleet from every operation: holds, protected users, and the freeze.
//!
//! What makes things safer (hold, protect, freeze) is done while the store is away, too; taking it back waits for it.

use super::Fleet;
use super::inventory::{globs, guest_id};
use crate::clock;
use crate::services::fields::{optional_text, required_text};
use crate::services::{Error, page, present};
use curfew_proto::convert::wall_time;
use curfew_proto::v1;
use curfew_types::WallTime;
use curfew_types::agent::PROTECTED_USERS_MAX;
use curfew_types::glob::Glob;

impl Fleet {
    pub(super) async fn hold(
        &self,
        by: String,
        request: v1::HoldGuestRequest,
    ) -> Result<v1::HoldGuestResponse, Error> {
        let guest = named(request.guest)?;
        let reason = required_text("reason", request.reason)?;
        let until = request.expire_time.as_ref().map(wall_time);
        check_to_come(until)?;
        let shown = guest.clone();
        let work = move |core: &mut curfew_controller_core::Core, now| {
            core.hold_guest(now, &guest, &by, &reason, until)
        };
        let answer = self.handle.ask_safer(work).await?;
        let view = answer.value?;
        tracing::info!(guest = ?shown, "guest held");
        Ok(v1::HoldGuestResponse { hold: Some(present::hold(view)), recorded: answer.recorded })
    }

    pub(super) async fn release(
        &self,
        by: String,
        request: v1::ReleaseGuestRequest,
    ) -> Result<v1::ReleaseGuestResponse, Error> {
        let guest = named(request.guest)?;
        let shown = guest.clone();
        self.handle.ask(move |core, now| core.release_guest(now, &guest)).await??;
        tracing::info!(guest = ?shown, by = ?by, "guest released");
        Ok(v1::ReleaseGuestResponse {})
    }

    pub(super) async fn list_holds(
        &self,
        request: v1::ListHoldsRequest,
    ) -> Result<v1::ListHoldsResponse, Error> {
        let after = match page::parts::<1>(&request.page_token)? {
            Some([id]) => Some(guest_id("page_token", &id)?),
            None => None,
        };
        let size = page::size(request.page_size);
        let mut holds =
            self.handle.ask_safer(move |core, _| core.holds(after.as_ref(), size + 1)).await?.value;
        let more = holds.len() > size;
        holds.truncate(size);
        let last = holds.last().filter(|_| more);
        Ok(v1::ListHoldsResponse {
            next_page_token: last.map_or_else(String::new, |last| page::token(&[last.hold.guest.as_str()])),
            holds: holds.into_iter().map(present::hold).collect(),
        })
    }

    pub(super) async fn protect(
        &self,
        by: String,
        request: v1::ProtectUsersRequest,
    ) -> Result<v1::ProtectUsersResponse, Error> {
        let patterns = user_patterns(&request.patterns)?;
        let reason = optional_text("reason", request.reason)?;
        let count = patterns.len();
        let work = move |core: &mut curfew_controller_core::Core, now| {
            core.protect_users(now, patterns, &by, &reason)
        };
        let answer = self.handle.ask_safer(work).await?;
        let users = present::protected_users(answer.value?);
        tracing::info!(patterns = count, "users protected");
        Ok(v1::ProtectUsersResponse { users, recorded: answer.recorded })
    }

    pub(super) async fn unprotect(
        &self,
        by: String,
        request: v1::UnprotectUsersRequest,
    ) -> Result<v1::UnprotectUsersResponse, Error> {
        let patterns = user_patterns(&request.patterns)?;
        let count = patterns.len();
        let users = self.handle.ask(move |core, now| core.unprotect_users(now, &patterns)).await??;
        tracing::info!(patterns = count, by = ?by, "users no longer protected");
        Ok(v1::UnprotectUsersResponse { users: present::protected_users(users) })
    }

    pub(super) async fn list_protected(&self) -> Result<v1::ListProtectedUsersResponse, Error> {
        let (users, pending_host_count) =
            self.handle.ask_safer(|core, _| core.protected_users()).await?.value;
        Ok(v1::ListProtectedUsersResponse { users: present::protected_users(users), pending_host_count })
    }

    pub(super) async fn freeze(
        &self,
        by: String,
        request: v1::FreezeRequest,
    ) -> Result<v1::FreezeResponse, Error> {
        let (reason, hard) = (required_text("reason", request.reason)?, request.hard);
        let answer = self.handle.ask_safer(move |core, now| core.freeze(now, &by, &reason, hard)).await?;
        let frozen = answer.value;
        tracing::warn!(by = ?frozen.by, reason = ?frozen.reason, hard, "the fleet is frozen");
        Ok(v1::FreezeResponse { freeze: Some(present::freeze(frozen)), recorded: answer.recorded })
    }

    pub(super) async fn unfreeze(&self, by: String) -> Result<v1::UnfreezeResponse, Error> {
        self.handle.ask(move |core, now| core.unfreeze(now, &by)).await?;
        Ok(v1::UnfreezeResponse {})
    }

    pub(super) async fn get_freeze(&self) -> Result<v1::GetFreezeResponse, Error> {
        let freeze = self.handle.ask_safer(|core, _| core.frozen()).await?.value;
        Ok(v1::GetFreezeResponse { freeze: freeze.map(present::freeze) })
    }
}

/// The guest that a call is about, by id or name.
pub(super) fn named(guest: String) -> Result<String, Error> {
    if guest.is_empty() { Err(Error::missing("guest")) } else { Ok(guest) }
}

/// A hold that would be over already is a mistake in the request.
fn check_to_come(until: Option<WallTime>) -> Result<(), Error> {
    match until.filter(|until| *until <= clock::now().wall) {
        Some(_) => Err(Error::invalid("expire_time", "it is over already; name a time to come, or none")),
        None => Ok(()),
    }
}

fn user_patterns(texts: &[String]) -> Result<Vec<Glob>, Error> {
    if texts.is_empty() {
        return Err(Error::missing("patterns"));
    }
    if texts.len() > PROTECTED_USERS_MAX {
        let why = format!("there are more than {PROTECTED_USERS_MAX}; join some into one with * and ?");
        return Err(Error::invalid("patterns", why));
    }
    globs("patterns", texts)
}
