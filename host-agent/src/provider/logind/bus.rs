//! The few calls to logind over the system bus, with bus errors sorted by what they mean here. It decides nothing.

use crate::provider::login1::{MANAGER_PATH, Properties, SERVICE};
use futures::future::BoxFuture;
use std::collections::HashMap;
use tokio::sync::Mutex;
use zbus::{Connection, DynamicType, OwnedObjectPath, OwnedVariant, Variant, fdo};

const MANAGER: &str = "org.freedesktop.login1.Manager";
const SESSION: &str = "org.freedesktop.login1.Session";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// Makes a connection to the bus.
type Connect = Box<dyn Fn() -> BoxFuture<'static, zbus::Result<Connection>> + Send + Sync>;

/// A connection that is made when it is first needed, and again after it was lost.
pub(super) struct Bus {
    connect: Connect,
    connection: Mutex<Option<Connection>>,
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// There is no such session any more.
    Gone,
    /// The session has no process to signal.
    NoProcess,
    /// This process may not.
    Denied(String),
    /// There is no bus, or no logind on it.
    NoLogind(String),
    /// Anything else.
    Other(String),
}

impl Bus {
    /// The machine's system bus.
    pub(super) fn system() -> Bus {
        Bus::over(Box::new(|| Box::pin(Connection::system())))
    }

    pub(super) fn over(connect: Connect) -> Bus {
        Bus { connect, connection: Mutex::new(None) }
    }

    /// The connection, made anew if there is none or it was lost.
    pub(super) async fn connection(&self) -> Result<Connection, Failure> {
        let mut kept = self.connection.lock().await;
        if let Some(connection) = kept.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(connection.clone());
        }
        let connection = (self.connect)().await.map_err(|error| {
            Failure::NoLogind(format!("connecting to the system bus: {}", shown(&error.to_string())))
        })?;
        Ok(kept.insert(connection).clone())
    }
}

/// All sessions: id and object path.
pub(super) async fn list_sessions(connection: &Connection) -> Result<Vec<(String, String)>, Failure> {
    type Row = (String, u32, String, String, OwnedObjectPath);
    let reply = call(connection, MANAGER_PATH, MANAGER, "ListSessions", &()).await?;
    let rows: Vec<Row> = reply.body().deserialize().map_err(sort)?;
    Ok(rows.into_iter().map(|(id, _, _, _, path)| (id, path.as_str().to_owned())).collect())
}

/// What logind says of one session, at one moment.
pub(super) async fn properties(connection: &Connection, path: &str) -> Result<Properties, Failure> {
    let reply = call(connection, path, PROPERTIES, "GetAll", &(SESSION)).await?;
    let all: HashMap<String, OwnedVariant> = reply.body().deserialize().map_err(sort)?;
    let text = |name: &str| match all.get(name).map(|value| &**value) {
        Some(Variant::Str(text)) => Some(text.as_str().to_owned()),
        _ => None,
    };
    let number = |name: &str| match all.get(name).map(|value| &**value) {
        Some(Variant::U64(number)) => Some(*number),
        _ => None,
    };
    let required = |name: &str| text(name).ok_or_else(|| missing(name));
    Ok(Properties {
        id: required("Id")?,
        name: required("Name")?,
        class: required("Class")?,
        state: required("State")?,
        kind: text("Type").unwrap_or_default(),
        service: text("Service").unwrap_or_default(),
        tty: text("TTY").unwrap_or_default(),
        display: text("Display").unwrap_or_default(),
        remote_host: text("RemoteHost").unwrap_or_default(),
        timestamp_us: number("Timestamp").ok_or_else(|| missing("Timestamp"))?,
        idle_hint: matches!(all.get("IdleHint").map(|value| &**value), Some(Variant::Bool(true))),
        idle_since_us: number("IdleSinceHint").unwrap_or_default(),
    })
}

/// When a session began, in microseconds since the Unix epoch.
pub(super) async fn timestamp_us(connection: &Connection, path: &str) -> Result<u64, Failure> {
    let reply = call(connection, path, PROPERTIES, "Get", &(SESSION, "Timestamp")).await?;
    let value: OwnedVariant = reply.body().deserialize().map_err(sort)?;
    let Variant::U64(began_us) = *value else {
        return Err(missing("Timestamp"));
    };
    Ok(began_us)
}

/// Signals all processes of a session.
pub(super) async fn kill(connection: &Connection, id: &str, signal: i32) -> Result<(), Failure> {
    call(connection, MANAGER_PATH, MANAGER, "KillSession", &(id, "all", signal)).await.map(|_| ())
}

/// Tells logind to end a session; it kills in the end.
pub(super) async fn terminate(connection: &Connection, id: &str) -> Result<(), Failure> {
    call(connection, MANAGER_PATH, MANAGER, "TerminateSession", &(id)).await.map(|_| ())
}

async fn call<B>(
    connection: &Connection,
    path: &str,
    interface: &str,
    method: &str,
    body: &B,
) -> Result<zbus::Message, Failure>
where
    B: serde::Serialize + DynamicType,
{
    connection.call_method(Some(SERVICE), path, Some(interface), method, body).await.map_err(sort)
}

fn sort(error: zbus::Error) -> Failure {
    let said = shown(&error.to_string());
    if let zbus::Error::MethodError(name, _, _) = &error {
        return match name.as_str() {
            "org.freedesktop.login1.NoSuchSession" => Failure::Gone,
            "System.Error.ESRCH" | "org.freedesktop.systemd1.NoSuchUnit" => Failure::NoProcess,
            _ => Failure::Other(said),
        };
    }
    let zbus::Error::FDO(standard) = &error else {
        return Failure::Other(said);
    };
    use fdo::Error::{
        AccessDenied, AuthFailed, InteractiveAuthorizationRequired, NameHasNoOwner, NoServer, ServiceUnknown,
        UnknownObject,
    };
    if matches!(**standard, AccessDenied(_) | InteractiveAuthorizationRequired(_) | AuthFailed(_)) {
        Failure::Denied(said)
    } else if matches!(**standard, UnknownObject(_)) {
        Failure::Gone
    } else if matches!(**standard, ServiceUnknown(_) | NameHasNoOwner(_) | NoServer(_)) {
        Failure::NoLogind(said)
    } else {
        Failure::Other(said)
    }
}

fn missing(property: &str) -> Failure {
    Failure::Other(format!("logind did not tell a session's {property}"))
}

/// The bus's words, escaped: user names can stand in them.
fn shown(text: &str) -> String {
    format!("{text:?}")
}
