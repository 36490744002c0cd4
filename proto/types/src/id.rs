//! Names and ids: hosts, guests, operations and tasks, each parsed once and valid from then on.

use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest host name: the limit of a DNS name.
const HOST_NAME_MAX: usize = 253;
/// Longest guest id: host, provider and a local id of 255 bytes with two separators, rounded up.
const GUEST_ID_MAX: usize = 640;

/// What a guest id is made of, by byte: agents and controller read millions of ids, and whatever is not ASCII is refused
/// either way.
const GUEST_ID_BYTES: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        plain[byte as usize] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'/' | b'@' | b':' | b'+');
        byte += 1;
    }
    plain
};

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {kind}: {why}")]
pub struct IdError {
    kind: &'static str,
    text: String,
    why: &'static str,
}

fn refuse<T>(kind: &'static str, text: &str, why: &'static str) -> Result<T, IdError> {
    let shown = text.chars().take(80).collect();
    Err(IdError { kind, text: shown, why })
}

/// A host's name, as its certificate says it: lower-case letters, digits, `-` and `.`.
///
/// Cheap to clone: inventories and operations share one allocation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct HostName(Arc<str>);

impl HostName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        const KIND: &str = "host name";
        if text.is_empty() {
            return refuse(KIND, text, "it is empty");
        }
        if text.len() > HOST_NAME_MAX {
            return refuse(KIND, text, "it is longer than 253 characters");
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        if !text.chars().all(plain) {
            return refuse(KIND, text, "use lower-case letters, digits, '-' and '.' only");
        }
        let edge = |c: char| c == '-' || c == '.';
        if text.starts_with(edge) || text.ends_with(edge) {
            return refuse(KIND, text, "it must begin and end with a letter or digit");
        }
        Ok(HostName(text.into()))
    }
}

/// A guest's identity: its hypervisor's UUID, otherwise `host/provider/local-id`. Names are labels, not ids.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct GuestId(Arc<str>);

impl GuestId {
    /// The id of a guest whose hypervisor gives it no UUID.
    ///
    /// # Errors
    /// When `local` is empty, too long or has characters an id cannot hold.
    pub fn local(host: &HostName, provider: &str, local: &str) -> Result<GuestId, IdError> {
        format!("{host}/{provider}/{local}").parse()
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GuestId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        const KIND: &str = "guest id";
        if text.is_empty() {
            return refuse(KIND, text, "it is empty");
        }
        if text.len() > GUEST_ID_MAX {
            return refuse(KIND, text, "it is longer than 640 bytes");
        }
        if !text.bytes().all(|byte| GUEST_ID_BYTES[usize::from(byte)]) {
            return refuse(KIND, text, "use letters, digits and - . _ / @ : + only");
        }
        Ok(GuestId(text.into()))
    }
}

/// Milliseconds since the Unix epoch at 2024-01-01T00:00:00Z, where operation ids begin to count.
const ID_EPOCH_MS: i64 = 1_704_067_200_000;
/// Low bits of an operation id that are random.
const ID_RANDOM_BITS: u32 = 22;
/// Crockford's base 32: no I, L, O or U, so that an id can be read aloud.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// An operation's id: 41 bits of milliseconds since 2024, then 22 random bits; shown as `op-` and 13 characters.
///
/// Ids sort by time, fit a signed 64-bit column, and are not reused after a backup is restored, as a counter would be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct OperationId(u64);

impl OperationId {
    /// The id for an operation created at `wall`, with entropy of the caller's.
    pub fn new(wall: crate::WallTime, entropy: u64) -> OperationId {
        let since = u64::try_from(wall.0 - ID_EPOCH_MS).unwrap_or(0) & ((1 << 41) - 1);
        OperationId((since << ID_RANDOM_BITS) | (entropy & ((1 << ID_RANDOM_BITS) - 1)))
    }

    /// The id in words, written in one piece: ledgers and logs have one in every line.
    fn text(self, place: &mut [u8; 16]) -> &str {
        place[..3].copy_from_slice(b"op-");
        for (at, letter) in place[3..].iter_mut().rev().enumerate() {
            *letter = ALPHABET[((self.0 >> (at * 5)) & 31) as usize];
        }
        // Letters and digits only, so it always is text.
        std::str::from_utf8(place).unwrap_or_default()
    }

    /// The id as it stands in the store and on the agents' wire.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The id with this number; `None` past 63 bits.
    pub fn from_number(number: u64) -> Option<OperationId> {
        (number >> 63 == 0).then_some(OperationId(number))
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text(&mut [0; 16]))
    }
}

impl fmt::Debug for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for OperationId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        const KIND: &str = "operation id";
        let Some(digits) = text.strip_prefix("op-") else {
            return refuse(KIND, text, "it must begin with \"op-\"");
        };
        if digits.len() != 13 {
            return refuse(KIND, text, "13 characters must follow \"op-\"");
        }
        let mut number: u64 = 0;
        for byte in digits.bytes() {
            let Some(digit) = ALPHABET.iter().position(|a| *a == byte) else {
                return refuse(KIND, text, "it has a character outside the id alphabet");
            };
            number = match number.checked_mul(32) {
                Some(shifted) => shifted | digit as u64,
                None => return refuse(KIND, text, "it is out of range"),
            };
        }
        OperationId::from_number(number).map_or_else(|| refuse(KIND, text, "it is out of range"), Ok)
    }
}

/// A task's id: the operation and the place of the guest in the operation's fixed set; shown as `op-.../17`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TaskId {
    /// The operation it belongs to.
    pub operation: OperationId,
    /// Place in the operation's set of guests, from 0.
    pub index: u32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.operation, self.index)
    }
}

impl FromStr for TaskId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        const KIND: &str = "task id";
        let Some((operation, index)) = text.split_once('/') else {
            return refuse(KIND, text, "write it as OPERATION/INDEX, for example op-0123456789abc/17");
        };
        let Ok(operation) = operation.parse() else {
            return refuse(KIND, text, "the part before '/' is not an operation id");
        };
        match index.parse() {
            Ok(index) => Ok(TaskId { operation, index }),
            Err(_) => refuse(KIND, text, "the part after '/' is not a number"),
        }
    }
}

macro_rules! text_conversions {
    ($($name:ident),+) => {$(
        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    )+};
}
text_conversions!(HostName, GuestId, OperationId);

impl Serialize for HostName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Serialize for GuestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Serialize for OperationId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text(&mut [0; 16]))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for GuestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WallTime;

    #[test]
    fn an_operation_id_reads_back_as_written() {
        let id = OperationId::new(WallTime(1_795_000_000_123), 0x2A_BCDE);
        assert_eq!(id.to_string().parse::<OperationId>(), Ok(id));
        assert!(OperationId::new(WallTime(1_795_000_000_124), 0) > id, "ids sort by time");
    }

    #[test]
    fn a_task_id_reads_back_as_written() {
        let task = TaskId { operation: OperationId::new(WallTime(1_795_000_000_123), 7), index: 17 };
        assert_eq!(task.to_string().parse::<TaskId>(), Ok(task));
    }

    #[test]
    fn what_is_not_an_id_is_refused_with_the_reason() {
        for (text, why) in [
            ("17", "must begin with"),
            ("op-123", "13 characters"),
            ("op-012345678901u", "alphabet"),
            ("op-zzzzzzzzzzzzz", "out of range"),
        ] {
            let said = text.parse::<OperationId>().expect_err(text).to_string();
            assert!(said.contains(why), "{said}");
        }
        assert!("Host".parse::<HostName>().is_err());
        assert!("-a".parse::<HostName>().is_err());
        assert!("a b".parse::<GuestId>().is_err());
    }
}
