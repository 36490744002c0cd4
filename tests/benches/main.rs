//! `cargo bench-fleet`: what a whole fleet costs beside the bare wire, measured on this machine over real connections with
//! mutual TLS.
//!
//! Floor and Curfew take turns in one run; a figure is the median of the rounds, and after each round store, watchers
//! and guests are asked whether they agree on every outcome.

mod agreement;
mod child;
mod floor;
mod peers;
mod report;
mod rows;
mod scene;
mod stored;
mod subject;
mod usage;

use clap::{Parser, Subcommand};
use curfew_cli::terminal::Terminal;
use peers::Peer;
use peers::nats::AgentsArgs;
use report::{Bound, Figure};
use rows::{Row, Size};
use scene::FleetArgs;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;
use tikv_jemallocator::Jemalloc;
use tokio::runtime::Builder;

/// As the controller has it; the floor has it, too.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Hosts of the short form.
const SHORT_HOSTS: u32 = 1_000;
/// By how much the short form may miss the bounds: it guards against regressions by a factor, on a machine that does
/// other things meanwhile, also where Curfew's own code is compiled without optimisation.
const SHORT_TIMES: f64 = if cfg!(debug_assertions) { 12.0 } else { 5.0 };
/// Hosts with which peers are measured that take a while for each.
const PEER_HOSTS: u32 = 200;
/// Rounds of each peer.
const PEER_ROUNDS: usize = 5;

/// Measures what a whole fleet costs, beside the bare wire.
#[derive(Debug, Parser)]
#[command(name = "cargo bench-fleet", bin_name = "cargo bench-fleet --")]
struct Args {
    /// Hosts, each with an agent and a connection of its own.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=18_000))]
    hosts: u32,
    /// Guests on each host.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    guests: u32,
    /// Rounds; the median is told.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Only these rows.
    #[arg(long, value_enum, value_delimiter = ',')]
    rows: Vec<Row>,
    /// Also write all of it here, as JSON.
    #[arg(long)]
    out: Option<PathBuf>,
    /// A thousand hosts, a few rows and generous bounds; fails when one is missed.
    #[arg(long)]
    short: bool,
    /// The role of a process that the bench starts.
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Subcommand)]
enum Role {
    #[command(hide = true)]
    FloorServer(FleetArgs),
    #[command(hide = true)]
    FloorAgents(FleetArgs),
    #[command(hide = true)]
    Controller(FleetArgs),
    #[command(hide = true)]
    Agents(FleetArgs),
    #[command(hide = true)]
    NatsAgents(AgentsArgs),
}

/// What is written as JSON.
#[derive(Debug, Default, Serialize)]
struct Findings {
    /// Curfew's figures, each beside its floor and its bound.
    figures: Vec<Figure>,
    /// What else there is.
    peers: Vec<Peer>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut builder = Builder::new_multi_thread();
    // Processes with agents, of which there are several, have one thread each: thousands of agents that hand each other
    // to another thread and back would cost what no agent of a real fleet does. The runtime is the agent's own, which lets
    // what an agent has woken go on next and not after all others.
    if let Some(Role::FloorAgents(_) | Role::Agents(_) | Role::NatsAgents(_)) = &args.role {
        builder.worker_threads(1);
    }
    match builder.enable_all().build() {
        Ok(runtime) => runtime.block_on(run(args)),
        Err(error) => {
            Terminal::system().note(&format!("The runtime cannot start: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "error".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let mut terminal = Terminal::system();
    let outcome = match &args.role {
        Some(Role::FloorServer(fleet)) => floor::server::run(fleet).await,
        Some(Role::FloorAgents(fleet)) => floor::agents::run(fleet).await,
        Some(Role::Controller(fleet)) => subject::controller::run(fleet).await,
        Some(Role::Agents(fleet)) => subject::agents::run(fleet).await,
        Some(Role::NatsAgents(agents)) => peers::nats::agents(agents).await,
        None => measure(&args, &mut terminal).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal.note(&format!("The bench failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn measure(args: &Args, terminal: &mut Terminal) -> anyhow::Result<()> {
    let hosts = if args.short { args.hosts.min(SHORT_HOSTS) } else { args.hosts };
    let size = Size { hosts, guests: args.guests, rounds: args.rounds };
    let rows = match (args.rows.as_slice(), args.short) {
        ([], false) => Row::ALL.to_vec(),
        ([], true) => Row::SHORT.to_vec(),
        (asked, _) => asked.to_vec(),
    };
    let mut findings = Findings::default();
    for row in rows {
        terminal.note(&format!("-- {row:?}"));
        if row == Row::Peers {
            findings.peers = peers::measure(PEER_HOSTS, PEER_ROUNDS).await?;
            continue;
        }
        let mut figures = Box::pin(row.measure(size, args.short)).await?;
        if args.short {
            figures.iter_mut().for_each(|figure| figure.bound = figure.bound.times(SHORT_TIMES));
        }
        tell(terminal, &report::table(&figures))?;
        findings.figures.extend(figures);
    }
    if args.rows.len() != 1 {
        terminal.note("-- all of it");
        tell(terminal, &report::table(&findings.figures))?;
    }
    if !findings.peers.is_empty() {
        let curfew = |hosts| seconds_for(&findings.figures, hosts, args.guests);
        let curfew = curfew(SHORT_HOSTS).zip(curfew(hosts)).map(|(few, many)| [few, many]);
        tell(terminal, &peers::table(&findings.peers, curfew))?;
    }
    if let Some(out) = &args.out {
        std::fs::write(out, serde_json::to_string_pretty(&findings)?)?;
    }
    let missed = findings.figures.iter().filter(|figure| figure.is_met() == Some(false)).count();
    anyhow::ensure!(!args.short || missed == 0, "{missed} figures missed even their generous bounds");
    Ok(())
}

/// What Curfew took for everybody on so many hosts, in proportion to what was measured, if it was.
fn seconds_for(figures: &[Figure], hosts: u32, guests: u32) -> Option<f64> {
    let burst = figures.iter().find(|figure| figure.row == rows::BURST && figure.bound != Bound::None)?;
    let tasks: f64 = burst.what.split(':').next()?.parse().ok()?;
    Some(burst.curfew * f64::from(hosts) * f64::from(guests) / tasks)
}

fn tell(terminal: &mut Terminal, table: &str) -> anyhow::Result<()> {
    for line in table.lines() {
        terminal.data(line)?;
    }
    Ok(())
}
