//! The part of a guest that lives on the host: the script that boots it, its outer process, its files in the lab.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use std::os::unix::process::CommandExt;

use super::cgroup::Cgroup;
use super::exec::PATH;
use super::lab::Lab;
use super::wait::until;

/// How much of a guest's console an error quotes.
const CONSOLE_TAIL_LINES: usize = 40;

/// A guest as the host sees it. Dropping it pulls the plug.
pub(super) struct Machine {
    pub(super) name: String,
    pub(super) uuid: String,
    pub(super) lab: Arc<Lab>,
    pub(super) cgroup: Cgroup,
    outer: Mutex<Option<Child>>,
    logins: AtomicU32,
}

impl Machine {
    pub(super) fn new(lab: Arc<Lab>, name: String) -> anyhow::Result<Self> {
        let is_host_name = !name.is_empty()
            && name.len() <= 40
            && !name.starts_with('-')
            && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
        anyhow::ensure!(is_host_name, "{name:?} cannot be a guest's name: letters, digits and hyphens only");
        let uuid =
            std::fs::read_to_string("/proc/sys/kernel/random/uuid").context("no uuid from the kernel")?;
        Ok(Self {
            cgroup: Cgroup::new(lab.cgroup.join(&name)),
            uuid: uuid.trim_end().to_owned(),
            outer: Mutex::new(None),
            logins: AtomicU32::new(0),
            name,
            lab,
        })
    }

    /// Starts a boot script of `tests/guests` as the guest's outer process.
    pub(super) fn launch(&self, script: &str, arguments: &[&Path]) -> anyhow::Result<()> {
        let script = Lab::script(script);
        let log_path = self.file("boot.log");
        let log = std::fs::File::create(&log_path)
            .with_context(|| format!("cannot create {}", log_path.display()))?;
        let child = Command::new(&script)
            .args(arguments)
            .env_clear()
            .env("PATH", PATH)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Out of the test's process group: a signal to that one must not end guests behind the harness' back.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot run {}", script.display()))?;
        *self.outer.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        Ok(())
    }

    /// Waits until `ready` succeeds, and fails at once, with the console's last lines, if the guest dies before.
    pub(super) async fn booted<Ready, Readying>(&self, limit: Duration, ready: Ready) -> anyhow::Result<()>
    where
        Ready: Fn() -> Readying,
        Readying: Future<Output = anyhow::Result<()>>,
    {
        let what = format!("the guest {} to boot", self.name);
        // The inner result is for good, the outer one may change.
        let look = || async {
            if !self.is_running() {
                return Ok(Err(anyhow!("the guest {} died while it booted", self.name)));
            }
            ready().await.map(Ok)
        };
        until(&what, limit, look).await.and_then(|alive| alive).with_context(|| self.console_tail())
    }

    /// Whether the outer process is there.
    pub(super) fn is_running(&self) -> bool {
        let mut outer = self.outer.lock().unwrap_or_else(PoisonError::into_inner);
        outer.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Pulls the plug: kills every process of the guest and waits until they are gone. What a killed machine leaves
    /// behind, such as its pid file and its socket, stays.
    pub(super) async fn kill(&self) -> anyhow::Result<()> {
        self.cgroup.kill()?;
        self.cgroup.remove().await.with_context(|| format!("cannot stop the guest {}", self.name))?;
        self.reap();
        Ok(())
    }

    /// A file of this guest in the lab's run folder.
    pub(super) fn file(&self, extension: &str) -> PathBuf {
        self.lab.path.join("run").join(format!("{}.{extension}", self.name))
    }

    /// The last lines of the boot script's and the guest's output, for error messages.
    pub(super) fn console_tail(&self) -> String {
        let mut text = format!("the console of {} ends with:", self.name);
        for file in ["boot.log", "console"] {
            let log = std::fs::read(self.file(file)).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<&str> = log.lines().collect();
            for line in &lines[lines.len().saturating_sub(CONSOLE_TAIL_LINES)..] {
                text.push_str("\n    ");
                text.push_str(line.trim_end());
            }
        }
        text
    }

    pub(super) fn next_login(&self) -> u32 {
        self.logins.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Collects the outer process, which has been killed by now.
    fn reap(&self) {
        let child = self.outer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut child) = child {
            let _ = child.wait();
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Errors have nobody to go to here, and the lab's warden kills whatever is left.
        if self.is_running() && self.cgroup.kill().is_ok() {
            self.reap();
        }
    }
}
