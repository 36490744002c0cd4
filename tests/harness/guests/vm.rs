//! Virtual machines: Debian with a kernel of its own under QEMU, its guest agent behind a virtio port.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::json;

use super::exec::CommandOutput;
use super::guest::Guest;
use super::lab::Lab;
use super::logind::LogindSession;
use super::machine::Machine;
use super::qga::QgaClient;
use super::qmp::QmpClient;
use super::wait::until;

/// Emulated on two loaded cores a boot takes half a minute; a machine that builds at the same time takes longer.
pub(super) const BOOT_LIMIT: Duration = Duration::from_secs(240);
pub(super) const LOGIN_LIMIT: Duration = Duration::from_secs(120);
/// `kvm` or `tcg`; without it QEMU takes KVM where it can and emulates elsewhere.
pub(super) const ACCEL: &str = "CURFEW_TEST_ACCEL";

/// What virtual machine to boot.
#[derive(Debug, Clone)]
pub struct VmSpec {
    /// Its name in the lab.
    pub name: String,
}

impl VmSpec {
    /// A Debian 12 machine.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }
}

/// A virtual machine. Dropping it pulls the plug.
///
/// There is no way into it but its guest agent: [`Guest::exec`], and all that is built on it, must not be called while
/// the product under test uses the socket. Each call connects, synchronises, and hangs up.
pub struct Vm {
    machine: Machine,
}

impl Vm {
    pub(super) async fn boot(lab: Arc<Lab>, spec: VmSpec) -> anyhow::Result<Self> {
        let (image, toolbox) = (Lab::image("vm").await?, Lab::image("toolbox").await?);
        let accelerator = std::env::var(ACCEL).unwrap_or_else(|_| "any".to_owned());
        let vm = Self { machine: Machine::new(lab, spec.name)? };
        let machine = &vm.machine;
        let (name, uuid) = (Path::new(&machine.name), Path::new(&machine.uuid));
        let lab = &machine.lab;
        let arguments = [&image, &toolbox, &lab.path, &lab.cgroup, name, uuid, Path::new(&accelerator)]
            .map(AsRef::as_ref);
        machine.launch("boot-vm", &arguments)?;
        machine.booted(BOOT_LIMIT, || vm.is_up()).await?;
        Ok(vm)
    }

    /// The UUID that QEMU was given: what QMP's `query-uuid` and the guest's firmware tables say.
    pub fn uuid(&self) -> &str {
        &self.machine.uuid
    }

    /// The guest agent's socket, with room for one client.
    pub fn qga_socket(&self) -> PathBuf {
        self.machine.file("qga")
    }

    /// The monitor's socket, with room for one client.
    pub fn qmp_socket(&self) -> PathBuf {
        self.machine.file("qmp")
    }

    /// The file with QEMU's pid on the host.
    pub fn pidfile(&self) -> PathBuf {
        self.machine.file("pid")
    }

    /// The last lines of the guest's console.
    pub fn console_tail(&self) -> String {
        self.machine.console_tail()
    }

    /// Whether QEMU is there.
    pub fn is_running(&self) -> bool {
        self.machine.is_running()
    }

    /// Logs a user in on the machine's own screen, `tty1`, which must be free. Returns the session's id.
    pub async fn login_console(&self, user: &str) -> anyhow::Result<String> {
        let unit = format!("console-login@{user}.service");
        self.exec(&["systemctl", "start", &unit]).await?.success()?;
        until(&format!("{user} on the console of {}", self.name()), LOGIN_LIMIT, || async {
            let sessions = self.sessions().await?;
            let on_screen = |session: &&LogindSession| session.tty == "tty1" && session.user == user;
            Ok(sessions.iter().find(on_screen).context("logind does not list it yet")?.id.clone())
        })
        .await
    }

    /// Stops the machine's processors. Its sockets stay.
    pub async fn pause(&self) -> anyhow::Result<()> {
        self.monitor("stop").await
    }

    /// Lets a paused machine go on.
    pub async fn resume(&self) -> anyhow::Result<()> {
        self.monitor("cont").await
    }

    /// Pulls the plug.
    pub async fn kill(&self) -> anyhow::Result<()> {
        self.machine.kill().await
    }

    async fn monitor(&self, command: &str) -> anyhow::Result<()> {
        QmpClient::connect(&self.qmp_socket()).await?.call(command, json!({})).await?;
        Ok(())
    }

    async fn is_up(&self) -> anyhow::Result<()> {
        let output = self.exec(&["systemctl", "is-system-running"]).await?;
        let state = output.stdout.trim_end();
        ensure!(
            state == "running" || state == "degraded",
            "systemd says {state:?} {}",
            output.stderr.trim_end()
        );
        Ok(())
    }
}

impl Guest for Vm {
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
        let what = || format!("{argv:?} in {}", self.machine.name);
        QgaClient::connect(&self.qga_socket()).await.with_context(what)?.exec(argv).await.with_context(what)
    }
}
