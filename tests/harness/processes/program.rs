//! One program of the product as a process: where it is, its log, how it ends.

use anyhow::{Context as _, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};

/// How long a command may take, or a program to end after it was asked to.
const WITHIN: Duration = Duration::from_secs(120);

/// Where a program of this build is.
///
/// # Errors
/// When it is not built.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    // Tests lie in `deps` beside the programs, the programs one level up.
    let path = own.parent().and_then(Path::parent).map(|directory| directory.join(name));
    let path = path.context("the test program lies nowhere")?;
    ensure!(
        path.exists(),
        "{} is not built: `cargo build --workspace --bins`, as tests/run does",
        path.display()
    );
    Ok(path)
}

/// What a command said.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub code: Option<i32>,
    /// Its data.
    pub stdout: String,
    /// Everything else it said.
    pub stderr: String,
}

impl Output {
    /// The same, if it ended with 0.
    ///
    /// # Errors
    /// When it did not.
    pub fn success(self) -> anyhow::Result<Output> {
        ensure!(self.code == Some(0), "it ended with {:?}: {}{}", self.code, self.stdout, self.stderr);
        Ok(self)
    }
}

/// Runs a command to its end.
pub(super) async fn run(mut command: Command) -> anyhow::Result<Output> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let shown = format!("{command:?}");
    let output = tokio::time::timeout(WITHIN, command.output()).await;
    let output = output.with_context(|| format!("{shown} did not end"))?.with_context(|| shown.clone())?;
    Ok(Output {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// A process that runs until it is stopped. Killed when dropped.
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
    /// Where this process's part of the log begins.
    log_from: usize,
    /// The test has seen its end: there is nothing left to stop.
    has_ended: bool,
}

impl Program {
    pub(super) fn start(name: &str, mut command: Command, log: &Path) -> anyhow::Result<Program> {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
        let log_from = usize::try_from(file.metadata()?.len())?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("starting {name}"))?;
        Ok(Program { name: name.to_owned(), child, log: log.to_owned(), log_from, has_ended: false })
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.get(self.log_from..).unwrap_or_default().to_owned()
    }

    /// Waits until the log has this text.
    ///
    /// # Errors
    /// When the process ends first or takes too long.
    pub async fn wait_for_log(&self, text: &str, within: Duration) -> anyhow::Result<()> {
        let logged = || async {
            let log = self.log();
            ensure!(log.contains(text), "its log so far:\n{log}");
            Ok(())
        };
        crate::guests::until(&format!("{} logs {text:?}", self.name), within, logged).await
    }

    /// The process's id.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Its most memory so far, in MiB, from the kernel's own books.
    ///
    /// # Errors
    /// When it has ended.
    pub fn peak_memory_mib(&self) -> anyhow::Result<u64> {
        let pid = self.pid().context("it has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib / 1024)
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// When it does not.
    pub async fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        let ended = tokio::time::timeout(WITHIN, self.child.wait()).await;
        self.has_ended = ended.is_ok();
        Ok(ended.with_context(|| format!("{} did not end; its log:\n{}", self.name, self.log()))??)
    }

    /// Kills it as a power cut would.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.start_kill()?;
        self.wait().await.map(drop)
    }

    /// Asks it to stop and waits until it has, with exit code 0; one that was seen to end before is left at that.
    ///
    /// # Errors
    /// When it does not, or ends badly.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if self.has_ended {
            return Ok(());
        }
        if let Some(pid) =
            self.pid().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw)
        {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        let status = self.wait().await?;
        ensure!(status.success(), "{} ended with {status}; its log:\n{}", self.name, self.log());
        Ok(())
    }
}

/// Fails if a log has an error that was not expected.
pub(super) fn assert_no_error(log: &Path, expected: &[&str]) -> anyhow::Result<()> {
    // A killed process may have torn a line in the middle of a character.
    let text = String::from_utf8_lossy(&std::fs::read(log)?).into_owned();
    let is_expected = |line: &&str| expected.iter().any(|text| line.contains(text));
    let errors: Vec<&str> =
        text.lines().filter(|line| line.contains(" ERROR ") && !is_expected(line)).collect();
    if !errors.is_empty() {
        bail!("{} has errors:\n{}", log.display(), errors.join("\n"));
    }
    Ok(())
}
