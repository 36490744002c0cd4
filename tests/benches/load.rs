//! The agents of a bench: real ones with simulated guests, in processes beside the one that is measured.

use crate::raise_file_limit;
use anyhow::Context as _;
use clap::Args;
use curfew_agent::provider::simulated::SimulatedConfig;
use curfew_controller::data_dir::DataDir;
use curfew_tests::local::{LocalAgents, LocalFleet};
use std::io::Read as _;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::process::{Child, Command};

/// Agents in one process: each has a connection and a ledger, and common limits allow 20,000 open files.
const AGENTS_PER_PROCESS: u32 = 5_000;
/// Descriptors that an agent costs, one of them to spare.
const FILES_PER_AGENT: u64 = 3;
/// How long a session takes to go: longer than any round, so that everything still runs when it is cancelled.
const SESSION_DELAY_MS: u64 = 3_600_000;

/// What a process with agents is told.
#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// The first of its hosts.
    #[arg(long, hide = true, requires_all = ["last_host", "endpoint", "data_dir"])]
    first_host: Option<u32>,
    /// The last of its hosts.
    #[arg(long, hide = true)]
    last_host: Option<u32>,
    /// Where the controller listens.
    #[arg(long, hide = true)]
    endpoint: Option<String>,
    /// Where the controller's authority lies.
    #[arg(long, hide = true)]
    data_dir: Option<PathBuf>,
}

/// A share of the agents.
pub(crate) struct Share<'a> {
    first: u32,
    last: u32,
    endpoint: &'a str,
    data_dir: &'a PathBuf,
}

impl LoadArgs {
    /// The share that this process is to run, if it is one of those.
    pub(crate) fn asked(&self) -> Option<Share<'_>> {
        Some(Share {
            first: self.first_host?,
            last: self.last_host?,
            endpoint: self.endpoint.as_deref()?,
            data_dir: self.data_dir.as_ref()?,
        })
    }
}

impl Share<'_> {
    /// Runs agents until stdin is closed.
    ///
    /// # Errors
    /// When one of them cannot start.
    pub(crate) async fn run(self, guests: u32) -> anyhow::Result<()> {
        raise_file_limit(u64::from(self.last - self.first + 1) * FILES_PER_AGENT + crate::SPARE_FILES)?;
        let mut agents = LocalAgents::of(self.endpoint.to_owned(), &DataDir::ensure(self.data_dir)?)?;
        for host in self.first..=self.last {
            let guests = SimulatedConfig {
                name_prefix: format!("host-{host}-desk-"),
                delay_ms: SESSION_DELAY_MS,
                ..SimulatedConfig::healthy(guests)
            };
            agents.add(&format!("host-{host}"), &guests)?;
        }
        let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        ended.await?.context("waiting for the end")?;
        agents.stop().await
    }
}

/// Processes with agents.
pub(crate) struct Load(Vec<Child>);

/// Starts agents for `hosts` hosts in as many processes as they need.
///
/// # Errors
/// When one of those cannot be started.
pub(crate) fn start(fleet: &LocalFleet, hosts: u32, guests: u32) -> anyhow::Result<Load> {
    let program = std::env::current_exe().context("this program's own path")?;
    let mut processes = Vec::new();
    let mut first = 1;
    while first <= hosts {
        let last = hosts.min(first + AGENTS_PER_PROCESS - 1);
        let mut command = Command::new(&program);
        command.args(["--guests", &guests.to_string(), "--first-host", &first.to_string()]);
        command.args(["--last-host", &last.to_string(), "--endpoint", &fleet.endpoint()]);
        command.arg("--data-dir").arg(fleet.controller_directory());
        command.stdin(Stdio::piped()).kill_on_drop(true);
        processes.push(command.spawn().context("cannot start a process with agents")?);
        first = last + 1;
    }
    Ok(Load(processes))
}

impl Load {
    /// Lets the agents stop, and waits until they have.
    ///
    /// # Errors
    /// When a process did not end well.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        for mut process in self.0 {
            drop(process.stdin.take());
            let status = process.wait().await.context("waiting for a process with agents")?;
            anyhow::ensure!(status.success(), "a process with agents ended with {status}");
        }
        Ok(())
    }
}
