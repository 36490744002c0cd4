//! What logind inside a guest knows about sessions, asked over the guest's own system bus.

use anyhow::{Context, bail};
use serde_json::Value;

use super::guest::Guest;

const LOGIND: &str = "org.freedesktop.login1";

/// One session as logind describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogindSession {
    /// The session's id; unique within one boot of the guest.
    pub id: String,
    /// The name of the user it belongs to.
    pub user: String,
    /// `user` for a person's; also `background`, `manager`, `greeter` and others.
    pub class: String,
    /// `opening`, `online`, `active` or `closing`.
    pub state: String,
    /// The pid, inside the guest, of the process that registered the session.
    pub leader: u32,
    /// The terminal, such as `pts/0`; empty where there is none.
    pub tty: String,
    /// When it began, by the guest's wall clock.
    pub timestamp_usec: u64,
}

impl LogindSession {
    /// Whether it is a person's session, rather than one of a service manager, a job or a login screen.
    pub fn is_a_persons(&self) -> bool {
        self.class == "user" || self.class.starts_with("user-")
    }
}

/// All sessions of every class, in the order in which logind lists them.
pub(super) async fn all_sessions(guest: &(impl Guest + ?Sized)) -> anyhow::Result<Vec<LogindSession>> {
    let manager = "/org/freedesktop/login1";
    let listed = call(guest, manager, &["org.freedesktop.login1.Manager", "ListSessions"])
        .await?
        .context("logind has no manager object")?;
    let mut sessions = Vec::new();
    for entry in listed.as_array().context("ListSessions did not answer with a list")? {
        let path = entry[4].as_str().context("ListSessions names no object path")?;
        // A session may end between the two calls: then it is not listed, as if it had been asked a moment later.
        if let Some(properties) = properties(guest, path).await? {
            sessions.push(session(&properties).with_context(|| format!("{path}: {properties}"))?);
        }
    }
    Ok(sessions)
}

async fn properties(guest: &(impl Guest + ?Sized), path: &str) -> anyhow::Result<Option<Value>> {
    let interface = "org.freedesktop.login1.Session";
    call(guest, path, &["org.freedesktop.DBus.Properties", "GetAll", "s", interface]).await
}

/// Calls a method of logind and returns the first value of the reply; nothing if there is no such object.
async fn call(guest: &(impl Guest + ?Sized), path: &str, method: &[&str]) -> anyhow::Result<Option<Value>> {
    let mut argv = vec!["busctl", "--json=short", "call", LOGIND, path];
    argv.extend_from_slice(method);
    let output = guest.exec(&argv).await?;
    if output.code != 0 {
        if output.stderr.contains("Unknown object") {
            return Ok(None);
        }
        bail!("logind in {} does not answer: {}", guest.name(), output.stderr.trim_end());
    }
    let mut reply: Value = serde_json::from_str(&output.stdout)
        .with_context(|| format!("busctl in {} printed {:?}", guest.name(), output.stdout))?;
    Ok(Some(reply["data"][0].take()))
}

fn session(properties: &Value) -> Option<LogindSession> {
    let property = |name: &str| &properties[name]["data"];
    let text = |name: &str| property(name).as_str().map(str::to_owned);
    Some(LogindSession {
        id: text("Id")?,
        user: text("Name")?,
        class: text("Class")?,
        state: text("State")?,
        leader: u32::try_from(property("Leader").as_u64()?).ok()?,
        tty: text("TTY")?,
        timestamp_usec: property("Timestamp").as_u64()?,
    })
}
