//! Linux guests: two fixed scripts that ask logind inside the guest, and the strict reading of what they print.
//!
//! The act is checked inside the guest, immediately before, by the script itself; see the windows in [`super`].

use super::channel::{Channel, shown, unexpected};
use super::exec::{self, Ended};
use crate::provider::login1::{self, Properties};
use crate::provider::{EndMode, EndReply, Error, SessionList};
use curfew_types::{SessionKey, StatusCode};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

const LIST: &str = include_str!("list.sh");
const END: &str = include_str!("end.sh");

/// Most sessions that are believed: a hundred times a large terminal server.
const SESSIONS_MAX: usize = 10_000;

/// Lists the sessions of people.
///
/// # Errors
/// *Unlistable* where logind does not answer in a guest that has booted, not available yet in one that has not.
pub(super) async fn list(channel: &mut Channel) -> Result<SessionList, Error> {
    read_list(&exec::shell(channel, LIST, &[]).await?)
}

/// Asks a session to end.
///
/// The guest's uptime is read first, over this connection: its answer shows that the guest is awake, and the script
/// then refuses to act once the guest's own clock is past what is left of the budget.
pub(super) async fn end(channel: &mut Channel, key: &SessionKey, how: EndMode) -> Result<EndReply, Error> {
    if !login1::is_session_id(&key.id) {
        return Err(unexpected(format!("{:?} is not the id of a logind session", key.id)));
    }
    let uptime = exec::run(channel, "/bin/cat", &["/proc/uptime"]).await?;
    let latest = read_uptime(&uptime.output)? + hundredths_left(channel.deadline());
    let signal = match how {
        EndMode::Graceful { attempt } => login1::polite_signal(attempt),
        EndMode::Force => login1::SIGKILL,
    };
    let path = login1::session_path(&key.id);
    let (began, signal, latest) = (key.began_us.to_string(), signal.to_string(), latest.to_string());
    let arguments = [&key.boot, &key.id, &path, &began, &signal, &latest].map(String::as_str);
    read_end(&exec::shell(channel, END, &arguments).await?)
}

fn hundredths_left(deadline: Instant) -> u64 {
    let left = deadline.saturating_duration_since(Instant::now());
    u64::try_from(left.as_millis() / 10).unwrap_or(u64::MAX / 2)
}

/// The first number of /proc/uptime, in hundredths of a second as the kernel prints it.
fn read_uptime(output: &[u8]) -> Result<u64, Error> {
    let text = String::from_utf8_lossy(output);
    let first = text.split_whitespace().next().unwrap_or_default();
    let parsed = first.split_once('.').filter(|(_, hundredths)| hundredths.len() == 2);
    let number =
        parsed.and_then(|(seconds, hundredths)| format!("{seconds}{hundredths}").parse::<u64>().ok());
    // A number so large that adding a budget would wrap is no uptime.
    number
        .filter(|number| *number < u64::MAX / 4)
        .ok_or_else(|| unexpected(format!("the guest's /proc/uptime makes no sense: {}", shown(output))))
}

fn read_end(ended: &Ended) -> Result<EndReply, Error> {
    let said = &ended.complaint;
    match ended.code {
        Some(0) => Ok(EndReply::Asked),
        Some(20) => Ok(EndReply::Gone),
        Some(21) => Ok(EndReply::NotThatSession),
        Some(22) => Ok(EndReply::TooLate),
        Some(23) => {
            let message = format!("logind in the guest denied ending the session: {said}");
            Err(Error::new(StatusCode::AccessDenied, message))
        }
        code => {
            Err(unexpected(format!("asking logind in the guest to end a session {}: {said}", exit(code))))
        }
    }
}

fn exit(code: Option<i64>) -> String {
    code.map_or_else(|| "was ended by a signal".into(), |code| format!("failed with code {code}"))
}

/// What the list script printed, line by line.
#[derive(Default)]
struct Printed {
    boot: Option<String>,
    now_us: Option<u64>,
    system: Option<String>,
    /// The paths in the first and the last listing, by session id.
    first: Option<BTreeMap<String, String>>,
    last: BTreeSet<String>,
    sessions: BTreeMap<String, Properties>,
    failed: BTreeSet<String>,
    complete: bool,
}

fn read_list(ended: &Ended) -> Result<SessionList, Error> {
    let printed = Printed::read(&ended.output)?;
    if ended.code != Some(0) || !printed.complete {
        return Err(printed.why_not(ended));
    }
    let missing = |what: &str| unexpected(format!("the list of the guest's sessions came without {what}"));
    let boot = printed.boot.ok_or_else(|| missing("its boot id"))?;
    let now_us = printed.now_us.ok_or_else(|| missing("the time"))?;
    let listed = printed.first.ok_or_else(|| missing("logind's answer"))?;
    let mut sessions = Vec::new();
    let mut found = printed.sessions;
    for (id, path) in listed {
        match found.remove(&path) {
            Some(properties) if properties.id == id && path == login1::session_path(&id) => {
                sessions.extend(properties.into_session(&boot, now_us));
            }
            Some(_) => return Err(unexpected("logind in the guest mixes up its sessions")),
            // It ended while it was looked at.
            None if printed.failed.contains(&path) && !printed.last.contains(&path) => {}
            None => return Err(unexpected("logind in the guest did not tell everything of a session")),
        }
    }
    sessions.sort_by(|a, b| (a.key.began_us, &a.key.id).cmp(&(b.key.began_us, &b.key.id)));
    Ok(SessionList { boot, sessions })
}

impl Printed {
    fn read(output: &[u8]) -> Result<Printed, Error> {
        let mut printed = Printed::default();
        let text = String::from_utf8_lossy(output);
        for line in text.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "boot" => printed.boot = Some(boot(rest)?),
                "now" => printed.now_us = rest.parse::<u64>().ok().map(|now| now.saturating_mul(1_000_000)),
                "system" => printed.system = Some(rest.into()),
                "list" => {
                    let listed = paths(rest)?;
                    printed.last = listed.values().cloned().collect();
                    printed.first.get_or_insert(listed);
                }
                "session" => {
                    let (path, properties) = rest.split_once(' ').unwrap_or((rest, ""));
                    printed.sessions.insert(path.into(), properties_in(properties)?);
                }
                "failed" => {
                    printed.failed.insert(rest.into());
                }
                "end" => printed.complete = true,
                _ => return Err(nonsense(line)),
            }
        }
        Ok(printed)
    }

    /// Why there is no list: final in a guest that has booted, and worth another try in one that has not.
    fn why_not(&self, ended: &Ended) -> Error {
        let said = &ended.complaint;
        if matches!(self.system.as_deref(), Some("initializing" | "starting" | "stopping")) {
            let message = format!("the guest has not booted, or is shutting down: {said}");
            return Error::new(StatusCode::AdditionsNotAvail, message);
        }
        if said.contains("ccess denied") {
            let message = format!("logind in the guest denied listing its sessions: {said}");
            return Error::new(StatusCode::AccessDenied, message);
        }
        Error::unlistable(format!("listing sessions with logind in the guest {}: {said}", exit(ended.code)))
    }
}

/// A boot id and the moment of the first process, as the scripts write and compare them.
fn boot(text: &str) -> Result<String, Error> {
    let (id, began) = text.split_once(':').ok_or_else(|| nonsense(text))?;
    let fits = id.len() == 36
        && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
        && !began.is_empty()
        && began.len() <= 20
        && began.bytes().all(|byte| byte.is_ascii_digit());
    if fits { Ok(text.into()) } else { Err(nonsense(text)) }
}

/// `ListSessions`: id, uid, user, seat and object path of each.
fn paths(json: &str) -> Result<BTreeMap<String, String>, Error> {
    let reply: Value = serde_json::from_str(json).map_err(|_| nonsense(json))?;
    let rows = reply.pointer("/data/0").and_then(Value::as_array).ok_or_else(|| nonsense(json))?;
    if rows.len() > SESSIONS_MAX {
        return Err(unexpected(format!("the guest lists {} sessions, which is not believed", rows.len())));
    }
    let row = |row: &Value| {
        let id = row.get(0).and_then(Value::as_str).filter(|id| login1::is_session_id(id))?;
        Some((id.to_owned(), row.get(4).and_then(Value::as_str)?.to_owned()))
    };
    rows.iter().map(|it| row(it).ok_or_else(|| nonsense(json))).collect()
}

/// `Properties.GetAll` of a session.
fn properties_in(json: &str) -> Result<Properties, Error> {
    let reply: Value = serde_json::from_str(json).map_err(|_| nonsense(json))?;
    let all = reply.pointer("/data/0").and_then(Value::as_object).ok_or_else(|| nonsense(json))?;
    let value = |name: &str| all.get(name).and_then(|value| value.get("data"));
    let text = |name: &str| value(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let required = |name: &str| value(name).and_then(Value::as_str).ok_or_else(|| nonsense(json));
    Ok(Properties {
        id: required("Id")?.to_owned(),
        name: required("Name")?.to_owned(),
        class: required("Class")?.to_owned(),
        state: required("State")?.to_owned(),
        kind: text("Type"),
        service: text("Service"),
        tty: text("TTY"),
        display: text("Display"),
        remote_host: text("RemoteHost"),
        timestamp_us: value("Timestamp").and_then(Value::as_u64).ok_or_else(|| nonsense(json))?,
        idle_hint: value("IdleHint").and_then(Value::as_bool).unwrap_or_default(),
        idle_since_us: value("IdleSinceHint").and_then(Value::as_u64).unwrap_or_default(),
    })
}

fn nonsense(text: &str) -> Error {
    unexpected(format!("the list of the guest's sessions makes no sense: {}", shown(text.as_bytes())))
}

#[cfg(test)]
mod tests;
