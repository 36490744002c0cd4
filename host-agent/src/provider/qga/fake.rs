//! A stand-in for a guest agent on a unix socket, for tests. It speaks the wire as qemu-ga does, one client at a
//! time, and runs nothing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// What the stand-in does with one request.
pub(super) enum Reaction {
    /// Sends these bytes as they are.
    Say(Vec<u8>),
    /// Sends nothing.
    Nothing,
    /// Closes the connection.
    HangUp,
}

/// A guest agent that answers by a function, until it is dropped.
pub(super) struct FakeAgent {
    folder: tempfile::TempDir,
    server: tokio::task::JoinHandle<()>,
}

impl Reaction {
    pub(super) fn returns(value: Value) -> Reaction {
        Reaction::Say(format!("{}\n", json!({ "return": value })).into_bytes())
    }

    pub(super) fn fails(class: &str, desc: &str) -> Reaction {
        Reaction::Say(format!("{}\n", json!({ "error": { "class": class, "desc": desc } })).into_bytes())
    }
}

/// The answer to a synchronisation, after whatever lay around.
pub(super) fn synced(before: &[u8], arguments: &Value) -> Reaction {
    let mut bytes = before.to_vec();
    bytes.push(0xFF);
    bytes.extend_from_slice(format!("{}\n", json!({ "return": arguments["id"] })).as_bytes());
    Reaction::Say(bytes)
}

impl FakeAgent {
    /// Answers each request, its command and arguments, by `react`.
    pub(super) fn new(react: impl FnMut(&str, &Value) -> Reaction + Send + 'static) -> FakeAgent {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join("socket")).expect("a socket");
        FakeAgent { folder, server: tokio::spawn(serve(listener, react)) }
    }

    /// A hypervisor that says this of its guest, events in between, and whose guest's agent is behind `agent`.
    pub(super) fn hypervisor(
        status: &'static str,
        uuid: &'static str,
        agent: Option<(&Path, bool)>,
    ) -> FakeAgent {
        FakeAgent::named_hypervisor(status, uuid, None, agent)
    }

    /// The same, with a name for its guest.
    pub(super) fn named_hypervisor(
        status: &'static str,
        uuid: &'static str,
        name: Option<&'static str>,
        agent: Option<(&Path, bool)>,
    ) -> FakeAgent {
        let agent = agent.map(|(path, open)| {
            let filename = format!("unix:{},server=on", path.display());
            json!([{ "label": "ga", "filename": filename, "frontend-open": open }])
        });
        FakeAgent::new(move |command, _| {
            let value = match command {
                "query-status" => json!({ "status": status, "running": status == "running" }),
                "query-uuid" => json!({ "UUID": uuid }),
                "query-name" => name.map_or_else(|| json!({}), |name| json!({ "name": name })),
                "query-chardev" => agent.clone().unwrap_or_else(|| json!([])),
                _ => json!({}),
            };
            let event = "{\"QMP\": {\"version\": {}}}\r\n{\"event\": \"RESUME\"}\r\n";
            Reaction::Say(format!("{event}{}\r\n", json!({ "return": value })).into_bytes())
        })
    }

    /// A healthy agent in a Linux guest, whose programs end by `run`: argument vector to exit code and output.
    pub(super) fn running(mut run: impl FnMut(&[String]) -> (i64, String) + Send + 'static) -> FakeAgent {
        let mut result = (0, String::new());
        FakeAgent::new(move |command, arguments| match command {
            "guest-sync-delimited" => synced(b"", arguments),
            "guest-get-osinfo" => Reaction::returns(json!({ "id": "debian", "version-id": "12" })),
            "guest-exec" => {
                let argv = [&json!([arguments["path"]]), &arguments["arg"]];
                let argv = argv.iter().flat_map(|it| it.as_array().expect("a list"));
                let argv: Vec<String> = argv.map(|it| it.as_str().expect("text").to_owned()).collect();
                result = run(&argv);
                Reaction::returns(json!({ "pid": 7 }))
            }
            "guest-exec-status" => Reaction::returns(json!({
                "exited": true, "exitcode": result.0, "out-data": STANDARD.encode(&result.1),
            })),
            _ => Reaction::fails("CommandNotFound", "not here"),
        })
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }
}

impl Drop for FakeAgent {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: UnixListener, mut react: impl FnMut(&str, &Value) -> Reaction) {
    while let Ok((stream, _)) = listener.accept().await {
        // A client that goes in the middle is its own affair.
        let _ = converse(stream, &mut react).await;
    }
}

async fn converse(
    mut stream: UnixStream,
    react: &mut impl FnMut(&str, &Value) -> Reaction,
) -> std::io::Result<()> {
    let mut pending = Vec::new();
    while stream.read_buf(&mut pending).await? > 0 {
        while let Some(at) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=at).filter(|byte| *byte != 0xFF).collect();
            let request: Value = serde_json::from_slice(&line)?;
            let command = request["execute"].as_str().unwrap_or_default();
            match react(command, &request["arguments"]) {
                Reaction::Say(bytes) => stream.write_all(&bytes).await?,
                Reaction::Nothing => {}
                Reaction::HangUp => return Ok(()),
            }
        }
    }
    Ok(())
}
