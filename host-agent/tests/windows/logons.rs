//! Refusing new logons in a Windows guest, and allowing them again.

use crate::stand_in::{BUDGET, Edition, Logons, WindowsGuest, World};
use curfew_agent::provider::{DrainOrder, DrainReply, Error, UndrainReply};
use curfew_types::StatusCode;

const HOUR_MS: u64 = 3_600_000;

async fn drain(guest: &WindowsGuest) -> Result<DrainReply, Error> {
    let (provider, id) = guest.provider();
    provider.drain(&id, &DrainOrder { for_ms: HOUR_MS, text: "Patching".into() }, BUDGET).await
}

async fn undrain(guest: &WindowsGuest) -> Result<UndrainReply, Error> {
    let (provider, id) = guest.provider();
    provider.undrain(&id, BUDGET).await
}

#[tokio::test]
async fn a_drain_is_set_marked_and_lifted_again() {
    let guest = WindowsGuest::new(World::server());
    assert_eq!(drain(&guest).await, Ok(DrainReply::InForce));
    assert!(guest.world().drains_for_us());
    assert_eq!(undrain(&guest).await, Ok(UndrainReply::Lifted));
    assert_eq!(guest.world().logons, Logons::default());
    assert_eq!(undrain(&guest).await, Ok(UndrainReply::Lifted));
}

#[tokio::test]
async fn asked_again_it_lasts_from_then_on_and_the_guest_lifts_it_by_itself() {
    let guest = WindowsGuest::new(World::server());
    let hour = i64::try_from(HOUR_MS).expect("a time");
    assert_eq!(drain(&guest).await, Ok(DrainReply::InForce));
    guest.world().let_pass(hour / 2);
    assert_eq!(drain(&guest).await, Ok(DrainReply::InForce));
    guest.world().let_pass(hour - 1);
    assert!(guest.world().drains_for_us());
    guest.world().let_pass(2_000);
    assert_eq!(guest.world().logons, Logons::default());
}

#[tokio::test]
async fn what_somebody_else_set_is_left_as_it_is() {
    let others = [
        Logons { mode: 2, ..Logons::default() },
        Logons { mode: 1, ..Logons::default() },
        Logons { disabled: true, ..Logons::default() },
    ];
    for theirs in others {
        let mut world = World::server();
        world.logons = theirs.clone();
        let guest = WindowsGuest::new(world);
        assert_eq!(drain(&guest).await, Ok(DrainReply::SomebodyElses));
        assert_eq!(undrain(&guest).await, Ok(UndrainReply::SomebodyElses));
        assert_eq!(guest.world().logons, theirs);
    }
}

#[tokio::test]
async fn what_somebody_sets_while_ours_is_in_force_outlives_ours() {
    let guest = WindowsGuest::new(World::server());
    assert_eq!(drain(&guest).await, Ok(DrainReply::InForce));
    guest.world().logons.mode = 2;
    assert_eq!(drain(&guest).await, Ok(DrainReply::SomebodyElses));
    assert_eq!(undrain(&guest).await, Ok(UndrainReply::SomebodyElses));
    assert_eq!(guest.world().logons.mode, 2);

    let guest = WindowsGuest::new(World::server());
    assert_eq!(drain(&guest).await, Ok(DrainReply::InForce));
    guest.world().logons.disabled = true;
    assert_eq!(undrain(&guest).await, Ok(UndrainReply::SomebodyElses));
    assert_eq!(guest.world().logons, Logons { disabled: true, ..Logons::default() });
}

#[tokio::test]
async fn a_reboot_ends_it_and_what_somebody_sets_afterwards_is_theirs() {
    let guest = WindowsGuest::new(World::server());
    assert_eq!(drain(&guest).await, Ok(DrainReply::InForce));
    guest.world().reboot();
    assert_eq!(guest.world().logons.mode, 0);
    guest.world().logons.mode = 1;
    assert_eq!(undrain(&guest).await, Ok(UndrainReply::SomebodyElses));
    assert_eq!(guest.world().logons.mode, 1);
}

#[tokio::test]
async fn an_edition_that_refuses_nobody_has_the_feature_missing_and_is_left_as_it_was() {
    for edition in [Edition::Home, Edition::Pro] {
        let mut world = World::server();
        world.edition = edition;
        let guest = WindowsGuest::new(world);
        let error = drain(&guest).await.expect_err("not there");
        assert_eq!((error.code, error.unlistable), (StatusCode::AdditionsFeatureNotAvail, false));
        assert_eq!(guest.world().logons, Logons::default());
    }
}

#[tokio::test]
async fn a_guest_that_wakes_too_late_refuses_and_allows_nothing() {
    let guest = WindowsGuest::new(World::server());
    guest.just_before_the_act(|world| world.clock_ms += 3_600_000);
    assert_eq!(drain(&guest).await.expect_err("late").code, StatusCode::TimedOut);
    assert_eq!(guest.world().logons, Logons::default());
    assert_eq!(drain(&guest).await, Ok(DrainReply::InForce));
    guest.just_before_the_act(|world| world.clock_ms += 3_600_000);
    assert_eq!(undrain(&guest).await.expect_err("late").code, StatusCode::TimedOut);
    assert!(guest.world().drains_for_us());
}
