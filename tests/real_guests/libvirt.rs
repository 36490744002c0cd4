//! A domain of a real libvirt, which holds its guest agent's channel: through every state that it can be found in.

use crate::site::{Site, assert_ended};
use anyhow::{Context as _, ensure};
use curfew_tests::guests::{Domain, Guest as _, until};
use curfew_tests::processes::provider;
use curfew_types::StatusCode;
use std::time::Duration;

type Result = anyhow::Result<()>;

/// How long the agent may take to notice how a domain stands: it looks every few seconds.
const SEEN_WITHIN: Duration = Duration::from_secs(30);
/// How long a guest's systemd may take to do what it was told in the background, emulated on a busy machine.
const DONE_WITHIN: Duration = Duration::from_secs(60);

/// Waits until the fleet lists the domain in this state.
async fn seen(site: &Site, state: &str) -> Result {
    let wanted = format!("POWER_STATE_{state}");
    until(&format!("the domain is listed as {state}"), SEEN_WITHIN, || async {
        let listed = site.fleet.curfew_json(&["guest", "list", "-o", "json"]).await?;
        ensure!(listed["guests"][0]["powerState"] == wanted, "{listed}");
        Ok(())
    })
    .await
}

/// Lets the guest do this a moment later, when nobody speaks to its agent any more.
async fn in_background(domain: &Domain<'_>, script: &str) -> Result {
    let script = format!("sleep 1; {script}");
    domain.exec(&["systemd-run", "--quiet", "--collect", "/bin/sh", "-c", &script]).await?.success()?;
    Ok(())
}

/// Waits until the guest's agent does not answer any more.
async fn silent(domain: &Domain<'_>) -> Result {
    until("its agent is silent", DONE_WITHIN, || async {
        ensure!(domain.exec(&["true"]).await.is_err(), "it answers");
        Ok(())
    })
    .await
}

/// Wants everybody logged off within so long, and checks why the only task was refused.
async fn refused(site: &Site, timeout: &str, status: StatusCode) -> Result {
    let (_, tasks) = site.logoff(&["--all", "--not-running", "refuse", "--task-timeout", timeout]).await?;
    assert_ended(&tasks, "domain", "REFUSED", status.value());
    Ok(())
}

/// Wants everybody logged off within so long, and checks that the frozen agent was not reached. libvirt says of it either
/// that it does not answer or, once it has given it up, that it is not there.
async fn not_reached(site: &Site, timeout: &str) -> Result {
    let (_, tasks) = site.logoff(&["--all", "--task-timeout", timeout]).await?;
    let verdict = &tasks["domain"]["verdict"];
    let status = verdict["status"]["hresult"].as_u64().context("a status")?;
    let either = [StatusCode::TimedOut, StatusCode::AdditionsNotAvail].map(|code| u64::from(code.value()));
    ensure!(either.contains(&status), "an agent that is not there is no success: {verdict:#}");
    Ok(())
}

#[tokio::test]
async fn a_domain_of_libvirt_is_logged_off_when_it_runs_and_refused_for_what_it_is_otherwise() -> Result {
    let mut site = Site::new().await?;
    let libvirt = site.lab.libvirt().await?;
    let domain = libvirt.domain("domain").await?;
    domain.login_ssh("alice").await?;
    domain.login_pam("bob").await?;
    let virsh = libvirt.program().display().to_string();
    let settings = toml::Table::from_iter([("virsh".to_owned(), toml::Value::from(virsh))]);
    site.fleet.add_agent("hypervisor", provider("libvirt", &settings)?).await?;
    site.fleet.wait_for_guests(1).await?;
    let listed = site.fleet.curfew_json(&["guest", "list", "-o", "json"]).await?;
    assert_eq!(listed["guests"][0]["id"], domain.uuid(), "its identity is libvirt's UUID");

    domain.suspend().await?;
    seen(&site, "PAUSED").await?;
    refused(&site, "60s", StatusCode::VmPaused).await?;
    domain.resume().await?;
    seen(&site, "RUNNING").await?;
    assert_eq!(domain.sessions().await?.len(), 2, "nobody was logged off");

    let (_, tasks) = site.logoff(&["--all"]).await?;
    assert_ended(&tasks, "domain", "SUCCEEDED", StatusCode::Ok.value());
    assert_eq!(tasks["domain"]["verdict"]["sessions"]["found"], 2, "{}", tasks["domain"]);
    let left: Vec<String> = domain.sessions().await?.into_iter().map(|session| session.user).collect();
    assert_eq!(left, Vec::<String>::new());

    // It comes back by itself: there is no other way into a domain than its agent.
    let stop = "systemctl stop qemu-guest-agent; sleep 45; systemctl start qemu-guest-agent";
    in_background(&domain, stop).await?;
    silent(&domain).await?;
    refused(&site, "8s", StatusCode::AdditionsNotAvail).await?;
    domain.answers().await?;

    in_background(&domain, "kill -STOP $(pidof qemu-ga)").await?;
    silent(&domain).await?;
    not_reached(&site, "10s").await?;

    domain.shut_off().await?;
    seen(&site, "STOPPED").await?;
    refused(&site, "60s", StatusCode::VmNotRunning).await?;
    site.fleet.finish().await
}
