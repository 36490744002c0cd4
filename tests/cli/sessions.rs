//! Who is logged on, shown as the guests answer.

use crate::fake::{Fake, Script};
use crate::program::{begin, curfew};
use curfew_proto::v1;
use std::sync::Arc;
use tokio::sync::Notify;

fn session(id: u32, user: &str) -> v1::Session {
    v1::Session {
        id: format!("c{id}"),
        user: user.into(),
        state: v1::SessionState::Disconnected.into(),
        kind: "rdp".into(),
        origin: "10.0.0.9".into(),
        begin_time: None,
        idle: Some(pbjson_types::Duration { seconds: 5400, nanos: 0 }),
    }
}

fn guest(number: u32, sessions: Vec<v1::Session>) -> v1::ListSessionsResponse {
    v1::ListSessionsResponse {
        guest_id: format!("host-1/simulated/{number}"),
        guest_name: format!("desk-{number}"),
        host: "host-1".into(),
        status: Some(v1::Status { code: v1::StatusCode::Ok.into(), hresult: 0 }),
        sessions,
        ..v1::ListSessionsResponse::default()
    }
}

fn unlistable(number: u32) -> v1::ListSessionsResponse {
    let code = v1::StatusCode::AdditionsFeatureNotAvail.into();
    v1::ListSessionsResponse {
        status: Some(v1::Status { code, hresult: 0xA004_0505 }),
        message: "guest-exec is forbidden\u{1b}[2J".into(),
        ..guest(number, Vec::new())
    }
}

#[tokio::test]
async fn sessions_are_listed_with_totals_and_the_guests_that_could_not_be_listed() {
    let others = v1::ListSessionsResponse { left_out_count: 2, ..guest(3, Vec::new()) };
    let both = vec![session(1, "CORP\\alice"), session(2, "eve\n\u{202e}nimda\u{9b}31m")];
    let sessions = vec![guest(0, both), guest(1, Vec::new()), unlistable(2), others];
    let fake = Fake::start(Script { sessions, ..Script::default() }).await;
    let said = curfew(fake.config(), &["session", "list", "--state", "disconnected"]).await;
    assert_eq!(said.exit, Some(1), "a guest could not be listed");
    insta::assert_snapshot!(said.stdout, @r#"
    GUEST    HOST     SESSION   USER                          STATE                                                     IDLE   SINCE   KIND   FROM
    desk-0   host-1   c1        CORP\alice                    disconnected                                              90m    -       rdp    10.0.0.9
    desk-0   host-1   c2        eve\n\u{202e}nimda\u{9b}31m   disconnected                                              90m    -       rdp    10.0.0.9
    desk-2   host-1   ?         ?                             not listed: 0xA0040505 VM_E_ADDITIONS_FEATURE_NOT_AVAIL   -      -       -      -
    "#);
    insta::assert_snapshot!(said.stderr, @r#"
    2 sessions in 4 guests; 2 others not asked for; nobody is logged on in 1; 1 could not be listed:
      desk-2 on host-1: 0xA0040505 VM_E_ADDITIONS_FEATURE_NOT_AVAIL: guest-exec is forbidden\u{1b}[2J
    "#);
    let said = curfew(fake.config(), &["session", "list", "-o", "name"]).await;
    assert_eq!(said.stdout, "host-1/simulated/0/c1\nhost-1/simulated/0/c2\n");
    assert!(said.stderr.contains("\n  desk-2 on host-1: 0xA0040505 VM_E_ADDITIONS_FEATURE_NOT_AVAIL: "));
}

#[tokio::test]
async fn every_filter_of_a_logoff_filters_a_list_too() {
    let fake = Fake::start(Script { sessions: vec![guest(0, Vec::new())], ..Script::default() }).await;
    let options = [
        "--user",
        "CORP\\*",
        "--exclude-user",
        "alice",
        "--state",
        "active",
        "--idle-at-least",
        "30m",
        "--logged-on-before",
        "2027-01-31T18:00:00Z",
    ];
    let said = curfew(fake.config(), &[&["session", "list"], &options[..]].concat()).await;
    assert_eq!(said.exit, Some(0), "{}", said.stderr);
    let filter = r#"{"users":["CORP\\*"],"excludeUsers":["alice"],"state":"SESSION_STATE_FILTER_ACTIVE","idleAtLeast":"1800s","loggedOnBefore":"2027-01-31T18:00:00+00:00"}"#;
    assert_eq!(fake.asked(), [format!("list sessions {filter}")]);
    let said = curfew(fake.config(), &["session", "list"]).await;
    assert_eq!(said.stderr, "0 sessions in 1 guest; nobody is logged on in 1\n");
    assert_eq!(fake.asked()[1], "list sessions");
}

#[tokio::test]
async fn what_has_answered_is_shown_while_the_slowest_guest_is_waited_for() {
    for form in ["table", "json", "yaml", "name"] {
        let gate = Arc::new(Notify::new());
        let fake = Fake::start(Script {
            sessions: vec![guest(0, vec![session(1, "alice")])],
            slow_sessions: Some((gate.clone(), vec![guest(1, vec![session(22, "a-longer-name")])])),
            ..Script::default()
        })
        .await;
        let mut run = begin(fake.config(), &["session", "list", "-o", form]);
        // The slow guest answers only after this line has been read.
        run.shows("c1").await;
        gate.notify_one();
        let said = run.end().await;
        assert_eq!(said.exit, Some(0), "{}", said.stderr);
        assert!(said.stdout.contains("c22"), "{form}: {}", said.stdout);
        match form {
            "json" => drop(serde_json::from_str::<serde_json::Value>(&said.stdout).expect("one document")),
            "table" => {
                insta::assert_snapshot!(said.stdout, @r#"
                GUEST    HOST     SESSION   USER    STATE          IDLE   SINCE   KIND   FROM
                desk-0   host-1   c1        alice   disconnected   90m    -       rdp    10.0.0.9
                desk-1   host-1   c22       a-longer-name   disconnected   90m    -       rdp    10.0.0.9
                "#);
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_list_of_nobody_is_a_usage_error_before_anything_is_asked() {
    let said = curfew("/nowhere", &["session", "list", "--user", "bob", "--exclude-user", "bob"]).await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(64), ""));
    assert_eq!(said.stderr, "error: bob is in --user and in --exclude-user: take it out of one of them\n");
}
