//! A guest agent that does what a test says, on a unix socket, one client at a time, and counts what it gets rid of.

use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// What the agent does with one request.
#[derive(Clone, Debug)]
pub enum Move {
    /// Sends these bytes.
    Say(Vec<u8>),
    /// Sends them one by one.
    Dribble(Vec<u8>),
    /// Sends them again and again, until nobody takes them.
    Forever(Vec<u8>),
    Nothing,
    /// Sends these bytes and closes the connection, as an agent that is restarted.
    SayAndDie(Vec<u8>),
}

impl Move {
    pub fn returns(value: &Value) -> Move {
        Move::Say(format!("{}\n", json!({ "return": value })).into_bytes())
    }

    pub fn fails(class: &str, desc: &str) -> Move {
        Move::Say(format!("{}\n", json!({ "error": { "class": class, "desc": desc } })).into_bytes())
    }

    /// The answer to a synchronisation.
    pub fn synced(arguments: &Value) -> Move {
        Move::Say(
            format!("\u{FF}{}\n", json!({ "return": arguments["id"] })).chars().map(|c| c as u8).collect(),
        )
    }
}

/// An agent, until it is dropped.
pub struct HostileAgent {
    folder: tempfile::TempDir,
    sent: Arc<AtomicUsize>,
    server: tokio::task::JoinHandle<()>,
}

impl HostileAgent {
    /// Answers each command and its arguments by `answer`.
    pub fn new(answer: impl FnMut(&str, &Value) -> Move + Send + 'static) -> HostileAgent {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join("socket")).expect("a socket");
        let sent = Arc::new(AtomicUsize::new(0));
        let server = tokio::spawn(serve(listener, answer, Arc::clone(&sent)));
        HostileAgent { folder, sent, server }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Bytes that the other side took.
    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for HostileAgent {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: UnixListener, mut answer: impl FnMut(&str, &Value) -> Move, sent: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        // The other side has had enough.
        let _ = converse(stream, &mut answer, &sent).await;
    }
}

async fn converse(
    mut stream: UnixStream,
    answer: &mut impl FnMut(&str, &Value) -> Move,
    sent: &AtomicUsize,
) -> std::io::Result<()> {
    let mut pending = Vec::new();
    while stream.read_buf(&mut pending).await? > 0 {
        while let Some(at) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=at).filter(|byte| *byte != 0xFF).collect();
            let request: Value = serde_json::from_slice(&line)?;
            let command = request["execute"].as_str().unwrap_or_default();
            match answer(command, &request["arguments"]) {
                Move::Say(bytes) => send(&mut stream, &bytes, sent).await?,
                Move::Dribble(bytes) => {
                    for byte in bytes {
                        send(&mut stream, &[byte], sent).await?;
                        tokio::task::yield_now().await;
                    }
                }
                Move::Forever(bytes) => loop {
                    send(&mut stream, &bytes, sent).await?;
                },
                Move::Nothing => {}
                Move::SayAndDie(bytes) => return send(&mut stream, &bytes, sent).await,
            }
        }
    }
    Ok(())
}

async fn send(stream: &mut UnixStream, mut bytes: &[u8], sent: &AtomicUsize) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let taken = stream.write(bytes).await?;
        sent.fetch_add(taken, Ordering::Relaxed);
        bytes = &bytes[taken..];
    }
    Ok(())
}
