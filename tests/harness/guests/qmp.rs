//! A client of QEMU's monitor, for the harness' own use.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// The monitor answers at once unless QEMU itself is stopped.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// One connection to a monitor: the only one that it serves until it is dropped.
#[derive(Debug)]
pub struct QmpClient(BufReader<UnixStream>);

impl QmpClient {
    /// Connects and leaves negotiation mode, so that commands can be given.
    pub async fn connect(socket: &Path) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(socket)
            .await
            .with_context(|| format!("cannot connect to the monitor at {}", socket.display()))?;
        let mut client = Self(BufReader::new(stream));
        client.call("qmp_capabilities", json!({})).await?;
        Ok(client)
    }

    /// Gives a command and returns its result; its refusal is an error. The greeting and events are passed over.
    pub async fn call(&mut self, command: &str, arguments: Value) -> anyhow::Result<Value> {
        let message = json!({ "execute": command, "arguments": arguments });
        self.0.write_all(format!("{message}\n").as_bytes()).await.context("cannot write to the monitor")?;
        timeout(ANSWER_LIMIT, self.answer())
            .await
            .with_context(|| format!("the monitor does not answer {command}"))?
            .with_context(|| format!("the monitor refuses {command}"))
    }

    async fn answer(&mut self) -> anyhow::Result<Value> {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).await.context("cannot read from the monitor")? == 0 {
                bail!("the monitor hung up");
            }
            let mut message: Value =
                serde_json::from_str(&line).with_context(|| format!("garbage: {line:?}"))?;
            if let Some(error) = message.get("error") {
                bail!("{error}");
            }
            if message.get("return").is_some() {
                return Ok(message["return"].take());
            }
        }
    }
}
