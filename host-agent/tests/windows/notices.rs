//! What people in a Windows guest are told.

use crate::stand_in::{BUDGET, WindowsGuest, World};
use curfew_agent::provider::NoticeReply;

#[tokio::test]
async fn a_notice_is_put_up_once_in_each_session_whatever_its_letters() {
    let mut world = World::server();
    world.log_on(2, "CORP", "alice");
    world.log_on(3, "CORP", "bob");
    let guest = WindowsGuest::new(world);
    let keys = [guest.key(3).await, guest.key(2).await];
    let (provider, id) = guest.provider();
    let text = "Über 10 min: 您将被注销 \"ja\" \\ 😀 $(whoami) '; exit";
    let replies = provider.notify(&id, &keys, text, BUDGET).await;
    assert_eq!(replies, Ok(vec![NoticeReply::Shown, NoticeReply::Shown]));
    let said = |to: u32| (to, "Curfew".to_owned(), text.to_owned());
    assert_eq!(guest.world().messages, [said(3), said(2)]);
}

#[tokio::test]
async fn where_nobody_sits_nothing_is_shown_and_it_is_said_so() {
    let mut world = World::server();
    let now = world.clock_ms;
    world.log_on(2, "CORP", "alice").disconnect(now);
    world.log_on(3, "CORP", "bob");
    world.log_on(4, "CORP", "carol");
    let guest = WindowsGuest::new(world);
    let keys = [guest.key(2).await, guest.key(3).await, guest.key(4).await];
    guest.just_before_the_act(|world| world.sessions.retain(|session| session.id != 3));
    let (provider, id) = guest.provider();
    let replies = provider.notify(&id, &keys, "x", BUDGET).await.expect("replies");
    assert!(matches!(&replies[0], NoticeReply::NotShown(why) if why == "nobody is connected to it"));
    assert_eq!(replies[1..], [NoticeReply::Gone, NoticeReply::Shown]);
    assert_eq!(guest.world().messages.len(), 1);
}

#[tokio::test]
async fn a_guest_that_wakes_too_late_tells_nobody_what_is_no_longer_true() {
    let mut world = World::server();
    world.log_on(2, "CORP", "alice");
    let guest = WindowsGuest::new(world);
    let keys = [guest.key(2).await];
    guest.just_before_the_act(|world| world.clock_ms += 3_600_000);
    let (provider, id) = guest.provider();
    let replies = provider.notify(&id, &keys, "x", BUDGET).await.expect("replies");
    assert!(matches!(&replies[0], NoticeReply::NotShown(_)), "{replies:?}");
    assert!(guest.world().messages.is_empty());
}
