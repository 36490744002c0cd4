//! Commands that ask no controller: `context`, `status-codes`, `completions`.

use crate::args::{Cli, ContextCommand};
use crate::contexts::{Contexts, Entry};
use crate::exit::Exit;
use crate::output::{self, Format, List, Listed};
use crate::table::{Cell, Column};
use crate::terminal::Terminal;
use clap::CommandFactory as _;
use curfew_types::StatusCode;
use serde::Serialize;

/// `curfew context`.
///
/// # Errors
/// When the contexts cannot be used or changed.
pub fn context(
    contexts: &Contexts,
    command: &ContextCommand,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    match command {
        ContextCommand::List { output } => {
            let mut list = List::new(output.output);
            contexts.entries().iter().try_for_each(|entry| list.item(terminal, entry))?;
            list.finish(terminal)?;
        }
        ContextCommand::Use { name } => {
            contexts.make_current(name)?;
            terminal.note(&format!("Context {name} is the current one now."));
        }
        ContextCommand::Show { output } => {
            contexts.chosen()?;
            let chosen = contexts.entries().into_iter().find(Entry::is_current);
            chosen.iter().try_for_each(|entry| output::show(terminal, output.output, entry))?;
        }
    }
    Ok(Exit::Well)
}

/// `curfew status-codes`.
///
/// # Errors
/// When data cannot be written.
pub fn status_codes(format: Format, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let mut list = List::new(format);
    StatusCode::ALL.iter().try_for_each(|code| list.item(terminal, &StatusRow::of(*code)))?;
    list.finish(terminal)?;
    Ok(Exit::Well)
}

/// `curfew completions`.
///
/// # Errors
/// When data cannot be written.
pub fn completions(shell: clap_complete::Shell, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "curfew", &mut script);
    terminal.safe_data(&String::from_utf8(script)?)?;
    Ok(Exit::Well)
}

#[derive(Serialize)]
struct StatusRow {
    name: &'static str,
    value: String,
    layer: &'static str,
    grpc: &'static str,
    meaning: &'static str,
}

impl StatusRow {
    fn of(code: StatusCode) -> StatusRow {
        StatusRow {
            name: code.name(),
            value: format!("0x{:08X}", code.value()),
            layer: code.layer().as_str(),
            grpc: code.rpc().as_str(),
            meaning: code.meaning(),
        }
    }
}

impl Listed for StatusRow {
    const KEY: &'static str = "statusCodes";
    const COLUMNS: &'static [Column] = &[
        Column::whole("VALUE"),
        Column::cut("NAME"),
        Column::extra("LAYER"),
        Column::extra("GRPC"),
        Column::cut("MEANING"),
    ];

    fn rows(&self, _: i64) -> Vec<Vec<Cell>> {
        vec![vec![
            self.value.as_str().into(),
            self.name.into(),
            self.layer.into(),
            self.grpc.into(),
            self.meaning.into(),
        ]]
    }

    fn names(&self) -> Vec<String> {
        vec![self.name.to_owned()]
    }
}
