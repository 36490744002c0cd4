//! Asks everything of a guest whose agent is hostile, and checks what may come of it, whatever it is.

use crate::agent::HostileAgent;
use curfew_agent::provider::qga::{self, QgaConfig, QgaGuest};
use curfew_agent::provider::{DrainOrder, EndMode, Error, Look, NoticeReply, Provider, SessionList};
use curfew_types::session::USER_MAX;
use curfew_types::{GuestId, HostName, OnlyIf, SessionKey};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How much longer than its budget a call may take here, where many tests share two cores. What is not bounded takes
/// minutes.
const LENIENCE: Duration = Duration::from_secs(20);
/// Longest message of an error: a piece of the guest's text, escaped, and what was attempted.
const MESSAGE_MAX: usize = 2_500;
/// Most of what a guest sends in one exchange is taken: twice the longest reply, and what lies in the socket's buffers.
const TAKEN_MAX: usize = 13 * 1024 * 1024;

/// Both kinds' keys: whichever the guest is of, the one is known and the other refused.
fn keys() -> [SessionKey; 2] {
    [
        SessionKey { boot: "0f1e2d3c-0000-4000-8000-0123456789ab:42".into(), id: "c1".into(), began_us: 7 },
        SessionKey { boot: "1".into(), id: "1".into(), began_us: 7 },
    ]
}

pub fn provider(agent: &HostileAgent) -> (Arc<dyn Provider>, GuestId) {
    let host: HostName = "h1".parse().expect("a host name");
    let guest = QgaGuest { name: "vm".into(), socket: Some(agent.socket()), ..QgaGuest::default() };
    let config = QgaConfig { guests: vec![guest], ..QgaConfig::default() };
    let provider = qga::build(&config, &host).expect("a provider").expect("a provider");
    (provider, GuestId::local(&host, "qga", "vm").expect("an id"))
}

/// Lists the sessions, and checks how that went.
pub async fn list(agent: &HostileAgent, budget: Duration) -> Result<SessionList, Error> {
    let (provider, id) = provider(agent);
    let (before, sent) = (Instant::now(), agent.sent());
    let result = provider.list_sessions(&id, Look { processes: true }, budget).await;
    bounded(agent, before, sent, budget);
    match &result {
        Ok(list) => check_list(list),
        Err(error) => check_error(error),
    }
    result
}

/// Asks for all the rest, and checks how that went.
pub async fn act(agent: &HostileAgent, budget: Duration) {
    let (provider, id) = provider(agent);
    for key in keys() {
        for how in [EndMode::Graceful { attempt: 0 }, EndMode::Force] {
            let (before, sent) = (Instant::now(), agent.sent());
            let result = provider.end_session(&id, &key, how, OnlyIf::default(), budget).await;
            bounded(agent, before, sent, budget);
            result.as_ref().err().into_iter().for_each(check_error);
        }
        let (before, sent) = (Instant::now(), agent.sent());
        let result = provider.notify(&id, std::slice::from_ref(&key), "Patching", budget).await;
        bounded(agent, before, sent, budget);
        match &result {
            Ok(replies) => check_replies(replies),
            Err(error) => check_error(error),
        }
    }
    let order = DrainOrder { for_ms: 60_000, text: "Patching".into() };
    let (before, sent) = (Instant::now(), agent.sent());
    provider.drain(&id, &order, budget).await.err().iter().for_each(check_error);
    bounded(agent, before, sent, budget);
    let (before, sent) = (Instant::now(), agent.sent());
    provider.undrain(&id, budget).await.err().iter().for_each(check_error);
    bounded(agent, before, sent, budget);
}

fn bounded(agent: &HostileAgent, before: Instant, sent: usize, budget: Duration) {
    let (took, taken) = (before.elapsed(), agent.sent() - sent);
    assert!(took < budget + LENIENCE, "it took {took:?} of {budget:?}");
    assert!(taken <= TAKEN_MAX, "{taken} bytes were taken");
}

/// What must not reach a log, a message or a listing as it is.
pub fn is_plain(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

fn check_list(list: &SessionList) {
    assert!(is_plain(&list.boot) && list.boot.len() <= 64, "{:?}", list.boot);
    assert!(list.sessions.len() <= 2_000);
    for session in &list.sessions {
        assert!(session.key.id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{:?}", session.key);
        assert!(session.key.id.len() <= 64 && session.key.boot == list.boot);
        for text in [&session.user, &session.kind, &session.origin] {
            assert!(is_plain(text) && text.len() <= USER_MAX, "{text:?}");
        }
    }
    for (id, names) in &list.processes {
        assert!(list.sessions.iter().any(|session| session.key.id == *id), "{id:?} is no session");
        assert!(
            names.len() <= 32 && names.iter().all(|name| is_plain(name) && name.len() <= 64),
            "{names:?}"
        );
    }
}

fn check_replies(replies: &[NoticeReply]) {
    assert_eq!(replies.len(), 1);
    for reply in replies {
        if let NoticeReply::NotShown(why) = reply {
            assert!(is_plain(why) && why.len() <= MESSAGE_MAX, "{why:?}");
        }
    }
}

fn check_error(error: &Error) {
    let message = &error.message;
    assert!(is_plain(message), "{message:?}");
    assert!(!message.contains(['\u{202e}', '\u{2066}', '\u{2028}', '\u{200b}']), "{message:?}");
    assert!(message.len() <= MESSAGE_MAX, "{} bytes: {message:?}", message.len());
}
