//! As much of NATS's text protocol as a request and its replies take, over one TCP connection.

use anyhow::{Context as _, bail, ensure};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What a client says of itself: no acknowledgement of what it publishes, as Choria's do not ask for one.
const CONNECT: &str =
    r#"CONNECT {"verbose":false,"pedantic":false,"tls_required":false,"lang":"bench","version":"1"}"#;

/// What is said to [`Frame::Ping`].
pub(super) const PONG: &[u8] = b"PONG\r\n";

/// One thing that the server said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// A message of a subject that this connection subscribed to.
    Message {
        /// Where the answer is to go.
        reply: Option<&'a str>,
        /// What it carries.
        payload: &'a [u8],
    },
    /// The server asks whether this side is there.
    Ping,
    /// The server answers that it is, and has done all that was said before.
    Pong,
    /// The server tells about itself.
    Info,
}

/// A connection.
pub(super) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    /// What of `received` was taken already.
    taken: usize,
    /// How much is read at a time.
    portion: usize,
}

impl Connection {
    /// Connects, subscribes to a subject, and waits until the server has noted it.
    ///
    /// # Errors
    /// When the server cannot be reached, or says something else.
    pub(super) async fn subscribed(
        server: SocketAddr,
        subject: &str,
        portion: usize,
    ) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(server).await.context("connecting to the NATS server")?;
        stream.set_nodelay(true)?;
        let mut connection = Connection { stream, received: Vec::new(), taken: 0, portion };
        connection.send(format!("{CONNECT}\r\nSUB {subject} 1\r\nPING\r\n").as_bytes()).await?;
        loop {
            match connection.next()? {
                Some(Frame::Pong) => return Ok(connection),
                Some(_) => {}
                None => connection.fill().await?,
            }
        }
    }

    /// Sends lines.
    ///
    /// # Errors
    /// When the connection is gone.
    pub(super) async fn send(&mut self, lines: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(lines).await.context("writing to the NATS server")
    }

    /// What was received and not taken yet; `None` when the rest of it is still to come.
    ///
    /// # Errors
    /// When the server tells of an error, or what it says is not understood.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Frame<'_>>> {
        let Some((frame, length)) = parse(&self.received[self.taken..])? else { return Ok(None) };
        self.taken += length;
        Ok(Some(frame))
    }

    /// Waits for more.
    ///
    /// # Errors
    /// When the connection is gone.
    pub(super) async fn fill(&mut self) -> anyhow::Result<()> {
        self.received.drain(..self.taken);
        self.taken = 0;
        self.received.reserve(self.portion);
        let length =
            self.stream.read_buf(&mut self.received).await.context("reading from the NATS server")?;
        ensure!(length > 0, "the NATS server closed a connection");
        Ok(())
    }
}

/// Appends a message to what is to be sent, and where its answer is to go.
pub(super) fn publish(lines: &mut Vec<u8>, subject: &str, reply: Option<&str>, payload: &[u8]) {
    for part in ["PUB ", subject, " "] {
        lines.extend_from_slice(part.as_bytes());
    }
    if let Some(reply) = reply {
        lines.extend_from_slice(reply.as_bytes());
        lines.push(b' ');
    }
    lines.extend_from_slice(payload.len().to_string().as_bytes());
    lines.extend_from_slice(b"\r\n");
    lines.extend_from_slice(payload);
    lines.extend_from_slice(b"\r\n");
}

/// The first frame, and how long it is.
fn parse(bytes: &[u8]) -> anyhow::Result<Option<(Frame<'_>, usize)>> {
    let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
    let line = std::str::from_utf8(&bytes[..end])?;
    let after = end + 2;
    let mut words = line.split(' ');
    let frame = match words.next().unwrap_or_default() {
        "MSG" => {
            // MSG subject subscription [reply] length
            let words: Vec<&str> = words.collect();
            let (reply, length) = match words[..] {
                [_, _, length] => (None, length),
                [_, _, reply, length] => (Some(reply), length),
                _ => bail!("a message begins with {line:?}"),
            };
            let length: usize = length.parse().with_context(|| format!("a message begins with {line:?}"))?;
            let Some(payload) = bytes.get(after..after + length) else { return Ok(None) };
            if bytes.len() < after + length + 2 {
                return Ok(None);
            }
            return Ok(Some((Frame::Message { reply, payload }, after + length + 2)));
        }
        "PING" => Frame::Ping,
        "PONG" => Frame::Pong,
        "INFO" => Frame::Info,
        _ => bail!("the NATS server says {line:?}"),
    };
    Ok(Some((frame, after)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_when_all_of_it_is_there() {
        let bytes = b"MSG all 1 inbox.7 5\r\nhello\r\nPING\r\n";
        for length in 0..28 {
            assert_eq!(parse(&bytes[..length]).expect("it is well formed"), None, "{length}");
        }
        let (frame, length) = parse(bytes).expect("it is well formed").expect("it is whole");
        assert_eq!((frame, length), (Frame::Message { reply: Some("inbox.7"), payload: b"hello" }, 28));
        assert_eq!(parse(&bytes[length..]).expect("it is well formed"), Some((Frame::Ping, 6)));
    }

    #[test]
    fn an_error_of_the_server_is_told_in_its_words() {
        let error = parse(b"-ERR 'maximum connections exceeded'\r\n").expect_err("it is an error");
        assert!(error.to_string().contains("maximum connections exceeded"), "{error}");
    }

    #[test]
    fn what_is_published_says_where_the_answer_goes() {
        let mut lines = Vec::new();
        publish(&mut lines, "all", Some("inbox.7"), b"hello");
        assert_eq!(lines, b"PUB all inbox.7 5\r\nhello\r\n");
    }
}
