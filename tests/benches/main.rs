//! `cargo bench-fleet`: what a whole fleet costs beside the bare wire, measured on this machine over real connections with
//! mutual TLS.
//!
//! Floor and Curfew take turns in one run; a figure is the median of the rounds, and after each round store, watchers
//! and guests are asked whether they agree on every outcome.

mod agreement;
mod child;
mod floor;
mod report;
mod rows;
mod scene;
mod subject;
mod usage;

use clap::{Parser, Subcommand};
use curfew_cli::terminal::Terminal;
use rows::{Row, Size};
use scene::FleetArgs;
use std::path::PathBuf;
use std::process::ExitCode;
use tikv_jemallocator::Jemalloc;

/// As the controller has it; the floor has it, too.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

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
    /// Also write the figures here, as JSON.
    #[arg(long)]
    out: Option<PathBuf>,
    /// A few hundred hosts and generous bounds: a guard against regressions by a factor.
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
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "error".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let mut terminal = Terminal::system();
    let outcome = match &args.role {
        Some(Role::FloorServer(fleet)) => floor::server::run(fleet).await,
        Some(Role::FloorAgents(fleet)) => floor::agents::run(fleet).await,
        Some(Role::Controller(fleet)) => subject::controller::run(fleet).await,
        Some(Role::Agents(fleet)) => subject::agents::run(fleet).await,
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

fn tell(terminal: &mut Terminal, figures: &[report::Figure]) -> anyhow::Result<()> {
    for line in report::table(figures).lines() {
        terminal.data(line)?;
    }
    Ok(())
}

async fn measure(args: &Args, terminal: &mut Terminal) -> anyhow::Result<()> {
    let size = Size { hosts: args.hosts, guests: args.guests, rounds: args.rounds };
    let rows: Vec<Row> = if args.rows.is_empty() { Row::ALL.to_vec() } else { args.rows.clone() };
    let mut figures = Vec::new();
    for row in rows {
        terminal.note(&format!("-- {row:?}"));
        let measured = Box::pin(row.measure(size)).await?;
        tell(terminal, &measured)?;
        figures.extend(measured);
    }
    terminal.note("-- all of it");
    tell(terminal, &figures)?;
    if let Some(out) = &args.out {
        std::fs::write(out, serde_json::to_string_pretty(&figures)?)?;
    }
    Ok(())
}
