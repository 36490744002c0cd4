//! Several people at a machine's own screen: who sits in front of it, and who was switched away from it.

use anyhow::{Context as _, ensure};

use super::guest::Guest;
use super::logind::LogindSession;
use super::vm::Vm;
use super::wait::until;

/// What `chvt` does, which the guest has no program for: VT_ACTIVATE, then VT_WAITACTIVE.
const SWITCH: &str = "open(my $screen, '+<', '/dev/tty0') or die $!; \
     ioctl($screen, $_, $ARGV[0] + 0) or die $! for 0x5606, 0x5607";

impl Vm {
    /// Logs a user in on one of the machine's other virtual terminals, which need not be the one in front. Returns the
    /// session's id.
    ///
    /// # Errors
    /// When the login does not come about.
    pub async fn login_behind(&self, user: &str, terminal: u8) -> anyhow::Result<String> {
        let tty = format!("tty{terminal}");
        let (unit, path) = (format!("--unit=login-{tty}"), format!("--property=TTYPath=/dev/{tty}"));
        let utmp = format!("--property=UtmpIdentifier={tty}");
        let run = ["systemd-run", "--quiet", "--collect", &unit, &path, &utmp];
        // As the system's own units for virtual terminals have it.
        let at_terminal = [
            "--property=StandardInput=tty",
            "--property=StandardOutput=tty",
            "--property=TTYReset=yes",
            "--property=TTYVHangup=yes",
            "--property=KillMode=process",
            "--property=IgnoreSIGPIPE=no",
            "--property=SendSIGHUP=yes",
        ];
        let login = ["/sbin/agetty", "--autologin", user, "--noclear", &tty, "linux"];
        self.exec(&[run.as_slice(), &at_terminal, &login].concat()).await?.success()?;
        until(&format!("{user} on {tty} of {}", self.name()), self.patience(), || async {
            let sessions = self.sessions().await?;
            let there = |session: &&LogindSession| session.tty == tty && session.user == user;
            let session = sessions.iter().find(there).context("logind does not list it yet")?;
            ensure!(session.state != "opening", "it is still opening");
            Ok(session.id.clone())
        })
        .await
    }

    /// Switches the screen to a virtual terminal, and waits until logind says that its session is in front.
    ///
    /// # Errors
    /// When it is not, after a while.
    pub async fn switch_to(&self, terminal: u8) -> anyhow::Result<()> {
        let (tty, number) = (format!("tty{terminal}"), terminal.to_string());
        self.exec(&["perl", "-e", SWITCH, &number]).await?.success()?;
        until(&format!("{tty} of {} is in front", self.name()), self.patience(), || async {
            let sessions = self.sessions().await?;
            let states: Vec<_> = sessions.iter().map(|session| (&session.tty, &session.state)).collect();
            ensure!(states.contains(&(&tty, &"active".to_owned())), "{states:?}");
            Ok(())
        })
        .await
    }
}
