//! `[approval]`: from which size on an operation waits for a second person. In the file only: it is no setting to change
//! with a flag.

use super::{Chosen, ConfigError, Setting, parse};
use curfew_controller_core::ApprovalRule;
use curfew_types::operation::DEADLINE_MAX_MS;
use serde::Deserialize;
use std::path::Path;

/// A minute: less than anybody needs to look at what they approve.
const EXPIRES_MIN_MS: u64 = 60 * 1000;

/// The table as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawApproval {
    above_guests: Option<u64>,
    above_percent: Option<u8>,
    expires: Option<String>,
}

/// The rule that the table of `file` says; without the table, none.
pub(super) fn rule(table: Option<RawApproval>, file: &Path) -> Result<ApprovalRule, ConfigError> {
    let Some(RawApproval { above_guests, above_percent, expires }) = table else {
        return Ok(ApprovalRule::default());
    };
    let refuse = |key: &'static str, why: String| {
        Err(ConfigError::Value { setting: Setting { key, file }.in_file(), why })
    };
    if above_guests.is_none() && above_percent.is_none() {
        let why = "it names no size, so nothing would ever wait; set above_guests, above_percent or both";
        return refuse("approval", why.into());
    }
    if let Some(percent) = above_percent.filter(|percent| *percent > 100) {
        return refuse(
            "approval.above_percent",
            format!("{percent} is more than everything; write 0 to 100"),
        );
    }
    let setting = Setting { key: "approval.expires", file }.in_file();
    let expires = expires.map(|text| Chosen { text, setting });
    let expires_ms = parse(expires, ApprovalRule::default().expires_ms, |text| {
        let time = humantime::parse_duration(text).map_err(|_| "is not a time; write one such as 24h")?;
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let range = EXPIRES_MIN_MS..=DEADLINE_MAX_MS;
        if range.contains(&ms) { Ok(ms) } else { Err("is out of range; write a time from 1m to 7d".into()) }
    })?;
    Ok(ApprovalRule { above_guests, above_percent, expires_ms })
}
