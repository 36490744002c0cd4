//! `logoff` and `operation`.

use super::steer;
use crate::args::{LogoffArgs, OperationCommand, OperationListArgs, RetryArgs};
use crate::attend;
use crate::client::{self, Client};
use crate::contexts::Contexts;
use crate::describe;
use crate::effective;
use crate::error::CallError;
use crate::exit::Exit;
use crate::follow;
use crate::interrupt::Source;
use crate::logoff::{self, Ui};
use crate::output::List;
use crate::pages;
use crate::retry;
use crate::standing;
use crate::summary::Summary;
use crate::terminal::Terminal;
use curfew_proto::v1;
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

/// `curfew operation`. It owns the terminal, since its display does.
///
/// # Errors
/// When the controller could not be asked or refuses the request.
pub async fn operation(
    client: &Client,
    command: &OperationCommand,
    mut owned: Terminal,
) -> anyhow::Result<Exit> {
    let terminal = &mut owned;
    let exit = match command {
        OperationCommand::List(args) => list(client, args, terminal).await,
        OperationCommand::Show { id, output } => {
            let operation = follow::get(client, id).await?;
            describe::operation(terminal, output.output, &operation)?;
            Ok(Exit::Well)
        }
        OperationCommand::Watch { id, output } => {
            let mut interrupt = Source::CtrlC.listen();
            let finish = attend::follow_to_end(client, id, terminal, output.output, &mut interrupt).await?;
            Ok(finish.exit())
        }
        OperationCommand::Wait { id, timeout, output } => {
            let operation = wait(client, id, *timeout, terminal).await?;
            if operation.state() != v1::OperationState::Ended {
                let stop = standing::stop(&operation);
                let how = stop.as_ref().map_or("still running", |stop| stop.what.as_str());
                terminal.note(&format!("The wait ran out: operation {id} is {how}."));
                standing::note_ways(terminal, stop.as_ref().map_or(&[], |stop| stop.ways.as_slice()));
            }
            let summary = Summary::of(client, operation, output.output).await?;
            summary.write(terminal, output.output)?;
            Ok(summary.exit())
        }
        OperationCommand::Cancel { id, reason, output } => {
            steer::cancel(client, id, reason.as_deref(), output.output, terminal).await
        }
        OperationCommand::Pause(args) => steer::pause(client, args, terminal).await,
        OperationCommand::Resume(args) => steer::resume(client, args, terminal).await,
        OperationCommand::Promote(args) => steer::promote(client, args, terminal).await,
        OperationCommand::Approve(args) => steer::approve(client, args, terminal).await,
        OperationCommand::Reject(args) => steer::reject(client, args, terminal).await,
        OperationCommand::Retry(args) => return retry(client, args, owned).await,
    }?;
    terminal.flush()?;
    Ok(exit)
}

async fn retry(client: &Client, args: &RetryArgs, terminal: Terminal) -> anyhow::Result<Exit> {
    let request = effective::retry(args)?;
    let mut ui = Ui { terminal, format: args.output.output, interrupts: Source::CtrlC };
    let finish = retry::run(client, request, &mut ui).await?;
    ui.terminal.flush()?;
    Ok(finish.exit())
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
