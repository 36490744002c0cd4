//! The `logind` provider on a real logind: the agent runs inside a container guest, as it would on a workstation.

use crate::site::{Site, assert_empty, assert_ended};
use anyhow::Context as _;
use curfew_tests::guests::{Container, ContainerSpec, Guest as _, GuestService, ServiceSpec};
use curfew_tests::processes::program;
use curfew_types::StatusCode;
use std::path::Path;

/// Where the agent and its files lie in the guest.
const AGENT: &str = "/opt/curfew-agent";

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
