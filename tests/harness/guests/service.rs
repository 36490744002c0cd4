//! Programs under test that run inside a container guest, as services of its systemd.

use std::path::PathBuf;

use anyhow::Context;

use super::container::Container;
use super::guest::Guest;

/// What to run inside a guest.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServiceSpec<'a> {
    /// The service's name, unique in the guest while it runs.
    pub name: &'a str,
    /// The program, by its full path, and its arguments.
    pub argv: &'a [&'a str],
    /// The user it runs as; root if there is none.
    pub user: Option<&'a str>,
    /// Environment variables.
    pub env: &'a [(&'a str, &'a str)],
}

/// A program that was started inside a guest. It is not stopped with this handle: the guest ends it.
pub struct GuestService<'a> {
    guest: &'a Container,
    unit: String,
    log: PathBuf,
}

impl<'a> GuestService<'a> {
    pub(super) async fn start(
        guest: &'a Container,
        spec: ServiceSpec<'_>,
        log: PathBuf,
    ) -> anyhow::Result<Self> {
        let unit = format!("{}.service", spec.name);
        let mut options = vec![
            format!("--unit={unit}"),
            format!("--property=StandardOutput=append:/run/io/{}.log", spec.name),
            format!("--property=StandardError=append:/run/io/{}.log", spec.name),
        ];
        options.extend(spec.user.map(|user| format!("--uid={user}")));
        options.extend(spec.env.iter().map(|(name, value)| format!("--setenv={name}={value}")));
        let mut argv = vec!["systemd-run", "--quiet", "--collect", "--service-type=exec"];
        argv.extend(options.iter().map(String::as_str));
        argv.push("--");
        argv.extend_from_slice(spec.argv);
        let what = || format!("cannot start {} in {}", spec.name, guest.name());
        guest.exec(&argv).await.and_then(super::CommandOutput::success).with_context(what)?;
        Ok(Self { guest, unit, log })
    }

    /// What it has printed so far, over all its starts in this lab.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Its pid inside the guest; nothing once it has ended.
    pub async fn pid(&self) -> anyhow::Result<Option<u32>> {
        let shown =
            self.guest.exec(&["systemctl", "show", "--property=MainPID", "--value", &self.unit]).await?;
        let pid: u32 = shown.success()?.trim_end().parse().context("systemctl printed no pid")?;
        Ok((pid != 0).then_some(pid))
    }

    /// Sends it a signal, by a name such as `KILL`.
    pub async fn signal(&self, name: &str) -> anyhow::Result<()> {
        let signal = format!("--signal={name}");
        self.guest.exec(&["systemctl", "kill", &signal, &self.unit]).await?.success()?;
        Ok(())
    }
}
