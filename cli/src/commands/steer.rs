//! `operation pause`, `resume`, `promote`, `approve`, `reject`, `retry` and `cancel`: changes the course of an
//! operation.

use crate::args::{ApproveArgs, PromoteArgs, ResumeArgs, SteerArgs};
use crate::client::{self, Client};
use crate::effective;
use crate::error::{CallError, Why};
use crate::exit::Exit;
use crate::follow;
use crate::listings;
use crate::output::{self, Format};
use crate::standing;
use crate::start;
use crate::terminal::Terminal;
use crate::treatment;
use crate::words;
use curfew_proto::v1;
use std::io;
use tonic::Code;

/// `curfew operation pause`.
///
/// # Errors
/// When the controller could not be asked or refuses the request.
pub(super) async fn pause(
    client: &Client,
    args: &SteerArgs,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    let reason = args.reason.clone().unwrap_or_default();
    let request = client::soon(v1::PauseOperationRequest { operation_id: args.id.clone(), reason });
    let mut operations = client.operations();
    let attempted = format!("pause operation {}", args.id);
    let answer = client.ask(attempted, operations.pause_operation(request)).await?;
    let operation = answer.operation.unwrap_or_default();
    write(terminal, args.output.output, &operation, None)?;
    if let Some(stop) = standing::stop(&operation) {
        standing::note_ways(terminal, &stop.ways);
    }
    Ok(Exit::Well)
}

/// `curfew operation resume`.
///
/// # Errors
/// When the controller could not be asked or refuses the request.
pub(super) async fn resume(
    client: &Client,
    args: &ResumeArgs,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    let steer = &args.steer;
    let request = client::soon(v1::ResumeOperationRequest {
        operation_id: steer.id.clone(),
        reason: steer.reason.clone().unwrap_or_default(),
        budgets: effective::budgets(&args.budgets),
    });
    let mut operations = client.operations();
    let attempted = format!("resume operation {}", steer.id);
    let answer = client.ask(attempted, operations.resume_operation(request)).await?;
    write(terminal, steer.output.output, &answer.operation.unwrap_or_default(), None)?;
    Ok(Exit::Well)
}

/// `curfew operation promote`.
///
/// # Errors
/// When the controller could not be asked or refuses the request.
pub(super) async fn promote(
    client: &Client,
    args: &PromoteArgs,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    let wave = args.wave.unwrap_or(0);
    let request = client::soon(v1::PromoteOperationRequest { operation_id: args.id.clone(), wave });
    let mut operations = client.operations();
    let attempted = format!("promote operation {}", args.id);
    let answer = client.ask(attempted, operations.promote_operation(request)).await?;
    let operation = answer.operation.unwrap_or_default();
    let said = standing::wave(&operation).map(|(wave, of)| format!("in wave {wave} of {of}"));
    write(terminal, args.output.output, &operation, said.as_deref())?;
    Ok(Exit::Well)
}

/// `curfew operation reject`.
///
/// # Errors
/// When the controller could not be asked or refuses the request.
pub(super) async fn reject(
    client: &Client,
    args: &SteerArgs,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    let reason = args.reason.clone().unwrap_or_default();
    let request = client::soon(v1::RejectOperationRequest { operation_id: args.id.clone(), reason });
    let mut operations = client.operations();
    let attempted = format!("reject operation {}", args.id);
    let answer = client.ask(attempted, operations.reject_operation(request)).await?;
    write(terminal, args.output.output, &answer.operation.unwrap_or_default(), Some("rejected"))?;
    Ok(Exit::Well)
}

/// `curfew operation cancel`.
///
/// # Errors
/// When the controller could not be asked or refuses the request.
pub(super) async fn cancel(
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
    write(terminal, format, &operation, None)?;
    if operation.state() == v1::OperationState::Cancelling {
        terminal.note(&format!("What was handed over confirms one by one: curfew operation watch {id}"));
    }
    Ok(Exit::Well)
}

/// `curfew operation approve`: shows what is approved, asks unless that was done already, approves exactly that.
///
/// # Errors
/// When the controller could not be asked or refuses the request.
pub(super) async fn approve(
    client: &Client,
    args: &ApproveArgs,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    let id = &args.steer.id;
    start::check_can_confirm(args.yes, terminal, "approve")?;
    let shown = follow::get(client, id).await?;
    check_digest(args.digest.as_deref(), &shown)?;
    if shown.state() == v1::OperationState::AwaitingApproval {
        request_lines(&shown).iter().for_each(|line| terminal.note(line));
        if !args.yes && !terminal.ask("Approve it?")? {
            terminal.note("Nothing was approved.");
            return Ok(Exit::NotAsked);
        }
    }
    let request = client::soon(v1::ApproveOperationRequest {
        operation_id: id.clone(),
        selection_digest: shown.selection_digest.clone(),
        reason: args.steer.reason.clone().unwrap_or_default(),
    });
    let mut operations = client.operations();
    let answer = client.ask(format!("approve operation {id}"), operations.approve_operation(request)).await;
    let answer = answer.map_err(ask_another)?;
    let operation = answer.operation.unwrap_or_default();
    let format = args.steer.output.output;
    if answer.new_guest_count == 0 {
        write(terminal, format, &operation, Some("approved"))?;
        return Ok(Exit::Well);
    }
    write(terminal, format, &operation, Some("awaits approval"))?;
    tell_new(&answer.new_guests, answer.new_guest_count, terminal);
    terminal.note("Nothing was approved: approval is asked for again, of the larger set:");
    terminal.note(&format!("  {}", standing::approve_command(&operation)));
    Ok(Exit::AwaitingApproval)
}

/// A digest that the requester passed on must still be that of the operation: else another set would be approved
/// than the one they spoke of.
fn check_digest(meant: Option<&str>, shown: &v1::Operation) -> Result<(), Why> {
    match meant {
        Some(digest) if digest != shown.selection_digest => Err(Why::new(
            format!("{} has another set of guests: its digest is {}", shown.id, shown.selection_digest),
            format!("`curfew operation show {}` shows it; approve with its digest if it is right", shown.id),
        )),
        Some(_) | None => Ok(()),
    }
}

/// What the second person is asked to approve.
fn request_lines(operation: &v1::Operation) -> Vec<String> {
    let guests = words::count(standing::left(operation), "guest");
    let spec = operation.spec.clone().unwrap_or_default();
    let reason = if spec.reason.is_empty() { "no reason given" } else { &spec.reason };
    let mut lines = vec![
        format!("{} asks to log {} off {guests}: {reason}", operation.requester, treatment::whom(&spec)),
        format!("  asked:   {}", words::time(operation.create_time.as_ref())),
        format!("  selects: {}", spec.selection.as_ref().map(listings::selection).unwrap_or_default()),
        format!("  digest:  {}", operation.selection_digest),
        format!("  guests:  curfew task list {}", operation.id),
    ];
    let expires = operation.approval.as_ref().and_then(|approval| approval.expire_time.as_ref());
    if let Some(time) = expires {
        lines.insert(2, format!("  until:   {}", words::time(Some(time))));
    }
    let people = [("people", treatment::people(&spec)), ("ends", treatment::sessions(&spec))];
    for (label, said) in people {
        lines.extend(said.map(|said| format!("  {:<8} {said}", format!("{label}:"))));
    }
    let text = spec.notice.as_ref().map_or("", |notice| notice.text.as_str());
    if !text.is_empty() {
        lines.push(format!("  notice:  {text}"));
    }
    if operation.waves.len() > 1 {
        let sizes: Vec<String> = operation.waves.iter().map(|wave| wave.tasks.to_string()).collect();
        lines.push(format!("  waves:   {}", sizes.join(", ")));
    }
    lines
}

/// Another certificate of the same person would be no second person.
fn ask_another(mut error: CallError) -> CallError {
    if error.code == Code::PermissionDenied {
        error.why.help =
            Some("ask another operator to approve it; whoever asked for it may only reject it".into());
    }
    error
}

fn tell_new(names: &[String], count: u64, terminal: &mut Terminal) {
    let have = if count == 1 { "guest has" } else { "guests have" };
    terminal.note(&format!("{count} {have} come to the set since approval was asked for:"));
    names.iter().for_each(|name| terminal.note(&format!("  {name}")));
    let more = count.saturating_sub(names.len() as u64);
    if more > 0 {
        terminal.note(&format!("  and {more} more"));
    }
}

/// Writes how the operation stands now: in one line for people, `said` in the place of its state.
fn write(
    terminal: &mut Terminal,
    format: Format,
    operation: &v1::Operation,
    said: Option<&str>,
) -> io::Result<()> {
    if format == Format::Table {
        let state = words::operation_state(operation);
        terminal.data(&format!("{} {}", operation.id, said.unwrap_or(state.text())))?;
    } else {
        output::show(terminal, format, operation)?;
    }
    super::tell_if_not_recorded(terminal, operation.recorded);
    Ok(())
}
