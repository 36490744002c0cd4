//! Running `virsh`: an argument vector, a time after which it is killed, and a bound on what it may print.

use super::config::Settings;
use super::failure::Failure;
use crate::provider::guest_agent::REPLY_MAX;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

/// Most bytes of a complaint that are read: the rest is not waited for.
const COMPLAINT_MAX: usize = 8 * 1024;
/// Longest argument: Linux takes 128 KiB for one.
const ARGUMENT_MAX: usize = 120 * 1024;
/// Most of them at once, a few megabytes each. libvirt serves twenty calls at a time unless configured otherwise; the
/// rest, and with them guests whose agents hang, wait in its queue and not in this one.
const AT_ONCE: usize = 64;
/// How much longer than its own time limit `virsh` is left alone, so that it can say itself what took too long.
const GRACE: Duration = Duration::from_millis(200);

/// The program, and which libvirt it speaks to.
pub(super) struct Virsh {
    settings: Settings,
    turns: Semaphore,
}

impl Virsh {
    pub(super) fn new(settings: Settings) -> Virsh {
        Virsh { settings, turns: Semaphore::new(AT_ONCE) }
    }

    /// Runs it to its end and returns what it printed. At `deadline` it is killed; what it had asked libvirt for may
    /// still be done then.
    ///
    /// # Errors
    /// What it complained of.
    pub(super) async fn run(&self, arguments: &[&str], deadline: Instant) -> Result<Vec<u8>, Failure> {
        if let Some(long) = arguments.iter().find(|argument| argument.len() > ARGUMENT_MAX) {
            return Err(Failure::TooLong(long.len()));
        }
        let work = async {
            // The semaphore is never closed.
            let _turn = self.turns.acquire().await.map_err(|_| Failure::Silent)?;
            self.run_now(arguments).await
        };
        timeout_at(deadline + GRACE, work).await.unwrap_or(Err(Failure::Silent))
    }

    async fn run_now(&self, arguments: &[&str]) -> Result<Vec<u8>, Failure> {
        let program = &self.settings.program;
        let mut child = Command::new(program)
            .args(["--quiet", "--connect", &self.settings.uri])
            .args(arguments)
            // Its errors are read, so they have to be in English.
            .env("LC_ALL", "C")
            .env_remove("LANGUAGE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Failure::NotRun(format!("running {}: {error}", program.display())))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (printed, complaint) =
            tokio::join!(read_up_to(stdout, REPLY_MAX), read_up_to(stderr, COMPLAINT_MAX));
        // Whoever prints more than that may hang on a pipe that nobody reads: it is killed by being dropped.
        let (Some(printed), Some(complaint)) = (printed, complaint) else { return Err(Failure::TooMuch) };
        let status =
            child.wait().await.map_err(|error| Failure::NotRun(format!("waiting for virsh: {error}")))?;
        if status.success() { Ok(printed) } else { Err(Failure::read(&complaint)) }
    }
}

/// All that comes, unless it is more than so much.
async fn read_up_to(stream: Option<impl AsyncRead + Unpin>, max: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(max).ok()?.saturating_add(1);
    stream?.take(limit).read_to_end(&mut bytes).await.ok()?;
    (bytes.len() <= max).then_some(bytes)
}
