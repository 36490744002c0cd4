//! The `logind` provider on a real logind: the agent runs inside a container guest, as it would on a workstation.

use crate::site::{Site, assert_empty, assert_ended, end_of};
use anyhow::{Context as _, ensure};
use curfew_tests::guests::{
    Container, ContainerSpec, Debian, Guest as _, GuestService, ServiceSpec, Terminal, attempt_login, until,
};
use curfew_tests::processes::program;
use curfew_types::StatusCode;
use std::path::Path;
use std::time::Duration;

/// Where the agent and its files lie in the guest.
const AGENT: &str = "/opt/curfew-agent";

/// The confinement that README.md's unit gives the agent: its own view of /run and /home is none to write to.
const CONFINED: [&str; 5] = [
    "--property=NoNewPrivileges=yes",
    "--property=ProtectSystem=strict",
    "--property=ProtectHome=yes",
    "--property=PrivateTmp=yes",
    "--property=ReadWritePaths=/opt/curfew-agent",
];

/// Brings the agent and its identity into the guest.
async fn install(site: &Site, guest: &Container, host: &str) -> anyhow::Result<()> {
    site.fleet.prepare_agent(host, toml::Table::new()).await?;
    guest.exec(&["mkdir", "-p", "-m", "755", AGENT]).await?.success()?;
    guest.copy_in(&program("curfew-agent")?, &format!("{AGENT}/curfew-agent")).await?;
    let identity = site.fleet.path(&format!("{host}.identity"));
    for name in ["ca.pem", "cert.pem", "key.pem"] {
        guest.copy_in(&identity.join(name), &format!("{AGENT}/{name}")).await?;
    }
    let config = format!(
        "controller = \"https://127.0.0.1:{port}\"\nca = \"{AGENT}/ca.pem\"\ncertificate = \"{AGENT}/cert.pem\"\n\
         key = \"{AGENT}/key.pem\"\ndata_dir = \"{AGENT}/ledger\"\ndiscovery_interval = \"1s\"\n\
         [providers.logind]\nenabled = true\n",
        port = site.fleet.port()
    );
    let file = site.fleet.path(&format!("{host}.inside.toml"));
    std::fs::write(&file, config)?;
    guest.copy_in(&file, &format!("{AGENT}/agent.toml")).await
}

async fn run_agent<'a>(guest: &'a Container, user: Option<&'a str>) -> anyhow::Result<GuestService<'a>> {
    let (program, config) = (format!("{AGENT}/curfew-agent"), format!("{AGENT}/agent.toml"));
    let argv = [program.as_str(), "--config", config.as_str()];
    guest.spawn(ServiceSpec { name: "curfew-agent", argv: &argv, user, env: &[] }).await
}

#[tokio::test]
async fn the_machine_the_agent_runs_on_is_logged_off() -> anyhow::Result<()> {
    let site = Site::new().await?;
    let guest = site.lab.container(ContainerSpec::new("workstation")).await?;
    install(&site, &guest, "workstation").await?;
    let _forward = guest.forward(site.fleet.port()).await?;
    let agent = run_agent(&guest, None).await?;
    site.fleet.wait_until_connected("workstation").await.with_context(|| agent.log())?;
    site.fleet.wait_for_guests(1).await?;
    guest.login_ssh("alice").await?;
    guest.login_pam("bob").await?;
    let everything = site.fleet.curfew(&["logoff", "--all", "--yes"]).await?;
    assert_eq!(everything.code, Some(2), "the machine itself is left out unless it is named: {everything:?}");
    let (_, tasks) = site.logoff(&["--all", "--include-host-guests"]).await?;
    assert_ended(&tasks, "workstation", "SUCCEEDED", StatusCode::Ok.value());
    assert_empty(&guest, &["alice", "bob"]).await?;
    anyhow::ensure!(!agent.log().contains(" ERROR "), "{}", agent.log());
    site.fleet.finish().await
}

#[tokio::test]
async fn its_people_are_told_and_nobody_new_comes_until_its_own_timer_lets_them() -> anyhow::Result<()> {
    let site = Site::new().await?;
    let guest = site.lab.container(ContainerSpec::new("workstation").debian(Debian::Trixie)).await?;
    install(&site, &guest, "workstation").await?;
    let _forward = guest.forward(site.fleet.port()).await?;
    let (program, config) = (format!("{AGENT}/curfew-agent"), format!("{AGENT}/agent.toml"));
    let unit = ["systemd-run", "--quiet", "--unit=confined-agent"];
    guest.exec(&[unit.as_slice(), &CONFINED, &[&program, "--config", &config]].concat()).await?.success()?;
    site.fleet.wait_until_connected("workstation").await?;
    site.fleet.wait_for_guests(1).await?;
    let alice = Terminal::open(&guest, "alice").await?;
    guest.login_stubborn("bob").await?;
    let notice =
        ["--notice", "Off in {seconds} s", "--grace", "5s", "--drain-for", "30s", "--task-timeout", "15s"];
    let everything = [["--all", "--include-host-guests"].as_slice(), &notice].concat();
    let id = site.fleet.logoff(&everything).await?;
    alice.shows("Off in 5 s", Duration::from_secs(20)).await?;
    let refused = attempt_login(&guest, "carol").await?;
    assert!(refused.code != 0 && refused.stderr.contains("New logons are refused until"), "{refused:?}");
    let tasks = site.fleet.ended(&id).await?;
    assert_ended(&tasks, "workstation", "TIMED_OUT", StatusCode::TimedOut.value());
    let told = end_of(&tasks["workstation"], "alice");
    assert_eq!((told.fate.as_str(), told.notices), ("ENDED", 1), "{told:?}");
    let bob = end_of(&tasks["workstation"], "bob");
    assert_eq!((bob.fate.as_str(), bob.notices), ("REMAINING", 0), "{bob:?}");
    assert!(bob.why.contains("held by sleep"), "{bob:?}");
    // Whoever is left: the machine's own systemd.
    guest.exec(&["systemctl", "kill", "--signal=KILL", "confined-agent"]).await?.success()?;
    until("logons return", Duration::from_secs(60), || async {
        let attempt = attempt_login(&guest, "carol").await?;
        ensure!(attempt.code == 0, "{attempt:?}");
        Ok(())
    })
    .await?;
    site.fleet.finish().await
}

#[tokio::test]
async fn without_the_right_access_is_denied_and_nobody_is_logged_off() -> anyhow::Result<()> {
    let site = Site::new().await?;
    let guest = site.lab.container(ContainerSpec::new("workstation")).await?;
    install(&site, &guest, "workstation").await?;
    guest.exec(&["chown", "-R", "dave", Path::new(AGENT).to_str().context("a path")?]).await?.success()?;
    let _forward = guest.forward(site.fleet.port()).await?;
    let agent = run_agent(&guest, Some("dave")).await?;
    site.fleet.wait_until_connected("workstation").await.with_context(|| agent.log())?;
    site.fleet.wait_for_guests(1).await?;
    let session = guest.login_ssh("alice").await?;
    let (_, tasks) = site.logoff(&["--all", "--include-host-guests"]).await?;
    assert_ended(&tasks, "workstation", "REFUSED", StatusCode::AccessDenied.value());
    let left: Vec<String> = guest.sessions().await?.into_iter().map(|session| session.id).collect();
    assert_eq!(left, [session]);
    site.fleet.finish().await
}
