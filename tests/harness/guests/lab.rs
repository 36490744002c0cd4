//! The lab: the place on this machine that guests live in, held by a warden process that cleans up after it.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use std::os::unix::process::CommandExt;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::container::{Container, ContainerSpec};
use super::exec::PATH;
use super::libvirt::Libvirt;
use super::vm::{Vm, VmSpec};

/// A warden may wait for another one that tears down a full lab.
const PATIENCE: Duration = Duration::from_secs(60);

/// A place for guests. It lives until it and all guests made by it are dropped; then nothing is left of any of them.
pub struct GuestLab(Arc<Lab>);

impl GuestLab {
    /// Opens a lab of its own for this test. Needs root.
    pub async fn open() -> anyhow::Result<Self> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "real guests need root; run these tests as root, or leave their tiers out (./tests/run --help)"
        );
        let lab =
            timeout(PATIENCE, spawn_blocking(Lab::open)).await.context("the warden does not answer")???;
        Ok(Self(Arc::new(lab)))
    }

    /// Boots a container guest and waits until it is up.
    pub async fn container(&self, spec: ContainerSpec) -> anyhow::Result<Container> {
        Container::boot(self.0.clone(), spec).await
    }

    /// Boots a virtual machine and waits until its guest agent answers.
    pub async fn vm(&self, spec: VmSpec) -> anyhow::Result<Vm> {
        Vm::boot(self.0.clone(), spec).await
    }

    /// Starts a libvirt of the lab's own, without domains, and waits until it answers.
    pub async fn libvirt(&self) -> anyhow::Result<Libvirt> {
        Libvirt::start(self.0.clone()).await
    }

    /// The folder that holds `NAME.qga`, `NAME.qmp` and `NAME.pid` of every guest, as Proxmox lays them out.
    pub fn run_dir(&self) -> PathBuf {
        self.0.path.join("run")
    }
}

/// The lab's folder, its cgroup, and the warden that removes both when its input closes.
pub(super) struct Lab {
    pub(super) path: PathBuf,
    pub(super) cgroup: PathBuf,
    /// There until the lab is dropped.
    warden: Option<Child>,
}

impl Lab {
    fn open() -> anyhow::Result<Self> {
        let mut warden = Command::new(Self::script("warden"))
            .env_clear()
            .env("PATH", PATH)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // It must outlive a signal that ends the whole test.
            .process_group(0)
            .spawn()
            .context("cannot run the warden")?;
        let mut lines = BufReader::new(warden.stdout.take().context("the warden has no output")?).lines();
        let (Some(path), Some(cgroup)) = (lines.next().transpose()?, lines.next().transpose()?) else {
            let mut complaint = String::new();
            if let Some(mut stderr) = warden.stderr.take() {
                stderr.read_to_string(&mut complaint)?;
            }
            bail!("no lab could be opened: {} ({})", complaint.trim_end(), warden.wait()?);
        };
        Ok(Self { path: path.into(), cgroup: cgroup.into(), warden: Some(warden) })
    }

    /// A script of `tests/guests`.
    pub(super) fn script(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("guests").join(name)
    }

    /// The folder of something that `prepare` builds; an error that says how to build it if it is not there.
    pub(super) async fn image(product: &'static str) -> anyhow::Result<PathBuf> {
        let output = spawn_blocking(move || {
            Command::new(Self::script("prepare")).args(["path", product]).stdin(Stdio::null()).output()
        })
        .await?
        .context("cannot run tests/guests/prepare")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim_end());
        Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()))
    }
}

impl Drop for Lab {
    /// Closes the warden's input and waits for it, so that the next test finds the machine as it was.
    fn drop(&mut self) {
        let Some(mut warden) = self.warden.take() else { return };
        let (ended_tx, ended_rx) = mpsc::channel();
        // Waiting begins with closing the input.
        std::thread::spawn(move || ended_tx.send(warden.wait()));
        if !matches!(ended_rx.recv_timeout(PATIENCE), Ok(Ok(status)) if status.success()) {
            tracing::error!(lab = %self.path.display(), "the warden could not clean up after this lab");
        }
    }
}
