//! What is asked of a Windows guest and what its answers mean, without one; the whole way is tested in `tests/windows`.

use super::super::fake::FakeChannel;
use super::script::{ENCODED_MAX, ascii};
use super::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use curfew_types::{SessionState, StateFilter};
use std::sync::mpsc;

const BOOT: &str = "134300000000000001";
const NOW_NS: i64 = 1_790_000_000_000_000_000;

fn key(id: &str) -> SessionKey {
    SessionKey { boot: BOOT.into(), id: id.into(), began_us: 1_789_996_400_000_000 }
}

/// A guest whose programs print this.
fn printing(output: &str) -> FakeChannel {
    ending(0, output.as_bytes().to_vec(), Vec::new())
}

fn ending(code: i64, output: Vec<u8>, complaint: Vec<u8>) -> FakeChannel {
    FakeChannel::answering(move |command, _| match command {
        "guest-get-time" => Ok(json!(NOW_NS)),
        "guest-exec" => Ok(json!({ "pid": 4 })),
        "guest-exec-status" => Ok(json!({
            "exited": true, "exitcode": code, "out-data": STANDARD.encode(&output),
            "err-data": STANDARD.encode(&complaint),
        })),
        _ => Err(Refusal::NoSuchCommand("not here".into())),
    })
}

async fn listed(output: &str) -> Result<SessionList, Error> {
    list(&mut printing(output), Look::default()).await
}

fn row(changes: &[(&str, Value)]) -> Value {
    let mut row = json!({
        "id": 3, "user": "alice", "domain": "CORP", "station": "RDP-Tcp#5", "client": "LAPTOP-7", "kind": "rdp",
        "state": "active", "began": 1_789_996_400_000_000_u64, "idle": 60_000,
    });
    for (field, value) in changes {
        row[*field] = value.clone();
    }
    row
}

fn answer_of(sessions: &[Value]) -> String {
    json!({ "curfew": 1, "boot": BOOT, "now": 1_790_000_000_000_i64, "sessions": sessions, "programs": {} })
        .to_string()
}

#[test]
fn every_script_fits_into_a_command_line_of_windows() {
    for script in [Script::Sessions, Script::Logons] {
        let length = script.encoded().len();
        assert!(length < ENCODED_MAX, "{script:?} has {length} characters");
    }
}

#[test]
fn scripts_are_ascii_and_have_no_line_that_only_explains() {
    for script in [Script::Sessions, Script::Logons] {
        let bytes = STANDARD.decode(script.encoded()).expect("base64");
        let units: Vec<u16> = bytes.chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        let text = String::from_utf16(&units).expect("UTF-16");
        assert!(text.is_ascii() && !text.contains('\r'));
        assert!(text.lines().all(|line| line == line.trim() && !line.is_empty()));
        assert!(!text.lines().any(|line| line.starts_with("# ") || line.starts_with("//")));
    }
}

#[test]
fn what_is_asked_is_one_line_of_ascii_that_reads_back() {
    let asked = json!({ "text": "Grüße\u{1F600} \u{7f}\"\\\u{1}", "boot": "1" });
    let line = ascii(&asked);
    assert!(line.is_ascii() && line.iter().filter(|byte| **byte == b'\n').count() == 1);
    assert!(!line.contains(&0x7f));
    assert_eq!(serde_json::from_slice::<Value>(&line).expect("JSON"), asked);
}

#[tokio::test]
async fn a_session_is_read_with_its_identity_and_its_users_domain() {
    let list = listed(&answer_of(&[row(&[])])).await.expect("a list");
    assert_eq!((list.boot.as_str(), list.clock.0), (BOOT, 1_790_000_000_000));
    let session = &list.sessions[0];
    assert_eq!((session.key.clone(), session.user.as_str()), (key("3"), "CORP\\alice"));
    assert_eq!((session.kind.as_str(), session.origin.as_str()), ("rdp", "LAPTOP-7"));
    assert_eq!((session.state, session.idle_ms), (SessionState::Active, Some(60_000)));
    assert_eq!(session.since.0, 1_789_996_400_000);
}

#[tokio::test]
async fn an_idle_time_that_windows_does_not_tell_is_unknown_and_no_zero() {
    let list = listed(&answer_of(&[row(&[("idle", json!(-1))])])).await.expect("a list");
    assert_eq!(list.sessions[0].idle_ms, None);
}

#[tokio::test]
async fn nobody_logged_on_is_an_empty_list_only_when_the_guest_said_so() {
    assert!(listed(&answer_of(&[])).await.expect("a list").sessions.is_empty());
    for text in
        ["", "{}", "{\"curfew\":1}", "[]", "null", "{\"curfew\":1,\"boot\":\"1\",\"now\":1,\"programs\":{}}"]
    {
        assert!(listed(text).await.is_err(), "{text:?}");
    }
}

#[tokio::test]
async fn an_answer_that_was_cut_anywhere_is_an_error() {
    let whole = answer_of(&[row(&[])]);
    for cut in 0..whole.len() {
        assert!(listed(&whole[..cut]).await.is_err(), "cut at {cut}");
    }
}

#[tokio::test]
async fn an_answer_that_contradicts_itself_is_not_believed() {
    let others = [
        row(&[("id", json!(0))]),
        row(&[("id", json!(-1))]),
        row(&[("id", json!(4_294_967_295_u32))]),
        row(&[("user", json!(""))]),
        row(&[("state", json!("Aktiv"))]),
        row(&[("began", json!(-5))]),
        row(&[("began", json!("x"))]),
        row(&[("extra", json!(1))]),
    ];
    for other in others {
        assert!(listed(&answer_of(std::slice::from_ref(&other))).await.is_err(), "{other}");
    }
    assert!(listed(&answer_of(&[row(&[]), row(&[])])).await.is_err(), "one id twice");
    let boot = answer_of(&[]).replace(BOOT, "1; x");
    assert!(listed(&boot).await.is_err(), "a boot that is no number");
    let version = answer_of(&[]).replace("\"curfew\":1", "\"curfew\":2");
    assert!(listed(&version).await.is_err(), "another version");
    let stranger = answer_of(&[row(&[])]).replace("\"programs\":{}", "\"programs\":{\"7\":[\"x.exe\"]}");
    assert!(listed(&stranger).await.is_err(), "programs of no session");
}

#[tokio::test]
async fn why_powershell_does_not_work_decides_what_is_said_of_the_guest() {
    let failed =
        |code: i64| format!("{{\"curfew\":1,\"fail\":\"error\",\"code\":{code},\"why\":\"x\\u001b[2J\"}}");
    let of = async |text: &str| listed(text).await.expect_err("no list");
    assert!(of("{\"curfew\":1,\"fail\":\"language\"}\r\n").await.unlistable);
    let broken = of(&failed(0)).await;
    assert!(broken.unlistable && !broken.message.contains('\u{1b}'), "{broken}");
    assert_eq!(of(&failed(5)).await.code, StatusCode::AccessDenied);
    let booting = of(&failed(1722)).await;
    assert_eq!((booting.code, booting.unlistable), (StatusCode::AdditionsNotAvail, false));
    assert_eq!(of(&failed(87)).await.code, StatusCode::Unexpected);
    assert_eq!(of("{\"curfew\":1,\"fail\":\"word\"}").await.code, StatusCode::Unexpected);
    let stopped =
        ending(1, Vec::new(), b"Dieses Programm wurde durch eine Gruppenrichtlinie geblockt\x81".to_vec());
    let stopped = list(&mut { stopped }, Look::default()).await.expect_err("stopped");
    assert!(stopped.unlistable && stopped.message.contains("geblockt"), "{stopped}");
}

#[tokio::test]
async fn an_end_carries_identity_conditions_and_deadline_as_input_and_never_in_the_command() {
    let (tell, told) = mpsc::channel();
    let mut answers = FakeChannel::answering(move |command, arguments| match command {
        "guest-get-time" => Ok(json!(NOW_NS)),
        "guest-exec" => {
            tell.send(super::super::fake::Ran::from_request(arguments)).expect("told");
            Ok(json!({ "pid": 4 }))
        }
        _ => Ok(
            json!({ "exited": true, "exitcode": 0, "out-data": STANDARD.encode("{\"curfew\":1,\"end\":\"asked\"}") }),
        ),
    });
    let only_if = OnlyIf { state: Some(StateFilter::Disconnected), idle_at_least_ms: Some(5_000) };
    assert_eq!(end(&mut answers, &key("3"), EndMode::Force, only_if).await, Ok(EndReply::Asked));
    let ran = told.recv().expect("told");
    assert_eq!(ran.argv[0], POWERSHELL);
    assert_eq!(
        ran.argv[1..6],
        ["-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-EncodedCommand"]
    );
    assert_eq!(ran.argv[6..], [Script::Sessions.encoded()]);
    let asked: Value = serde_json::from_slice(&ran.input).expect("JSON");
    assert_eq!((&asked["act"], &asked["boot"], &asked["id"]), (&json!("end"), &json!(BOOT), &json!(3)));
    assert_eq!((&asked["began"], &asked["force"]), (&json!(1_789_996_400_000_000_u64), &json!(true)));
    assert_eq!((&asked["state"], &asked["idle"]), (&json!("disconnected"), &json!(5_000)));
    let latest = asked["latest"].as_i64().expect("a time");
    assert!((1_790_000_020_000..=1_790_000_030_000).contains(&latest), "{latest}");
}

#[tokio::test]
async fn words_of_the_end_are_its_replies() {
    for (word, reply) in [
        ("asked", EndReply::Asked),
        ("gone", EndReply::Gone),
        ("other", EndReply::NotThatSession),
        ("changed", EndReply::NoLongerMatches),
        ("late", EndReply::TooLate),
    ] {
        let mut channel = printing(&format!("{{\"curfew\":1,\"end\":\"{word}\"}}"));
        assert_eq!(end(&mut channel, &key("3"), EndMode::Force, OnlyIf::default()).await, Ok(reply));
    }
    let mut rebooted = printing("{\"curfew\":1,\"fail\":\"boot\"}");
    let reply = end(&mut rebooted, &key("3"), EndMode::Force, OnlyIf::default()).await;
    assert_eq!(reply, Ok(EndReply::NotThatSession));
}

#[tokio::test]
async fn a_session_id_that_is_none_is_never_sent() {
    for id in ["", "0", "-1", "3; x", "65536 ", "4294967295", "+3", "999999999999"] {
        let mut channel = FakeChannel::answering(|command, _| panic!("{command} was sent"));
        let error =
            end(&mut channel, &key(id), EndMode::Force, OnlyIf::default()).await.expect_err("refused");
        assert_eq!(error.code, StatusCode::Unexpected, "{id:?}");
    }
}

#[tokio::test]
async fn a_guest_that_does_not_say_the_time_ends_nobody() {
    for now in [json!(null), json!("x"), json!(-5), json!(0)] {
        let mut channel = FakeChannel::answering(move |command, _| match command {
            "guest-get-time" => Ok(now.clone()),
            command => panic!("{command} was sent"),
        });
        assert!(end(&mut channel, &key("3"), EndMode::Force, OnlyIf::default()).await.is_err());
    }
}

#[tokio::test]
async fn every_session_has_its_reply_to_a_notice() {
    let keys = [key("3"), SessionKey { boot: "7".into(), ..key("4") }, key("5"), key("6")];
    let mut channel = printing("{\"curfew\":1,\"told\":[\"shown\",\"away\",7022]}");
    let replies = notify(&mut channel, &keys, "x").await.expect("replies");
    assert_eq!(replies[..2], [NoticeReply::Shown, NoticeReply::Gone]);
    assert!(matches!(&replies[2], NoticeReply::NotShown(why) if why.contains("nobody")), "{replies:?}");
    assert!(matches!(&replies[3], NoticeReply::NotShown(why) if why.contains("7022")), "{replies:?}");
    for short in ["[]", "[\"shown\"]", "[\"shown\",\"gone\",null]", "[\"shown\",\"gone\",\"x\"]"] {
        let mut channel = printing(&format!("{{\"curfew\":1,\"told\":{short}}}"));
        assert!(notify(&mut channel, &keys, "x").await.is_err(), "{short}");
    }
}
