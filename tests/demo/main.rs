//! `cargo demo`: Curfew's main job on simulated guests, in one go, on this machine alone.
//!
//! A controller with a CA of its own, agents over mutual TLS, one fleet-wide logoff through the command line's own
//! code. A few guests fail on purpose; the demo ends well if everything ended as it was rigged to.

mod rig;

use anyhow::Context as _;
use clap::Parser;
use curfew_cli::interrupt::Source;
use curfew_cli::logoff::{self, Finish, LogoffRequest, Ui};
use curfew_cli::output::Format;
use curfew_cli::summary::Summary;
use curfew_cli::terminal::Terminal;
use curfew_proto::{convert, v1};
use curfew_tests::local::LocalFleet;
use rig::Rig;
use std::process::ExitCode;
use std::time::Instant;

/// A task's time in the demo: short enough that the stubborn ones do not bore.
const TASK_TIMEOUT_MS: u64 = 6_000;
/// What each guest adds to it: a loaded machine still gets a thousand guests done in a second.
const TASK_TIMEOUT_PER_GUEST_MS: u64 = 1;
/// How long people get: enough to be seen in the display, too short to bore.
const GRACE_MS: u64 = 1_000;
/// Most surprises that are told one by one.
const SURPRISES_SHOWN: usize = 10;

/// Logs a whole simulated fleet off: a controller, agents and guests, all on this machine.
#[derive(Debug, Parser)]
#[command(name = "cargo demo", bin_name = "cargo demo --")]
struct Args {
    /// Hosts, each with an agent of its own.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    hosts: u32,
    /// Guests on each host.
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    guests: u32,
    /// People logged on to each guest.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=100))]
    sessions: u32,
    /// The form of the result.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Leave everything running until Ctrl-C, and show how to point `curfew` at it.
    #[arg(long)]
    keep: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "error".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let mut ui = Ui { terminal: Terminal::system(), format: args.output, interrupts: Source::CtrlC };
    // A whole fleet is large, so it lies in a box.
    match Box::pin(demonstrate(&args, &mut ui)).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            ui.terminal.note(&format!("The demo failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn demonstrate(args: &Args, ui: &mut Ui) -> anyhow::Result<bool> {
    let began = Instant::now();
    let rig = Rig::new(args.hosts, args.guests, args.sessions);
    let mut fleet = LocalFleet::start(curfew_controller_core::Settings::default()).await?;
    ui.terminal.note(&format!(
        "A controller with its own CA listens on {}; {} agents with {} simulated guests each attach.",
        fleet.endpoint(),
        args.hosts,
        args.guests
    ));
    for host in 1..=args.hosts {
        fleet.add_agent(&rig.host_name(host), &rig.guests_of(host))?;
    }
    fleet.wait_until_attached((args.hosts * args.guests) as usize).await?;
    ui.terminal.note(&format!(
        "The fleet is attached after {:.1} s. Now everybody is logged off.",
        began.elapsed().as_secs_f64()
    ));
    let client = fleet.client().await?;
    let selection = v1::Selection { all: true, ..v1::Selection::default() };
    let spec = v1::OperationSpec {
        selection: Some(selection),
        not_running: v1::NotRunningPolicy::Refuse.into(),
        task_timeout: Some(convert::duration(
            TASK_TIMEOUT_MS + rig.guest_count() * TASK_TIMEOUT_PER_GUEST_MS,
        )),
        notice: Some(v1::Notice {
            text: "The demo logs you off in {seconds} s.".into(),
            grace: Some(convert::duration(GRACE_MS)),
            repeat: None,
        }),
        reason: "cargo demo".into(),
        ..v1::OperationSpec::default()
    };
    let logoff_began = Instant::now();
    let finish = logoff::run(&client, LogoffRequest::confirmed(spec)?, ui).await?;
    let Finish::Ended(summary) = finish else { return Ok(false) };
    let surprises = judge(&rig, &summary, &client).await?;
    ui.terminal.note(&format!(
        "{} tasks in {:.1} s; the whole demo process peaked at {} MiB.",
        summary.operation.task_count,
        logoff_began.elapsed().as_secs_f64(),
        peak_memory_mib().context("this process's peak memory")?
    ));
    if surprises.is_empty() {
        ui.terminal.note("Every guest ended as it was rigged to.");
    }
    for surprise in surprises.iter().take(SURPRISES_SHOWN) {
        ui.terminal.note(&format!("Not as rigged: {surprise}"));
    }
    if surprises.len() > SURPRISES_SHOWN {
        ui.terminal.note(&format!("{} guests in all did not end as rigged.", surprises.len()));
    }
    if args.keep {
        keep(&fleet, ui).await?;
    }
    fleet.stop().await?;
    Ok(surprises.is_empty())
}

/// What ended otherwise than it was rigged to.
async fn judge(
    rig: &Rig,
    summary: &Summary,
    client: &curfew_cli::client::Client,
) -> anyhow::Result<Vec<String>> {
    let mut surprises = Vec::new();
    let mut page_token = String::new();
    let mut seen = 0;
    loop {
        let request = v1::ListTasksRequest {
            operation_id: summary.operation.id.clone(),
            page_size: 1000,
            page_token,
            ..v1::ListTasksRequest::default()
        };
        let page = client.operations().list_tasks(request).await?.into_inner();
        for task in &page.tasks {
            seen += 1;
            surprises.extend(rig.surprise(task));
        }
        if page.next_page_token.is_empty() {
            break;
        }
        page_token = page.next_page_token;
    }
    if seen != rig.guest_count() {
        surprises.push(format!("{seen} tasks for {} guests", rig.guest_count()));
    }
    Ok(surprises)
}

async fn keep(fleet: &LocalFleet, ui: &mut Ui) -> anyhow::Result<()> {
    let context = fleet.write_context()?;
    ui.terminal.note("Still running. Point the command line at it, in another terminal:");
    ui.terminal.note(&format!(
        "  cargo run --quiet --release --package curfew -- --config {} operation list",
        context.display()
    ));
    ui.terminal.note("Ctrl-C ends it.");
    let mut interrupt = Source::CtrlC.listen();
    interrupt.pressed().await;
    Ok(())
}

/// The most memory this process has had, from the kernel's own books.
fn peak_memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024)
}
