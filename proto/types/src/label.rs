//! Labels: key and value pairs in Kubernetes' grammar, set on the controller or reported by an agent.
//!
//! What an agent reports carries the prefix `agent/` and never grants anything.

use std::collections::BTreeMap;

/// A set of labels, ordered by key.
pub type Labels = BTreeMap<String, String>;

/// The prefix of every label that an agent reports.
pub const AGENT_PREFIX: &str = "agent/";

/// The keys that say what a guest is: the controller fills them in itself.
pub const WELL_KNOWN: [&str; 4] = ["host", "guest", "os", "provider"];

/// Most labels on one host or guest.
pub const LABELS_MAX: usize = 64;

/// Why a label cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// The key is outside the grammar.
    #[error(
        "label key {0:?} is not valid: use at most 63 letters, digits, '-', '_' and '.', beginning and ending \
         with a letter or digit, with an optional DNS prefix and '/'"
    )]
    Key(String),
    /// The value is outside the grammar.
    #[error(
        "label value {0:?} is not valid: use at most 63 letters, digits, '-', '_' and '.', beginning and ending \
         with a letter or digit"
    )]
    Value(String),
    /// The key is one the controller fills in.
    #[error("label key {0:?} is filled in by the controller and cannot be set")]
    WellKnown(String),
    /// The key carries the agents' prefix.
    #[error("label key {0:?} begins with \"agent/\", which is kept for what agents report")]
    AgentPrefix(String),
}

/// Checks a key and a value that somebody wants to set on the controller.
///
/// # Errors
/// When either is outside the grammar, or the key is not theirs to set.
pub fn check_settable(key: &str, value: &str) -> Result<(), LabelError> {
    if WELL_KNOWN.contains(&key) {
        return Err(LabelError::WellKnown(key.into()));
    }
    if key.starts_with(AGENT_PREFIX) {
        return Err(LabelError::AgentPrefix(key.into()));
    }
    check_key(key)?;
    check_value(value)
}

/// Checks a label's key against the grammar.
///
/// # Errors
/// When it is outside the grammar.
pub fn check_key(key: &str) -> Result<(), LabelError> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let prefix_fits = prefix.is_none_or(|prefix| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        !prefix.is_empty() && prefix.len() <= 253 && prefix.chars().all(plain)
    });
    if prefix_fits && !name.is_empty() && is_name(name) { Ok(()) } else { Err(LabelError::Key(shorten(key))) }
}

/// Checks a label's value against the grammar; an empty value is allowed.
///
/// # Errors
/// When it is outside the grammar.
pub fn check_value(value: &str) -> Result<(), LabelError> {
    if value.is_empty() || is_name(value) { Ok(()) } else { Err(LabelError::Value(shorten(value))) }
}

/// A value made from any text, for labels that agents report: what does not fit is replaced by `_`.
pub fn value_from_text(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let fitted: String = text.chars().take(63).map(plain).collect();
    fitted.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

fn is_name(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    text.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_keys_cannot_be_set() {
        assert_eq!(check_settable("os", "linux"), Err(LabelError::WellKnown("os".into())));
        assert_eq!(check_settable("agent/os", "x"), Err(LabelError::AgentPrefix("agent/os".into())));
        assert_eq!(check_settable("example.com/rack", "r1"), Ok(()));
        assert!(check_settable("rack!", "r1").is_err());
        assert!(check_settable("rack", "-r1").is_err());
    }

    #[test]
    fn any_text_becomes_a_value_that_fits() {
        for text in ["Debian GNU/Linux 12 (bookworm)", "", "()", &"x".repeat(100)] {
            assert_eq!(check_value(&value_from_text(text)), Ok(()));
        }
    }
}
