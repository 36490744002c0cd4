//! What any real guest can do for a test, container or VM: run commands, log people in, say who is there.

use std::time::Duration;

use anyhow::{Context, ensure};

use super::exec::CommandOutput;
use super::logind::{self, LogindSession};
use super::wait::until;

/// The guest's own end of a test login; see `tests/guests/images/guest`.
const SESSION: &str = "/usr/local/lib/curfew-test/session";

/// A running guest. The users `alice`, `bob`, `carol` and `dave` exist in each.
pub trait Guest: Sync {
    /// The guest's name: its host name too.
    fn name(&self) -> &str;

    /// How long this kind of guest may take for a login before it counts as broken.
    fn patience(&self) -> Duration;

    /// A number that no other login of this guest has.
    fn next_login(&self) -> u32;

    /// Runs a command as root inside the guest and waits for its end.
    fn exec(&self, argv: &[&str]) -> impl Future<Output = anyhow::Result<CommandOutput>> + Send;

    /// The sessions of people, as logind lists them.
    fn sessions(&self) -> impl Future<Output = anyhow::Result<Vec<LogindSession>>> + Send {
        async { Ok(self.all_sessions().await?.into_iter().filter(LogindSession::is_a_persons).collect()) }
    }

    /// The sessions of every class, those of service managers (from systemd 256 on) included.
    fn all_sessions(&self) -> impl Future<Output = anyhow::Result<Vec<LogindSession>>> + Send {
        async move { logind::all_sessions(self).await }
    }

    /// The processes of a user's logins, by their pids inside the guest. The user's service manager, which stays some
    /// seconds longer by design, does not count.
    fn processes_of(&self, user: &str) -> impl Future<Output = anyhow::Result<Vec<u32>>> + Send {
        async move {
            let output = self.exec(&["ps", "-ww", "-o", "pid=,cgroup=", "-U", user]).await?;
            // ps ends with 1 when it finds nobody.
            ensure!(output.code <= 1 && output.stderr.is_empty(), "ps: {}", output.stderr.trim_end());
            let logins = output.stdout.lines().filter(|line| !line.contains("/user@"));
            logins
                .filter_map(|line| line.split_whitespace().next())
                .map(|pid| pid.parse().with_context(|| format!("ps printed {:?}", output.stdout)))
                .collect()
        }
    }

    /// Logs a user in by ssh, with a terminal and a shell, and returns the session's id.
    fn login_ssh(&self, user: &str) -> impl Future<Output = anyhow::Result<String>> + Send {
        async move {
            let tag = format!("{user}-{}", self.next_login());
            let unit = format!("ssess@{tag}.service");
            self.exec(&["systemctl", "start", &unit]).await?.success()?;
            login_done(self, &tag).await
        }
    }

    /// Logs a user in through PAM, without a terminal, and returns the session's id.
    fn login_pam(&self, user: &str) -> impl Future<Output = anyhow::Result<String>> + Send {
        async move { login_through_pam(self, user, "idle").await }
    }

    /// Logs a user in through PAM whose only process ignores HUP and TERM, and returns the session's id.
    fn login_stubborn(&self, user: &str) -> impl Future<Output = anyhow::Result<String>> + Send {
        async move { login_through_pam(self, user, "stubborn").await }
    }
}

async fn login_through_pam(
    guest: &(impl Guest + ?Sized),
    user: &str,
    behaviour: &str,
) -> anyhow::Result<String> {
    let number = guest.next_login();
    let tag = format!("{user}-{number}");
    let unit = format!("--unit=login-{tag}");
    let user = format!("--property=User={user}");
    // utmp has room for four characters.
    let utmp = format!("--property=UtmpIdentifier={}", number % 10_000);
    // Without the class, Debian 13 takes a login that has no terminal for a background job.
    let class = "--setenv=XDG_SESSION_CLASS=user";
    let run = ["systemd-run", "--quiet", "--collect", &unit, "--property=PAMName=login", &user, &utmp];
    let rest = ["--property=UtmpMode=user", class, "--", SESSION, &tag, behaviour];
    guest.exec(&[run.as_slice(), rest.as_slice()].concat()).await?.success()?;
    login_done(guest, &tag).await
}

/// Waits until the login says which session it got and logind lists that session as open.
pub(super) async fn login_done(guest: &(impl Guest + ?Sized), tag: &str) -> anyhow::Result<String> {
    let note = format!("/run/curfew-test/{tag}");
    let what = format!("the login {tag} in {}", guest.name());
    until(&what, guest.patience(), || async {
        let id = guest.exec(&["cat", &note]).await?.success()?.trim_end().to_owned();
        let sessions = guest.all_sessions().await?;
        let session =
            sessions.iter().find(|session| session.id == id).context("logind does not list it yet")?;
        ensure!(session.is_a_persons(), "it became a session of class {}", session.class);
        ensure!(session.state != "opening", "it is still opening");
        Ok(id)
    })
    .await
}
