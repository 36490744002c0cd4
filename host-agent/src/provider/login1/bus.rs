//! A connection to a machine's system bus, kept while it lasts, and calls over it with errors sorted by what they mean
//! here. It decides nothing.

use futures::future::BoxFuture;
use std::collections::HashMap;
use tokio::sync::Mutex;
use zbus::wire::DynamicDeserialize;
use zbus::{Connection, DynamicType, Message, OwnedVariant, fdo};

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// Most bytes of one reply that are taken apart: the list of 10,000 sessions, three times over.
const REPLY_MAX: usize = 4 * 1024 * 1024;
/// Most characters that are kept of what a bus says went wrong.
const SAID_MAX: usize = 300;

/// Makes a connection to the bus.
type Connect = Box<dyn Fn() -> BoxFuture<'static, zbus::Result<Connection>> + Send + Sync>;

/// A connection that is made when it is first needed, and again after it was lost.
pub(in crate::provider) struct Bus {
    connect: Connect,
    connection: Mutex<Option<Connection>>,
}

/// An object on a bus, seen through one of its interfaces.
#[derive(Clone, Copy, Debug)]
pub(in crate::provider) struct Object<'a> {
    pub(in crate::provider) service: &'static str,
    pub(in crate::provider) path: &'a str,
    pub(in crate::provider) interface: &'static str,
}

/// All properties of one interface.
pub(in crate::provider) type Properties = HashMap<String, OwnedVariant>;

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::provider) enum Failure {
    /// There is no such session any more.
    Gone,
    /// The session has no process to signal, or systemd has no such unit.
    NothingLeft,
    /// systemd has a unit of that name already.
    Exists,
    /// This process may not.
    Denied(String),
    /// There is no bus, or nobody on it who answers to that name.
    Nobody(String),
    /// Anything else.
    Other(String),
}

impl Bus {
    /// The system bus of the machine that the agent runs on.
    pub(in crate::provider) fn system() -> Bus {
        Bus::over(Box::new(|| Box::pin(Connection::system())))
    }

    pub(in crate::provider) fn over(connect: Connect) -> Bus {
        Bus { connect, connection: Mutex::new(None) }
    }

    /// The connection, made anew if there is none or it was lost.
    ///
    /// # Errors
    /// [`Failure::Nobody`] where there is no bus, [`Failure::Denied`] where it does not let this process in.
    pub(in crate::provider) async fn connection(&self) -> Result<Connection, Failure> {
        let mut kept = self.connection.lock().await;
        if let Some(connection) = kept.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(connection.clone());
        }
        let connection = (self.connect)().await.map_err(|error| not_connected(&error))?;
        Ok(kept.insert(connection).clone())
    }
}

impl<'a> Object<'a> {
    /// Calls a method.
    ///
    /// # Errors
    /// What the other side, the bus or the reply's form say.
    pub(in crate::provider) async fn call<B, R>(
        &self,
        bus: &Connection,
        method: &str,
        body: &B,
    ) -> Result<R, Failure>
    where
        B: serde::Serialize + DynamicType + Sync,
        R: for<'r> DynamicDeserialize<'r>,
    {
        let reply = self.reply(bus, method, body).await?;
        if reply.body().len() > REPLY_MAX {
            return Err(Failure::Other(format!("the reply to {method} is too long to be believed")));
        }
        reply.body().deserialize().map_err(sort)
    }

    /// Calls a method whose answer counts for nothing but that it was done.
    ///
    /// # Errors
    /// What the other side or the bus say.
    pub(in crate::provider) async fn tell<B>(
        &self,
        bus: &Connection,
        method: &str,
        body: &B,
    ) -> Result<(), Failure>
    where
        B: serde::Serialize + DynamicType + Sync,
    {
        self.reply(bus, method, body).await.map(drop)
    }

    async fn reply<B>(&self, bus: &Connection, method: &str, body: &B) -> Result<Message, Failure>
    where
        B: serde::Serialize + DynamicType + Sync,
    {
        bus.call_method(Some(self.service), self.path, Some(self.interface), method, body).await.map_err(sort)
    }

    /// Reads all its properties.
    ///
    /// # Errors
    /// As for [`Object::call`].
    pub(in crate::provider) async fn properties(&self, bus: &Connection) -> Result<Properties, Failure> {
        Object { interface: PROPERTIES, ..*self }.call(bus, "GetAll", &(self.interface)).await
    }

    /// Reads one property.
    ///
    /// # Errors
    /// As for [`Object::call`].
    pub(in crate::provider) async fn property(
        &self,
        bus: &Connection,
        name: &str,
    ) -> Result<OwnedVariant, Failure> {
        Object { interface: PROPERTIES, ..*self }.call(bus, "Get", &(self.interface, name)).await
    }
}

/// A bus that is there and refuses is another matter than one that is not there.
fn not_connected(error: &zbus::Error) -> Failure {
    let said = format!("connecting to the system bus: {}", shown(&error.to_string()));
    match error {
        zbus::Error::Handshake(_) => Failure::Denied(said),
        zbus::Error::InputOutput(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Failure::Denied(said)
        }
        _ => Failure::Nobody(said),
    }
}

fn sort(error: zbus::Error) -> Failure {
    let said = shown(&error.to_string());
    if let zbus::Error::MethodError(name, _, _) = &error {
        return match name.as_str() {
            "org.freedesktop.login1.NoSuchSession" | "org.freedesktop.machine1.NoSuchMachine" => {
                Failure::Gone
            }
            "System.Error.ESRCH" | "org.freedesktop.systemd1.NoSuchUnit" => Failure::NothingLeft,
            "org.freedesktop.systemd1.UnitExists" => Failure::Exists,
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
        Failure::Nobody(said)
    } else {
        Failure::Other(said)
    }
}

/// The bus's words, cut and escaped: user names can stand in them.
fn shown(text: &str) -> String {
    let cut: String = text.chars().take(SAID_MAX).collect();
    format!("{cut:?}")
}
