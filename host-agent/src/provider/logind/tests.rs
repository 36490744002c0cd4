//! The provider against a stand-in for logind and systemd, over a pair of sockets.

mod acting;
mod fake;

use super::*;
use curfew_types::SessionState;
use fake::{BUDGET, FakeSession, key, logind, machine, over};

#[tokio::test]
async fn the_machine_itself_is_the_one_guest() {
    let guests = logind(&[]).provider.discover().await.expect("guests");
    assert_eq!(guests.len(), 1);
    assert!(guests[0].is_host);
    assert_eq!((guests[0].id.as_str(), guests[0].name.as_ref()), ("h1/logind/self", "h1"));
    let stranger = "h1/logind/other".parse().expect("an id");
    let asked = logind(&[]).provider.list_sessions(&stranger, Look::default(), BUDGET).await;
    assert_eq!(asked.expect_err("unknown").code, StatusCode::VmUnknown);
}

#[tokio::test]
async fn people_are_listed_and_service_managers_are_not() {
    let sessions = [("3", "user", "active"), ("4", "manager", "active"), ("c5", "user-light", "closing")];
    let list = logind(&sessions).list().await.expect("a list");
    let seen: Vec<_> = list.sessions.iter().map(|it| (it.key.clone(), it.state, it.kind.as_str())).collect();
    assert_eq!(seen, [(key("3"), SessionState::Active, "ssh"), (key("c5"), SessionState::Closing, "ssh")]);
    assert!(list.clock.0 > 1_700_000_000_000, "the machine's clock is told: {:?}", list.clock);
    assert!(list.processes.is_empty(), "nobody asked for processes");
}

#[tokio::test]
async fn one_that_somebody_switched_away_from_is_disconnected() {
    let away = FakeSession {
        id: "3",
        class: "user",
        state: "online",
        seat: "seat0",
        kind: "wayland",
        ..FakeSession::default()
    };
    let over_ssh = FakeSession { id: "4", seat: "", kind: "tty", ..away.clone() };
    let list = machine(vec![away, over_ssh]).list().await.expect("a list");
    let states: Vec<_> = list.sessions.iter().map(|session| session.state).collect();
    assert_eq!(states, [SessionState::Disconnected, SessionState::Active]);
}

#[tokio::test]
async fn processes_are_named_where_they_are_asked_for() {
    let it = logind(&[("3", "user", "active"), ("4", "user", "active")]);
    let procs = format!("0\n{}\n", std::process::id());
    it.put("sys/fs/cgroup/systemd/user.slice/session-3.scope/cgroup.procs", &procs);
    let look = Look { processes: true };
    let list = it.provider.list_sessions(&it.provider.id, look, BUDGET).await.expect("a list");
    let this = std::fs::read_to_string("/proc/self/comm").expect("a name");
    assert_eq!(list.processes, [("3".to_owned(), vec![this.trim_end().to_owned()])].into());
    assert_eq!(list.sessions.len(), 2, "one whose processes cannot be told is listed all the same");
}

#[tokio::test]
async fn a_session_that_vanishes_while_it_is_looked_at_is_left_out() {
    let list = logind(&[("3", "user", "active"), ("4", "", "")]).list().await.expect("a list");
    assert_eq!(list.sessions.len(), 1);
}

#[tokio::test]
async fn without_the_right_ending_is_denied_and_listing_is_not() {
    let it = logind(&[("3", "user", "active")]);
    it.logbook.lock().expect("a logbook").denies = true;
    assert_eq!(it.list().await.expect("a list").sessions.len(), 1);
    let error = it.end(&key("3"), EndMode::Graceful { attempt: 0 }).await.expect_err("denied");
    assert_eq!(error.code, StatusCode::AccessDenied);
}

#[tokio::test]
async fn a_lost_bus_is_connected_to_again() {
    let it = logind(&[("3", "user", "active")]);
    assert_eq!(it.list().await.expect("a list").sessions.len(), 1);
    let server = it.servers.lock().expect("servers").pop().expect("a server");
    let client = it.provider.bus.connection().await.expect("the connection");
    server.close().await.expect("closed");
    tokio::time::timeout(BUDGET, client.closed()).await.expect("noticed");
    assert_eq!(it.list().await.expect("a list").sessions.len(), 1);
}

#[tokio::test]
async fn a_machine_without_a_bus_is_unlistable_and_one_that_refuses_is_denied() {
    let folder = tempfile::tempdir().expect("a folder");
    let absent =
        over(Bus::over(Box::new(|| Box::pin(async { Err(zbus::Error::InvalidReply) }))), folder.path());
    let asked = absent.list_sessions(&absent.id, Look::default(), BUDGET).await;
    assert!(asked.expect_err("no bus").unlistable);
    let refuse = || async { Err(zbus::Error::Handshake("REJECTED EXTERNAL".into())) };
    let closed = over(Bus::over(Box::new(move || Box::pin(refuse()))), folder.path());
    let asked = closed.list_sessions(&closed.id, Look::default(), BUDGET).await;
    assert_eq!(asked.expect_err("refused").code, StatusCode::AccessDenied);
}

#[tokio::test]
async fn a_bus_that_never_answers_is_timed_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let provider = over(Bus::over(Box::new(|| Box::pin(std::future::pending()))), folder.path());
    let short = Duration::from_millis(20);
    let error = provider.list_sessions(&provider.id, Look::default(), short).await.expect_err("silence");
    assert_eq!(error.code, StatusCode::TimedOut);
}

#[test]
fn this_machines_boot_can_be_told() {
    let boot = process::boot(1).expect("a boot");
    let (id, began) = boot.split_once(':').expect("two parts");
    assert_eq!(id.len(), 36);
    assert!(began.bytes().all(|byte| byte.is_ascii_digit()) && !began.is_empty());
}

#[test]
fn it_is_built_only_where_it_was_switched_on() {
    let host = "h1".parse().expect("a host name");
    assert!(build(&LogindConfig { enabled: false }, &host).expect("built").is_none());
    assert!(build(&LogindConfig { enabled: true }, &host).expect("built").is_some());
}
