//! The provider as the agent sees it, against stand-ins for guest agents and hypervisors.

use super::fake::{FakeAgent, Reaction, synced};
use super::*;
use crate::provider::{EndMode, EndReply, Look, SessionList};
use curfew_types::{GuestId, OnlyIf, OsFamily, SessionKey, StatusCode, WallTime};
use serde_json::json;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const BUDGET: Duration = Duration::from_secs(30);
const BOOT: &str = "0f1e2d3c-0000-4000-8000-0123456789ab:42";

fn provider(guest: QgaGuest) -> (Arc<dyn Provider>, GuestId) {
    let host: HostName = "h1".parse().expect("a host name");
    let config = QgaConfig { guests: vec![guest], ..QgaConfig::default() };
    let id = GuestId::local(&host, NAME, "vm").expect("an id");
    (build(&config, &host).expect("a provider").expect("one"), id)
}

fn over(agent: &FakeAgent) -> (Arc<dyn Provider>, GuestId) {
    provider(QgaGuest { name: "vm".into(), socket: Some(agent.socket()), ..QgaGuest::default() })
}

fn key() -> SessionKey {
    SessionKey { boot: BOOT.into(), id: "3".into(), began_us: 17 }
}

fn nobody_logged_on() -> String {
    format!("boot {BOOT}\nnow 1700000000123\nlist {}\nend\n", json!({ "type": "a(susso)", "data": [[]] }))
}

/// An agent that synchronises and answers other commands by `react`.
fn answering(mut react: impl FnMut(&str) -> Reaction + Send + 'static) -> FakeAgent {
    FakeAgent::new(move |command, arguments| match command {
        "guest-sync-delimited" => synced(b"", arguments),
        command => react(command),
    })
}

#[tokio::test]
async fn a_guest_without_anybody_has_an_empty_list_and_a_boot() {
    let agent = FakeAgent::running(|argv| {
        assert_eq!(argv[..2], ["/bin/sh", "-c"]);
        (0, nobody_logged_on())
    });
    let (provider, id) = over(&agent);
    let list = provider.list_sessions(&id, Look::default(), BUDGET).await.expect("a list");
    let clock = WallTime(1_700_000_000_123);
    assert_eq!(list, SessionList { boot: BOOT.into(), clock, ..SessionList::default() });
}

#[tokio::test]
async fn an_end_carries_identity_and_deadline_as_arguments_never_as_text() {
    let (tell, told) = std::sync::mpsc::channel();
    let agent = FakeAgent::running(move |argv| match argv[0].as_str() {
        "/bin/cat" => (0, "100.00 1.00\n".into()),
        _ => {
            tell.send(argv.to_vec()).expect("told");
            (0, String::new())
        }
    });
    let (provider, id) = over(&agent);
    for (how, signal) in [
        (EndMode::Graceful { attempt: 0 }, "1"),
        (EndMode::Graceful { attempt: 1 }, "15"),
        (EndMode::Graceful { attempt: 9 }, "15"),
        (EndMode::Force, "9"),
    ] {
        assert_eq!(
            provider.end_session(&id, &key(), how, OnlyIf::default(), BUDGET).await,
            Ok(EndReply::Asked)
        );
        let argv = told.recv().expect("told");
        assert_eq!(argv[3..9], ["curfew", BOOT, "3", "/org/freedesktop/login1/session/_33", "17", signal]);
        let latest: u64 = argv[9].parse().expect("hundredths");
        assert!((10_000 + 2_000..=10_000 + 3_000).contains(&latest), "{latest}");
        assert!(!argv[2].contains(BOOT));
    }
}

#[tokio::test]
async fn the_end_script_tells_what_became_of_it() {
    for (code, reply) in [(20, EndReply::Gone), (21, EndReply::NotThatSession), (22, EndReply::TooLate)] {
        let agent = FakeAgent::running(move |argv| match argv[0].as_str() {
            "/bin/cat" => (0, "100.00 1.00\n".into()),
            _ => (code, String::new()),
        });
        let (provider, id) = over(&agent);
        assert_eq!(
            provider.end_session(&id, &key(), EndMode::Force, OnlyIf::default(), BUDGET).await,
            Ok(reply)
        );
    }
}

#[tokio::test]
async fn a_session_id_that_is_none_is_never_sent() {
    let agent = FakeAgent::running(|argv| panic!("{argv:?} was run"));
    let (provider, id) = over(&agent);
    let key = SessionKey { id: "3; reboot".into(), ..key() };
    let error = provider
        .end_session(&id, &key, EndMode::Force, OnlyIf::default(), BUDGET)
        .await
        .expect_err("refused");
    assert_eq!(error.code, StatusCode::Unexpected);
}

#[tokio::test]
async fn a_policy_that_forbids_running_commands_is_final() {
    let agent = answering(|_| Reaction::fails("CommandNotFound", "Command guest-exec has been disabled"));
    let (provider, id) = over(&agent);
    let error = provider.list_sessions(&id, Look::default(), BUDGET).await.expect_err("forbidden");
    assert_eq!((error.code, error.unlistable), (StatusCode::AdditionsFeatureNotAvail, false));
}

#[tokio::test]
async fn a_guest_whose_file_systems_are_frozen_is_tried_again() {
    let agent = answering(|command| match command {
        "guest-fsfreeze-status" => Reaction::returns(json!("frozen")),
        _ => Reaction::fails("CommandNotFound", "Command guest-exec has been disabled"),
    });
    let (provider, id) = over(&agent);
    let error = provider.list_sessions(&id, Look::default(), BUDGET).await.expect_err("frozen");
    assert_eq!(error.code, StatusCode::AdditionsNotAvail);
}

#[tokio::test]
async fn a_guest_of_a_system_that_nobody_handles_is_unlistable_and_nothing_is_run_in_it() {
    let agent = answering(|command| match command {
        "guest-get-osinfo" => Reaction::returns(json!({ "id": "freebsd" })),
        command => panic!("{command} was called"),
    });
    let (provider, id) = over(&agent);
    let error = provider.list_sessions(&id, Look::default(), BUDGET).await.expect_err("FreeBSD");
    assert_eq!((error.code, error.unlistable), (StatusCode::AdditionsFeatureNotAvail, true));
}

#[tokio::test]
async fn a_guest_without_a_shell_is_unlistable() {
    let agent = answering(|_| Reaction::fails("GenericError", "Failed to execute child process /bin/sh"));
    let (provider, id) = over(&agent);
    assert!(provider.list_sessions(&id, Look::default(), BUDGET).await.expect_err("no shell").unlistable);
}

#[tokio::test]
async fn a_program_that_does_not_end_is_timed_out() {
    let agent = answering(|command| match command {
        "guest-exec" => Reaction::returns(json!({ "pid": 7 })),
        "guest-exec-status" => Reaction::returns(json!({ "exited": false })),
        _ => Reaction::returns(json!({ "id": "debian" })),
    });
    let (provider, id) = over(&agent);
    let error =
        provider.list_sessions(&id, Look::default(), Duration::from_millis(100)).await.expect_err("too long");
    assert_eq!(error.code, StatusCode::TimedOut);
}

#[tokio::test]
async fn a_guest_that_is_not_there_is_unknown() {
    let agent = FakeAgent::running(|_| (0, nobody_logged_on()));
    let (provider, _) = over(&agent);
    let stranger = "h1/qga/other".parse().expect("an id");
    let error = provider.list_sessions(&stranger, Look::default(), BUDGET).await.expect_err("unknown");
    assert_eq!(error.code, StatusCode::VmUnknown);
}

#[tokio::test]
async fn nothing_is_sent_into_a_paused_guest() {
    let agent = FakeAgent::new(|command, _| panic!("{command} was sent"));
    let hypervisor = FakeAgent::hypervisor("paused", "", None);
    let (provider, id) = provider(QgaGuest {
        name: "vm".into(),
        socket: Some(agent.socket()),
        qmp: Some(hypervisor.socket()),
        ..QgaGuest::default()
    });
    let error = provider
        .end_session(&id, &key(), EndMode::Force, OnlyIf::default(), BUDGET)
        .await
        .expect_err("paused");
    assert_eq!(error.code, StatusCode::VmPaused);
}

#[tokio::test]
async fn a_guest_has_one_exchange_at_a_time_and_each_gets_its_turn() {
    let agent = FakeAgent::running(|_| (0, nobody_logged_on()));
    let (provider, id) = over(&agent);
    let lists =
        futures::future::join_all((0..20).map(|_| provider.list_sessions(&id, Look::default(), BUDGET)))
            .await;
    assert!(lists.into_iter().all(|list| list.is_ok()));
}

#[tokio::test]
async fn discovery_learns_the_system_without_waiting_for_it() {
    let asked = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&asked);
    let agent = answering(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        Reaction::returns(json!({ "id": "debian", "version-id": "13" }))
    });
    let (provider, _) = over(&agent);
    let first = provider.discover().await.expect("guests").remove(0);
    assert_eq!(first.os, OsFamily::Unknown);
    let learn = async {
        loop {
            let guest = provider.discover().await.expect("guests").remove(0);
            if guest.os == OsFamily::Linux {
                return guest;
            }
            tokio::task::yield_now().await;
        }
    };
    let guest = tokio::time::timeout(BUDGET, learn).await.expect("learnt");
    assert_eq!(guest.labels["agent/os-version"], "13");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_guest_that_does_not_answer_does_not_hold_up_discovery() {
    let agent = FakeAgent::new(|_, _| Reaction::Nothing);
    let (provider, _) = over(&agent);
    let before = Instant::now();
    for _ in 0..3 {
        assert_eq!(provider.discover().await.expect("guests")[0].os, OsFamily::Unknown);
    }
    assert!(before.elapsed() < Duration::from_secs(1));
}
