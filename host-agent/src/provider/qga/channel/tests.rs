//! The wire's bad days, against a stand-in on a real socket.

use super::super::fake::{FakeAgent, Reaction, synced};
use super::*;

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(150)
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

async fn open(agent: &FakeAgent) -> Result<Channel, Error> {
    Channel::open(&agent.socket(), later()).await
}

/// A stand-in that synchronises and answers everything else so.
fn answering(mut react: impl FnMut(&str) -> Reaction + Send + 'static) -> FakeAgent {
    FakeAgent::new(move |command, arguments| match command {
        "guest-sync-delimited" => synced(b"", arguments),
        command => react(command),
    })
}

#[tokio::test]
async fn what_earlier_clients_left_is_discarded() {
    let garbage: &[u8] =
        b"half a li\xFFne {\n{\"error\":{\"class\":\"GenericError\",\"desc\":\"JSON parse error\"}}\n\
        {\"return\":{}}\n\xFF{\"return\":1}\n{\"return\":[1,2";
    let agent = FakeAgent::new(move |command, arguments| match command {
        "guest-sync-delimited" => synced(garbage, arguments),
        _ => Reaction::returns(json!("mine")),
    });
    let mut channel = open(&agent).await.expect("a channel");
    assert_eq!(channel.call("guest-ping", Value::Null).await, Ok(json!("mine")));
}

#[tokio::test]
async fn an_agent_that_never_answers_is_timed_out() {
    let agent = FakeAgent::new(|_, _| Reaction::Nothing);
    let error = Channel::open(&agent.socket(), soon()).await.err().expect("silence");
    assert_eq!(error.code, StatusCode::TimedOut);
}

#[tokio::test]
async fn a_command_that_is_never_answered_is_timed_out() {
    let agent = answering(|_| Reaction::Nothing);
    let mut channel = Channel::open(&agent.socket(), soon()).await.expect("a channel");
    let refusal = channel.call("guest-exec", Value::Null).await.expect_err("silence");
    assert_eq!(refusal, Refusal::Broken(silent()));
}

#[tokio::test]
async fn half_a_line_is_no_answer() {
    let agent = answering(|_| Reaction::Say(b"{\"return\":".to_vec()));
    let mut channel = Channel::open(&agent.socket(), soon()).await.expect("a channel");
    let refusal = channel.call("guest-ping", Value::Null).await.expect_err("silence");
    assert_eq!(refusal, Refusal::Broken(silent()));
}

#[tokio::test]
async fn an_endless_line_is_refused() {
    let agent = answering(|_| Reaction::Say(vec![b' '; REPLY_MAX + 1]));
    let refusal = open(&agent).await.expect("a channel").call("x", Value::Null).await.expect_err("too much");
    assert!(
        matches!(&refusal, Refusal::Broken(error) if error.code == StatusCode::Unexpected),
        "{refusal:?}"
    );
}

#[tokio::test]
async fn bottomless_json_is_refused() {
    let agent = answering(|_| Reaction::Say([vec![b'['; 100_000], b"\n".to_vec()].concat()));
    let refusal = open(&agent).await.expect("a channel").call("x", Value::Null).await.expect_err("too deep");
    assert!(
        matches!(&refusal, Refusal::Broken(error) if error.code == StatusCode::Unexpected),
        "{refusal:?}"
    );
}

#[tokio::test]
async fn a_connection_lost_in_the_middle_may_be_tried_again() {
    let agent = answering(|_| Reaction::HangUp);
    let refusal = open(&agent).await.expect("a channel").call("x", Value::Null).await.expect_err("lost");
    let Refusal::Broken(error) = refusal else { panic!("{refusal:?}") };
    assert_eq!(error.code, StatusCode::AdditionsNotAvail);
}

#[tokio::test]
async fn a_socket_that_is_missing_or_closed_is_an_agent_that_is_not_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("none");
    let missing = Channel::open(&path, later()).await.err().expect("nobody");
    assert_eq!(missing.code, StatusCode::AdditionsNotAvail);
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
    let refused = Channel::open(&path, later()).await.err().expect("nobody");
    assert_eq!(refused.code, StatusCode::AdditionsNotAvail);
}

#[tokio::test]
async fn errors_tell_a_forbidden_command_from_a_failed_one() {
    let agent = answering(|command| match command {
        "guest-exec" => Reaction::fails("CommandNotFound", "Command guest-exec has been disabled"),
        _ => Reaction::fails("GenericError", "it\nbroke"),
    });
    let mut channel = open(&agent).await.expect("a channel");
    let forbidden = channel.call("guest-exec", Value::Null).await;
    assert!(matches!(forbidden, Err(Refusal::NoSuchCommand(_))), "{forbidden:?}");
    assert_eq!(channel.call("other", Value::Null).await, Err(Refusal::Failed("\"it\\nbroke\"".into())));
}
