//! pdsh and ClusterShell: a command to every host over ssh. All hosts are one sshd of the bench's own on a port of
//! 127.0.0.1, with keys of its own; the system's sshd, its keys and the user's are not touched.

use super::site::{Site, free_port};
use super::{Run, few, point, product};
use anyhow::{Context as _, ensure};
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Hosts that are asked at a time: ClusterShell's default.
const FANOUT: &str = "64";
/// A login takes a tenth of a second of CPU: more hosts say no more.
const MOST: u32 = 200;
/// What every host says, so that it is seen that it was asked.
const SAID: &str = "curfew";
/// Where an sshd that root started shuts its child in. Debian makes it when it starts its own.
const EMPTY: &str = "/run/sshd";

/// Measures pdsh.
///
/// # Errors
/// When it or sshd cannot be had, or not every host answers.
pub(super) async fn measure_pdsh(hosts: u32, rounds: usize) -> anyhow::Result<Run> {
    let program = product::program("pdsh").await?;
    let ground = Ground::start().await?;
    let version = ground.site.version(&program, "-V").await?;
    let to_ours = format!("-F {}", ground.config()?);
    let extra = [("PDSH_SSH_ARGS_APPEND", to_ours.as_str())];
    measure(hosts, rounds, version, async |hosts: u32| {
        let names = format!("host[1-{hosts}]");
        let args = ["-R", "ssh", "-S", "-f", FANOUT, "-w", &names, "echo", SAID];
        let (answers, took) = ground.site.run(&program, &args, &extra).await?;
        all_answered(&answers, hosts).map(|()| took)
    })
    .await
}

/// Measures ClusterShell's `clush`.
///
/// # Errors
/// When it or sshd cannot be had, or not every host answers.
pub(super) async fn measure_clush(hosts: u32, rounds: usize) -> anyhow::Result<Run> {
    let program = product::program("clustershell").await?;
    let ground = Ground::start().await?;
    let version = ground.site.version(&program, "--version").await?;
    let to_ours = format!("-F {}", ground.config()?);
    measure(hosts, rounds, version, async |hosts: u32| {
        let names = format!("host[1-{hosts}]");
        let args = ["-R", "ssh", "-S", "-f", FANOUT, "-o", &to_ours, "-w", &names, "echo", SAID];
        let (answers, took) = ground.site.run(&program, &args, &[]).await?;
        all_answered(&answers, hosts).map(|()| took)
    })
    .await
}

async fn measure(
    hosts: u32,
    rounds: usize,
    version: String,
    round: impl AsyncFn(u32) -> anyhow::Result<Duration>,
) -> anyhow::Result<Run> {
    let many = hosts.min(MOST);
    let few = point(few(many), rounds, async || round(few(many)).await).await?;
    let many = point(many, rounds, async || round(many).await).await?;
    Ok(Run { version, few, many, rounds })
}

fn all_answered(answers: &str, hosts: u32) -> anyhow::Result<()> {
    let answered = answers.lines().filter(|line| line.ends_with(&format!(": {SAID}"))).count();
    ensure!(answered == hosts as usize, "{answered} of {hosts} hosts answered");
    Ok(())
}

/// An sshd that lets this user in with one key, and what its clients need.
struct Ground {
    site: Site,
    config: PathBuf,
    // Dropped after `site`, whose sshd needs it.
    _empty: Option<Empty>,
}

impl Ground {
    async fn start() -> anyhow::Result<Ground> {
        let sshd = product::program("sshd").await?;
        let empty = Empty::make()?;
        let mut site = Site::new()?;
        for name in ["host", "user"] {
            let file = site.path(name);
            let file = file.to_str().context("a key's path")?;
            let args = ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", file];
            site.run(Path::new("ssh-keygen"), &args, &[]).await?;
        }
        let port = free_port()?;
        let host_key = fs::read_to_string(site.path("host.pub"))?;
        site.write("known", &format!("peer {host_key}"))?;
        let folder = site.path("");
        let folder = folder.to_str().context("the folder's path")?;
        let config = site.write("client", &client_config(folder, port))?;
        let server = site.write("server", &server_config(folder, port))?;
        site.start(&sshd, &["-D", "-e", "-f", server.to_str().context("sshd's settings")?])?;
        site.wait_until("sshd listens", async || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok())
            .await?;
        Ok(Ground { site, config, _empty: empty })
    }

    fn config(&self) -> anyhow::Result<&str> {
        self.config.to_str().context("the path of ssh's settings")
    }
}

/// Every name is the one sshd, whose key is known: nothing is trusted at first sight.
fn client_config(folder: &str, port: u16) -> String {
    format!(
        "Host *\nHostName 127.0.0.1\nPort {port}\nHostKeyAlias peer\nUserKnownHostsFile {folder}known\n\
         GlobalKnownHostsFile none\nStrictHostKeyChecking yes\nIdentityFile {folder}user\nIdentitiesOnly yes\n\
         BatchMode yes\n"
    )
}

/// What differs from the defaults: it plays many hosts, so many may log in at a time; and bash is told that it runs in
/// another shell, so that it does not read this user's `.bashrc`, whatever that does.
fn server_config(folder: &str, port: u16) -> String {
    format!(
        "ListenAddress 127.0.0.1:{port}\nHostKey {folder}host\nAuthorizedKeysFile {folder}user.pub\nPidFile none\n\
         AuthenticationMethods publickey\nPermitRootLogin prohibit-password\nStrictModes no\nUsePAM no\n\
         MaxStartups 1000\nPerSourceMaxStartups none\nUseDNS no\nSetEnv SHLVL=1\n"
    )
}

/// The folder at [`EMPTY`], where the bench had to make it.
struct Empty;

impl Empty {
    fn make() -> anyhow::Result<Option<Empty>> {
        if !rustix::process::geteuid().is_root() || Path::new(EMPTY).exists() {
            return Ok(None);
        }
        fs::create_dir(EMPTY).with_context(|| format!("making {EMPTY}"))?;
        Ok(Some(Empty))
    }
}

impl Drop for Empty {
    fn drop(&mut self) {
        // It is empty, or somebody else uses it by now and it stays.
        let _ = fs::remove_dir(EMPTY);
    }
}
