//! From arguments to an exit code: parses, chooses the command, reports what went wrong.

use crate::args::{Cli, Command};
use crate::commands::{fleet, local, operation, preview, safeguard, session, task};
use crate::contexts::Contexts;
use crate::effective;
use crate::error;
use crate::exit::Exit;
use crate::terminal::Terminal;
use clap::Parser as _;
use std::ffi::OsString;
use std::io::IsTerminal as _;

/// Runs the command line of this process.
pub fn main(args: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return report_usage(&error),
    };
    // One worker keeps the connection alive while the main thread asks the person.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(cli, Terminal::system())),
        Err(error) => Err(anyhow::Error::new(error).context("cannot start")),
    };
    result.unwrap_or_else(|error| {
        let mut terminal = Terminal::system();
        error::lines(&error).iter().for_each(|line| terminal.note(line));
        Exit::of_error(&error)
    })
}

/// Runs a parsed command.
///
/// # Errors
/// When the question could not be asked.
pub async fn run(cli: Cli, mut terminal: Terminal) -> anyhow::Result<Exit> {
    effective::check(&cli.command)?;
    let connection = &cli.connection;
    let contexts = || Contexts::load(connection);
    let exit = match &cli.command {
        Command::Completions { shell } => local::completions(*shell, &mut terminal),
        Command::StatusCodes { output } => local::status_codes(output.output, &mut terminal),
        Command::Context(command) => local::context(&contexts()?, command, &mut terminal),
        // These own the terminal, since their display does. What they hold while they run is large, so it lies in a box.
        Command::Logoff(args) => return Box::pin(operation::logoff(args, contexts, terminal)).await,
        Command::Operation(command) => {
            let client = contexts()?.connect().await?;
            return Box::pin(operation::operation(&client, command, terminal)).await;
        }
        Command::Preview(args) => {
            Box::pin(preview::preview(&contexts()?.connect().await?, args, &mut terminal)).await
        }
        Command::Task(command) => task::task(&contexts()?.connect().await?, command, &mut terminal).await,
        Command::Host(command) => fleet::host(&contexts()?.connect().await?, command, &mut terminal).await,
        Command::Guest(command) => fleet::guest(&contexts()?.connect().await?, command, &mut terminal).await,
        Command::Session(command) => {
            session::session(&contexts()?.connect().await?, command, &mut terminal).await
        }
        Command::ProtectedUser(command) => {
            safeguard::protected_user(&contexts()?.connect().await?, command, &mut terminal).await
        }
        Command::Freeze(args) => safeguard::freeze(&contexts()?.connect().await?, args, &mut terminal).await,
        Command::Unfreeze => safeguard::unfreeze(&contexts()?.connect().await?, &mut terminal).await,
    }?;
    terminal.flush()?;
    Ok(exit)
}

/// Prints what the parser says: help and version are data, everything else is an error.
fn report_usage(error: &clap::Error) -> Exit {
    let mut terminal = Terminal::system();
    let is_answer = !error.use_stderr();
    let has_colors = match is_answer {
        true => terminal.facts().has_colors,
        false => std::io::stderr().is_terminal() && !crate::terminal::is_plain_wanted(),
    };
    let text = error.render();
    let text = if has_colors { text.ansi().to_string() } else { text.to_string() };
    if !is_answer {
        terminal.safe_note(&text);
        return Exit::Usage;
    }
    match terminal.safe_data(&text).and_then(|()| terminal.flush()) {
        Ok(()) => Exit::Well,
        Err(_) => Exit::NotAsked,
    }
}
