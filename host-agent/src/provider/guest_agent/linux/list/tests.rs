//! What the scripts print, read strictly; and what a hostile guest could print.

use super::*;
use curfew_types::SessionState;
use serde_json::json;

const BOOT: &str = "0f1e2d3c-0000-4000-8000-0123456789ab:42";

fn row(id: &str) -> Value {
    json!([id, 1000, "alice", "", login1::session_path(id)])
}

fn list_line(ids: &[&str]) -> String {
    let rows: Vec<Value> = ids.iter().map(|id| row(id)).collect();
    format!("list {}\n", json!({ "type": "a(susso)", "data": [rows] }))
}

fn session_line(id: &str, name: &str, class: &str) -> String {
    let value = |data: Value| json!({ "type": "x", "data": data });
    let properties = json!({ "type": "a{sv}", "data": [{
        "Id": value(json!(id)), "Name": value(json!(name)), "Class": value(json!(class)),
        "State": value(json!("active")), "Type": value(json!("tty")), "Service": value(json!("sshd")),
        "RemoteHost": value(json!("192.0.2.7")), "Timestamp": value(json!(1_700_000_000_000_000_u64)),
        "User": value(json!([1000, "/org/freedesktop/login1/user/_1000"])),
        "IdleHint": value(json!(false)), "IdleSinceHint": value(json!(1_700_000_000_000_000_u64)),
    }] });
    format!("session {} {properties}\n", login1::session_path(id))
}

fn printed(body: &str) -> Ended {
    let output = format!("boot {BOOT}\nnow 1700000060500\n{body}end\n").into_bytes();
    Ended { code: Some(0), output, complaint: String::new() }
}

#[test]
fn sessions_of_people_are_listed_with_their_identity() {
    let body =
        list_line(&["3", "c1"]) + &session_line("3", "alice", "user") + &session_line("c1", "bob", "manager");
    let list = read(&printed(&body)).expect("a list");
    assert_eq!(list.boot, BOOT);
    assert_eq!(list.sessions.len(), 1);
    let session = &list.sessions[0];
    assert_eq!((session.key.id.as_str(), session.key.began_us), ("3", 1_700_000_000_000_000));
    assert_eq!((session.user.as_str(), session.state), ("alice", SessionState::Active));
    assert_eq!(session.idle_ms, Some(60_500));
    assert_eq!(list.clock, WallTime(1_700_000_060_500));
}

#[test]
fn nobody_logged_on_is_an_empty_list_only_when_logind_said_so() {
    assert!(read(&printed(&list_line(&[]))).expect("a list").sessions.is_empty());
    assert_eq!(read(&printed("")).expect_err("no answer").code, StatusCode::Unexpected);
}

#[test]
fn a_session_that_vanishes_in_the_middle_is_left_out() {
    let body = list_line(&["3", "4"])
        + &session_line("3", "alice", "user")
        + &format!("failed {}\n", login1::session_path("4"))
        + &list_line(&["3"]);
    assert_eq!(read(&printed(&body)).expect("a list").sessions.len(), 1);
}

#[test]
fn a_session_that_is_still_there_but_does_not_answer_is_an_error() {
    let failed = format!("failed {}\n", login1::session_path("4"));
    let body = list_line(&["4"]) + &failed + &list_line(&["4"]);
    assert!(read(&printed(&body)).is_err());
    assert!(read(&printed(&list_line(&["4"]))).is_err());
}

#[test]
fn a_list_that_was_cut_is_an_error() {
    let whole = printed(&(list_line(&["3"]) + &session_line("3", "alice", "user"))).output;
    for cut in 0..whole.len() - 1 {
        let ended = Ended { code: Some(0), output: whole[..cut].to_vec(), complaint: String::new() };
        assert!(read(&ended).is_err(), "cut at {cut}");
    }
}

#[test]
fn hostile_names_forge_nothing() {
    let name = "x\nend\nlist {}\u{1b}]0;\"} /org/freedesktop/login1/session/_39";
    let body = list_line(&["3"]) + &session_line("3", name, "user");
    let list = read(&printed(&body)).expect("a list");
    assert_eq!(list.sessions.len(), 1);
    assert!(!list.sessions[0].user.chars().any(char::is_control));
    let longest = "ä".repeat(16);
    let body = list_line(&["3"]) + &session_line("3", &longest, "user");
    assert_eq!(read(&printed(&body)).expect("a list").sessions[0].user, longest);
}

#[test]
fn bad_utf8_becomes_a_replacement_character() {
    let body = list_line(&["3"]) + &session_line("3", "alXce", "user");
    let mut ended = printed(&body);
    for byte in ended.output.iter_mut().filter(|byte| **byte == b'X') {
        *byte = 0xC3;
    }
    assert_eq!(read(&ended).expect("a list").sessions[0].user, "al\u{fffd}ce");
}

#[test]
fn a_guest_cannot_choose_what_becomes_an_argument() {
    for id in ["-1", "a b", "$(id)", "", "../x", &"1".repeat(65)] {
        let rows = json!([[id, 1, "x", "", "/org/freedesktop/login1/session/x"]]);
        let body = format!("list {}\n", json!({ "data": rows }));
        assert!(read(&printed(&body)).is_err(), "{id:?}");
    }
    for text in ["x:1", "0f1e2d3c-0000-4000-8000-0123456789ab:", "0f1e2d3c-0000-4000-8000-0123456789ab:1;x"] {
        assert!(boot(text).is_err(), "{text:?}");
    }
}

#[test]
fn a_guest_without_logind_is_unlistable_and_one_that_boots_is_not_ready() {
    let of = |code, printed: &str, complaint: &str| {
        let ended = Ended { code: Some(code), output: printed.into(), complaint: complaint.into() };
        read(&ended).expect_err("no list")
    };
    let head = format!("boot {BOOT}\nnow 1\n");
    assert!(of(31, &head, "busctl is not there").unlistable);
    assert!(of(32, &format!("{head}system running\n"), "no such unit").unlistable);
    assert!(of(30, "", "").unlistable);
    let booting = of(32, &format!("{head}system starting\n"), "no bus");
    assert_eq!((booting.code, booting.unlistable), (StatusCode::AdditionsNotAvail, false));
    let denied = of(32, &format!("{head}system running\n"), "Call failed: Access denied");
    assert_eq!(denied.code, StatusCode::AccessDenied);
}

#[test]
fn a_session_that_was_switched_away_from_is_disconnected() {
    let switched = session_line("3", "alice", "user").replace(
        r#""State":{"data":"active""#,
        r#""Seat":{"data":["seat0","/x"],"type":"x"},"State":{"data":"online""#,
    );
    let list = read(&printed(&(list_line(&["3"]) + &switched))).expect("a list");
    assert_eq!(list.sessions[0].state, SessionState::Disconnected);
}

#[test]
fn processes_are_named_by_their_session_a_few_of_them_and_printable() {
    let many: String = (0..20).map(|n| format!("process 3 vi{n}\n")).collect();
    let body = list_line(&["3"])
        + &session_line("3", "alice", "user")
        + "process 3 sshd\nprocess 3 ba\x1b[2Jsh x\nprocess 3 sshd\nprocess 9 stray\n"
        + &many;
    let list = read(&printed(&body)).expect("a list");
    assert_eq!(list.processes.keys().collect::<Vec<_>>(), ["3"], "only of sessions that are listed");
    let names = &list.processes["3"];
    assert_eq!(names.len(), 8);
    assert_eq!(names[0], "ba\u{fffd}[2Jsh x", "what opens sessions says least and comes last");
    assert_eq!(names.last().map(String::as_str), Some("sshd"));
    assert!(read(&printed(&(body + "process $(x) y\n"))).is_err());
}

#[test]
fn a_list_of_more_than_is_believed_is_refused() {
    let rows = vec![row("3"); SESSIONS_MAX + 1];
    let body = format!("list {}\n", json!({ "data": [rows] }));
    assert_eq!(read(&printed(&body)).expect_err("too many").code, StatusCode::Unexpected);
    let body = format!("list {}\n", json!({ "data": [vec![json!([0, 0, 0, 0, vec![0; 100_000]])]] }));
    assert!(read(&printed(&body)).is_err());
}
