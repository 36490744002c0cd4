//! `cargo bench-fleet`: what a whole fleet costs, measured on this machine over real connections with mutual TLS.
//!
//! Every figure is the median of several rounds, and each round checks that the store and the operation agree.

mod cancel;
mod load;

use anyhow::Context as _;
use clap::Parser;
use curfew_cli::terminal::Terminal;
use curfew_tests::local::LocalFleet;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::process::ExitCode;

/// Descriptors beside one for each connection.
const SPARE_FILES: u64 = 1_000;

/// Measures how long a whole fleet takes.
#[derive(Debug, Parser)]
#[command(name = "cargo bench-fleet", bin_name = "cargo bench-fleet --")]
struct Args {
    /// Hosts, each with an agent and a connection of its own.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    hosts: u32,
    /// Guests on each host.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    guests: u32,
    /// Rounds; the median is told.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// For the processes that this one starts: which share of the agents they run, and where the controller is.
    #[command(flatten)]
    load: load::LoadArgs,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "error".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let mut terminal = Terminal::system();
    let outcome = match args.load.asked() {
        Some(load) => load.run(args.guests).await,
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
    raise_file_limit(u64::from(args.hosts) + SPARE_FILES)?;
    let began = std::time::Instant::now();
    let fleet = LocalFleet::start(curfew_controller_core::Settings::default()).await?;
    let agents = load::start(&fleet, args.hosts, args.guests)?;
    let guests = args.hosts as usize * args.guests as usize;
    fleet.wait_until_attached(guests).await?;
    let (hosts, attached) = (args.hosts, began.elapsed().as_secs_f64());
    terminal.note(&format!("{hosts} agents with {guests} guests attached in {attached:.1} s"));
    let mut rounds = Vec::new();
    for _ in 0..args.rounds {
        rounds.push(cancel::round(&fleet, guests as u64).await?);
    }
    terminal.data(&cancel::medians(&rounds))?;
    agents.stop().await?;
    fleet.stop().await
}

/// Lets this process open `wanted` files; beyond the hard limit that takes a right that not every root has.
fn raise_file_limit(wanted: u64) -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let maximum = limit.maximum.map(|maximum| maximum.max(wanted));
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
        .with_context(|| format!("{wanted} open files are needed: raise the limit, or say --hosts with less"))
}
