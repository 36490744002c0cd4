//! A stand-in for a channel to a guest agent, for tests: no socket, no guest, only answers.

use super::{AgentChannel, Refusal};
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// How a stand-in answers a command and its arguments.
type Answers = Box<dyn FnMut(&str, &Value) -> Result<Value, Refusal> + Send>;

/// A channel that answers by a function. Its deadline is half a minute away.
pub(in crate::provider) struct FakeChannel {
    deadline: Instant,
    answers: Answers,
}

/// A program that was run in the guest that there is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::provider) struct Ran {
    /// The program and its arguments.
    pub(in crate::provider) argv: Vec<String>,
    /// What it was given to read.
    pub(in crate::provider) input: Vec<u8>,
}

impl FakeChannel {
    /// Answers each command by `answers`.
    pub(in crate::provider) fn answering(
        answers: impl FnMut(&str, &Value) -> Result<Value, Refusal> + Send + 'static,
    ) -> FakeChannel {
        FakeChannel { deadline: Instant::now() + Duration::from_secs(30), answers: Box::new(answers) }
    }

    /// An agent whose programs end by `run`: what was run to exit code and output.
    pub(in crate::provider) fn running(
        mut run: impl FnMut(&Ran) -> (i64, String) + Send + 'static,
    ) -> FakeChannel {
        let mut result = (0, String::new());
        FakeChannel::answering(move |command, arguments| match command {
            "guest-exec" => {
                result = run(&Ran::from_request(arguments));
                Ok(json!({ "pid": 7 }))
            }
            "guest-exec-status" => Ok(json!({
                "exited": true, "exitcode": result.0, "out-data": STANDARD.encode(&result.1),
            })),
            _ => Err(Refusal::NoSuchCommand("not here".into())),
        })
    }
}

impl Ran {
    /// Reads the arguments of a `guest-exec`.
    pub(in crate::provider) fn from_request(arguments: &Value) -> Ran {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let mut argv = vec![text(&arguments["path"])];
        argv.extend(arguments["arg"].as_array().expect("a list").iter().map(text));
        let input = arguments["input-data"].as_str().unwrap_or_default();
        Ran { argv, input: STANDARD.decode(input).expect("base64") }
    }
}

#[async_trait]
impl AgentChannel for FakeChannel {
    fn deadline(&self) -> Instant {
        self.deadline
    }

    async fn call(&mut self, command: &str, arguments: Value) -> Result<Value, Refusal> {
        (self.answers)(command, &arguments)
    }
}
