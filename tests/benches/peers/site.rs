//! Where a peer plays: a temporary folder and the processes that it starts in it. Both are gone when it is dropped.

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Where programs look for others; nothing of the user's own environment reaches a peer.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Far longer than any command takes here.
const COMMAND_WITHIN: Duration = Duration::from_secs(900);
/// How long servers have to start: all of Salt's take half a minute of CPU.
const START_WITHIN: Duration = Duration::from_secs(300);
/// How often it is looked whether one has started.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A folder, and the servers that run in it.
pub(super) struct Site {
    // Dropped after `drop` below has ended what writes into it.
    folder: TempDir,
    servers: Vec<Server>,
}

struct Server {
    process: Child,
    log: PathBuf,
}

impl Site {
    /// An empty folder that only this user may enter.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn new() -> anyhow::Result<Site> {
        // The name is short: sockets lie below it, and their paths may not be long.
        let folder =
            tempfile::Builder::new().prefix("curfew-peer-").tempdir().context("a temporary folder")?;
        Ok(Site { folder, servers: Vec::new() })
    }

    /// A path in the folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and the folders above it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.path(name);
        let above = path.parent().unwrap_or(self.folder.path());
        fs::create_dir_all(above).with_context(|| format!("making {}", above.display()))?;
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    /// Starts a server that stays in the foreground. It gets a process group of its own, and is asked to end when the
    /// thread that called this ends: call it from one that lives as long as the bench.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(&mut self, program: &Path, args: &[&str]) -> anyhow::Result<u32> {
        let log = self.path(&format!("server-{}.log", self.servers.len()));
        let output = fs::File::create(&log)?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--"]).arg(program).args(args).process_group(0);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        self.surround(&mut command);
        let process = command.spawn().with_context(|| format!("starting {}", program.display()))?;
        let pid = process.id();
        self.servers.push(Server { process, log });
        Ok(pid)
    }

    /// Waits until something is so that a server brings about.
    ///
    /// # Errors
    /// When a server has ended, or it takes too long.
    pub(super) async fn wait_until(
        &self,
        what: &str,
        mut is_so: impl AsyncFnMut() -> bool,
    ) -> anyhow::Result<()> {
        let began = Instant::now();
        while !is_so().await {
            if let Some(ended) = self.servers.iter().find(|server| server.has_ended()) {
                bail!("{what}: a server has ended: {}", last_lines(&fs::read_to_string(&ended.log)?));
            }
            ensure!(began.elapsed() < START_WITHIN, "{what}: not within {} s", START_WITHIN.as_secs());
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Runs a command to its end, and returns what it wrote and how long it took from its start.
    ///
    /// # Errors
    /// When it does not end well in time; with the end of what it wrote to stderr.
    pub(super) async fn run(
        &self,
        program: &Path,
        args: &[&str],
        extra: &[(&str, &str)],
    ) -> anyhow::Result<(String, Duration)> {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null());
        self.surround(&mut command);
        command.envs(extra.iter().copied());
        let mut command = tokio::process::Command::from(command);
        command.kill_on_drop(true);
        let name = program.display();
        let began = Instant::now();
        let output = tokio::time::timeout(COMMAND_WITHIN, command.output()).await;
        let took = began.elapsed();
        let Output { status, stdout, stderr } = output
            .with_context(|| format!("{name} did not end"))?
            .with_context(|| format!("running {name}"))?;
        let stderr = String::from_utf8_lossy(&stderr);
        ensure!(status.success(), "{name} ended with {status}: {}", last_lines(&stderr));
        // Some tell their version on stderr.
        let stdout = String::from_utf8(stdout)?;
        Ok((if stdout.is_empty() { stderr.into_owned() } else { stdout }, took))
    }

    /// The first line that a program tells about its version.
    ///
    /// # Errors
    /// When it does not run.
    pub(super) async fn version(&self, program: &Path, option: &str) -> anyhow::Result<String> {
        let (text, _) = self.run(program, &[option], &[]).await?;
        Ok(text.lines().next().unwrap_or_default().trim().to_owned())
    }

    fn surround(&self, command: &mut Command) {
        command.env_clear().env("PATH", PATH).env("HOME", self.folder.path()).env("LC_ALL", "C.UTF-8");
        command.current_dir(self.folder.path());
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for server in &mut self.servers {
            // Nothing of them is kept, so nothing is lost when they and all that they started end at once.
            let _ = kill_process_group(Pid::from_child(&server.process), Signal::KILL);
            let _ = server.process.wait();
        }
    }
}

impl Server {
    /// Whether it has. It is looked at without being reaped, so that its group's number stays its own until the
    /// group is ended.
    fn has_ended(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        !matches!(waitid(WaitId::Pid(Pid::from_child(&self.process)), look), Ok(None))
    }
}

/// A port of 127.0.0.1 that was free a moment ago, for servers that cannot choose one.
///
/// # Errors
/// When there is none.
pub(super) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").context("a free port")?.local_addr()?.port())
}

/// Enough of a text to see why something failed, on one line.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join(" / ")
}
