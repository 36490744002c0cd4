//! What is sent into a Linux guest, and what it says of its uptime, read strictly.

use super::*;
use crate::provider::guest_agent::fake::{FakeChannel, Ran};
use crate::provider::{DrainOrder, EndMode, EndReply, Look};
use curfew_types::{OnlyIf, SessionKey, StateFilter};
use std::sync::mpsc::{Receiver, channel};

const BOOT: &str = "0f1e2d3c-0000-4000-8000-0123456789ab:42";
const HOSTILE: &str = "$(reboot) `reboot` '; reboot; ' \" \\ %s -n";

fn key(id: &str) -> SessionKey {
    SessionKey { boot: BOOT.into(), id: id.into(), began_us: 17 }
}

/// A guest whose scripts print this, and what is run in it beside asking for its uptime.
fn guest(output: &'static str) -> (FakeChannel, Receiver<Vec<String>>) {
    let (tell, told) = channel();
    let channel = FakeChannel::running(move |ran: &Ran| match ran.argv[0].as_str() {
        "/bin/cat" => (0, "100.00 1.00\n".into()),
        _ => {
            tell.send(ran.argv.clone()).expect("told");
            (0, output.into())
        }
    });
    (channel, told)
}

#[tokio::test]
async fn what_must_still_hold_goes_into_the_guest_with_the_request_to_end() {
    let (mut channel, told) = guest("");
    let how = EndMode::Graceful { attempt: 0 };
    let only_if = OnlyIf { state: Some(StateFilter::Disconnected), idle_at_least_ms: Some(90_000) };
    assert_eq!(end(&mut channel, &key("3"), how, only_if).await, Ok(EndReply::Asked));
    assert_eq!(told.recv().expect("told")[10..], ["disconnected", "90000"]);
    assert_eq!(end(&mut channel, &key("3"), how, OnlyIf::default()).await, Ok(EndReply::Asked));
    assert_eq!(told.recv().expect("told")[10..], ["", ""]);
}

#[tokio::test]
async fn a_text_for_people_is_an_argument_and_never_part_of_a_script() {
    let (mut channel, told) = guest("shown:gone:end\n");
    let replies = notify(&mut channel, &[key("3"), key("c1")], HOSTILE).await.expect("replies");
    assert_eq!(replies.len(), 2);
    let argv = told.recv().expect("told");
    assert!(!argv[2].contains("$(reboot)"));
    assert_eq!((argv[4].as_str(), argv[6].as_str()), (BOOT, HOSTILE));
    assert_eq!(
        argv[8..],
        ["/org/freedesktop/login1/session/_33", "17", "/org/freedesktop/login1/session/c1", "17"]
    );
    let (mut channel, told) = guest("");
    let order = DrainOrder { for_ms: 61_001, text: HOSTILE.into() };
    drain(&mut channel, &order).await.expect("in force");
    let argv = told.recv().expect("told");
    assert!(!argv[2].contains("$(reboot)"));
    assert_eq!((argv[5].as_str(), argv[7].as_str()), ("62", HOSTILE));
}

#[tokio::test]
async fn a_text_is_no_markup_on_a_desktop() {
    let (mut channel, told) = guest("shown:end\n");
    notify(&mut channel, &[key("3")], "<a href='x'>R&D</a>").await.expect("replies");
    assert_eq!(told.recv().expect("told")[7], "&lt;a href='x'&gt;R&amp;D&lt;/a&gt;");
}

#[tokio::test]
async fn what_is_no_session_id_is_never_sent() {
    let mut channel = FakeChannel::answering(|command, _| panic!("{command} was called"));
    let keys = [key("3"), key("3; reboot")];
    assert!(notify(&mut channel, &keys, "x").await.is_err());
    assert!(end(&mut channel, &keys[1], EndMode::Force, OnlyIf::default()).await.is_err());
}

#[tokio::test]
async fn processes_are_named_only_where_they_are_asked_for() {
    let (mut channel, told) = guest("");
    let _ = list(&mut channel, Look::default()).await;
    assert_eq!(told.recv().expect("told").len(), 4);
    let _ = list(&mut channel, Look { processes: true }).await;
    assert_eq!(told.recv().expect("told")[4..], ["processes"]);
}

#[test]
fn uptime_is_read_in_hundredths_or_not_at_all() {
    assert_eq!(read_uptime(b"12345.67 8.00\n"), Ok(1_234_567));
    assert_eq!(read_uptime(b"0.05 0.00\n"), Ok(5));
    for text in ["", "12", "1.2.3", "1.234", "-1.00", "x.yz", "99999999999999999999.00", "1e5.00"] {
        assert!(read_uptime(text.as_bytes()).is_err(), "{text:?}");
    }
}
