//! The few calls to logind that the agent makes. It decides nothing.

use super::bus::{Failure, Object};
use super::{MANAGER_PATH, Properties, SERVICE};
use zbus::{Connection, OwnedObjectPath, Variant};

const MANAGER: Object<'static> =
    Object { service: SERVICE, path: MANAGER_PATH, interface: "org.freedesktop.login1.Manager" };

/// Most sessions that are believed: a hundred times a large terminal server.
const SESSIONS_MAX: usize = 10_000;

/// What logind says of one session, and what only the machine itself has a use for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) properties: Properties,
    /// The user's number.
    pub(super) uid: Option<u32>,
    /// The systemd scope that holds its processes; empty where there is none.
    pub(super) scope: String,
}

/// All sessions: id and object path.
pub(super) async fn list_sessions(bus: &Connection) -> Result<Vec<(String, String)>, Failure> {
    type Row = (String, u32, String, String, OwnedObjectPath);
    let rows: Vec<Row> = MANAGER.call(bus, "ListSessions", &()).await?;
    if rows.len() > SESSIONS_MAX {
        return Err(Failure::Other(format!("logind lists {} sessions, which is not believed", rows.len())));
    }
    Ok(rows.into_iter().map(|(id, _, _, _, path)| (id, path.as_str().to_owned())).collect())
}

/// What logind says of one session, at one moment.
pub(super) async fn session(bus: &Connection, path: &str) -> Result<Seen, Failure> {
    let object = Object { service: SERVICE, path, interface: "org.freedesktop.login1.Session" };
    let all = object.properties(bus).await?;
    let value = |name: &str| all.get(name).map(|value| &**value);
    let text = |name: &str| match value(name) {
        Some(Variant::Str(text)) => Some(text.as_str().to_owned()),
        _ => None,
    };
    let number = |name: &str| match value(name) {
        Some(Variant::U64(number)) => Some(*number),
        _ => None,
    };
    let required = |name: &str| text(name).ok_or_else(|| missing(name));
    let properties = Properties {
        id: required("Id")?,
        name: required("Name")?,
        class: required("Class")?,
        state: required("State")?,
        kind: text("Type").unwrap_or_default(),
        service: text("Service").unwrap_or_default(),
        tty: text("TTY").unwrap_or_default(),
        display: text("Display").unwrap_or_default(),
        seat: value("Seat").and_then(first_text).unwrap_or_default(),
        remote_host: text("RemoteHost").unwrap_or_default(),
        timestamp_us: number("Timestamp").ok_or_else(|| missing("Timestamp"))?,
        idle_hint: matches!(value("IdleHint"), Some(Variant::Bool(true))),
        idle_since_us: number("IdleSinceHint").unwrap_or_default(),
    };
    let uid = value("User").and_then(first_number);
    Ok(Seen { properties, uid, scope: text("Scope").unwrap_or_default() })
}

/// Signals all processes of a session.
pub(super) async fn kill(bus: &Connection, id: &str, signal: i32) -> Result<(), Failure> {
    MANAGER.tell(bus, "KillSession", &(id, "all", signal)).await
}

/// Tells logind to end a session; it kills in the end.
pub(super) async fn terminate(bus: &Connection, id: &str) -> Result<(), Failure> {
    MANAGER.tell(bus, "TerminateSession", &(id)).await
}

/// A seat is its name and its object.
fn first_text(value: &Variant<'_>) -> Option<String> {
    let Variant::Structure(fields) = value else { return None };
    let Some(Variant::Str(text)) = fields.fields().first() else { return None };
    Some(text.as_str().to_owned())
}

/// A user is his number and his object.
fn first_number(value: &Variant<'_>) -> Option<u32> {
    let Variant::Structure(fields) = value else { return None };
    let Some(Variant::U32(number)) = fields.fields().first() else { return None };
    Some(*number)
}

fn missing(property: &str) -> Failure {
    Failure::Other(format!("logind did not tell a session's {property}"))
}
