//! A stand-in for a Windows guest: a guest agent on a unix socket that answers as Windows' build does, with a session table
//! of its own behind it.
//!
//! # Written from
//!
//! The QEMU guest agent's protocol reference (`qemu-ga-ref`) and its `commands-win32.c`; Microsoft's reference of
//! wtsapi32.h (`WTSEnumerateSessionsW`, `WTSINFOW`, `WTSLogoffSession`, `WTSSendMessageW`, `WTSEnumerateProcessesW`), of
//! `query session`, `change logon` and `msg`, of `powershell.exe`'s parameters and of `CreateProcessW`'s limit; published
//! outputs of `query session` in several languages; and published notes on `TSServerDrainMode` and `WinStationsDisabled`.
//!
//! # Where it differs from reality
//!
//! - It interprets no PowerShell and compiles no C#: it checks that it was given our scripts byte for byte, and does by
//!   itself what they say. Whether they do that on Windows it cannot show.
//! - Only what the provider needs of the agent's commands is there; a program runs in no time, and its end is told at the
//!   second question.
//! - Time stands still until a test lets it pass; a session ends when it is told to, after so many looks, or when forced.
//!   Windows' own patience with hanging programs is not modelled.
//! - A message box is a line in a list, and none waits behind another.
//! - Refusing logons refuses nobody: it is the mode that Windows keeps, its tool, our mark and our task.
//! - Session ids are given by the test; Windows counts them up, and uses low ones again.
//! - The localised words are as published as far as they were found; the code pages have only the characters they need.

mod agent;
mod code_page;
mod language;
mod powershell;
mod programs;
mod world;

pub use language::Language;
pub use world::{Connect, Edition, Goes, Logons, PowerShell, Program, World};

use curfew_agent::provider::qga::{self, QgaConfig, QgaGuest};
use curfew_agent::provider::{Look, Provider, SessionList};
use curfew_types::{GuestId, HostName, SessionKey};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

pub const BUDGET: Duration = Duration::from_secs(30);

/// What happens in the guest just before our program acts.
type Interlude = Box<dyn FnOnce(&mut World) + Send>;

/// A guest, until it is dropped.
pub struct WindowsGuest {
    folder: tempfile::TempDir,
    state: Arc<Mutex<State>>,
    server: tokio::task::JoinHandle<()>,
}

struct State {
    world: World,
    started: agent::Started,
    interlude: Option<Interlude>,
}

impl State {
    /// The interlude, if this is the input of a program that changes something.
    fn take_interlude(&mut self, input: &[u8]) -> Option<Interlude> {
        let ask: serde_json::Value = serde_json::from_slice(input).ok()?;
        if matches!(ask["act"].as_str(), Some("end" | "tell" | "drain" | "undrain")) {
            self.interlude.take()
        } else {
            None
        }
    }
}

/// What one of Windows' own tools prints.
pub fn run_tool(world: &mut World, tool: &str, arguments: &[&str]) -> Vec<u8> {
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    programs::run(world, tool, &arguments, b"").expect("a tool that is there").output
}

impl WindowsGuest {
    pub fn new(world: World) -> WindowsGuest {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join("socket")).expect("a socket");
        let state = State { world, started: agent::Started::default(), interlude: None };
        let state = Arc::new(Mutex::new(state));
        let server = tokio::spawn(agent::serve(listener, Arc::clone(&state)));
        WindowsGuest { folder, state, server }
    }

    /// The guest itself, to look at and to change.
    pub fn world(&self) -> impl std::ops::DerefMut<Target = World> + '_ {
        Guard(self.state.lock().expect("the state"))
    }

    /// Lets this happen in the guest after our next question came in and before our program acts.
    pub fn just_before_the_act(&self, interlude: impl FnOnce(&mut World) + Send + 'static) {
        self.state.lock().expect("the state").interlude = Some(Box::new(interlude));
    }

    /// The real provider over this guest's socket, and the guest's id there.
    pub fn provider(&self) -> (Arc<dyn Provider>, GuestId) {
        let host: HostName = "h1".parse().expect("a host name");
        let guest = QgaGuest {
            name: "win".into(),
            socket: Some(self.folder.path().join("socket")),
            ..QgaGuest::default()
        };
        let config = QgaConfig { guests: vec![guest], ..QgaConfig::default() };
        let provider = qga::build(&config, &host).expect("a provider").expect("a provider");
        (provider, GuestId::local(&host, "qga", "win").expect("an id"))
    }

    /// Gives the agent one command over a connection of its own.
    pub async fn ask_agent(&self, command: &str) -> serde_json::Value {
        let mut stream = UnixStream::connect(self.folder.path().join("socket")).await.expect("an agent");
        let request = format!("{{\"execute\":\"{command}\"}}\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut reply = String::new();
        BufReader::new(stream).read_line(&mut reply).await.expect("a reply");
        serde_json::from_str(&reply).expect("JSON")
    }

    /// Lists its sessions through the real provider.
    pub async fn list(&self) -> SessionList {
        let (provider, id) = self.provider();
        provider.list_sessions(&id, Look::default(), BUDGET).await.expect("a list")
    }

    /// The key of the session with this id, as the provider tells it.
    pub async fn key(&self, id: u32) -> SessionKey {
        let list = self.list().await;
        let found = list.sessions.into_iter().find(|session| session.key.id == id.to_string());
        found.expect("a session with this id").key
    }
}

struct Guard<'a>(MutexGuard<'a, State>);

impl std::ops::Deref for Guard<'_> {
    type Target = World;

    fn deref(&self) -> &World {
        &self.0.world
    }
}

impl std::ops::DerefMut for Guard<'_> {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.0.world
    }
}

impl Drop for WindowsGuest {
    fn drop(&mut self) {
        self.server.abort();
    }
}
