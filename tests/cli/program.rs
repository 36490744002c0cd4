//! Runs the real binary and hands back all that it said.

use clap::Parser as _;
use curfew_cli::args::Cli;
use curfew_cli::error;
use curfew_cli::exit::Exit;
use curfew_cli::terminal::{Facts, Terminal};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// Longer than anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) exit: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A run that has not ended.
pub(crate) struct Run {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
    shown: String,
    said: String,
}

/// Runs `curfew` with these arguments and nobody at stdin.
pub(crate) async fn curfew(config: &str, args: &[&str]) -> Said {
    begin(config, args).end().await
}

/// Runs the same program within this process, with somebody at a terminal who types `answers`.
pub(crate) async fn at_a_terminal(config: &str, args: &[&str], answers: &str) -> Said {
    let (out, err) = (Buffer::default(), Buffer::default());
    let facts = Facts { stdin_is_terminal: true, ..Facts::default() };
    let input = io::Cursor::new(answers.to_owned());
    let terminal = Terminal::new(out.clone(), err.clone(), input, facts);
    let words = [&["curfew", "--config", config], args].concat();
    let cli = Cli::try_parse_from(words).expect("the command line is right");
    let exit = curfew_cli::run::run(cli, terminal).await.unwrap_or_else(|error| {
        error::lines(&error).iter().for_each(|line| err.line(line));
        Exit::of_error(&error)
    });
    Said { exit: Some(exit.code().into()), stdout: out.text(), stderr: err.text() }
}

/// A buffer that can be read while a terminal writes to it.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn line(&self, line: &str) {
        writeln!(self.clone(), "{line}").expect("memory can be written");
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("not poisoned").clone()).expect("UTF-8")
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts `curfew`; what it says on stderr can be awaited.
pub(crate) fn begin(config: &str, args: &[&str]) -> Run {
    let mut child =
        command(config, args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("curfew starts");
    let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
    Run { child, stdout, stderr, shown: String::new(), said: String::new() }
}

/// The command itself, with nothing of this process's environment.
pub(crate) fn command(config: &str, args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(args).env_clear().env("CURFEW_CONFIG", config).stdin(Stdio::null()).kill_on_drop(true);
    command
}

impl Run {
    /// Reads stderr until a line has `text`.
    pub(crate) async fn says(&mut self, text: &str) {
        read_until(&mut self.stderr, text, &mut self.said).await;
    }

    /// Reads stdout until a line has `text`.
    pub(crate) async fn shows(&mut self, text: &str) {
        read_until(&mut self.stdout, text, &mut self.shown).await;
    }

    /// Presses Ctrl-C.
    pub(crate) fn interrupt(&self) {
        let pid = self.child.id().and_then(|id| rustix::process::Pid::from_raw(id as i32));
        let pid = pid.expect("curfew runs");
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it can be signalled");
    }

    /// Waits for the end.
    pub(crate) async fn end(mut self) -> Said {
        let (mut out, mut err) = (self.shown, self.said);
        let everything = async {
            let (read_out, read_err) =
                tokio::join!(self.stdout.read_to_string(&mut out), self.stderr.read_to_string(&mut err));
            read_out.and(read_err).expect("it says text");
            self.child.wait().await.expect("it ends")
        };
        let status = tokio::time::timeout(PATIENCE, everything).await.expect("curfew ends in time");
        Said { exit: status.code(), stdout: out, stderr: err }
    }
}

/// Reads lines until one has `text`; `seen` keeps them all.
async fn read_until(stream: &mut (impl AsyncBufRead + Unpin), text: &str, seen: &mut String) {
    let read = async {
        loop {
            let mut line = String::new();
            let length = stream.read_line(&mut line).await.expect("it is text");
            assert!(length > 0, "curfew ended without {text:?}; until then:\n{seen}");
            seen.push_str(&line);
            if line.contains(text) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("curfew speaks in time");
}

/// The binary, which cargo puts beside the tests' own folder when it builds the workspace.
fn binary() -> PathBuf {
    let tests = std::env::current_exe().expect("this test has a path");
    let beside = tests.parent().and_then(|deps| deps.parent()).expect("it lies in the target directory");
    let binary = beside.join(format!("curfew{}", std::env::consts::EXE_SUFFIX));
    assert!(binary.exists(), "curfew is not built: cargo build -p curfew");
    binary
}
