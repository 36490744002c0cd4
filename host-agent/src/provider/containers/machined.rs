//! Containers that are registered with systemd-machined on the host.

use crate::provider::Error;
use crate::provider::login1::bus::{Bus, Failure, Object};
use curfew_types::StatusCode;
use std::collections::BTreeMap;
use zbus::{Connection, OwnedObjectPath, Variant};

const SERVICE: &str = "org.freedesktop.machine1";
const MANAGER: Object<'static> = Object {
    service: SERVICE,
    path: "/org/freedesktop/machine1",
    interface: "org.freedesktop.machine1.Manager",
};
/// The class of containers; `vm` and `host` are others.
const CONTAINER: &str = "container";

/// All of them that run: the pid of the first process by name.
///
/// # Errors
/// When systemd-machined cannot be asked.
pub(super) async fn containers(bus: &Bus) -> Result<BTreeMap<String, u32>, Error> {
    type Row = (String, String, String, OwnedObjectPath);
    let bus = bus.connection().await.map_err(|failure| cannot(&failure))?;
    let rows: Vec<Row> = MANAGER.call(&bus, "ListMachines", &()).await.map_err(|failure| cannot(&failure))?;
    let mut found = BTreeMap::new();
    for (name, class, _, path) in rows {
        if class != CONTAINER {
            continue;
        }
        match leader(&bus, path.as_str()).await {
            Ok(Some(pid)) => {
                found.insert(name, pid);
            }
            // It ended while it was looked at.
            Ok(None) | Err(Failure::Gone) => {}
            Err(failure) => return Err(cannot(&failure)),
        }
    }
    Ok(found)
}

/// The pid of the first process of the one with this name, if it runs.
///
/// # Errors
/// As for [`containers`].
pub(super) async fn container(bus: &Bus, name: &str) -> Result<Option<u32>, Error> {
    let asked = async {
        let bus = bus.connection().await?;
        let path: OwnedObjectPath = MANAGER.call(&bus, "GetMachine", &(name)).await?;
        leader(&bus, path.as_str()).await
    };
    match asked.await {
        Err(Failure::Gone) => Ok(None),
        asked => asked.map_err(|failure| cannot(&failure)),
    }
}

async fn leader(bus: &Connection, path: &str) -> Result<Option<u32>, Failure> {
    let machine = Object { service: SERVICE, path, interface: "org.freedesktop.machine1.Machine" };
    let all = machine.properties(bus).await?;
    let is_container = matches!(all.get("Class").map(|value| &**value), Some(Variant::Str(class)) if class.as_str() == CONTAINER);
    Ok(match all.get("Leader").map(|value| &**value) {
        Some(Variant::U32(pid)) if is_container && *pid > 1 => Some(*pid),
        _ => None,
    })
}

fn cannot(failure: &Failure) -> Error {
    let (code, why) = match failure {
        Failure::Denied(why) => (StatusCode::AccessDenied, why.as_str()),
        Failure::Nobody(why) | Failure::Other(why) => (StatusCode::Unexpected, why.as_str()),
        Failure::Gone | Failure::NothingLeft | Failure::Exists => {
            (StatusCode::Unexpected, "it does not know its own machines")
        }
    };
    Error::new(code, format!("asking systemd-machined for containers: {why}"))
}
