//! Who is logged on to a Windows guest.

use crate::stand_in::{BUDGET, Connect, Program, WindowsGuest, World};
use curfew_agent::provider::Look;
use curfew_types::{OsFamily, SessionState};

#[tokio::test]
async fn services_logon_screens_and_listeners_are_no_sessions() {
    let guest = WindowsGuest::new(World::server());
    let list = guest.list().await;
    assert!(list.sessions.is_empty(), "{:?}", list.sessions);
    assert_eq!(list.boot, "134300000000000001");
    assert_eq!(list.clock.0, guest.world().clock_ms);
}

#[tokio::test]
async fn disconnected_sessions_count_and_users_of_two_domains_stay_apart() {
    let mut world = World::server();
    let now = world.clock_ms;
    world.log_on(2, "CORP", "alice");
    world.log_on(3, "TRADING", "alice").disconnect(now - 60_000);
    let guest = WindowsGuest::new(world);
    let list = guest.list().await;
    let seen: Vec<_> = list.sessions.iter().map(|it| (it.user.as_str(), it.state, it.idle_ms)).collect();
    let hour = Some(3_600_000);
    assert_eq!(
        seen,
        [
            ("CORP\\alice", SessionState::Active, hour),
            ("TRADING\\alice", SessionState::Disconnected, Some(60_000))
        ]
    );
    assert_ne!(list.sessions[0].key, list.sessions[1].key);
}

#[tokio::test]
async fn the_agents_own_list_of_users_makes_one_of_two_which_is_why_nobody_reads_it() {
    let mut world = World::server();
    world.log_on(2, "CORP", "alice");
    world.log_on(3, "TRADING", "alice");
    let guest = WindowsGuest::new(world);
    let users = guest.ask_agent("guest-get-users").await;
    assert_eq!(users["return"].as_array().expect("a list").len(), 1);
    assert_eq!(guest.list().await.sessions.len(), 2);
    let refused = guest.ask_agent("guest-ssh-get-authorized-keys").await;
    assert_eq!(refused["error"]["class"], "CommandNotFound");
}

#[tokio::test]
async fn somebody_at_the_console_is_a_session_whose_idle_time_is_unknown() {
    let mut world = World::server();
    let logon_ms = world.clock_ms - 5_000;
    let console = world.session(1);
    console.state = Connect::Active;
    console.user = "admin".into();
    console.logon_ms = logon_ms;
    let guest = WindowsGuest::new(world);
    let session = guest.list().await.sessions.remove(0);
    assert_eq!((session.user.as_str(), session.kind.as_str()), ("admin", "console"));
    assert_eq!((session.origin.as_str(), session.idle_ms), ("Console", None));
    assert_eq!(session.since.0, logon_ms);
}

#[tokio::test]
async fn a_session_that_is_going_down_is_closing() {
    let mut world = World::server();
    world.log_on(2, "CORP", "alice").state = Connect::Down;
    let guest = WindowsGuest::new(world);
    assert_eq!(guest.list().await.sessions[0].state, SessionState::Closing);
}

#[tokio::test]
async fn names_are_told_whole_in_every_script_and_reach_nobody_as_control_characters() {
    let names =
        ["a.name.that.is.longer.than.twenty", "Jörg Müßig", "王小明", "山田太郎", "al\u{1b}[2Jice\r\n", "😀"];
    let mut world = World::server();
    for (id, name) in (2..).zip(names) {
        world.log_on(id, "CORP", name);
    }
    let guest = WindowsGuest::new(world);
    let users: Vec<String> = guest.list().await.sessions.into_iter().map(|it| it.user).collect();
    for name in &names[..4] {
        assert!(users.contains(&format!("CORP\\{name}")), "{name} in {users:?}");
    }
    assert!(users.contains(&"CORP\\😀".to_owned()));
    assert!(!users.iter().any(|user| user.chars().any(char::is_control)), "{users:?}");
}

#[tokio::test]
async fn what_holds_a_session_is_what_people_run_in_it() {
    let mut world = World::server();
    let program = |name: &str, is_persons| Program { name: name.into(), is_persons };
    world.log_on(2, "CORP", "alice").programs =
        vec![program("csrss.exe", false), program("winword.exe", true), program("winword.exe", true)];
    let guest = WindowsGuest::new(world);
    let (provider, id) = guest.provider();
    let look = Look { processes: true };
    let list = provider.list_sessions(&id, look, BUDGET).await.expect("a list");
    assert_eq!(list.processes["2"], ["winword.exe"]);
    assert!(guest.list().await.processes.is_empty());
}

#[tokio::test]
async fn the_clock_may_jump_and_a_session_keeps_its_key_but_a_reboot_changes_it() {
    let mut world = World::server();
    world.log_on(2, "CORP", "alice");
    let guest = WindowsGuest::new(world);
    let before = guest.key(2).await;
    guest.world().clock_ms -= 86_400_000;
    assert_eq!(guest.key(2).await, before);
    guest.world().reboot();
    assert!(guest.list().await.sessions.is_empty());
    guest.world().log_on(2, "CORP", "alice").logon_ms =
        i64::try_from(before.began_us / 1000).expect("a time");
    assert_ne!(guest.key(2).await, before);
}

#[tokio::test]
async fn a_guest_says_that_it_is_windows() {
    let guest = WindowsGuest::new(World::server());
    let (provider, _) = guest.provider();
    let learn = async {
        loop {
            let seen = provider.discover().await.expect("guests").remove(0);
            if seen.os == OsFamily::Windows {
                return seen;
            }
            tokio::task::yield_now().await;
        }
    };
    let seen = tokio::time::timeout(BUDGET, learn).await.expect("learnt");
    assert_eq!(seen.labels["agent/os-version"], "2022");
}
