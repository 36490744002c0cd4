//! A person at a real terminal: an ssh login whose screen a test reads and whose keyboard it types on; and the attempt
//! of one to log in, as it looks from outside.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::exec::CommandOutput;
use super::guest::{Guest, login_done};
use super::wait::until;

/// A pty needs no time; the guest and the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);
/// What a program of the harness' own writes, to find out whether a terminal takes anything.
const PROBE: &str = "printf . | dd of=\"/dev/$1\" oflag=nonblock,noctty conv=nocreat,notrunc 2>/dev/null";
/// How much the processes with this title have read.
const CARRIED: &str = "for pid in $(pgrep -f \"^$1\"); do grep ^rchar: \"/proc/$pid/io\" || exit; done";

/// An interactive ssh login with a terminal of its own, which lasts until it is ended or the guest is stopped.
pub struct Terminal<'a, G: Guest> {
    guest: &'a G,
    tag: String,
    session: String,
}

impl<'a, G: Guest> Terminal<'a, G> {
    /// Logs a user in by ssh, from the guest itself, and waits until logind lists the session.
    ///
    /// # Errors
    /// When the login does not come about.
    pub async fn open(guest: &'a G, user: &str) -> anyhow::Result<Self> {
        let tag = format!("{user}-{}", guest.next_login());
        guest.exec(&["systemctl", "start", &unit(&tag)]).await?.success()?;
        let session = login_done(guest, &tag).await?;
        let terminal = Self { guest, tag, session };
        // The prompt: from here on the shell, and not what came before it, is at the terminal.
        terminal.shows("$ ", PATIENCE).await?;
        Ok(terminal)
    }

    /// The session's id.
    pub fn session(&self) -> &str {
        &self.session
    }

    /// Everything that the terminal has shown so far.
    ///
    /// # Errors
    /// When the guest does not answer.
    pub async fn screen(&self) -> anyhow::Result<String> {
        self.guest.exec(&["cat", &self.file("screen")]).await?.success()
    }

    /// Waits until the terminal has shown a text, and gives all that it has shown.
    ///
    /// # Errors
    /// When it does not within this time.
    pub async fn shows(&self, text: &str, limit: Duration) -> anyhow::Result<String> {
        let what = format!("{text:?} on the terminal of {} in {}", self.tag, self.guest.name());
        until(&what, limit, || async {
            let screen = self.screen().await?;
            ensure!(screen.contains(text), "it shows {screen:?}");
            Ok(screen)
        })
        .await
    }

    /// Types on the keyboard.
    ///
    /// # Errors
    /// When the guest does not answer.
    pub async fn type_in(&self, text: &str) -> anyhow::Result<()> {
        let script = "printf %s \"$2\" >\"$1\"";
        self.guest.exec(&["sh", "-c", script, "sh", &self.file("keyboard"), text]).await?.success()?;
        Ok(())
    }

    /// The person leaves: types what ends the shell, and waits until logind has no such session.
    ///
    /// # Errors
    /// When the session stays.
    pub async fn leave(&self) -> anyhow::Result<()> {
        self.type_in("exit\r").await?;
        until(&format!("{} to leave", self.tag), self.guest.patience(), || async {
            let sessions = self.guest.all_sessions().await?;
            ensure!(sessions.iter().all(|session| session.id != self.session), "logind lists it still");
            Ok(())
        })
        .await
    }

    /// Presses Ctrl-S: the terminal takes no output until Ctrl-Q.
    ///
    /// # Errors
    /// When it goes on taking it.
    pub async fn press_ctrl_s(&self) -> anyhow::Result<()> {
        self.type_in("\u{13}").await?;
        self.takes_nothing().await
    }

    /// Lets a program fill the terminal while the program that shows it is stopped, as if the network stood still.
    ///
    /// # Errors
    /// When the terminal goes on taking output.
    pub async fn stop_reading(&self) -> anyhow::Result<()> {
        self.type_in("yes\r").await?;
        self.shows("y\r\ny\r\n", PATIENCE).await?;
        self.guest.exec(&["systemctl", "kill", "--signal=STOP", &unit(&self.tag)]).await?.success()?;
        // While the connection still takes output, the terminal is full for moments only.
        let carried_before = RefCell::new(String::new());
        until(&format!("the connection of {} to be full", self.tag), PATIENCE, || async {
            self.look_whether_full().await?;
            let carried = self.carried().await?;
            ensure!(!carried.is_empty(), "no ssh server has it");
            let before = carried_before.replace(carried.clone());
            ensure!(carried == before, "it still carries output");
            Ok(())
        })
        .await
    }

    /// Makes the terminal look as if nobody had typed on it since then, in words that `date` understands.
    ///
    /// # Errors
    /// When the guest does not answer.
    pub async fn was_last_used(&self, when: &str) -> anyhow::Result<()> {
        let device = format!("/dev/{}", self.device().await?);
        self.guest.exec(&["touch", "-a", "-d", when, &device]).await?.success()?;
        Ok(())
    }

    async fn takes_nothing(&self) -> anyhow::Result<()> {
        let what = format!("the terminal of {} to take nothing", self.tag);
        until(&what, PATIENCE, || self.look_whether_full()).await
    }

    async fn look_whether_full(&self) -> anyhow::Result<()> {
        let device = self.device().await?;
        let probe = self.guest.exec(&["sh", "-c", PROBE, "sh", &device]).await?;
        ensure!(probe.code != 0, "it takes output");
        Ok(())
    }

    /// What the login's ssh server has read so far, of the terminal too.
    async fn carried(&self) -> anyhow::Result<String> {
        let server = format!("sshd.*: {}@pts/", self.user());
        self.guest.exec(&["sh", "-c", CARRIED, "sh", &server]).await?.success()
    }

    /// Its name below `/dev`, from the shell that runs at it: logind does not always know.
    async fn device(&self) -> anyhow::Result<String> {
        let list = ["ps", "-ww", "-o", "tty=,cgroup=", "-U", self.user()];
        let listed = self.guest.exec(&list).await?.success()?;
        let scope = format!("/session-{}.scope", self.session);
        let of_session = listed.lines().filter(|line| line.contains(&scope));
        let mut devices = of_session.filter_map(|line| line.split_whitespace().next());
        let device = devices.find(|device| device.starts_with("pts/"));
        device.map(str::to_owned).with_context(|| format!("no terminal of {} in {listed:?}", self.tag))
    }

    fn user(&self) -> &str {
        self.tag.split_once('-').map_or(self.tag.as_str(), |(user, _)| user)
    }

    fn file(&self, suffix: &str) -> String {
        format!("/run/curfew-test/{}.{suffix}", self.tag)
    }
}

/// Tries to log a user in by ssh and run a command that does nothing. Standard error has what the person is told.
///
/// Some attempts that fail in a row make an OpenSSH from 9.8 on refuse everybody from this address for a while; so this
/// is no way to wait for something.
///
/// # Errors
/// When the guest does not answer.
pub async fn attempt_login(guest: &impl Guest, user: &str) -> anyhow::Result<CommandOutput> {
    let address = format!("{user}@127.0.0.1");
    // What refuses somebody is sent as a banner, and shown from this level on.
    guest.exec(&["ssh", "-o", "BatchMode=yes", "-o", "LogLevel=INFO", &address, "true"]).await
}

fn unit(tag: &str) -> String {
    format!("ssess@{tag}.service")
}
