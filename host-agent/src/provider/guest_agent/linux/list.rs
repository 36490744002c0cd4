//! Listing the sessions of a Linux guest.

use crate::provider::guest_agent::channel::{AgentChannel, shown, unexpected};
use crate::provider::guest_agent::exec::{self, Ended};
use crate::provider::guest_agent::json;
use crate::provider::login1::{self, Properties};
use crate::provider::{Error, Look, SessionList};
use curfew_types::{StatusCode, WallTime};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const SCRIPT: &str = concat!(include_str!("prelude.sh"), include_str!("list.sh"));

/// Most sessions that are believed: ten times a large terminal server.
const SESSIONS_MAX: usize = 2_000;
/// Most values in the list of sessions: five a session, and what is around them.
const LIST_VALUES_MAX: usize = 6 * SESSIONS_MAX + 100;
/// Most values in the properties of one session: logind tells of about forty, each with its type.
const PROPERTIES_VALUES_MAX: usize = 500;
/// Most names of processes kept of a session; the script prints no more.
const PROCESSES_MAX: usize = 8;
/// Longest name of a process, in bytes: the kernel keeps 15 of a program's, and some more of its own threads'.
const PROCESS_NAME_MAX: usize = 64;

/// Programs that open a session rather than use it, and say nothing of what keeps it.
const OPENERS: [&str; 4] = ["(sd-pam)", "login", "sshd", "sshd-session"];

/// Lists the sessions of people.
///
/// # Errors
/// *Unlistable* where logind does not answer in a guest that has booted, not available yet in one that has not.
pub(in crate::provider::guest_agent) async fn list(
    channel: &mut dyn AgentChannel,
    look: Look,
) -> Result<SessionList, Error> {
    let arguments: &[&str] = if look.processes { &["processes"] } else { &[] };
    read(&exec::shell(channel, SCRIPT, arguments).await?)
}

/// What the list script printed, line by line.
#[derive(Default)]
struct Printed {
    boot: Option<String>,
    now_ms: Option<u64>,
    system: Option<String>,
    /// The paths in the first and the last listing, by session id.
    first: Option<BTreeMap<String, String>>,
    last: BTreeSet<String>,
    sessions: BTreeMap<String, Properties>,
    failed: BTreeSet<String>,
    /// Names of processes by session id.
    processes: BTreeMap<String, Vec<String>>,
    complete: bool,
}

fn read(ended: &Ended) -> Result<SessionList, Error> {
    let printed = Printed::read(&ended.output)?;
    if ended.code != Some(0) || !printed.complete {
        return Err(printed.why_not(ended));
    }
    let missing = |what: &str| unexpected(format!("the list of the guest's sessions came without {what}"));
    let boot = printed.boot.ok_or_else(|| missing("its boot id"))?;
    let now_ms = printed.now_ms.ok_or_else(|| missing("the time"))?;
    let listed = printed.first.ok_or_else(|| missing("logind's answer"))?;
    let mut sessions = Vec::new();
    let mut found = printed.sessions;
    for (id, path) in listed {
        match found.remove(&path) {
            Some(properties) if properties.id == id && path == login1::session_path(&id) => {
                sessions.extend(properties.into_session(&boot, now_ms.saturating_mul(1000)));
            }
            Some(_) => return Err(unexpected("logind in the guest mixes up its sessions")),
            // It ended while it was looked at.
            None if printed.failed.contains(&path) && !printed.last.contains(&path) => {}
            None => return Err(unexpected("logind in the guest did not tell everything of a session")),
        }
    }
    sessions.sort_by(|a, b| (a.key.began_us, &a.key.id).cmp(&(b.key.began_us, &b.key.id)));
    let mut processes = printed.processes;
    processes.retain(|id, _| sessions.iter().any(|session| session.key.id == *id));
    processes.values_mut().for_each(|names| names.sort_by_key(|name| OPENERS.contains(&name.as_str())));
    let clock = WallTime(i64::try_from(now_ms).unwrap_or(i64::MAX));
    Ok(SessionList { boot, clock, sessions, processes })
}

impl Printed {
    fn read(output: &[u8]) -> Result<Printed, Error> {
        let mut printed = Printed::default();
        let text = String::from_utf8_lossy(output);
        for line in text.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "boot" => printed.boot = Some(boot(rest)?),
                "now" => printed.now_ms = rest.parse().ok(),
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
                "process" => printed.take_process(rest)?,
                "failed" => {
                    printed.failed.insert(rest.into());
                }
                "end" => printed.complete = true,
                _ => return Err(nonsense(line)),
            }
        }
        Ok(printed)
    }

    fn take_process(&mut self, rest: &str) -> Result<(), Error> {
        let (id, name) =
            rest.split_once(' ').filter(|(id, _)| login1::is_session_id(id)).ok_or_else(|| nonsense(rest))?;
        // The script names none before it has listed the session; what a guest makes up is not kept.
        if !self.first.as_ref().is_some_and(|listed| listed.contains_key(id)) {
            return Ok(());
        }
        let names = self.processes.entry(id.into()).or_default();
        let name = login1::printable(name, PROCESS_NAME_MAX);
        if names.len() < PROCESSES_MAX && !names.contains(&name) {
            names.push(name);
        }
        Ok(())
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
        Error::unlistable(format!("listing sessions with logind in the guest {}: {said}", ended.exit()))
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
fn paths(text: &str) -> Result<BTreeMap<String, String>, Error> {
    let reply = json::read(text.as_bytes(), LIST_VALUES_MAX).map_err(|_| nonsense(text))?;
    let rows = reply.pointer("/data/0").and_then(Value::as_array).ok_or_else(|| nonsense(text))?;
    if rows.len() > SESSIONS_MAX {
        return Err(unexpected(format!("the guest lists {} sessions, which is not believed", rows.len())));
    }
    let row = |row: &Value| {
        let id = row.get(0).and_then(Value::as_str).filter(|id| login1::is_session_id(id))?;
        Some((id.to_owned(), row.get(4).and_then(Value::as_str)?.to_owned()))
    };
    rows.iter().map(|it| row(it).ok_or_else(|| nonsense(text))).collect()
}

/// `Properties.GetAll` of a session.
fn properties_in(line: &str) -> Result<Properties, Error> {
    let reply = json::read(line.as_bytes(), PROPERTIES_VALUES_MAX).map_err(|_| nonsense(line))?;
    let all = reply.pointer("/data/0").and_then(Value::as_object).ok_or_else(|| nonsense(line))?;
    let value = |name: &str| all.get(name).and_then(|value| value.get("data"));
    let text = |name: &str| value(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let required = |name: &str| value(name).and_then(Value::as_str).ok_or_else(|| nonsense(line));
    Ok(Properties {
        id: required("Id")?.to_owned(),
        name: required("Name")?.to_owned(),
        class: required("Class")?.to_owned(),
        state: required("State")?.to_owned(),
        kind: text("Type"),
        service: text("Service"),
        tty: text("TTY"),
        display: text("Display"),
        seat: value("Seat")
            .and_then(|seat| seat.get(0))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        remote_host: text("RemoteHost"),
        timestamp_us: value("Timestamp").and_then(Value::as_u64).ok_or_else(|| nonsense(line))?,
        idle_hint: value("IdleHint").and_then(Value::as_bool).unwrap_or_default(),
        idle_since_us: value("IdleSinceHint").and_then(Value::as_u64).unwrap_or_default(),
    })
}

fn nonsense(text: &str) -> Error {
    unexpected(format!("the list of the guest's sessions makes no sense: {}", shown(text.as_bytes())))
}

#[cfg(test)]
mod tests;
