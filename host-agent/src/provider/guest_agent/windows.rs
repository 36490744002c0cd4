//! Windows guests: two fixed PowerShell scripts around remote desktop services, what they are asked, and what their answers
//! mean. Nothing that varies is ever part of a script: it goes in as JSON on standard input.
//!
//! `sessions.ps1` compiles `sessions.cs` inside the guest, which calls the functions of wtsapi32.dll; `logons.ps1` refuses
//! and allows logons. Both begin with `frame.ps1`. They answer in JSON of ASCII only, and nothing that Windows words for
//! people is read, so that neither code page nor display language matters. The guest agent runs as the local system, which
//! may do all this. Where PowerShell is missing, too old or kept from it (constrained language mode, a policy that stops
//! programs) the guest is *unlistable*, with the reason.
//!
//! Each question starts PowerShell, and one about sessions a compiler: a second or two of a small guest, for every look and
//! for every session that is ended.
//!
//! # What a session is
//!
//! What `WTSEnumerateSessionsW` lists with somebody logged on to it, connected or not. Session 0 is that of services and a
//! listener waits for connections: no sessions. The user is `DOMAIN\user`, so that users of two domains who share a name
//! stay apart. A session's key is the system's boot, its id, and its logon time. The boot is the moment at which the first
//! session manager (smss.exe) began: written down once as a time of the clock then, it does not move when the clock is
//! set, as a boot time computed from uptime would.
//!
//! # Graceful and force
//!
//! *Graceful* is `WTSLogoffSession`, without waiting: Windows ends the session as it does for the `logoff` command, which
//! gives programs their notice of the session's end (WM_QUERYENDSESSION, WM_ENDSESSION) and what time it gives them.
//! Nothing is killed by Curfew; what Windows itself does to a program that hangs at a logoff is the guest's setting
//! (AutoEndTasks, HungAppTimeout). *Force* is the same, and then `TerminateProcess` for every program in the session that
//! runs as a person (by its SID); the system's own in it (csrss, winlogon, dwm) are left to Windows, which ends them with
//! the session, and stops as a whole if the first is killed.
//!
//! # Notices
//!
//! A message box in the session, for a minute as `msg` shows it: a later one waits until it is gone. Nobody sees one in a
//! disconnected session, so none is put there.
//!
//! # Refusing logons
//!
//! `chglogon /drainuntilrestart`, which is `change logon`'s: new logons over the network are refused, those who have a
//! session may come back to it, a reboot ends it. Windows refuses nobody at the console, and shows a text of its own. It is
//! ours while its mode (`TSServerDrainMode`) is the one that was set and a registry key that goes with a reboot
//! (`HKLM\SOFTWARE\CurfewDrain`) says so; another mode, `change logon /disable` and `/drain` are somebody else's and stay.
//! Somebody who sets the very same mode while ours is in force cannot be told from us. A task of the guest's own, "Curfew
//! undrain", lifts it at its end and removes itself. An edition without that tool, or in which it sets no mode, has the
//! feature missing: nothing is made up instead.
//!
//! # What cannot be atomic
//!
//! Identity, what must still hold, and the deadline on the guest's clock are looked at again by the program that acts,
//! immediately before: between the last look and the call are microseconds, in which a user could come back. A guest whose
//! clock is set back between our question for the time and the act takes the deadline for later than it is.

mod answer;
mod script;

use super::channel::{AgentChannel, Refusal, unexpected};
use super::exec::{self, Ended, Program};
use crate::provider::{
    DrainOrder, DrainReply, EndMode, EndReply, Error, Look, NoticeReply, SessionList, UndrainReply,
};
use answer::{Answer, Drained, EndSaid, Listed, Refuser, Told};
use curfew_types::{OnlyIf, SessionKey, StatusCode};
use script::Script;
use serde_json::{Value, json};
use tokio::time::Instant;

/// Where every Windows has it.
const POWERSHELL: &str = r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe";
/// Most sessions told in one program: some seconds' work at most.
const TOLD_AT_ONCE: usize = 200;

/// Lists the sessions of people.
///
/// # Errors
/// *Unlistable* where PowerShell or the services behind it do not do their part, not available yet in a guest that boots
/// or shuts down.
pub(in crate::provider) async fn list(
    channel: &mut dyn AgentChannel,
    look: Look,
) -> Result<SessionList, Error> {
    let asked = json!({ "act": "list", "programs": look.processes });
    match ask::<Listed>(channel, Script::Sessions, &asked).await? {
        Answer::Done(listed) => listed.into_list(),
        Answer::OtherBoot => Err(unexpected("the guest answered a list with another boot")),
        Answer::Unavailable => Err(Error::unlistable("the guest says that it has no sessions to list")),
    }
}

/// Puts a message box into each session.
///
/// # Errors
/// As [`list`].
pub(in crate::provider) async fn notify(
    channel: &mut dyn AgentChannel,
    sessions: &[SessionKey],
    text: &str,
) -> Result<Vec<NoticeReply>, Error> {
    let mut replies = Vec::with_capacity(sessions.len());
    for batch in sessions.chunks(TOLD_AT_ONCE) {
        // The guest's boot is the same in all keys, unless it rebooted in between; those of another boot are gone.
        let boot = &batch[0].boot;
        let of_boot: Vec<&SessionKey> = batch.iter().filter(|key| key.boot == *boot).collect();
        let ids = of_boot.iter().map(|key| session_id(key)).collect::<Result<Vec<u32>, Error>>()?;
        let began: Vec<u64> = of_boot.iter().map(|key| key.began_us).collect();
        let latest = latest(channel).await?;
        let asked = json!({
            "act": "tell", "boot": boot, "ids": ids, "began": began, "text": text, "latest": latest,
        });
        let told = match ask::<Told>(channel, Script::Sessions, &asked).await? {
            Answer::Done(told) => told.into_replies(ids.len())?,
            Answer::OtherBoot => vec![NoticeReply::Gone; ids.len()],
            Answer::Unavailable => {
                return Err(unexpected("the guest says that it cannot tell its sessions anything"));
            }
        };
        let mut told = told.into_iter();
        replies.extend(batch.iter().map(|key| {
            if key.boot == *boot { told.next().unwrap_or(NoticeReply::Gone) } else { NoticeReply::Gone }
        }));
    }
    Ok(replies)
}

/// Asks a session to end.
///
/// The guest's clock is read first, over this connection: its answer shows that the guest is awake, and the script then
/// refuses to act once that clock is past what is left of the budget.
///
/// # Errors
/// As [`list`].
pub(in crate::provider) async fn end(
    channel: &mut dyn AgentChannel,
    key: &SessionKey,
    how: EndMode,
    only_if: OnlyIf,
) -> Result<EndReply, Error> {
    let id = session_id(key)?;
    let latest = latest(channel).await?;
    let idle = only_if.idle_at_least_ms.map_or(-1, |ms| i64::try_from(ms).unwrap_or(i64::MAX));
    let asked = json!({
        "act": "end", "boot": key.boot, "id": id, "began": key.began_us, "force": how == EndMode::Force,
        "state": only_if.state.map_or("", |state| state.as_str()), "idle": idle, "latest": latest,
    });
    match ask::<EndSaid>(channel, Script::Sessions, &asked).await? {
        Answer::Done(said) => Ok(said.end.into()),
        Answer::OtherBoot => Ok(EndReply::NotThatSession),
        Answer::Unavailable => Err(unexpected("the guest says that it cannot end a session")),
    }
}

/// Refuses new logons over the network.
///
/// # Errors
/// As [`list`]; feature missing in an edition that does not refuse logons, `VM_E_TIMED_OUT` when the guest got to it too late.
pub(in crate::provider) async fn drain(
    channel: &mut dyn AgentChannel,
    order: &DrainOrder,
) -> Result<DrainReply, Error> {
    let asked = json!({ "act": "drain", "for": order.for_ms, "latest": latest(channel).await? });
    match ask::<Drained>(channel, Script::Logons, &asked).await? {
        Answer::Done(Drained { refused: Refuser::Curfew, .. }) => Ok(DrainReply::InForce),
        Answer::Done(Drained { refused: Refuser::Somebody, .. }) => Ok(DrainReply::SomebodyElses),
        Answer::Unavailable => {
            let message = "this edition of Windows has no way to refuse new logons (change logon /drain)";
            Err(Error::new(StatusCode::AdditionsFeatureNotAvail, message))
        }
        Answer::Done(Drained { refused: Refuser::Nobody, .. }) | Answer::OtherBoot => {
            Err(unexpected("the guest was asked to refuse logons and says that nobody does"))
        }
    }
}

/// Allows new logons again.
///
/// # Errors
/// As [`list`].
pub(in crate::provider) async fn undrain(channel: &mut dyn AgentChannel) -> Result<UndrainReply, Error> {
    let asked = json!({ "act": "undrain", "latest": latest(channel).await? });
    match ask::<Drained>(channel, Script::Logons, &asked).await? {
        Answer::Done(Drained { refused: Refuser::Nobody, .. }) => Ok(UndrainReply::Lifted),
        Answer::Done(Drained { refused: Refuser::Somebody, .. }) => Ok(UndrainReply::SomebodyElses),
        Answer::Done(Drained { refused: Refuser::Curfew, .. }) | Answer::OtherBoot | Answer::Unavailable => {
            Err(unexpected("the guest was asked to allow logons and does not say that it did"))
        }
    }
}

/// Runs a script with this on its standard input and reads its answer.
async fn ask<T: serde::de::DeserializeOwned>(
    channel: &mut dyn AgentChannel,
    script: Script,
    asked: &Value,
) -> Result<Answer<T>, Error> {
    let input = script::ascii(asked);
    let options = ["-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-EncodedCommand"];
    let arguments = [options.as_slice(), &[script.encoded()]].concat();
    let program = Program { path: POWERSHELL, arguments: &arguments, input: &input };
    let ended: Ended = exec::run(channel, program).await?;
    answer::read(&ended)
}

/// A session's id as Windows counts them; 0 is that of services and never a person's.
fn session_id(key: &SessionKey) -> Result<u32, Error> {
    let fits = |id: &u32| (1..=answer::ID_MAX).contains(id) && id.to_string() == key.id;
    let id = key.id.parse().ok().filter(fits);
    id.ok_or_else(|| unexpected(format!("{:?} is not the id of a session of Windows", key.id)))
}

/// The last moment at which something may be done, in milliseconds since the Unix epoch on the guest's own clock.
async fn latest(channel: &mut dyn AgentChannel) -> Result<i64, Error> {
    let now_ns = match channel.call("guest-get-time", Value::Null).await {
        Ok(now) => now.as_i64(),
        Err(Refusal::NoSuchCommand(said) | Refusal::Failed(said)) => {
            let message = format!("the guest agent does not tell the guest's time: {said}");
            return Err(Error::new(StatusCode::AdditionsFeatureNotAvail, message));
        }
        Err(Refusal::Broken(error)) => return Err(error),
    };
    let now_ns =
        now_ns.filter(|now| *now > 0).ok_or_else(|| unexpected("the guest's time makes no sense"))?;
    let left = channel.deadline().saturating_duration_since(Instant::now());
    Ok((now_ns / 1_000_000).saturating_add(i64::try_from(left.as_millis()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests;
