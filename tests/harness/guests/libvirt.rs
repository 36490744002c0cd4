//! A libvirt of the lab's own, and its domains: the same machines as [`super::vm::Vm`], held by libvirt.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use serde_json::{Value, json};

use super::exec::{CommandOutput, run};
use super::guest::Guest;
use super::lab::Lab;
use super::machine::Machine;
use super::qga::output_of;
use super::vm::{ACCEL, BOOT_LIMIT, LOGIN_LIMIT};
use super::wait::{Patience, until};

/// A second on an idle machine, two more where it tries whether KVM works.
const START_LIMIT: Duration = Duration::from_secs(60);
/// libvirt answers at once; under emulation an agent can take seconds.
const VIRSH_LIMIT: Duration = Duration::from_secs(60);
const DOMAIN: &str = include_str!("../../guests/domain.xml");

/// libvirt's daemon. Dropping it pulls the plug of its domains too.
pub struct Libvirt {
    daemon: Machine,
}

impl Libvirt {
    pub(super) async fn start(lab: Arc<Lab>) -> anyhow::Result<Self> {
        let (image, toolbox) = (Lab::image("vm").await?, Lab::image("toolbox").await?);
        let accelerator = std::env::var(ACCEL).unwrap_or_else(|_| "any".to_owned());
        let libvirt = Self { daemon: Machine::new(lab, "libvirt".to_owned())? };
        let daemon = &libvirt.daemon;
        let arguments = [&image, &toolbox, &daemon.lab.path, &daemon.lab.cgroup, Path::new(&accelerator)]
            .map(AsRef::as_ref);
        daemon.launch("boot-libvirt", &arguments)?;
        daemon.booted(START_LIMIT, || async { libvirt.virsh(&["list"]).await.map(drop) }).await?;
        Ok(libvirt)
    }

    /// The program that speaks to this libvirt, to be used as `virsh`.
    pub fn program(&self) -> PathBuf {
        self.daemon.lab.path.join("run/virsh")
    }

    /// Defines a domain, boots it, and waits until its guest agent answers.
    pub async fn domain(&self, name: &str) -> anyhow::Result<Domain<'_>> {
        let run_dir = self.daemon.lab.path.join("run");
        let accelerator = std::fs::read_to_string(run_dir.join("libvirt.accelerator"))?;
        let uuid =
            std::fs::read_to_string("/proc/sys/kernel/random/uuid").context("no uuid from the kernel")?;
        let uuid = uuid.trim_end().to_owned();
        let kind = if accelerator.trim_end() == "kvm" { "kvm" } else { "qemu" };
        let xml = DOMAIN.replace("@NAME@", name).replace("@UUID@", &uuid).replace("@TYPE@", kind);
        std::fs::write(run_dir.join(format!("{name}.xml")), xml)?;
        self.virsh(&["define", &format!("/lab/{name}.xml")]).await?;
        let domain = Domain { libvirt: self, name: name.to_owned(), uuid, logins: AtomicU32::new(0) };
        domain.start().await?;
        Ok(domain)
    }

    async fn virsh(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = tokio::process::Command::new(self.program());
        command.arg("--quiet").args(arguments);
        let output = run(&mut command, Stdio::null(), VIRSH_LIMIT).await;
        output.and_then(CommandOutput::success).with_context(|| format!("virsh {arguments:?}"))
    }
}

/// A domain. There is no way into it but its guest agent, through libvirt: what was said of [`super::vm::Vm`] holds.
pub struct Domain<'libvirt> {
    libvirt: &'libvirt Libvirt,
    name: String,
    uuid: String,
    logins: AtomicU32,
}

impl Domain<'_> {
    /// The UUID that libvirt has for it.
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// Boots it after it was shut off, and waits until its guest agent answers.
    pub async fn start(&self) -> anyhow::Result<()> {
        self.libvirt.virsh(&["start", &self.name]).await?;
        self.answers().await
    }

    /// Waits until its guest agent answers and the system is up.
    pub async fn answers(&self) -> anyhow::Result<()> {
        let what = format!("the domain {} to answer", self.name);
        until(&what, BOOT_LIMIT, || async {
            let output = self.exec(&["systemctl", "is-system-running"]).await?;
            let state = output.stdout.trim_end();
            ensure!(
                state == "running" || state == "degraded",
                "systemd says {state:?} {}",
                output.stderr.trim_end()
            );
            Ok(())
        })
        .await
    }

    /// Stops its processors.
    pub async fn suspend(&self) -> anyhow::Result<()> {
        self.libvirt.virsh(&["suspend", &self.name]).await.map(drop)
    }

    /// Lets a suspended domain go on.
    pub async fn resume(&self) -> anyhow::Result<()> {
        self.libvirt.virsh(&["resume", &self.name]).await.map(drop)
    }

    /// Pulls the plug; libvirt calls that destroying, and the domain is shut off then.
    pub async fn shut_off(&self) -> anyhow::Result<()> {
        self.libvirt.virsh(&["destroy", &self.name]).await.map(drop)
    }

    async fn agent(&self, command: &str, arguments: Value) -> anyhow::Result<Value> {
        let request = json!({ "execute": command, "arguments": arguments }).to_string();
        let reply = self.libvirt.virsh(&["qemu-agent-command", &self.name, &request]).await?;
        let mut reply: Value =
            serde_json::from_str(&reply).with_context(|| format!("{command} got garbage"))?;
        Ok(reply["return"].take())
    }
}

impl Guest for Domain<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn patience(&self) -> Duration {
        LOGIN_LIMIT
    }

    fn next_login(&self) -> u32 {
        self.logins.fetch_add(1, Ordering::Relaxed) + 1
    }

    async fn exec(&self, argv: &[&str]) -> anyhow::Result<CommandOutput> {
        let (path, arguments) = argv.split_first().context("a command needs a name")?;
        let order = json!({ "path": path, "arg": arguments, "capture-output": true });
        let pid = self.agent("guest-exec", order).await?["pid"].take();
        let what = format!("the end of {argv:?} in {}", self.name);
        let mut patience = Patience::new(&what, VIRSH_LIMIT);
        loop {
            let status = self.agent("guest-exec-status", json!({ "pid": pid })).await?;
            if status["exited"] == true {
                return output_of(&status);
            }
            patience.pause(anyhow!("it still runs")).await?;
        }
    }
}
