//! A client of the QEMU guest agent for the harness' own use. It shares nothing with the product's client on purpose: a
//! misunderstanding of the protocol must not sit on both sides of a test.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::exec::CommandOutput;
use super::wait::Patience;

/// A busy or frozen agent accepts connections and stays silent, so every answer is waited for only so long.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// Under emulation a command can take seconds.
const EXEC_LIMIT: Duration = Duration::from_secs(60);
/// Ahead of a message it makes the agent's parser forget what another client may have left half said.
const RESET: u8 = 0xff;

/// One connection to a guest agent: the only one that the agent serves until it is dropped.
#[derive(Debug)]
pub struct QgaClient(BufReader<UnixStream>);

impl QgaClient {
    /// Connects and makes sure that the next answer is to this client's next question.
    pub async fn connect(socket: &Path) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(socket)
            .await
            .with_context(|| format!("cannot connect to the guest agent at {}", socket.display()))?;
        let mut client = Self(BufReader::new(stream));
        timeout(ANSWER_LIMIT, client.synchronise())
            .await
            .with_context(|| format!("the guest agent at {} does not answer", socket.display()))??;
        Ok(client)
    }

    /// Sends a command and returns what the agent returned; its refusals are errors.
    pub async fn call(&mut self, command: &str, arguments: Value) -> anyhow::Result<Value> {
        self.send(&[], &json!({ "execute": command, "arguments": arguments })).await?;
        let line =
            timeout(ANSWER_LIMIT, self.line()).await.with_context(|| format!("no answer to {command}"))??;
        let mut answer: Value =
            serde_json::from_slice(&line).with_context(|| format!("{command} got garbage"))?;
        if let Some(error) = answer.get("error") {
            bail!("the guest agent refuses {command}: {error}");
        }
        Ok(answer["return"].take())
    }

    /// Runs a command inside the guest and waits for its end.
    pub async fn exec(&mut self, argv: &[&str]) -> anyhow::Result<CommandOutput> {
        let (path, arguments) = argv.split_first().context("a command needs a name")?;
        let order = json!({ "path": path, "arg": arguments, "capture-output": true });
        let pid = self.call("guest-exec", order).await?["pid"].take();
        let what = format!("the end of {argv:?}");
        let mut patience = Patience::new(&what, EXEC_LIMIT);
        let status = loop {
            let status = self.call("guest-exec-status", json!({ "pid": pid })).await?;
            if status["exited"] == true {
                break status;
            }
            patience.pause(anyhow!("it still runs")).await?;
        };
        output_of(&status)
    }

    async fn synchronise(&mut self) -> anyhow::Result<()> {
        let id = u64::from(std::process::id());
        let sync = json!({ "execute": "guest-sync-delimited", "arguments": { "id": id } });
        self.send(&[RESET], &sync).await?;
        // Whatever comes before the delimiter and this id was meant for others.
        loop {
            let line = self.line().await?;
            let answer = line.rsplit(|byte| *byte == RESET).next().unwrap_or_default();
            if serde_json::from_slice::<Value>(answer).is_ok_and(|answer| answer["return"] == id) {
                return Ok(());
            }
        }
    }

    async fn send(&mut self, prefix: &[u8], message: &Value) -> anyhow::Result<()> {
        let bytes = [prefix, message.to_string().as_bytes(), b"\n"].concat();
        self.0.write_all(&bytes).await.context("cannot write to the guest agent")
    }

    async fn line(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut line = Vec::new();
        let size = self.0.read_until(b'\n', &mut line).await.context("cannot read from the guest agent")?;
        if size == 0 {
            bail!("the guest agent hung up");
        }
        Ok(line)
    }
}

/// What `guest-exec-status` tells of a command that has ended.
pub(super) fn output_of(status: &Value) -> anyhow::Result<CommandOutput> {
    let signalled = || status["signal"].as_i64().map(|signal| 128 + signal);
    let code = status["exitcode"].as_i64().or_else(signalled).context("neither exit code nor signal")?;
    let text = |stream: &str| -> anyhow::Result<String> {
        let data = STANDARD.decode(status[stream].as_str().unwrap_or_default())?;
        Ok(String::from_utf8_lossy(&data).into_owned())
    };
    Ok(CommandOutput { code: i32::try_from(code)?, stdout: text("out-data")?, stderr: text("err-data")? })
}
