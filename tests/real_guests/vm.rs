//! A virtual machine with a kernel of its own, its guest agent behind virtio-serial, its power state from QMP.

mod power;
mod seat;

use crate::site::{Site, assert_ended};
use curfew_tests::guests::{Guest as _, VmSpec};
use curfew_types::StatusCode;

#[tokio::test]
async fn users_of_a_virtual_machine_are_logged_off_and_a_paused_one_is_refused() -> anyhow::Result<()> {
    let mut site = Site::new().await?;
    let vm = site.lab.vm(VmSpec::new("machine")).await?;
    vm.login_console("alice").await?;
    vm.login_pam("bob").await?;
    site.attach(1, true).await?;
    let listed = site.fleet.curfew_json(&["guest", "list", "-o", "json"]).await?;
    assert_eq!(listed["guests"][0]["id"], vm.uuid(), "its identity is the hypervisor's UUID");

    vm.pause().await?;
    let paused = || async {
        let listed = site.fleet.curfew_json(&["guest", "list", "-o", "json"]).await?;
        anyhow::ensure!(listed["guests"][0]["powerState"] == "POWER_STATE_PAUSED", "{listed}");
        Ok(())
    };
    curfew_tests::guests::until("the pause shows", std::time::Duration::from_secs(30), paused).await?;
    let (_, tasks) = site.logoff(&["--all"]).await?;
    assert_ended(&tasks, "machine", "REFUSED", StatusCode::VmPaused.value());
    vm.resume().await?;
    let resumed = || async {
        let listed = site.fleet.curfew_json(&["guest", "list", "-o", "json"]).await?;
        anyhow::ensure!(listed["guests"][0]["powerState"] == "POWER_STATE_RUNNING", "{listed}");
        Ok(())
    };
    curfew_tests::guests::until("it runs again", std::time::Duration::from_secs(30), resumed).await?;

    let (_, tasks) = site.logoff(&["--all"]).await?;
    assert_ended(&tasks, "machine", "SUCCEEDED", StatusCode::Ok.value());
    assert_eq!(tasks["machine"]["verdict"]["sessions"]["found"], 2, "{}", tasks["machine"]);
    let left: Vec<String> = vm.sessions().await?.into_iter().map(|session| session.user).collect();
    assert_eq!(left, Vec::<String>::new());
    site.fleet.finish().await
}
