//! The program: from the command line to a running agent, and to its end by a signal.

use crate::agent::Agent;
use crate::config::{Args, Command, ConfigError, EffectiveConfig};
use crate::inventory::Inventory;
use crate::ledger::LedgerError;
use crate::logging;
use crate::provider::{self, BuildError, Provider};
use clap::Parser as _;
use curfew_proto::dial::{Credentials, Dial, DialError};
use curfew_proto::identity::{Identity, IdentityError};
use curfew_types::HostName;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Exit code for a command line that cannot be understood.
const USAGE: u8 = 64;
/// Threads that run tasks: the second one carries heartbeats on while the first waits for the disk. More would only
/// hold memory; guests do the work.
const WORKERS: usize = 2;

/// Why the program cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log.
    #[error("logging cannot begin: {0}")]
    Log(String),
    /// The credentials or the controller's address.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The certificate names nobody.
    #[error(
        "the certificate does not name an agent: have one issued with `curfew-controller agent-cert NAME`"
    )]
    Identity(#[from] IdentityError),
    /// The certificate names somebody else.
    #[error(
        "the certificate is one of {0}, not of an agent: have one issued with `curfew-controller agent-cert NAME`"
    )]
    NotAnAgent(Identity),
    /// A provider.
    #[error(transparent)]
    Provider(#[from] BuildError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The operating system.
    #[error("{doing}")]
    System {
        /// What was attempted.
        doing: &'static str,
        /// What it said.
        source: std::io::Error,
    },
    /// A part of the agent ended by itself.
    #[error("a part of the agent has failed, as the log says; the service manager should start it again")]
    Broken,
}

/// The program.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            error.print().ok();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(std::io::stderr(), "curfew-agent: {}", describe(&error)).ok();
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), RunError> {
    let config = EffectiveConfig::load(&args.overrides)?;
    logging::init(&config.log_level, config.log_format).map_err(RunError::Log)?;
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(|source| RunError::System { doing: "starting the runtime", source })?;
    match args.command {
        None => runtime.block_on(serve(config)),
        Some(Command::Check) => runtime.block_on(check(&config)),
    }
}

/// Runs until a signal says stop; a second signal ends it at once.
async fn serve(config: EffectiveConfig) -> Result<(), RunError> {
    let (host, dial) = identify(&config)?;
    let providers = provider::build(&config.providers, &host)?;
    if providers.is_empty() {
        tracing::warn!("no provider is configured, so this host has no guests: name one under [providers]");
    }
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let endpoint = dial.endpoint().to_owned();
    let agent = Agent {
        discovery_interval: config.discovery_interval,
        stop_grace: config.stop_grace,
        ..Agent::new(host.clone(), Arc::new(dial), config.data_dir, providers)
    };
    let mut handle = agent.start()?;
    tracing::info!(%host, endpoint, version = env!("CARGO_PKG_VERSION"), "the agent runs");
    tokio::select! {
        // May be cancelled: another signal ended the wait.
        _ = terminate.recv() => {}
        // May be cancelled: another signal ended the wait.
        _ = interrupt.recv() => {}
        // May be cancelled: the agent goes on.
        () = handle.wait_until_broken() => return Err(RunError::Broken),
    }
    tracing::info!(grace = ?config.stop_grace, "stopping: no more orders are taken, and what runs may end");
    tokio::select! {
        // May be cancelled: the ledger has everything.
        () = handle.stop() => tracing::info!("stopped"),
        // May be cancelled: the agent stopped first.
        _ = terminate.recv() => tracing::info!("stopped at once; the ledger has what was not ended"),
        // May be cancelled: the agent stopped first.
        _ = interrupt.recv() => tracing::info!("stopped at once; the ledger has what was not ended"),
    }
    Ok(())
}

/// Says whether the agent could run, and what it would find.
async fn check(config: &EffectiveConfig) -> Result<(), RunError> {
    let (host, dial) = identify(config)?;
    let providers: Vec<Arc<dyn Provider>> = provider::build(&config.providers, &host)?;
    let names: Vec<_> = providers.iter().map(|provider| provider.name()).collect();
    let inventory = Inventory::new(providers);
    // What a provider cannot list, it says in the log.
    inventory.discover().await;
    let mut out = std::io::stdout().lock();
    let mut lines = vec![
        format!("host        {host}"),
        format!("controller  {}", dial.endpoint()),
        format!("certificate valid until {}", humantime::format_rfc3339_seconds(dial.own_not_after())),
        format!("ledger      {}", config.data_dir.display()),
        format!("providers   {}", if names.is_empty() { "none".into() } else { names.join(", ") }),
    ];
    let guests = inventory.guests();
    lines.push(format!("guests      {}", guests.len()));
    for guest in guests {
        let (power, os) = (guest.power.as_str(), guest.os.as_str());
        lines.push(format!("  {}  {:?}  {}  {power}  {os}", guest.id, guest.name, guest.provider));
    }
    // Somebody who closes the pipe has read enough.
    writeln!(out, "{}", lines.join("\n")).ok();
    Ok(())
}

fn identify(config: &EffectiveConfig) -> Result<(HostName, Dial), RunError> {
    let credentials = Credentials::from_files(&config.ca, &config.certificate, &config.key)?;
    let host = match credentials.leaf()?.any_identity()? {
        (_, Identity::Agent(host)) => host,
        (_, other) => return Err(RunError::NotAnAgent(other)),
    };
    // Heartbeats go both ways on an agent's stream; pings beside them would only double what an idle fleet costs.
    let mut dial = Dial::new(&config.controller, credentials)?.without_keepalive();
    if let Some(name) = &config.server_name {
        dial = dial.with_server_name(name)?;
    }
    Ok((host, dial))
}

fn listen(kind: SignalKind) -> Result<Signal, RunError> {
    signal(kind).map_err(|source| RunError::System { doing: "listening for signals", source })
}

/// Every guest that is asked something has a file open; a default of 1024 is less than a large host needs.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.maximum.is_none() {
        // What is refused stays as it was.
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).ok();
    }
}

/// An error with its sources, in one line each.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(said.trim_end());
        }
        source = error.source();
    }
    text
}
