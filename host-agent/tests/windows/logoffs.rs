//! Ending sessions of a Windows guest: gracefully, by force, and not at all where it is another session by then.

use crate::stand_in::{BUDGET, Goes, WindowsGuest, World};
use curfew_agent::provider::{EndMode, EndReply, Error};
use curfew_types::{OnlyIf, SessionKey, StateFilter};

const GRACEFUL: EndMode = EndMode::Graceful { attempt: 0 };
const ALWAYS: OnlyIf = OnlyIf { state: None, idle_at_least_ms: None };
const DISCONNECTED: OnlyIf = OnlyIf { state: Some(StateFilter::Disconnected), idle_at_least_ms: None };

async fn end(
    guest: &WindowsGuest,
    key: &SessionKey,
    how: EndMode,
    only_if: OnlyIf,
) -> Result<EndReply, Error> {
    let (provider, id) = guest.provider();
    provider.end_session(&id, key, how, only_if, BUDGET).await
}

fn with_alice() -> World {
    let mut world = World::server();
    world.log_on(2, "CORP", "alice");
    world.log_on(3, "TRADING", "alice");
    world
}

#[tokio::test]
async fn one_session_is_ended_and_the_same_name_in_another_domain_is_left_alone() {
    let guest = WindowsGuest::new(with_alice());
    let key = guest.key(2).await;
    assert_eq!(end(&guest, &key, GRACEFUL, ALWAYS).await, Ok(EndReply::Asked));
    assert_eq!(guest.world().logoffs, [2]);
    assert!(guest.world().has_session(3) && !guest.world().has_session(2));
    assert_eq!(end(&guest, &key, GRACEFUL, ALWAYS).await, Ok(EndReply::Gone));
}

#[tokio::test]
async fn a_session_that_takes_its_time_is_listed_until_it_is_gone() {
    let mut world = with_alice();
    world.session(2).goes = Goes::AfterLooks(2);
    let guest = WindowsGuest::new(world);
    let key = guest.key(2).await;
    assert_eq!(end(&guest, &key, GRACEFUL, ALWAYS).await, Ok(EndReply::Asked));
    assert_eq!(guest.list().await.sessions.len(), 2);
    assert_eq!(guest.list().await.sessions.len(), 1);
}

#[tokio::test]
async fn a_program_that_does_not_let_go_keeps_its_session_until_force() {
    let mut world = with_alice();
    world.session(2).goes = Goes::WhenForced;
    let guest = WindowsGuest::new(world);
    let key = guest.key(2).await;
    for attempt in 0..3 {
        let how = EndMode::Graceful { attempt };
        assert_eq!(end(&guest, &key, how, ALWAYS).await, Ok(EndReply::Asked));
    }
    assert_eq!(guest.key(2).await, key, "nothing is killed politely");
    assert!(guest.world().session(2).programs.iter().any(|program| program.is_persons));
    assert_eq!(end(&guest, &key, EndMode::Force, ALWAYS).await, Ok(EndReply::Asked));
    assert!(!guest.world().has_session(2) && guest.world().has_session(3));
}

#[tokio::test]
async fn somebody_who_comes_back_just_before_the_act_is_left_alone() {
    let mut world = with_alice();
    let now = world.clock_ms;
    world.session(2).disconnect(now - 60_000);
    let guest = WindowsGuest::new(world);
    let key = guest.key(2).await;
    guest.just_before_the_act(move |world| world.session(2).reconnect(now));
    assert_eq!(end(&guest, &key, EndMode::Force, DISCONNECTED).await, Ok(EndReply::NoLongerMatches));
    assert!(guest.world().logoffs.is_empty());
}

#[tokio::test]
async fn somebody_who_uses_an_idle_session_again_is_left_alone() {
    let guest = WindowsGuest::new(with_alice());
    let key = guest.key(2).await;
    let idle = OnlyIf { idle_at_least_ms: Some(1_800_000), ..OnlyIf::default() };
    guest.just_before_the_act(|world| {
        let now = world.clock_ms;
        world.session(2).input_ms = now;
    });
    assert_eq!(end(&guest, &key, GRACEFUL, idle).await, Ok(EndReply::NoLongerMatches));
    guest.world().let_pass(1_800_000);
    assert_eq!(end(&guest, &key, GRACEFUL, idle).await, Ok(EndReply::Asked));
}

#[tokio::test]
async fn an_idle_time_that_windows_does_not_tell_is_never_long_enough() {
    let mut world = with_alice();
    world.session(2).input_ms = 0;
    let guest = WindowsGuest::new(world);
    let key = guest.key(2).await;
    let idle = OnlyIf { idle_at_least_ms: Some(0), ..OnlyIf::default() };
    assert_eq!(end(&guest, &key, GRACEFUL, idle).await, Ok(EndReply::NoLongerMatches));
}

#[tokio::test]
async fn an_id_that_was_given_to_somebody_else_is_not_that_session() {
    let guest = WindowsGuest::new(with_alice());
    let key = guest.key(2).await;
    guest.just_before_the_act(|world| {
        world.sessions.retain(|session| session.id != 2);
        world.clock_ms += 1_000;
        world.log_on(2, "CORP", "alice");
    });
    assert_eq!(end(&guest, &key, EndMode::Force, ALWAYS).await, Ok(EndReply::NotThatSession));
    assert!(guest.world().logoffs.is_empty());
}

#[tokio::test]
async fn after_a_reboot_nobody_is_ended_whatever_the_id_and_logon_time() {
    let guest = WindowsGuest::new(with_alice());
    let key = guest.key(2).await;
    guest.just_before_the_act(|world| {
        world.reboot();
        world.log_on(2, "CORP", "alice");
    });
    assert_eq!(end(&guest, &key, EndMode::Force, ALWAYS).await, Ok(EndReply::NotThatSession));
}

#[tokio::test]
async fn a_guest_that_wakes_too_late_ends_nobody() {
    let guest = WindowsGuest::new(with_alice());
    let key = guest.key(2).await;
    guest.just_before_the_act(|world| world.clock_ms += 3_600_000);
    assert_eq!(end(&guest, &key, EndMode::Force, ALWAYS).await, Ok(EndReply::TooLate));
    assert!(guest.world().logoffs.is_empty());
}
