//! Logging people off and keeping them out, as an operator types it, and what is told about it.

use super::ProcessFleet;
use anyhow::ensure;
use serde_json::Value;
use std::collections::BTreeMap;

/// What became of one session, as its task tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionEnd {
    /// The user.
    pub user: String,
    /// What became of it: the name of the fate without its prefix, such as `ENDED`.
    pub fate: String,
    /// How many notices were shown to it.
    pub notices: u64,
    /// More in words; may be empty.
    pub why: String,
}

impl ProcessFleet {
    /// Starts `curfew logoff` with these arguments, does not wait, and says the operation's id.
    ///
    /// # Errors
    /// When the command fails.
    pub async fn logoff(&self, args: &[&str]) -> anyhow::Result<String> {
        let start = ["logoff", "--yes", "--no-wait", "-o", "name"];
        let started = self.curfew(&[&start, args].concat()).await?.success()?;
        Ok(started.stdout.trim().to_owned())
    }

    /// Waits until an operation has ended, however it did, and gives its tasks by guest name.
    ///
    /// # Errors
    /// When it does not end, or cannot be asked about.
    pub async fn ended(&self, operation: &str) -> anyhow::Result<BTreeMap<String, Value>> {
        let waited = self.curfew(&["operation", "wait", operation]).await?;
        ensure!(waited.code.is_some_and(|code| code <= 1), "{waited:?}");
        self.tasks(operation).await
    }

    /// Every drain, as the agents told them last.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn drains(&self) -> anyhow::Result<Vec<Value>> {
        let listed = self.curfew_json(&["guest", "drains", "-o", "json"]).await?;
        // Proto JSON leaves an empty list out.
        Ok(listed["drains"].as_array().cloned().unwrap_or_default())
    }
}

/// What became of the sessions of a task, those that went least well first.
pub fn session_ends(task: &Value) -> Vec<SessionEnd> {
    let results = task["verdict"]["results"].as_array();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let end = |result: &Value| SessionEnd {
        user: text(&result["user"]),
        fate: text(&result["fate"]).trim_start_matches("SESSION_FATE_").to_owned(),
        notices: result["notices"].as_u64().unwrap_or(0),
        why: text(&result["why"]),
    };
    results.into_iter().flatten().map(end).collect()
}
