//! What a command said and how it ended, and how the harness runs one on this machine.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use std::os::unix::process::ExitStatusExt;
use tokio::process::Command;
use tokio::time::timeout;

/// A PATH that finds the tools of any Debian, whatever the test was started with.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How a command ended, with what it printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandOutput {
    /// The exit code; 128 + the signal's number for a command that was killed, as a shell tells it.
    pub code: i32,
    /// Standard output; what is not UTF-8 is replaced.
    pub stdout: String,
    /// Standard error; what is not UTF-8 is replaced.
    pub stderr: String,
}

impl CommandOutput {
    pub(super) fn new(status: ExitStatus, stdout: &[u8], stderr: &[u8]) -> Self {
        Self {
            code: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()),
            stdout: String::from_utf8_lossy(stdout).into_owned(),
            stderr: String::from_utf8_lossy(stderr).into_owned(),
        }
    }

    /// The standard output of a command that ended with 0; an error with everything that is known of any other.
    pub fn success(self) -> anyhow::Result<String> {
        if self.code != 0 {
            bail!("exit code {}: {}{}", self.code, self.stderr.trim_end(), self.stdout.trim_end());
        }
        Ok(self.stdout)
    }
}

/// Runs a prepared command with a bare environment and waits for its end, for at most `limit`.
pub(super) async fn run(
    command: &mut Command,
    stdin: Stdio,
    limit: Duration,
) -> anyhow::Result<CommandOutput> {
    command.env_clear().env("PATH", PATH).env("LC_ALL", "C.UTF-8");
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let child = command.spawn().context("cannot be started")?;
    let output = timeout(limit, child.wait_with_output())
        .await
        .with_context(|| format!("did not end within {} s", limit.as_secs()))??;
    Ok(CommandOutput::new(output.status, &output.stdout, &output.stderr))
}
