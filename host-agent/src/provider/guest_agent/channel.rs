//! What a connection to a guest agent has to offer, and the words for what goes wrong on one. How the bytes travel is the
//! providers' affair; what they may cost is bounded here for all of them.

use crate::provider::Error;
use async_trait::async_trait;
use curfew_types::StatusCode;
use serde_json::Value;
use tokio::time::Instant;

/// Most bytes that a program in a guest may have printed: 2,000 sessions at 2 KiB each. libvirt passes on a little less.
pub(in crate::provider) const OUTPUT_MAX: usize = 4 * 1024 * 1024;
/// Longest reply of a guest agent: a program's whole output in base64, which is a third longer, and what it complained of.
pub(in crate::provider) const REPLY_MAX: usize = OUTPUT_MAX / 3 * 4 + 64 * 1024;
/// Most values in a reply: what an agent is asked for has a dozen fields, and each value costs thirty times its text.
const REPLY_VALUES_MAX: usize = 1_000;
/// Longest piece of a guest's text in a message for people.
const SHOWN_MAX: usize = 200;

/// An open connection to one guest's agent, on which nobody else's answers come.
#[async_trait]
pub(in crate::provider) trait AgentChannel: Send {
    /// When this exchange has to be over.
    fn deadline(&self) -> Instant;

    /// Gives one command and returns what it returned. `Value::Null` stands for no arguments.
    ///
    /// # Errors
    /// What the agent answered, or how the exchange broke down; `VM_E_TIMED_OUT` at the deadline.
    async fn call(&mut self, command: &str, arguments: Value) -> Result<Value, Refusal>;
}

/// Why a command has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::provider) enum Refusal {
    /// The agent does not know the command, or its policy or state forbids it now; its words, escaped.
    NoSuchCommand(String),
    /// The agent tried and failed; its words, escaped.
    Failed(String),
    /// The exchange itself broke down.
    Broken(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Broken(error)
    }
}

/// Reads an agent's reply to `command`: what it returned, or what it refused.
///
/// # Errors
/// What the agent answered; `DISP_E_EXCEPTION` for what is no reply, or a larger one than any agent sends.
pub(in crate::provider) fn read_reply(command: &str, line: &[u8]) -> Result<Value, Refusal> {
    let refuse = |what: &str| {
        let said = shown(line);
        Refusal::Broken(unexpected(format!("{command} was answered with {what}: {said}")))
    };
    if line.len() > REPLY_MAX {
        return Err(refuse("more than is believed"));
    }
    let mut reply = super::json::read(line, REPLY_VALUES_MAX).map_err(|_| refuse("no JSON"))?;
    if let Some(value) = reply.get_mut("return") {
        return Ok(value.take());
    }
    let error = reply.get("error").ok_or_else(|| refuse("no reply"))?;
    let said = shown(error.get("desc").and_then(Value::as_str).unwrap_or_default().as_bytes());
    Err(match error.get("class").and_then(Value::as_str) {
        Some("CommandNotFound") => Refusal::NoSuchCommand(said),
        _ => Refusal::Failed(said),
    })
}

/// A guest's bytes for a message: escaped and short.
pub(in crate::provider) fn shown(bytes: &[u8]) -> String {
    let cut = bytes.len() > SHOWN_MAX;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_MAX)]);
    format!("{:?}{}", text.trim_end(), if cut { "..." } else { "" })
}

/// What makes no sense, or cannot be helped.
pub(in crate::provider) fn unexpected(message: impl Into<String>) -> Error {
    Error::new(StatusCode::Unexpected, message)
}

/// The agent took the connection and does not answer.
pub(in crate::provider) fn silent() -> Error {
    let message = "the guest agent did not answer in time: it is busy, frozen or dead";
    Error::new(StatusCode::TimedOut, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guest_says_is_shown_escaped_and_short() {
        assert_eq!(shown(b"\x1b[2J\n"), "\"\\u{1b}[2J\"");
        assert!(shown(&[b'x'; 10_000]).len() < 300);
    }

    #[test]
    fn a_reply_is_what_was_returned_or_why_not() {
        assert_eq!(read_reply("x", b"{\"return\":{\"pid\":7}}"), Ok(serde_json::json!({ "pid": 7 })));
        let refused = |line: &[u8]| read_reply("x", line).expect_err("no value");
        let disabled = b"{\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"no\"}}";
        assert_eq!(refused(disabled), Refusal::NoSuchCommand("\"no\"".into()));
        assert_eq!(refused(b"{\"error\":{\"class\":\"GenericError\"}}"), Refusal::Failed("\"\"".into()));
        for line in [&b""[..], b"{}", b"[]", b"7", b"{\"return\":", b"\xFF"] {
            let Refusal::Broken(error) = refused(line) else { panic!("{line:?} is no reply") };
            assert_eq!(error.code, StatusCode::Unexpected);
        }
    }

    #[test]
    fn a_reply_of_a_million_values_or_without_end_is_not_read() {
        let wide = [b"{\"return\":[0".to_vec(), b",0".repeat(1_000_000), b"]}".to_vec()].concat();
        assert!(matches!(read_reply("x", &wide), Err(Refusal::Broken(_))));
        let long = [b"{\"return\":\"".to_vec(), vec![b'a'; REPLY_MAX], b"\"}".to_vec()].concat();
        assert!(matches!(read_reply("x", &long), Err(Refusal::Broken(_))));
    }
}
