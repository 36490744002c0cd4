//! The processes of a bench: each is this program in another role, asked over its stdin and answering on its stdout, a
//! line of JSON each. It ends when its stdin does.

use crate::usage::Usage;
use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};

/// Far longer than any answer takes: a million tasks are asked for in one go.
const ANSWER_WITHIN: Duration = Duration::from_secs(300);

/// What a process is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// What the process has used by now.
    Usage,
    /// Agents: start, and answer when all are started. Not when they are attached.
    Start,
    /// How many agents are attached: of this process, or to this server.
    Attached,
    /// The floor's server: one batch down to every agent, and wait for every outcome.
    Burst,
    /// Curfew's agents: everybody logs on again, and what was done so far is forgotten.
    LogOn,
    /// Curfew's agents: what became of people since they logged on last.
    Truth,
    /// The controller: how many guests its inventory has, of agents that are attached.
    Guests,
}

/// What a process answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// To [`Ask::Usage`].
    Usage(Usage),
    /// To whatever counts.
    Count(u64),
    /// To [`Ask::Truth`].
    Truth(Truth),
    /// It is done.
    Done,
}

/// What became of people, as the guests themselves know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Truth {
    /// Guests whose sessions were ended.
    pub(crate) guests: u64,
    /// A sum over them, whatever their order: see [`crate::agreement::stamp`].
    pub(crate) stamps: u64,
    /// When the first question of an operation came to a provider, in nanoseconds of the machine's monotonic clock.
    pub(crate) first_call_ns: Option<u64>,
}

impl Truth {
    /// What two processes with agents know together.
    pub(crate) fn and(self, other: Truth) -> Truth {
        Truth {
            guests: self.guests + other.guests,
            stamps: self.stamps.wrapping_add(other.stamps),
            first_call_ns: self.first_call_ns.into_iter().chain(other.first_call_ns).min(),
        }
    }
}

/// A process that was started.
pub(crate) struct Child {
    role: &'static str,
    process: tokio::process::Child,
    stdin: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// Starts this program in a role, and returns what it says first: the address it listens on, or nothing.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) async fn start(role: &'static str, args: &[String]) -> anyhow::Result<(Child, String)> {
        let program = std::env::current_exe().context("this program's own path")?;
        let mut process = Command::new(program)
            .arg(role)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start the bench's {role}"))?;
        let stdin = process.stdin.take();
        let stdout = process.stdout.take().context("its stdout")?;
        let mut child = Child { role, process, stdin, answers: BufReader::new(stdout).lines() };
        let first = child.line().await?;
        Ok((child, first))
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) async fn ask(&mut self, ask: Ask) -> anyhow::Result<Answer> {
        let mut line = serde_json::to_string(&ask)?;
        line.push('\n');
        let stdin = self.stdin.as_mut().with_context(|| format!("the bench's {} is stopping", self.role))?;
        stdin
            .write_all(line.as_bytes())
            .await
            .with_context(|| format!("asking the bench's {}", self.role))?;
        Ok(serde_json::from_str(&self.line().await?)?)
    }

    /// Asks for a number.
    ///
    /// # Errors
    /// When it does not answer with one.
    pub(crate) async fn count(&mut self, ask: Ask) -> anyhow::Result<u64> {
        match self.ask(ask).await? {
            Answer::Count(count) => Ok(count),
            other => bail!("the bench's {} answered {other:?} to {ask:?}", self.role),
        }
    }

    /// What it has used.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) async fn usage(&mut self) -> anyhow::Result<Usage> {
        match self.ask(Ask::Usage).await? {
            Answer::Usage(usage) => Ok(usage),
            other => bail!("the bench's {} answered {other:?}", self.role),
        }
    }

    /// Ends it as a crash would.
    ///
    /// # Errors
    /// When the system does not let it.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        self.process.kill().await.with_context(|| format!("killing the bench's {}", self.role))
    }

    /// Lets it end, and waits until it has.
    ///
    /// # Errors
    /// When it did not end well.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.stdin.take());
        let status = self.process.wait().await?;
        anyhow::ensure!(status.success(), "the bench's {} ended with {status}", self.role);
        Ok(())
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let line = tokio::time::timeout(ANSWER_WITHIN, self.answers.next_line()).await;
        let line = line.with_context(|| format!("the bench's {} did not answer", self.role))??;
        line.with_context(|| format!("the bench's {} ended; its errors are above", self.role))
    }
}

/// The other side: says `first`, then answers until nobody asks any more.
///
/// # Errors
/// When an answer cannot be given.
pub(crate) async fn answer_until_closed<F, Fut>(first: &str, mut answer: F) -> anyhow::Result<()>
where
    F: FnMut(Ask) -> Fut,
    Fut: Future<Output = anyhow::Result<Answer>>,
{
    let mut stdout = tokio::io::stdout();
    stdout.write_all(format!("{first}\n").as_bytes()).await?;
    stdout.flush().await?;
    let mut asked = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = asked.next_line().await? {
        let answer = match serde_json::from_str(&line)? {
            Ask::Usage => Answer::Usage(Usage::now()?),
            ask => answer(ask).await?,
        };
        let mut line = serde_json::to_string(&answer)?;
        line.push('\n');
        stdout.write_all(line.as_bytes()).await?;
        stdout.flush().await?;
    }
    Ok(())
}
