//! A guest's control group: the handle to all of its processes at once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};

use super::wait::until;

/// The kernel needs milliseconds; a loaded machine gets more.
const PATIENCE: Duration = Duration::from_secs(10);

/// A version 2 cgroup. It exists from the guest's first start until [`Cgroup::remove`].
#[derive(Debug)]
pub(super) struct Cgroup(PathBuf);

impl Cgroup {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Stops or continues every process, and waits until the kernel says that it has.
    pub(super) async fn set_frozen(&self, frozen: bool) -> anyhow::Result<()> {
        let digit = if frozen { "1" } else { "0" };
        self.write("cgroup.freeze", digit)?;
        let wanted = format!("frozen {digit}");
        until("the freezer", PATIENCE, || async { self.expect_event(&wanted) }).await
    }

    /// Kills every process with SIGKILL, frozen or not. Nothing happens where there is none.
    pub(super) fn kill(&self) -> anyhow::Result<()> {
        if self.0.exists() { self.write("cgroup.kill", "1") } else { Ok(()) }
    }

    /// Waits until the last process is gone, then removes the group with all below it.
    pub(super) async fn remove(&self) -> anyhow::Result<()> {
        if !self.0.exists() {
            return Ok(());
        }
        self.write("cgroup.freeze", "0")?;
        until("a killed guest's processes to be gone", PATIENCE, || async {
            self.expect_event("populated 0")
        })
        .await?;
        until("a killed guest's cgroup to be removed", PATIENCE, || async { remove_tree(&self.0) }).await
    }

    fn expect_event(&self, wanted: &str) -> anyhow::Result<()> {
        let file = self.0.join("cgroup.events");
        let events =
            std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        ensure!(events.lines().any(|line| line == wanted), "{} says {events:?}", file.display());
        Ok(())
    }

    fn write(&self, file: &str, text: &str) -> anyhow::Result<()> {
        let file = self.0.join(file);
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    }
}

/// Removes a cgroup from its leaves up. Their files belong to the kernel and go with them.
fn remove_tree(cgroup: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(cgroup)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    std::fs::remove_dir(cgroup).with_context(|| format!("cannot remove {}", cgroup.display()))
}
