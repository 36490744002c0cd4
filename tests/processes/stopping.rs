//! A controller that is asked to stop does, whoever still clings to it.

use anyhow::Context as _;
use curfew_controller_core::Settings;
use curfew_tests::local::LocalFleet;
use std::time::Duration;

/// Far more than the five seconds that connections get to end.
const WITHIN: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_controller_stops_although_somebody_still_holds_a_handle_and_a_connection() -> anyhow::Result<()> {
    let fleet = LocalFleet::start(Settings::default()).await?;
    let handle = fleet.controller().handle().clone();
    let client = fleet.client().await?;
    tokio::time::timeout(WITHIN, fleet.stop()).await.context("it does not stop")??;
    let asked = handle.ask_safer(|core, _| core.epoch()).await;
    assert!(asked.is_err(), "nobody answers any more");
    drop(client);
    Ok(())
}
