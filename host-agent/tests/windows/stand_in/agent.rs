//! The guest agent itself, as Windows' build answers: its commands, and the wire on a unix socket, one client at a time.

use super::State;
use super::programs::{self, Exit};
use super::world::Connect;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// A program's end is told after it was asked for so many times.
const POLLS: u32 = 2;

/// Programs that were started and not asked for in the end, by pid.
#[derive(Default)]
pub struct Started {
    next_pid: i64,
    running: HashMap<i64, (Exit, u32)>,
}

/// What the agent refuses with: class and description.
type Refusal = (&'static str, String);

pub async fn serve(listener: UnixListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        // A client that goes in the middle is its own affair.
        let _ = converse(stream, &state).await;
    }
}

async fn converse(mut stream: UnixStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut pending = Vec::new();
    while stream.read_buf(&mut pending).await? > 0 {
        while let Some(at) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=at).filter(|byte| *byte != 0xFF).collect();
            let reply = answer(&line, &mut state.lock().expect("the state"));
            stream.write_all(&reply).await?;
        }
    }
    Ok(())
}

fn answer(line: &[u8], state: &mut State) -> Vec<u8> {
    let Ok(request) = serde_json::from_slice::<Value>(line) else {
        return refused(("GenericError", "JSON parse error, expecting value".into()));
    };
    let command = request["execute"].as_str().unwrap_or_default();
    let mut bytes = if command == "guest-sync-delimited" { vec![0xFF] } else { Vec::new() };
    match execute(command, &request["arguments"], state) {
        Ok(value) => bytes.extend(format!("{}\n", json!({ "return": value })).into_bytes()),
        Err(refusal) => bytes = refused(refusal),
    }
    bytes
}

fn refused((class, desc): Refusal) -> Vec<u8> {
    format!("{}\n", json!({ "error": { "class": class, "desc": desc } })).into_bytes()
}

fn execute(command: &str, arguments: &Value, state: &mut State) -> Result<Value, Refusal> {
    let world = &state.world;
    match command {
        "guest-sync-delimited" | "guest-sync" => Ok(arguments["id"].clone()),
        "guest-ping" => Ok(json!({})),
        "guest-info" => {
            let names = ["guest-exec", "guest-exec-status", "guest-get-time", "guest-get-osinfo"];
            let commands: Vec<Value> = names
                .iter()
                .map(|name| json!({ "enabled": true, "name": name, "success-response": true }))
                .collect();
            Ok(json!({ "version": "9.2.0", "supported_commands": commands }))
        }
        "guest-get-osinfo" => Ok(json!({
            "id": "mswindows", "name": "Microsoft Windows", "pretty-name": "Windows Server 2022 Standard",
            "version": "Microsoft Windows Server 2022", "version-id": "2022", "variant": "server",
            "variant-id": "server", "machine": "x86_64", "kernel-release": "20348", "kernel-version": "10.0",
        })),
        "guest-get-host-name" => Ok(json!({ "host-name": "WIN-7" })),
        "guest-get-time" => Ok(json!(world.clock_ms * 1_000_000)),
        "guest-get-users" => Ok(users(state)),
        "guest-fsfreeze-status" => Ok(json!("thawed")),
        "guest-exec" => start(arguments, state),
        "guest-exec-status" => status(arguments, &mut state.started),
        _ => Err(("CommandNotFound", format!("The command {command} has not been found"))),
    }
}

/// One entry a user name, whatever the domain: why nobody is to be counted with this.
fn users(state: &State) -> Value {
    let mut users: Vec<Value> = Vec::new();
    for session in &state.world.sessions {
        let known = users.iter().any(|user| user["user"] == session.user.as_str());
        if !session.user.is_empty() && session.state != Connect::Listens && !known {
            let login_time = session.logon_ms as f64 / 1000.0;
            users.push(json!({ "user": session.user, "domain": session.domain, "login-time": login_time }));
        }
    }
    json!(users)
}

fn start(arguments: &Value, state: &mut State) -> Result<Value, Refusal> {
    let path = arguments["path"].as_str().unwrap_or_default();
    let argv = arguments["arg"].as_array().map(Vec::as_slice).unwrap_or_default();
    let argv: Vec<String> = argv.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let input = STANDARD.decode(arguments["input-data"].as_str().unwrap_or_default());
    let input = input.map_err(|_| ("GenericError", "Base64 data is malformed".to_owned()))?;
    if let Some(interlude) = state.take_interlude(&input) {
        interlude(&mut state.world);
    }
    let exit = programs::run(&mut state.world, path, &argv, &input)
        .map_err(|why| ("GenericError", format!("Guest agent command failed, error was '{why}'")))?;
    state.started.next_pid += 4;
    let pid = state.started.next_pid;
    state.started.running.insert(pid, (exit, POLLS));
    Ok(json!({ "pid": pid }))
}

/// Tells a program's end once; then its pid is nobody's.
fn status(arguments: &Value, started: &mut Started) -> Result<Value, Refusal> {
    let pid = arguments["pid"].as_i64().unwrap_or_default();
    let Some((_, polls)) = started.running.get_mut(&pid) else {
        return Err(("GenericError", "PID does not exist".into()));
    };
    *polls -= 1;
    if *polls > 0 {
        return Ok(json!({ "exited": false }));
    }
    let (exit, _) = started.running.remove(&pid).expect("it was there");
    let mut status = json!({ "exited": true, "exitcode": exit.code });
    for (field, bytes) in [("out-data", exit.output), ("err-data", exit.complaint)] {
        if !bytes.is_empty() {
            status[field] = STANDARD.encode(bytes).into();
        }
    }
    Ok(status)
}
