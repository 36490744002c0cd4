//! Running a fixed program in a guest through `guest-exec`, and what its failures mean. Whatever varies is a
//! positional argument or the program's input: nothing is ever pasted into a program's text.

use super::channel::{AgentChannel, OUTPUT_MAX, Refusal, shown, silent, unexpected};
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

/// A program to run in a guest.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::provider) struct Program<'a> {
    /// Where it is; without a slash, wherever the agent's search path finds it.
    pub(in crate::provider) path: &'a str,
    /// Its arguments, without its own name.
    pub(in crate::provider) arguments: &'a [&'a str],
    /// What it reads from its standard input; empty: nothing at all.
    pub(in crate::provider) input: &'a [u8],
}

/// A program that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::provider) struct Ended {
    /// Its exit code; nothing when a signal ended it.
    pub(in crate::provider) code: Option<i64>,
    /// What it wrote to its standard output.
    pub(in crate::provider) output: Vec<u8>,
    /// What it wrote to its standard error, escaped and cut.
    pub(in crate::provider) complaint: String,
}

impl Ended {
    /// How it ended badly, for a message.
    pub(in crate::provider) fn exit(&self) -> String {
        self.code.map_or_else(|| "was ended by a signal".into(), |code| format!("failed with code {code}"))
    }
}

/// Runs `script` with the shell. `arguments` arrive as `$1`, `$2`, ...
///
/// # Errors
/// As [`run`].
pub(in crate::provider) async fn shell(
    channel: &mut dyn AgentChannel,
    script: &str,
    arguments: &[&str],
) -> Result<Ended, Error> {
    let mut argv = vec!["-c", script, "curfew"];
    argv.extend_from_slice(arguments);
    run(channel, Program { path: "/bin/sh", arguments: &argv, input: b"" }).await
}

/// Runs a program and waits for its end.
///
/// # Errors
/// Feature missing when the agent's policy forbids it (or the guest has no such program, then *unlistable*), not
/// available yet while its file systems are frozen, `VM_E_TIMED_OUT` when it has not ended by the channel's deadline
/// (it may still run then), `DISP_E_EXCEPTION` for what makes no sense and for more output than is believed.
pub(in crate::provider) async fn run(
    channel: &mut dyn AgentChannel,
    program: Program<'_>,
) -> Result<Ended, Error> {
    let path = program.path;
    let mut request = json!({ "path": path, "arg": program.arguments, "capture-output": true });
    if !program.input.is_empty() {
        request["input-data"] = STANDARD.encode(program.input).into();
    }
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
    let output = decode("out-data")?;
    if output.len() > OUTPUT_MAX {
        return Err(unexpected(format!("a program in the guest printed more than {OUTPUT_MAX} bytes")));
    }
    Ok(Ended {
        code: status.get("exitcode").and_then(Value::as_i64),
        output,
        complaint: shown(&decode("err-data")?),
    })
}

/// A command that is not there: final, unless the guest's file systems are frozen for a backup, while the agent
/// forbids nearly everything and answers in the same way.
async fn forbidden(channel: &mut dyn AgentChannel, said: &str) -> Error {
    let frozen = channel.call("guest-fsfreeze-status", Value::Null).await;
    if frozen.is_ok_and(|status| status == "frozen") {
        let message =
            "the guest's file systems are frozen, for a backup perhaps; until then its agent runs nothing";
        return Error::new(StatusCode::AdditionsNotAvail, message);
    }
    let message = format!("the guest agent's policy forbids running commands: {said}");
    Error::new(StatusCode::AdditionsFeatureNotAvail, message)
}
