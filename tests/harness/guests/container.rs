//! Container guests: Debian with systemd as pid 1 in namespaces of its own, and the host's kernel.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::exec::{CommandOutput, run};
use super::forward::Forward;
use super::guest::Guest;
use super::lab::Lab;
use super::machine::Machine;
use super::qga::QgaClient;
use super::service::{GuestService, ServiceSpec};

/// Half a second on an idle machine. Many at once on a busy one take their turns.
const BOOT_LIMIT: Duration = Duration::from_secs(90);
const LOGIN_LIMIT: Duration = Duration::from_secs(30);
/// No command that the harness runs takes longer than a moment, unless the guest is frozen.
const EXEC_LIMIT: Duration = Duration::from_secs(30);

/// Which Debian runs in a container guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Debian {
    /// Debian 12: systemd 252, sessions in utmp.
    Bookworm,
    /// Debian 13: systemd 257, no utmp at all.
    Trixie,
}

impl Debian {
    fn image(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }
}

/// What container guest to boot.
#[derive(Debug, Clone)]
pub struct ContainerSpec {
    /// Its name in the lab and its host name.
    pub name: String,
    /// Its operating system.
    pub debian: Debian,
    /// Whether the QEMU guest agent runs in it.
    pub agent: bool,
}

impl ContainerSpec {
    /// A Debian 12 guest with a guest agent.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), debian: Debian::Bookworm, agent: true }
    }

    /// The same with another Debian.
    #[must_use]
    pub fn debian(self, debian: Debian) -> Self {
        Self { debian, ..self }
    }

    /// The same without a guest agent: its socket never appears.
    #[must_use]
    pub fn without_agent(self) -> Self {
        Self { agent: false, ..self }
    }
}

/// A container guest. Dropping it pulls the plug.
pub struct Container {
    machine: Machine,
    spec: ContainerSpec,
    image: PathBuf,
}

impl Container {
    pub(super) async fn boot(lab: Arc<Lab>, spec: ContainerSpec) -> anyhow::Result<Self> {
        let image = Lab::image(spec.debian.image()).await?;
        let container = Self { machine: Machine::new(lab, spec.name.clone())?, spec, image };
        container.start().await?;
        Ok(container)
    }

    /// The guest's UUID, the same after each of its reboots; its machine id too.
    pub fn uuid(&self) -> &str {
        &self.machine.uuid
    }

    /// The guest agent's socket. It has room for one client, and the harness leaves it alone once the guest is up.
    pub fn qga_socket(&self) -> PathBuf {
        self.machine.file("qga")
    }

    /// The file with the pid of the guest's outer process on the host. It stays after [`Container::stop`], like that of
    /// a hypervisor that was killed.
    pub fn pidfile(&self) -> PathBuf {
        self.machine.file("pid")
    }

    /// The last lines of the guest's console.
    pub fn console_tail(&self) -> String {
        self.machine.console_tail()
    }

    /// Whether the guest's outer process is there.
    pub fn is_running(&self) -> bool {
        self.machine.is_running()
    }

    /// Boots a guest that was stopped: same name, UUID and disk, new boot id.
    pub async fn start(&self) -> anyhow::Result<()> {
        let machine = &self.machine;
        ensure!(!machine.is_running(), "the guest {} runs already", machine.name);
        // One that powered itself off has left its cgroup behind.
        machine.kill().await?;
        // A pid of the last boot must not be taken for this one's.
        let _ = std::fs::remove_file(machine.file("init"));
        let agent = if self.spec.agent { "agent" } else { "no-agent" };
        let (name, uuid) = (Path::new(&machine.name), Path::new(&machine.uuid));
        let arguments = [&self.image, &machine.lab.path, &machine.lab.cgroup, name, uuid, Path::new(agent)]
            .map(AsRef::as_ref);
        machine.launch("boot-container", &arguments)?;
        machine.booted(BOOT_LIMIT, || self.is_up()).await
    }

    /// Pulls the plug. What the guest had written to its disk is there when it is started again.
    pub async fn stop(&self) -> anyhow::Result<()> {
        self.machine.kill().await
    }

    /// Stops every process of the guest where it is: its sockets take connections, and nobody answers.
    pub async fn freeze(&self) -> anyhow::Result<()> {
        self.machine.cgroup.set_frozen(true).await
    }

    /// Lets a frozen guest go on.
    pub async fn thaw(&self) -> anyhow::Result<()> {
        self.machine.cgroup.set_frozen(false).await
    }

    /// Copies a file of the host into the guest, executable, and makes the folders above it.
    pub async fn copy_in(&self, path_on_host: &Path, path_in_guest: &str) -> anyhow::Result<()> {
        let file =
            File::open(path_on_host).with_context(|| format!("cannot read {}", path_on_host.display()))?;
        let argv = ["install", "-D", "--mode=755", "/dev/stdin", path_in_guest];
        self.exec_with(&argv, file.into()).await?.success()?;
        Ok(())
    }

    /// Starts a program inside the guest as a service of its systemd, so that it stops, freezes and dies with the guest.
    pub async fn spawn(&self, spec: ServiceSpec<'_>) -> anyhow::Result<GuestService<'_>> {
        let log =
            self.machine.lab.path.join("io").join(&self.machine.name).join(format!("{}.log", spec.name));
        GuestService::start(self, spec, log).await
    }

    /// Makes a TCP port of the host's loopback reachable at the same port of the guest's, whose network leads nowhere
    /// else. It lasts until the handle is dropped or the guest is stopped.
    pub async fn forward(&self, port: u16) -> anyhow::Result<Forward> {
        Forward::open(self, &self.machine.lab.path.join("io").join(&self.machine.name), port).await
    }

    async fn is_up(&self) -> anyhow::Result<()> {
        let output = self.exec(&["systemctl", "is-system-running"]).await?;
        let state = output.stdout.trim_end();
        ensure!(
            state == "running" || state == "degraded",
            "systemd says {state:?} {}",
            output.stderr.trim_end()
        );
        if self.spec.agent {
            QgaClient::connect(&self.qga_socket()).await?;
        }
        Ok(())
    }

    async fn exec_with(&self, argv: &[&str], stdin: Stdio) -> anyhow::Result<CommandOutput> {
        let what = || format!("{argv:?} in {}", self.machine.name);
        let mut command = tokio::process::Command::new(Lab::script("enter"));
        command.arg(&self.machine.lab.path).arg(&self.machine.name).args(argv);
        run(&mut command, stdin, EXEC_LIMIT).await.with_context(what)
    }
}

impl Guest for Container {
    fn name(&self) -> &str {
        &self.machine.name
    }

    fn patience(&self) -> Duration {
        LOGIN_LIMIT
    }

    fn next_login(&self) -> u32 {
        self.machine.next_login()
    }

    async fn exec(&self, argv: &[&str]) -> anyhow::Result<CommandOutput> {
        self.exec_with(argv, Stdio::null()).await
    }
}
