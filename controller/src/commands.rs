//! The program `curfew-controller`: its command line, its exit code, and the commands beside running.
//!
//! What a command has to say goes to stdout, errors and the log to stderr. The exit code is 0, or 1 after an error,
//! or 2 for a command line that cannot be read.

mod backup;
mod certificates;
mod init;
mod logging;
mod run;

use crate::config::{Config, Flags};
use clap::{Parser, Subcommand};
use curfew_types::StatusCode;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Curfew's controller: takes fleet-wide logoffs and hands them to the agents of the hosts.
#[derive(Debug, Parser)]
#[command(name = "curfew-controller", version)]
struct Cli {
    /// What to do; nothing named means to run.
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the controller; the authority and the controller's certificate are made if there are none.
    Run,
    /// Make a data directory, an authority, a certificate for yourself and a context for `curfew`.
    Init(init::InitArgs),
    /// Issue the certificate of a host's agent.
    AgentCert(certificates::AgentArgs),
    /// Issue an operator's certificate.
    OperatorCert(certificates::OperatorArgs),
    /// Copy the store and the authority into a new directory; the controller may be running.
    Backup(backup::BackupArgs),
    /// Make a new data directory from a backup; the controller must not be running.
    Restore(backup::RestoreArgs),
    /// Print the table of status codes as Markdown.
    StatusCodes,
}

/// The whole program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // Whatever is made from here on is for this user alone, also by libraries.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    match execute(cli) {
        Ok(said) => print(&said),
        Err(error) => {
            // Nobody is left to tell if stderr is closed.
            writeln!(std::io::stderr(), "curfew-controller: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

fn print(said: &str) -> ExitCode {
    match std::io::stdout().write_all(said.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Does what was asked for and returns what to print.
fn execute(cli: Cli) -> anyhow::Result<String> {
    let Some(command) = cli.command else { return run(&cli.flags) };
    match command {
        Command::Run => run(&cli.flags),
        Command::Init(args) => init::init(&cli.flags, &quiet(&cli.flags)?, &args),
        Command::AgentCert(args) => certificates::agent(&quiet(&cli.flags)?, &args),
        Command::OperatorCert(args) => certificates::operator(&quiet(&cli.flags)?, &args),
        Command::Backup(args) => runtime()?.block_on(backup::backup(&quiet(&cli.flags)?, &args)),
        Command::Restore(args) => runtime()?.block_on(backup::restore(&quiet(&cli.flags)?, &args)),
        Command::StatusCodes => Ok(StatusCode::markdown_table()),
    }
}

fn run(flags: &Flags) -> anyhow::Result<String> {
    let config = Config::load(flags)?;
    logging::begin(&config.log_level, config.log_format)?;
    runtime()?.block_on(run::run(config))?;
    Ok(String::new())
}

/// The settings of a command that answers on stdout: its log tells of trouble only.
fn quiet(flags: &Flags) -> anyhow::Result<Config> {
    let config = Config::load(flags)?;
    let level = if flags.log_level.is_some() { config.log_level.as_str() } else { "warn" };
    logging::begin(level, config.log_format)?;
    Ok(config)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// An absolute path, so that what is printed or written down holds from everywhere.
fn absolute(path: &std::path::Path) -> anyhow::Result<PathBuf> {
    Ok(std::path::absolute(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn settings_may_stand_on_either_side_of_the_command() {
        for line in [
            ["curfew-controller", "--data-dir", "/d", "init"],
            ["curfew-controller", "init", "--data-dir", "/d"],
        ] {
            let cli = Cli::try_parse_from(line).unwrap();
            assert_eq!(cli.flags.data_dir, Some("/d".into()));
        }
    }
}
