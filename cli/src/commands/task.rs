//! `task`: the fleet's `IVMTask`, one for each guest of an operation.

use crate::args::{TaskCommand, TaskListArgs};
use crate::client::{self, Client};
use crate::describe;
use crate::effective;
use crate::error::CallError;
use crate::exit::Exit;
use crate::output::{self, Format, List};
use crate::pages;
use crate::terminal::Terminal;
use crate::words;
use curfew_proto::v1;
use std::time::{Duration, Instant};

/// Beyond what a wait was asked to take: the way there and back.
const WAIT_SLACK: Duration = Duration::from_secs(10);
/// Between two attempts to come back to a controller that is away.
const WAIT_PAUSE: Duration = Duration::from_secs(2);

/// `curfew task`.
///
/// # Errors
/// When the controller could not be asked or refuses the request.
pub async fn task(client: &Client, command: &TaskCommand, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    match command {
        TaskCommand::List(args) => list(client, args, terminal).await,
        TaskCommand::Show { id, output } => {
            let request = client::soon(v1::GetTaskRequest { task_id: id.clone() });
            let mut operations = client.operations();
            let answer = client.ask(format!("read task {id}"), operations.get_task(request)).await?;
            describe::task(terminal, output.output, &answer.task.unwrap_or_default())?;
            Ok(Exit::Well)
        }
        TaskCommand::Cancel { id, output } => cancel(client, id, output.output, terminal).await,
        TaskCommand::Wait { id, timeout_ms, output } => {
            let task = wait(client, id, *timeout_ms, terminal).await?;
            describe::task(terminal, output.output, &task)?;
            if !task.is_complete {
                terminal.note(&format!("The wait ran out: task {id} is not complete."));
            }
            Ok(Exit::of_task(&task))
        }
    }
}

async fn list(client: &Client, args: &TaskListArgs, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let outcomes = effective::outcomes(&args.outcome);
    let mut list = List::new(args.output.output);
    pages::write(terminal, &mut list, args.limit.limit, async |page_size, page_token| {
        let request = client::soon(v1::ListTasksRequest {
            operation_id: args.operation.clone(),
            page_size: page_size.min(pages::TASKS),
            page_token,
            outcomes: outcomes.clone(),
            only_not_well: args.not_well,
        });
        let mut operations = client.operations();
        let attempted = format!("list tasks of {}", args.operation);
        let page = client.ask(attempted, operations.list_tasks(request)).await?;
        Ok((page.tasks, page.next_page_token))
    })
    .await?;
    let count = list.count();
    list.finish(terminal)?;
    if count == 0 {
        terminal.note("No tasks found.");
    }
    Ok(Exit::Well)
}

async fn cancel(client: &Client, id: &str, format: Format, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let request = client::soon(v1::CancelTaskRequest { task_id: id.into() });
    let mut operations = client.operations();
    let answer = client.ask(format!("cancel task {id}"), operations.cancel_task(request)).await?;
    let task = answer.task.unwrap_or_default();
    if format == Format::Table {
        terminal.data(&format!("{id} {}", words::task_state(&task).text()))?;
    } else {
        output::show(terminal, format, &task)?;
    }
    if !task.is_complete {
        terminal
            .note(&format!("The cancel was sent; its confirmation is awaited with: curfew task wait {id}"));
    }
    Ok(Exit::Well)
}

/// `WaitForCompletion`: -1 waits for ever, and what is out of range is for the controller to refuse.
async fn wait(
    client: &Client,
    id: &str,
    timeout_ms: i64,
    terminal: &mut Terminal,
) -> Result<v1::Task, CallError> {
    let began = Instant::now();
    let mut is_told = false;
    let mut left_ms = timeout_ms;
    loop {
        let message = v1::WaitTaskRequest { task_id: id.into(), timeout_ms: Some(left_ms) };
        let request = match u64::try_from(left_ms) {
            Ok(left_ms) => client::within(message, Duration::from_millis(left_ms).saturating_add(WAIT_SLACK)),
            Err(_) => tonic::Request::new(message),
        };
        let mut operations = client.operations();
        let error = match client.ask(format!("wait for task {id}"), operations.wait_task(request)).await {
            Ok(answer) => return Ok(answer.task.unwrap_or_default()),
            Err(error) => error,
        };
        let elapsed_ms = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        let is_over = timeout_ms >= 0 && elapsed_ms >= timeout_ms;
        if !error.is_lost || is_over {
            return Err(error);
        }
        if !std::mem::replace(&mut is_told, true) {
            terminal.note(&format!("{error}: {}; trying again", error.why));
        }
        tokio::time::sleep(WAIT_PAUSE).await;
        left_ms = if timeout_ms < 0 { timeout_ms } else { timeout_ms.saturating_sub(elapsed_ms).max(0) };
    }
}
