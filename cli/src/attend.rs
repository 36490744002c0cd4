//! What comes after a start: says what a second person has to type, follows to the end and sums up, or says how to
//! come back.

use crate::client::Client;
use crate::error::Unfollowed;
use crate::follow::{self, Followed};
use crate::interrupt::Interrupt;
use crate::logoff::{Finish, Ui};
use crate::output::Format;
use crate::progress::Progress;
use crate::standing;
use crate::summary::Summary;
use crate::terminal::Terminal;
use crate::words;
use curfew_proto::v1;
use std::io;

/// Attends to an operation that was just started.
///
/// # Errors
/// When it cannot be followed, or what is known of it cannot be written.
pub(crate) async fn attend(
    client: &Client,
    started: v1::Operation,
    stays: bool,
    ui: &mut Ui,
    interrupt: &mut Interrupt,
) -> anyhow::Result<Finish> {
    if started.state() == v1::OperationState::AwaitingApproval {
        return Ok(await_approval(started, ui)?);
    }
    if stays {
        let finish = follow_to_end(client, &started.id, &mut ui.terminal, ui.format, interrupt).await;
        return finish.map_err(|error| lost_from_sight(&started.id, error, ui));
    }
    let summary = write_begun(started, ui, "started")?;
    tell_the_way_back(&mut ui.terminal, &summary.operation.id);
    Ok(Finish::Begun(Box::new(summary)))
}

/// Follows an operation to its end and writes the summary.
///
/// # Errors
/// When the controller refuses to tell, or the summary cannot be written.
pub async fn follow_to_end(
    client: &Client,
    id: &str,
    terminal: &mut Terminal,
    format: Format,
    interrupt: &mut Interrupt,
) -> anyhow::Result<Finish> {
    let mut progress = Progress::new(terminal);
    let followed = follow::follow(client, id, interrupt, |news| progress.tell(&news)).await;
    let ended = match followed {
        Ok(Followed::Ended(operation)) => operation,
        Ok(Followed::Left) => {
            progress.end(None);
            return Ok(leave(terminal, id));
        }
        Err(error) => {
            progress.end(None);
            return Err(error.into());
        }
    };
    progress.end(Some(&ended));
    let summary = tokio::select! {
        summary = Summary::of(client, *ended, format) => summary?,
        // Only reading is cut short.
        () = interrupt.pressed() => return Ok(leave(terminal, id)),
    };
    summary.write(terminal, format)?;
    Ok(Finish::Ended(Box::new(summary)))
}

/// Says who has to do what before anything starts.
fn await_approval(started: v1::Operation, ui: &mut Ui) -> io::Result<Finish> {
    let summary = write_begun(started, ui, "awaits approval")?;
    let operation = &summary.operation;
    let expires = operation.approval.as_ref().and_then(|approval| approval.expire_time.as_ref());
    let by = expires.map_or_else(String::new, |time| format!(" by {}", words::time(Some(time))));
    let guests = words::count(standing::left(operation), "guest");
    ui.terminal.note(&format!(
        "A second person has to approve the logoff of {guests}{by}; nothing starts before. They type:"
    ));
    ui.terminal.note(&format!("  {}", standing::approve_command(operation)));
    ui.terminal.note("Until then:");
    standing::note_ways(
        &mut ui.terminal,
        &[
            ("follow it", format!("curfew operation watch {}", operation.id)),
            ("withdraw it", format!("curfew operation reject {}", operation.id)),
        ],
    );
    Ok(Finish::AwaitingApproval(Box::new(summary)))
}

fn write_begun(started: v1::Operation, ui: &mut Ui, what: &str) -> io::Result<Summary> {
    let summary = Summary::begun(started);
    match ui.format {
        Format::Table => ui.terminal.data(&format!("{} {what}", summary.operation.id))?,
        Format::Json | Format::Yaml | Format::Name => summary.write(&mut ui.terminal, ui.format)?,
    }
    Ok(summary)
}

fn lost_from_sight(id: &str, error: anyhow::Error, ui: &mut Ui) -> anyhow::Error {
    tell_the_way_back(&mut ui.terminal, id);
    Unfollowed { operation_id: id.to_owned(), source: error.into() }.into()
}

fn leave(terminal: &mut Terminal, id: &str) -> Finish {
    terminal.note(&format!("Left operation {id}, which goes on without this command."));
    tell_the_way_back(terminal, id);
    Finish::Left { operation_id: id.to_owned() }
}

fn tell_the_way_back(terminal: &mut Terminal, id: &str) {
    standing::note_ways(
        terminal,
        &[
            ("come back", format!("curfew operation watch {id}")),
            ("cancel it", format!("curfew operation cancel {id}")),
        ],
    );
}
