//! A short question to a hypervisor over QMP: does the guest run, who is it, is its agent there. It changes nothing
//! and lets the socket go at once, since QEMU serves one client of it at a time.

use super::{about, config};
use curfew_types::{GuestId, PowerState};
use serde_json::Value;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// How long the whole question may take: QEMU answers within a millisecond unless it hangs, is stopped, or serves
/// somebody else.
const QMP_WAIT: Duration = Duration::from_millis(500);
/// Most bytes read: each answer is a few hundred, the greeting and the list of character devices a few thousand.
const QMP_MAX: u64 = 256 * 1024;

/// What the hypervisor said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It answered.
    Says(Vm),
    /// Nobody listens: there is no such hypervisor process.
    Gone,
    /// It did not answer in time, or not in QMP.
    Silent,
}

/// A virtual machine as its hypervisor sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Vm {
    pub(super) power: PowerState,
    /// Its UUID, where it was given one.
    pub(super) id: Option<GuestId>,
    /// Its name, where it was given one.
    pub(super) name: Option<String>,
    /// Whether something in the guest has the agent's channel open; nothing when QEMU does not know the channel.
    pub(super) agent_open: Option<bool>,
}

/// Asks the hypervisor behind `socket` about its guest, whose agent's socket is `agent`.
pub(super) async fn ask(socket: &Path, agent: &Path) -> Answer {
    match timeout(QMP_WAIT, exchange(socket, agent)).await {
        Ok(Ok(vm)) => Answer::Says(vm),
        Ok(Err(error)) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            Answer::Gone
        }
        Ok(Err(_)) | Err(_) => Answer::Silent,
    }
}

async fn exchange(socket: &Path, agent: &Path) -> std::io::Result<Vm> {
    let (read, mut write) = UnixStream::connect(socket).await?.into_split();
    let mut lines = BufReader::new(read.take(QMP_MAX)).lines();
    // The greeting is not asked for, events come at any time; both are passed over. One question at a time: QEMU
    // would take them together, but a test's stand-in may not.
    let mut call = async |command: &str| -> std::io::Result<Value> {
        write.write_all(format!("{{\"execute\":\"{command}\"}}\n").as_bytes()).await?;
        while let Some(line) = lines.next_line().await? {
            let mut reply: Value = serde_json::from_str(&line)?;
            if let Some(value) = reply.get_mut("return") {
                return Ok(value.take());
            }
            if reply.get("error").is_some() {
                return Ok(Value::Null);
            }
        }
        // Not "refused": somebody was there.
        Err(ErrorKind::UnexpectedEof.into())
    };
    call("qmp_capabilities").await?;
    let status = call("query-status").await?;
    let uuid = call("query-uuid").await?;
    let name = call("query-name").await?;
    let devices = call("query-chardev").await?;
    Ok(Vm {
        power: power(status.get("status").and_then(Value::as_str).unwrap_or_default()),
        id: uuid.get("UUID").and_then(Value::as_str).and_then(config::uuid),
        name: name.get("name").and_then(Value::as_str).filter(|name| about::is_name(name)).map(str::to_owned),
        agent_open: agent_open(&devices, agent),
    })
}

/// QEMU's run states in the agent's words. While it is paused for whatever reason, nothing in the guest answers.
fn power(status: &str) -> PowerState {
    match status {
        "running" => PowerState::Running,
        "shutdown" | "guest-panicked" | "internal-error" => PowerState::Stopped,
        "paused" | "suspended" | "prelaunch" | "inmigrate" | "finish-migrate" | "postmigrate" | "save-vm"
        | "restore-vm" | "io-error" | "debug" | "watchdog" | "colo" => PowerState::Paused,
        _ => PowerState::Unknown,
    }
}

/// Finds the channel by its socket: QEMU's name for it is `unix:PATH,server=on`, with a word before or after it. Only
/// the file's name counts, since QEMU can see its folder under another path; it is one of few in one machine.
fn agent_open(devices: &Value, agent: &Path) -> Option<bool> {
    let wanted = format!("/{},", agent.file_name()?.to_str()?);
    let device = devices.as_array()?.iter().find(|device| {
        let name = device.get("filename").and_then(Value::as_str);
        name.is_some_and(|name| name.contains("unix:") && name.contains(&wanted))
    });
    device?.get("frontend-open").and_then(Value::as_bool)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_agents_channel_is_found_by_its_socket() {
        let devices = json!([
            {"label": "serial0", "filename": "file", "frontend-open": true},
            {"label": "qmp", "filename": "unix:/run/vm-1.qmp,server=on", "frontend-open": true},
            {"label": "ga", "filename": "disconnected:unix:/run/vm-1.qga,server=on", "frontend-open": false},
        ]);
        assert_eq!(agent_open(&devices, Path::new("/run/vm-1.qga")), Some(false));
        assert_eq!(agent_open(&devices, Path::new("/chroot/run/vm-1.qga")), Some(false));
        assert_eq!(agent_open(&devices, Path::new("/run/vm-1")), None);
        assert_eq!(agent_open(&Value::Null, Path::new("/run/vm-1.qga")), None);
    }

    #[test]
    fn a_guest_that_cannot_answer_now_is_paused_and_an_unheard_of_state_is_unknown() {
        assert_eq!(power("running"), PowerState::Running);
        assert_eq!(power("inmigrate"), PowerState::Paused);
        assert_eq!(power("shutdown"), PowerState::Stopped);
        assert_eq!(power("levitating"), PowerState::Unknown);
    }
}
