//! Which system runs in a guest, and who knows how to handle its sessions: the one place where systems are told apart.

use super::channel::{AgentChannel, Refusal};
use super::{linux, windows};
use crate::provider::{
    DrainOrder, DrainReply, EndMode, EndReply, Error, Look, NoticeReply, SessionList, UndrainReply,
};
use curfew_types::label::{self, Labels};
use curfew_types::{OnlyIf, OsFamily, SessionKey};
use serde_json::Value;

/// A system whose sessions can be handled through a guest agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum System {
    /// With logind.
    Linux,
    /// With remote desktop services.
    Windows,
}

impl System {
    /// Who handles a guest of this family. An agent that may not tell what runs in its guest is taken for Linux's: its
    /// scripts find out for certain.
    ///
    /// # Errors
    /// *Unlistable* where nobody does.
    pub(super) fn of(family: OsFamily, guest: &str) -> Result<System, Error> {
        match family {
            OsFamily::Linux | OsFamily::Unknown => Ok(System::Linux),
            OsFamily::Windows => Ok(System::Windows),
            OsFamily::Other => Err(Error::unlistable(format!(
                "guest {guest:?} runs a system whose sessions its guest agent cannot list"
            ))),
        }
    }

    /// As [`crate::provider::Provider::list_sessions`].
    pub(super) async fn list(self, channel: &mut dyn AgentChannel, look: Look) -> Result<SessionList, Error> {
        match self {
            System::Linux => linux::list(channel, look).await,
            System::Windows => windows::list(channel, look).await,
        }
    }

    /// As [`crate::provider::Provider::notify`].
    pub(super) async fn notify(
        self,
        channel: &mut dyn AgentChannel,
        sessions: &[SessionKey],
        text: &str,
    ) -> Result<Vec<NoticeReply>, Error> {
        match self {
            System::Linux => linux::notify(channel, sessions, text).await,
            System::Windows => windows::notify(channel, sessions, text).await,
        }
    }

    /// As [`crate::provider::Provider::end_session`].
    pub(super) async fn end(
        self,
        channel: &mut dyn AgentChannel,
        key: &SessionKey,
        how: EndMode,
        only_if: OnlyIf,
    ) -> Result<EndReply, Error> {
        match self {
            System::Linux => linux::end(channel, key, how, only_if).await,
            System::Windows => windows::end(channel, key, how, only_if).await,
        }
    }

    /// As [`crate::provider::Provider::drain`].
    pub(super) async fn drain(
        self,
        channel: &mut dyn AgentChannel,
        order: &DrainOrder,
    ) -> Result<DrainReply, Error> {
        match self {
            System::Linux => linux::drain(channel, order).await,
            System::Windows => windows::drain(channel, order).await,
        }
    }

    /// As [`crate::provider::Provider::undrain`].
    pub(super) async fn undrain(self, channel: &mut dyn AgentChannel) -> Result<UndrainReply, Error> {
        match self {
            System::Linux => linux::undrain(channel).await,
            System::Windows => windows::undrain(channel).await,
        }
    }
}

/// What runs in the guest, and labels that say it. An agent that may not tell leaves it unknown, which stops nothing.
///
/// # Errors
/// When the exchange breaks down.
pub(super) async fn ask(channel: &mut dyn AgentChannel) -> Result<(OsFamily, Labels), Error> {
    let info = match channel.call("guest-get-osinfo", Value::Null).await {
        Ok(info) => info,
        Err(Refusal::NoSuchCommand(_) | Refusal::Failed(_)) => {
            return Ok((OsFamily::Unknown, Labels::new()));
        }
        Err(Refusal::Broken(error)) => return Err(error),
    };
    let text = |field: &str| info.get(field).and_then(Value::as_str);
    // On Linux the id is that of os-release and can be anything; only the others' are known.
    let family = match text("id") {
        Some("mswindows") => OsFamily::Windows,
        Some("freebsd" | "netbsd" | "openbsd" | "dragonfly") => OsFamily::Other,
        Some(_) => OsFamily::Linux,
        None => OsFamily::Unknown,
    };
    let told = [("agent/os-id", text("id")), ("agent/os-version", text("version-id"))];
    let labels =
        told.into_iter().filter_map(|(key, value)| Some((key.into(), label::value_from_text(value?))));
    Ok((family, labels.collect()))
}
