//! Trying again what did not end well: the same way from the question to the summary as a logoff.

use crate::attend::attend;
use crate::client::{self, Client};
use crate::error::CallError;
use crate::logoff::{Finish, Ui};
use crate::preview;
use crate::start;
use crate::terminal::Terminal;
use crate::treatment;
use crate::words;
use curfew_proto::v1;

/// What a retry is asked to do.
#[derive(Clone, Debug)]
pub struct RetryRequest {
    /// The ended operation.
    pub operation_id: String,
    /// The client's own id for it, so that a lost answer can be asked for again.
    pub request_id: String,
    /// It was confirmed already.
    pub is_confirmed: bool,
    /// Whether to stay until the end.
    pub stays: bool,
}

/// Shows the size, asks unless it was confirmed, starts, follows to the end, writes the summary.
///
/// # Errors
/// When nothing was started, or it is not known how the operation stands.
pub async fn run(client: &Client, request: RetryRequest, ui: &mut Ui) -> anyhow::Result<Finish> {
    start::check_can_confirm(request.is_confirmed, &ui.terminal, "log users off")?;
    let planned = ask(client, &request, true).await?;
    let missing = planned.missing_guest_count;
    let planned = planned.operation.unwrap_or_default();
    let spec = planned.spec.clone().unwrap_or_default();
    tell_size(&planned, &spec, missing, &request.operation_id, &mut ui.terminal);
    // What is refused anyway needs no answer.
    let is_vain = !planned.waiting_for.is_empty();
    let question = treatment::question(&spec);
    if !request.is_confirmed && (is_vain || !ui.terminal.ask(question)?) {
        ui.terminal.note("Nothing was started.");
        return Ok(Finish::Declined);
    }
    let mut interrupt = ui.interrupts.listen();
    let started = tokio::select! {
        started = start::until_answered(&mut ui.terminal, &request.request_id, async || {
            ask(client, &request, false).await.map(|answer| answer.operation.unwrap_or_default())
        }) => started?,
        // The request may have arrived: the request id is how to find out.
        () = interrupt.pressed() => return Err(start::left_while_starting(&request.request_id).into()),
    };
    if started.selection_digest != planned.selection_digest {
        let guests = words::count(started.task_count, "guest");
        ui.terminal.note(&format!("The fleet changed since: the operation has {guests}."));
    }
    Box::pin(attend(client, started, request.stays, ui, &mut interrupt)).await
}

async fn ask(
    client: &Client,
    request: &RetryRequest,
    validate_only: bool,
) -> Result<v1::RetryOperationResponse, CallError> {
    let message = client::soon(v1::RetryOperationRequest {
        operation_id: request.operation_id.clone(),
        request_id: request.request_id.clone(),
        validate_only,
    });
    let mut operations = client.operations();
    let attempted = format!("retry operation {}", request.operation_id);
    client.ask(attempted, operations.retry_operation(message)).await
}

fn tell_size(
    planned: &v1::Operation,
    spec: &v1::OperationSpec,
    missing: u64,
    of: &str,
    terminal: &mut Terminal,
) {
    let included: u64 = planned.stages.iter().map(|count| count.tasks).sum();
    let guests = words::count(included, "guest");
    let whom = treatment::whom(spec);
    terminal.note(&format!("This logs {whom} off {guests} that did not end well in {of}."));
    let out = planned.task_count.saturating_sub(included);
    if out > 0 {
        terminal.note(&format!("  {out:>6}  more would be skipped or refused at once"));
    }
    if missing > 0 {
        let (is, it) = if missing == 1 { ("is", "it") } else { ("are", "them") };
        terminal
            .note(&format!("  {missing:>6}  more {is} no longer in the fleet: nothing is done about {it}"));
    }
    treatment::line(spec).iter().for_each(|line| terminal.note(line));
    let waves: Vec<u64> = planned.waves.iter().map(|wave| wave.tasks).collect();
    preview::how_lines(&waves, planned.approval.is_some(), &planned.waiting_for)
        .iter()
        .for_each(|line| terminal.note(line));
}
