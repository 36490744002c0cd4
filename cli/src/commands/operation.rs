//! `logoff`, `preview` and `operation`.

use crate::args::{LimitArgs, LogoffArgs, OperationCommand, OperationListArgs, SpecArgs};
use crate::client::{self, Client};
use crate::contexts::Contexts;
use crate::effective;
use crate::error::CallError;
use crate::exit::Exit;
use crate::follow;
use crate::interrupt::Source;
use crate::logoff::{self, Ui};
use crate::output::{self, Format, List};
use crate::pages;
use crate::preview::{self, Size};
use crate::summary::Summary;
use crate::terminal::Terminal;
use crate::words;
use curfew_proto::v1;
use serde::Serialize;
use std::time::{Duration, Instant};

/// One wait of the controller at most; a longer one is several, so that a silent connection is noticed.
const WAIT_AT_ONCE: Duration = Duration::from_secs(60);
/// Beyond what a wait was asked to take: the way there and back.
const WAIT_SLACK: Duration = Duration::from_secs(10);
/// Between two attempts to come back to a controller that is away.
const WAIT_PAUSE: Duration = Duration::from_secs(2);

/// `curfew logoff`.
///
/// # Errors
/// When nothing was started, or it is not known how the operation stands.
pub async fn logoff(
    args: &LogoffArgs,
    contexts: impl FnOnce() -> anyhow::Result<Contexts>,
    terminal: Terminal,
) -> anyhow::Result<Exit> {
    let request = effective::logoff(args)?;
    let mut ui = Ui { terminal, format: args.output.output, interrupts: Source::CtrlC };
    logoff::check_can_confirm(&request, &ui)?;
    let client = contexts()?.connect().await?;
    let finish = logoff::run(&client, request, &mut ui).await?;
    ui.terminal.flush()?;
    Ok(finish.exit())
}

/// `curfew preview`.
///
/// # Errors
/// When the controller could not be asked or refuses the request.
pub async fn preview(
    client: &Client,
    spec: &SpecArgs,
    limit: LimitArgs,
    format: Format,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    let spec = effective::spec(spec)?;
    let size = Size::of(client, &spec).await?;
    if matches!(format, Format::Json | Format::Yaml) {
        let fetch = async |size, token| preview::page(client, &spec, size, token).await.map(preview::guests);
        let guests = pages::collect(limit.limit.map_or(usize::MAX, |limit| limit as usize), fetch).await?;
        output::document(terminal, format, &PreviewDocument::new(&size, guests))?;
        return Ok(Exit::Well);
    }
    let mut list = List::new(format);
    pages::write(terminal, &mut list, limit.limit, async |size, token| {
        preview::page(client, &spec, size, token).await.map(preview::guests)
    })
    .await?;
    list.finish(terminal)?;
    size.lines().iter().for_each(|line| terminal.note(line));
    Ok(Exit::Well)
}

/// `curfew operation`.
///
/// # Errors
/// When the controller could not be asked or refuses the request.
pub async fn operation(
    client: &Client,
    command: &OperationCommand,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    match command {
        OperationCommand::List(args) => list(client, args, terminal).await,
        OperationCommand::Show { id, output } => {
            let operation = follow::get(client, id).await?;
            output::show(terminal, output.output, &operation)?;
            Ok(Exit::Well)
        }
        OperationCommand::Watch { id, output } => {
            let mut interrupt = Source::CtrlC.listen();
            let finish = logoff::follow_to_end(client, id, terminal, output.output, &mut interrupt).await?;
            Ok(finish.exit())
        }
        OperationCommand::Wait { id, timeout, output } => {
            let operation = wait(client, id, *timeout, terminal).await?;
            if operation.state() != v1::OperationState::Ended {
                terminal.note(&format!("The wait ran out: operation {id} is still running."));
            }
            let summary = Summary::of(client, operation, output.output).await?;
            summary.write(terminal, output.output)?;
            Ok(summary.exit())
        }
        OperationCommand::Cancel { id, reason, output } => {
            cancel(client, id, reason.as_deref(), output.output, terminal).await
        }
    }
}

async fn list(client: &Client, args: &OperationListArgs, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let state = effective::operation_state(args.state);
    let mut list = List::new(args.output.output);
    pages::write(terminal, &mut list, args.limit.limit, async |page_size, page_token| {
        let request = client::soon(v1::ListOperationsRequest { page_size, page_token, state: state.into() });
        let mut operations = client.operations();
        let page = client.ask("list operations", operations.list_operations(request)).await?;
        Ok((page.operations, page.next_page_token))
    })
    .await?;
    let count = list.count();
    list.finish(terminal)?;
    if count == 0 {
        terminal.note("No operations found.");
    }
    Ok(Exit::Well)
}

async fn cancel(
    client: &Client,
    id: &str,
    reason: Option<&str>,
    format: Format,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    let reason = reason.unwrap_or_default().to_owned();
    let request = client::soon(v1::CancelOperationRequest { operation_id: id.into(), reason });
    let mut operations = client.operations();
    let answer = client.ask(format!("cancel operation {id}"), operations.cancel_operation(request)).await?;
    let operation = answer.operation.unwrap_or_default();
    if format == Format::Table {
        let state = words::operation_state(&operation);
        terminal.data(&format!("{id} {}", state.text()))?;
    } else {
        output::show(terminal, format, &operation)?;
    }
    if !operation.recorded {
        terminal.note("The cancel was sent, but is not on the controller's disk yet: its store is away.");
    }
    if operation.state() == v1::OperationState::Cancelling {
        terminal.note(&format!("What was handed over confirms one by one: curfew operation watch {id}"));
    }
    Ok(Exit::Well)
}

/// Waits until the operation ends or the time is over; comes back as long as there is time.
async fn wait(
    client: &Client,
    id: &str,
    timeout: Option<Duration>,
    terminal: &mut Terminal,
) -> Result<v1::Operation, CallError> {
    let began = Instant::now();
    let mut is_told = false;
    loop {
        let left =
            timeout.map_or(WAIT_AT_ONCE, |timeout| timeout.saturating_sub(began.elapsed()).min(WAIT_AT_ONCE));
        let message =
            v1::WaitOperationRequest { operation_id: id.into(), timeout: Some(effective::duration(left)) };
        let request = client::within(message, left + WAIT_SLACK);
        let mut operations = client.operations();
        let answer = client.ask(format!("wait for operation {id}"), operations.wait_operation(request)).await;
        let is_over = timeout.is_some_and(|timeout| began.elapsed() >= timeout);
        match answer {
            Ok(answer) => {
                let operation = answer.operation.unwrap_or_default();
                if is_over || operation.state() == v1::OperationState::Ended {
                    return Ok(operation);
                }
            }
            Err(error) if error.is_lost && !is_over => {
                if !std::mem::replace(&mut is_told, true) {
                    terminal.note(&format!("{error}: {}; trying again", error.why));
                }
                tokio::time::sleep(WAIT_PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// A preview as one document, with the API's own names.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PreviewDocument {
    included_count: String,
    left_out_count: String,
    selection_digest: String,
    guests: Vec<v1::PreviewGuest>,
}

impl PreviewDocument {
    fn new(size: &Size, guests: Vec<v1::PreviewGuest>) -> PreviewDocument {
        PreviewDocument {
            // Protobuf's JSON writes 64-bit numbers as strings.
            included_count: size.included.to_string(),
            left_out_count: size.left_out.to_string(),
            selection_digest: size.digest.clone(),
            guests,
        }
    }
}
