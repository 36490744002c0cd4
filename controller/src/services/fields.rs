//! Fields that several calls have: free texts of bounded length.

use super::Error;
use curfew_types::operation::TEXT_MAX;

/// A text that may be empty.
pub(super) fn optional_text(field: &'static str, text: String) -> Result<String, Error> {
    if text.len() > TEXT_MAX {
        return Err(Error::invalid(field, format!("it is longer than {TEXT_MAX} bytes")));
    }
    Ok(text)
}

/// A text that somebody will want to read later.
pub(super) fn required_text(field: &'static str, text: String) -> Result<String, Error> {
    if text.trim().is_empty() {
        return Err(Error::missing(field));
    }
    optional_text(field, text)
}
