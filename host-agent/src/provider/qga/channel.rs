//! One exchange with a guest agent over its unix socket: connect, synchronise, ask, close. It knows the wire and its
//! limits, no command; it never keeps a connection, since the socket serves one client at a time.

use crate::provider::Error;
use crate::provider::guest_agent::{AgentChannel, REPLY_MAX, Refusal, read_reply, silent, unexpected};
use async_trait::async_trait;
use curfew_types::StatusCode;
use serde_json::{Value, json};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep_until, timeout_at};

/// Most bytes read in one exchange: one reply of the longest kind, and what earlier clients may have left unread in the
/// socket. A guest that sends more is not believed.
const EXCHANGE_MAX: usize = 2 * REPLY_MAX;
/// Most lines read in one exchange: one for each question, and what earlier clients may have left unread. Short lines cost far
/// more than their bytes.
const LINES_MAX: usize = 20_000;
/// Read at once: most replies are far shorter.
const READ_CHUNK: usize = 16 * 1024;
/// How long the first attempt waits for the synchronisation before it lets the socket go: others, backups first
/// of all, need it too. A healthy guest answers within milliseconds, a slow one within a second. Doubles with each
/// attempt, so that a very slow guest is reached in the end.
const SYNC_WAIT: Duration = Duration::from_secs(2);
/// The first pause after the socket was found busy; doubles up to [`BUSY_PAUSE_MAX`].
const BUSY_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause: a waiting logoff should not come much later than the socket is free.
const BUSY_PAUSE_MAX: Duration = Duration::from_secs(2);
/// What makes the agent drop whatever half a request an earlier client left behind.
const RESET: u8 = 0xFF;

/// A synchronised connection.
pub(super) struct Channel {
    stream: UnixStream,
    /// Bytes that were read and belong to no line yet.
    pending: Vec<u8>,
    /// Bytes read in this exchange.
    received: usize,
    /// Lines read in this exchange.
    lines: usize,
    deadline: Instant,
}

impl Channel {
    /// Connects and synchronises, backing off while the socket is busy, until `deadline`.
    ///
    /// # Errors
    /// `VM_E_ADDITIONS_NOT_AVAIL` when nobody listens, access denied when this process may not connect,
    /// `VM_E_TIMED_OUT` when the agent is busy, frozen or dead.
    pub(super) async fn open(socket: &Path, deadline: Instant) -> Result<Channel, Error> {
        let mut sync_wait = SYNC_WAIT;
        let mut pause = BUSY_PAUSE;
        loop {
            match UnixStream::connect(socket).await {
                Ok(stream) => {
                    let until = deadline.min(Instant::now() + sync_wait);
                    let mut channel =
                        Channel { stream, pending: Vec::new(), received: 0, lines: 0, deadline: until };
                    match channel.synchronise().await {
                        Ok(()) => {
                            channel.deadline = deadline;
                            return Ok(channel);
                        }
                        Err(error) if error.code == StatusCode::TimedOut => sync_wait *= 2,
                        Err(error) => return Err(error),
                    }
                }
                // The queue of clients that wait for the socket is full.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(unreachable(socket, &error)),
            }
            if Instant::now() + pause >= deadline {
                sleep_until(deadline).await;
                return Err(silent());
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(BUSY_PAUSE_MAX);
        }
    }

    /// Makes the agent forget what others left, and discards everything up to the answer.
    async fn synchronise(&mut self) -> Result<(), Error> {
        let mut dice = [0_u8; 4];
        getrandom::fill(&mut dice)
            .map_err(|error| unexpected(format!("drawing a random number: {error}")))?;
        // Qemu's parser takes a signed 64-bit number; positive and short keeps clear of every edge.
        let id = i64::from(u32::from_le_bytes(dice) >> 1);
        self.send(&json!({ "execute": "guest-sync-delimited", "arguments": { "id": id } }), true).await?;
        loop {
            let line = self.line().await?;
            let after = line.iter().rposition(|byte| *byte == RESET).map_or(0, |at| at + 1);
            // What does not parse, and a reply with another id, was for an earlier client.
            if read_reply("guest-sync-delimited", &line[after..])
                .is_ok_and(|reply| reply.as_i64() == Some(id))
            {
                return Ok(());
            }
        }
    }

    async fn send(&mut self, request: &Value, reset: bool) -> Result<(), Error> {
        let mut bytes = Vec::new();
        if reset {
            bytes.push(RESET);
        }
        bytes.extend_from_slice(request.to_string().as_bytes());
        bytes.push(b'\n');
        match timeout_at(self.deadline, self.stream.write_all(&bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(hung_up(&error.to_string())),
            Err(_) => Err(silent()),
        }
    }

    /// The next line without its end.
    async fn line(&mut self) -> Result<Vec<u8>, Error> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.pending[searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.pending.split_off(searched + at + 1);
                let mut line = std::mem::replace(&mut self.pending, rest);
                line.pop();
                self.lines += 1;
                if self.lines > LINES_MAX {
                    return Err(too_much());
                }
                return Ok(line);
            }
            searched = self.pending.len();
            self.pending.reserve(READ_CHUNK);
            let read = timeout_at(self.deadline, self.stream.read_buf(&mut self.pending)).await;
            match read {
                Ok(Ok(0)) => return Err(hung_up("the other side closed the connection")),
                Ok(Ok(count)) => self.received += count,
                Ok(Err(error)) => return Err(hung_up(&error.to_string())),
                Err(_) => return Err(silent()),
            }
            if self.received > EXCHANGE_MAX || self.pending.len() > REPLY_MAX {
                return Err(too_much());
            }
        }
    }
}

#[async_trait]
impl AgentChannel for Channel {
    fn deadline(&self) -> Instant {
        self.deadline
    }

    async fn call(&mut self, command: &str, arguments: Value) -> Result<Value, Refusal> {
        let mut request = json!({ "execute": command });
        if !arguments.is_null() {
            request["arguments"] = arguments;
        }
        self.send(&request, false).await?;
        loop {
            let line = self.line().await?;
            // What earlier clients asked for in vain may have left empty lines.
            if !line.is_empty() {
                return read_reply(command, &line);
            }
        }
    }
}

fn too_much() -> Error {
    unexpected("the guest agent sent more than is believed")
}

fn hung_up(why: &str) -> Error {
    let message = format!("the guest agent's connection was lost: {why}");
    Error::new(StatusCode::AdditionsNotAvail, message)
}

fn unreachable(socket: &Path, error: &std::io::Error) -> Error {
    let absent = [ErrorKind::NotFound, ErrorKind::ConnectionRefused, ErrorKind::ConnectionReset];
    let code = if absent.contains(&error.kind()) {
        StatusCode::AdditionsNotAvail
    } else if error.kind() == ErrorKind::PermissionDenied {
        StatusCode::AccessDenied
    } else {
        StatusCode::Unexpected
    };
    Error::new(code, format!("connecting to the guest agent at {}: {error}", socket.display()))
}

#[cfg(test)]
mod tests;
