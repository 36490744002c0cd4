//! A disk that is small enough to be filled: a tmpfs in a mount namespace of the test's own, of which nothing is left
//! when the test ends, however it ends.

use anyhow::{Context as _, ensure};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Says that a test runs in a namespace of its own already.
const INSIDE: &str = "CURFEW_TEST_OWN_MOUNTS";

/// Runs the test of this name again, alone and in a mount namespace of its own, unless that is where it is called.
/// Returns whether it is; if not, the test has passed there.
///
/// # Errors
/// When it failed there, or there can be no namespace: it takes root, or namespaces for everybody.
pub fn is_own_namespace(test: &str) -> anyhow::Result<bool> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(true);
    }
    // A directory with a disk in it cannot be removed in there; out here, where the disk is not, it can.
    let directory = tempfile::Builder::new().prefix("curfew-disk-").tempdir().context("a directory")?;
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "--propagation", "private", "--"]);
    command.arg(std::env::current_exe()?).args(["--exact", test, "--nocapture"]);
    command.env(INSIDE, "1").env("TMPDIR", directory.path());
    let output = command.output().context("running unshare, of Debian's package util-linux")?;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(
        output.status.success(),
        "in a mount namespace of its own, which takes root or user namespaces, {test} ended with {}:\n{said}",
        output.status
    );
    ensure!(said.contains("1 passed"), "there is no test {test}:\n{said}");
    Ok(false)
}

/// A disk of a few MiB.
pub struct SmallDisk {
    ballast: PathBuf,
}

impl SmallDisk {
    /// A disk of this many MiB, to be found at `path`.
    ///
    /// # Errors
    /// When it cannot be mounted.
    pub fn mount(path: &Path, mib: u32) -> anyhow::Result<SmallDisk> {
        std::fs::create_dir_all(path)?;
        let options = format!("size={mib}m,mode=700");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path);
        let output = command.output().context("running mount")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(SmallDisk { ballast: path.join("ballast") })
    }

    /// Fills it to the last byte.
    ///
    /// # Errors
    /// When something else than the lack of space ends it.
    pub fn fill(&self) -> anyhow::Result<()> {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&self.ballast)?;
        for size in [64 * 1024, 4096, 1] {
            loop {
                match file.write_all(&vec![b'.'; size]) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error).context("filling the disk"),
                }
            }
        }
        Ok(())
    }

    /// Makes room again.
    ///
    /// # Errors
    /// When the ballast cannot be removed.
    pub fn free(&self) -> anyhow::Result<()> {
        std::fs::remove_file(&self.ballast).context("making room")
    }
}
