//! The packed bodies about guests: a host's inventory, and how guests' ids are written.

use super::body::BodyError;
use curfew_controller_core::record::TargetGuest;
use curfew_types::{Guest, GuestId, HostName, OsFamily, PowerState};
use prost::Message;
use std::collections::BTreeMap;

/// A host's inventory.
#[derive(Clone, PartialEq, Message)]
pub(super) struct InventoryBody {
    #[prost(message, repeated, tag = "1")]
    pub(super) guests: Vec<GuestBody>,
}

/// A guest. Its id is in one of the first three fields; targets of the first versions have only the name and the wave
/// beside it.
#[derive(Clone, PartialEq, Message)]
pub(super) struct GuestBody {
    /// The 16 bytes of a UUID in its usual lower-case writing.
    #[prost(bytes = "vec", tag = "1")]
    uuid: Vec<u8>,
    /// What follows the host's name and a slash.
    #[prost(string, tag = "2")]
    local: String,
    /// Any other id, as it is.
    #[prost(string, tag = "3")]
    other: String,
    #[prost(string, tag = "4")]
    name: String,
    #[prost(string, tag = "5")]
    provider: String,
    #[prost(uint32, tag = "6")]
    os: u32,
    #[prost(uint32, tag = "7")]
    power: u32,
    #[prost(bool, tag = "8")]
    is_host: bool,
    #[prost(btree_map = "string, string", tag = "9")]
    labels: BTreeMap<String, String>,
    #[prost(uint32, tag = "10")]
    wave: u32,
}

impl GuestBody {
    /// The body of a guest in an inventory.
    pub(super) fn inventory(host: &HostName, guest: &Guest) -> GuestBody {
        GuestBody {
            name: guest.name.to_string(),
            provider: guest.provider.to_string(),
            os: os_number(guest.os),
            power: power_number(guest.power),
            is_host: guest.is_host,
            labels: guest.labels.clone(),
            ..GuestBody::identified(host, &guest.id)
        }
    }

    fn identified(host: &HostName, id: &GuestId) -> GuestBody {
        let body = GuestBody::default();
        match Identity::of(host, id) {
            Identity::Uuid(bytes) => GuestBody { uuid: bytes.to_vec(), ..body },
            Identity::Local(local) => GuestBody { local: local.to_owned(), ..body },
            Identity::Other(other) => GuestBody { other: other.to_owned(), ..body },
        }
    }

    /// The guest's id.
    ///
    /// # Errors
    /// When the body holds none that is valid.
    pub(super) fn id(&self, host: &HostName) -> Result<GuestId, BodyError> {
        let identity = match <[u8; 16]>::try_from(self.uuid.as_slice()) {
            Ok(bytes) => Identity::Uuid(bytes),
            Err(_) if self.local.is_empty() => Identity::Other(&self.other),
            Err(_) => Identity::Local(&self.local),
        };
        identity.guest(host)
    }

    /// The body read as a target.
    ///
    /// # Errors
    /// When it cannot be understood.
    pub(super) fn into_target(self, host: &HostName) -> Result<TargetGuest, BodyError> {
        let wave = u8::try_from(self.wave).map_err(|_| BodyError::Unknown(format!("wave {}", self.wave)))?;
        Ok(TargetGuest { id: self.id(host)?, name: self.name.into(), wave })
    }

    /// The body read as a guest of an inventory.
    ///
    /// # Errors
    /// When it cannot be understood.
    pub(super) fn into_guest(self, host: &HostName) -> Result<Guest, BodyError> {
        let os = OS.into_iter().find(|os| os_number(*os) == self.os);
        let power = POWER.into_iter().find(|power| power_number(*power) == self.power);
        Ok(Guest {
            id: self.id(host)?,
            os: os.ok_or_else(|| BodyError::Unknown(format!("operating system {}", self.os)))?,
            power: power.ok_or_else(|| BodyError::Unknown(format!("power state {}", self.power)))?,
            name: self.name.into(),
            provider: self.provider.into(),
            is_host: self.is_host,
            labels: self.labels,
        })
    }
}

/// A guest's id as it is written.
#[derive(Clone, Copy)]
pub(super) enum Identity<'a> {
    /// A UUID in its usual lower-case writing.
    Uuid([u8; 16]),
    /// What follows the host's name and a slash.
    Local(&'a str),
    /// Any other id, as it is.
    Other(&'a str),
}

impl<'a> Identity<'a> {
    /// How the id of a guest of `host` is written.
    pub(super) fn of(host: &HostName, id: &'a GuestId) -> Identity<'a> {
        if let Some(bytes) = uuid_bytes(id.as_str()) {
            return Identity::Uuid(bytes);
        }
        match id.as_str().strip_prefix(host.as_str()).and_then(|rest| rest.strip_prefix('/')) {
            Some(local) if !local.is_empty() => Identity::Local(local),
            Some(_) | None => Identity::Other(id.as_str()),
        }
    }

    /// The id.
    ///
    /// # Errors
    /// When it is not valid.
    pub(super) fn guest(self, host: &HostName) -> Result<GuestId, BodyError> {
        Ok(match self {
            Identity::Uuid(bytes) => uuid_text(bytes).parse()?,
            Identity::Local(local) => format!("{host}/{local}").parse()?,
            Identity::Other(other) => other.parse()?,
        })
    }
}

const OS: [OsFamily; 4] = [OsFamily::Unknown, OsFamily::Linux, OsFamily::Windows, OsFamily::Other];
const POWER: [PowerState; 4] =
    [PowerState::Unknown, PowerState::Running, PowerState::Paused, PowerState::Stopped];

/// The number in stored bodies; never changes.
fn os_number(os: OsFamily) -> u32 {
    match os {
        OsFamily::Unknown => 0,
        OsFamily::Linux => 1,
        OsFamily::Windows => 2,
        OsFamily::Other => 3,
    }
}

/// The number in stored bodies; never changes.
fn power_number(power: PowerState) -> u32 {
    match power {
        PowerState::Unknown => 0,
        PowerState::Running => 1,
        PowerState::Paused => 2,
        PowerState::Stopped => 3,
    }
}

/// Where a UUID's text has its dashes.
const DASHES: [usize; 4] = [8, 13, 18, 23];
/// Where a UUID's text has the two digits of each byte.
const DIGITS: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/// The bytes of a UUID, if `text` is one just as [`uuid_text`] writes it. A million of them are read at a start.
fn uuid_bytes(text: &str) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.as_bytes().try_into().ok()?;
    if DASHES.iter().any(|at| text[*at] != b'-') {
        return None;
    }
    let mut bytes = [0; 16];
    for (byte, at) in bytes.iter_mut().zip(DIGITS) {
        *byte = hex_value(text[at])? << 4 | hex_value(text[at + 1])?;
    }
    Some(bytes)
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

fn uuid_text(bytes: [u8; 16]) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; 36];
    for (byte, at) in bytes.into_iter().zip(DIGITS) {
        text[at] = HEX[usize::from(byte >> 4)];
        text[at + 1] = HEX[usize::from(byte & 15)];
    }
    text.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_reads_back_as_written(
            id in prop_oneof![
                "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
                "[0-9A-F]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
                "h1/[a-z]{1,4}/[A-Z0-9.@:+_-]{1,9}",
                "h1/?",
                "[a-z0-9/-]{1,36}",
            ]
        ) {
            let host: HostName = "h1".parse().expect("a host name");
            let id: GuestId = id.parse().expect("an id");
            let body = GuestBody::identified(&host, &id);
            prop_assert_eq!(body.id(&host).expect("an id"), id);
        }
    }

    #[test]
    fn a_uuid_takes_its_sixteen_bytes() {
        let host: HostName = "h1".parse().expect("a host name");
        let id: GuestId = "0c7a9b1e-52d4-4f0e-8d5b-2f1c3a4b5d6e".parse().expect("an id");
        assert_eq!(GuestBody::identified(&host, &id).encoded_len(), 18);
    }
}
