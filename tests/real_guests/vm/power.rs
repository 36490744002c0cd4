//! A machine that is powered off while its people have time.

use crate::site::{Site, assert_ended};
use anyhow::ensure;
use curfew_tests::guests::{Guest as _, QmpClient, VmSpec, until};
use curfew_types::StatusCode;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_machine_powered_off_during_the_grace_has_stopped_and_nothing_waits_for_it() -> anyhow::Result<()> {
    let mut site = Site::new().await?;
    let vm = site.lab.vm(VmSpec::new("machine")).await?;
    vm.login_pam("alice").await?;
    site.attach(1, true).await?;
    let id = site.fleet.logoff(&["--all", "--grace", "1h"]).await?;
    site.reaches(&id, "machine", "WARNING").await?;
    QmpClient::connect(&vm.qmp_socket()).await?.call("quit", json!({})).await?;
    // The command would give up long before the hour is over.
    let tasks = site.fleet.ended(&id).await?;
    assert_ended(&tasks, "machine", "SUCCEEDED", StatusCode::Ok.value());
    assert_eq!(tasks["machine"]["verdict"]["reason"], "guest_stopped", "{:#}", tasks["machine"]);
    let stopped = || async {
        let listed = site.fleet.curfew_json(&["guest", "list", "-o", "json"]).await?;
        ensure!(listed["guests"][0]["powerState"] != "POWER_STATE_RUNNING", "{listed}");
        Ok(())
    };
    until("it shows as stopped", Duration::from_secs(30), stopped).await?;
    site.fleet.finish().await
}
