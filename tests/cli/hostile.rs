//! Text of guests reaches the reader, never the terminal.

use crate::fake::{Fake, Script};
use crate::program::curfew;
use curfew_proto::v1;

fn sessions() -> Vec<v1::ListSessionsResponse> {
    let ok = Some(v1::Status { code: v1::StatusCode::Ok.into(), hresult: 0 });
    let late = Some(v1::Status { code: v1::StatusCode::TimedOut.into(), hresult: 0xA004_0202 });
    let session = v1::Session {
        id: "7".into(),
        user: "\u{1b}]0;owned\u{7}root\u{202e}\nroot".into(),
        state: v1::SessionState::Active.into(),
        kind: "ssh".into(),
        origin: "10.0.0.9".into(),
        ..Default::default()
    };
    let guest = |number: u32, status: &Option<v1::Status>, sessions| v1::ListSessionsResponse {
        guest_id: format!("host-1/simulated/{number}"),
        guest_name: format!("desk-{number}"),
        host: "host-1".into(),
        status: *status,
        sessions,
        ..Default::default()
    };
    vec![guest(0, &ok, vec![session]), guest(1, &ok, Vec::new()), guest(2, &late, Vec::new())]
}

#[tokio::test]
async fn a_hostile_user_name_is_escaped_and_an_unlisted_guest_never_looks_empty() {
    let fake = Fake::start(Script { sessions: sessions(), ..Script::default() }).await;
    let said = curfew(fake.config(), &["session", "list"]).await;
    assert_eq!(said.exit, Some(1), "a guest could not be listed");
    insta::assert_snapshot!(said.stdout, @r#"
    GUEST    HOST     SESSION   USER                                    STATE                                   IDLE   SINCE   KIND   FROM
    desk-0   host-1   7         \u{1b}]0;owned\u{7}root\u{202e}\nroot   active                                  -      -       ssh    10.0.0.9
    desk-2   host-1   ?         ?                                       not listed: 0xA0040202 VM_E_TIMED_OUT   -      -       -      -
    "#);
    assert_eq!(
        said.stderr,
        "1 session in 3 guests; nobody is logged on in 1; 1 could not be listed:\n  desk-2 on host-1: 0xA0040202 VM_E_TIMED_OUT\n"
    );
}

#[tokio::test]
async fn documents_carry_the_hostile_name_unchanged_but_escaped() {
    let fake = Fake::start(Script { sessions: sessions(), ..Script::default() }).await;
    for form in ["json", "yaml"] {
        let said = curfew(fake.config(), &["session", "list", "-o", form]).await;
        let is_plain = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
        assert!(said.stdout.chars().all(is_plain), "{}", said.stdout);
        if form == "json" {
            let document: serde_json::Value = serde_json::from_str(&said.stdout).expect("one JSON document");
            assert_eq!(document["guests"][0]["sessions"][0]["user"], "\u{1b}]0;owned\u{7}root\u{202e}\nroot");
        }
    }
}

#[tokio::test]
async fn a_message_of_the_controller_cannot_forge_lines() {
    let refusal = tonic::Status::not_found("no host\nerror: forged\u{1b}[2J");
    let fake = Fake::start(Script { refusal: Some(refusal), ..Script::default() }).await;
    let said = curfew(fake.config(), &["host", "show", "x"]).await;
    assert_eq!(said.exit, Some(2));
    assert_eq!(said.stderr, "error: cannot read host x: no host\\nerror: forged\\u{1b}[2J\n");
}
