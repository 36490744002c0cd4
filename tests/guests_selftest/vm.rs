//! Virtual machines.

use std::time::Duration;

use anyhow::{Context, ensure};
use curfew_tests::guests::{Guest, GuestLab, QmpClient, VmSpec, until};
use serde_json::json;

#[tokio::test]
async fn a_vm_boots_and_logs_a_user_in() -> anyhow::Result<()> {
    let lab = GuestLab::open().await?;
    let vm = lab.vm(VmSpec::new("real")).await?;

    let ids = [vm.login_console("alice").await?, vm.login_pam("bob").await?, vm.login_ssh("carol").await?];

    let sessions = vm.sessions().await?;
    ensure!(sessions.len() == ids.len(), "{sessions:#?}");
    for (id, user) in ids.iter().zip(["alice", "bob", "carol"]) {
        let session = sessions.iter().find(|session| session.id == *id).context("a login is missing")?;
        ensure!(session.user == user, "{session:?}");
    }
    let kernel = vm.exec(&["uname", "-r"]).await?.success()?;
    ensure!(kernel.contains("cloud-amd64"), "{kernel} is not the VM's own kernel");

    for id in &ids {
        vm.exec(&["loginctl", "terminate-session", id]).await?.success()?;
    }
    until("everybody's log-off", Duration::from_secs(90), || async {
        let sessions = vm.sessions().await?;
        ensure!(sessions.is_empty(), "{sessions:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_paused_vm_says_so_and_goes_on_when_resumed() -> anyhow::Result<()> {
    let lab = GuestLab::open().await?;
    let vm = lab.vm(VmSpec::new("paused")).await?;
    let status = async || -> anyhow::Result<String> {
        let mut monitor = QmpClient::connect(&vm.qmp_socket()).await?;
        let status = monitor.call("query-status", json!({})).await?;
        Ok(status["status"].as_str().unwrap_or_default().to_owned())
    };

    vm.pause().await?;
    ensure!(status().await? == "paused");
    vm.resume().await?;
    ensure!(status().await? == "running");
    vm.exec(&["true"]).await?.success()?;

    let mut monitor = QmpClient::connect(&vm.qmp_socket()).await?;
    let uuid = monitor.call("query-uuid", json!({})).await?;
    ensure!(uuid["UUID"] == vm.uuid(), "{uuid}");
    drop(monitor);

    vm.kill().await?;
    ensure!(!vm.is_running());
    Ok(())
}
