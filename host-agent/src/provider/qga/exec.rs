//! Running a fixed program in a guest through `guest-exec`, and what its failures mean. Whatever varies is a
//! positional argument: nothing is ever pasted into a program's text.

use super::channel::{Channel, Refusal, shown, silent, unexpected};
use crate::provider::Error;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use curfew_types::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// The first pause before the program's end is asked for: a shell and a few calls take about this long.
const POLL: Duration = Duration::from_millis(10);
/// The longest pause: adds at most this to what the program takes, and keeps a slow guest free to work.
const POLL_MAX: Duration = Duration::from_millis(200);

/// A program that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// Its exit code; nothing when a signal ended it.
    pub(super) code: Option<i64>,
    /// What it wrote to its standard output.
    pub(super) output: Vec<u8>,
    /// What it wrote to its standard error, escaped and cut.
    pub(super) complaint: String,
}

/// Runs `script` with the shell. `arguments` arrive as `$1`, `$2`, ...
///
/// # Errors
/// Feature missing when the agent's policy forbids it (or the guest has no such shell, then *unlistable*), not
/// available yet while its file systems are frozen, `VM_E_TIMED_OUT` when it has not ended by the channel's deadline
/// (it may still run then), `DISP_E_EXCEPTION` for what makes no sense.
pub(super) async fn shell(channel: &mut Channel, script: &str, arguments: &[&str]) -> Result<Ended, Error> {
    let mut argv = vec!["-c", script, "curfew"];
    argv.extend_from_slice(arguments);
    run(channel, "/bin/sh", &argv).await
}

/// Runs the program at `path`; as [`shell`].
pub(super) async fn run(channel: &mut Channel, path: &str, argv: &[&str]) -> Result<Ended, Error> {
    let request = json!({ "path": path, "arg": argv, "capture-output": true });
    let started = match channel.call("guest-exec", request).await {
        Ok(started) => started,
        Err(Refusal::NoSuchCommand(said)) => return Err(forbidden(channel, &said).await),
        Err(Refusal::Failed(said)) => {
            return Err(Error::unlistable(format!("the guest agent could not run {path}: {said}")));
        }
        Err(Refusal::Broken(error)) => return Err(error),
    };
    let pid = started.get("pid").and_then(Value::as_i64);
    let pid = pid.ok_or_else(|| unexpected("guest-exec was answered without a pid"))?;
    let mut pause = POLL;
    loop {
        if Instant::now() + pause >= channel.deadline() {
            tokio::time::sleep_until(channel.deadline()).await;
            return Err(silent());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(POLL_MAX);
        let status = match channel.call("guest-exec-status", json!({ "pid": pid })).await {
            Ok(status) => status,
            Err(Refusal::NoSuchCommand(said)) => return Err(forbidden(channel, &said).await),
            Err(Refusal::Failed(said)) => {
                return Err(unexpected(format!("the guest agent lost sight of a program it ran: {said}")));
            }
            Err(Refusal::Broken(error)) => return Err(error),
        };
        if status.get("exited").and_then(Value::as_bool) == Some(true) {
            return ended(&status);
        }
    }
}

fn ended(status: &Value) -> Result<Ended, Error> {
    if status.get("out-truncated").and_then(Value::as_bool) == Some(true) {
        return Err(unexpected("the guest agent cut the program's output"));
    }
    let decode = |field: &str| match status.get(field).and_then(Value::as_str) {
        Some(text) => STANDARD
            .decode(text)
            .map_err(|error| unexpected(format!("the guest agent sent {field} that is no base64: {error}"))),
        None => Ok(Vec::new()),
    };
    Ok(Ended {
        code: status.get("exitcode").and_then(Value::as_i64),
        output: decode("out-data")?,
        complaint: shown(&decode("err-data")?),
    })
}

/// A command that is not there: final, unless the guest's file systems are frozen for a backup, while the agent
/// forbids nearly everything and answers in the same way.
async fn forbidden(channel: &mut Channel, said: &str) -> Error {
    let frozen = channel.call("guest-fsfreeze-status", Value::Null).await;
    if frozen.is_ok_and(|status| status == "frozen") {
        let message =
            "the guest's file systems are frozen, for a backup perhaps; until then its agent runs nothing";
        return Error::new(StatusCode::AdditionsNotAvail, message);
    }
    let message = format!("the guest agent's policy forbids running commands: {said}");
    Error::new(StatusCode::AdditionsFeatureNotAvail, message)
}
