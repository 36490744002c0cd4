//! The main job: ask, start, follow, sum up. Never starts anything that was not confirmed, and never cancels.

use crate::client::{self, Client};
use crate::error::{CallError, Unfollowed, Usage, Why};
use crate::exit::Exit;
use crate::follow::{self, Followed};
use crate::interrupt::{Interrupt, Source};
use crate::output::Format;
use crate::preview::Size;
use crate::progress::Progress;
use crate::summary::Summary;
use crate::terminal::Terminal;
use crate::words;
use curfew_proto::v1;
use std::time::Duration;

/// Pauses before a start is asked again whose answer was lost, with the same request id: a controller that
/// restarts is back within them.
const START_PAUSES_MS: [u64; 5] = [250, 500, 1000, 2000, 4000];

/// What a logoff is asked to do.
#[derive(Clone, Debug)]
pub struct LogoffRequest {
    /// The operation.
    pub spec: v1::OperationSpec,
    /// The client's own id for it, so that a lost answer can be asked for again.
    pub request_id: String,
    /// It was confirmed already.
    pub is_confirmed: bool,
    /// Whether to stay until the end.
    pub stays: bool,
}

impl LogoffRequest {
    /// A confirmed logoff that is followed to its end.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn confirmed(spec: v1::OperationSpec) -> anyhow::Result<LogoffRequest> {
        Ok(LogoffRequest { spec, request_id: random_request_id()?, is_confirmed: true, stays: true })
    }
}

/// Where it shows.
#[derive(Debug)]
pub struct Ui {
    /// The streams.
    pub terminal: Terminal,
    /// The form of the data.
    pub format: Format,
    /// What makes it leave before the end.
    pub interrupts: Source,
}

/// How it ended.
#[derive(Clone, Debug)]
pub enum Finish {
    /// The operation ended; the summary has been written.
    Ended(Box<Summary>),
    /// The operation goes on, and it was wanted so; what is known of it has been written.
    Begun(Box<Summary>),
    /// The person left; the operation goes on.
    Left {
        /// Its id.
        operation_id: String,
    },
    /// It was not confirmed; nothing was started.
    Declined,
}

impl Finish {
    /// What it amounts to for scripts.
    pub fn exit(&self) -> Exit {
        match self {
            Finish::Ended(summary) => summary.exit(),
            Finish::Begun(_) => Exit::Well,
            Finish::Left { .. } => Exit::Detached,
            Finish::Declined => Exit::NotAsked,
        }
    }
}

/// Logs users off: shows the size, asks unless it was confirmed, starts, follows to the end, writes the summary.
///
/// # Errors
/// When nothing was started, or it is not known how the operation stands.
pub async fn run(client: &Client, request: LogoffRequest, ui: &mut Ui) -> anyhow::Result<Finish> {
    check_can_confirm(&request, ui)?;
    let size = Size::of(client, &request.spec).await?;
    size.lines().iter().for_each(|line| ui.terminal.note(line));
    if !request.is_confirmed && !ui.terminal.ask("Log them off?")? {
        ui.terminal.note("Nothing was started.");
        return Ok(Finish::Declined);
    }
    let mut interrupt = ui.interrupts.listen();
    let started = tokio::select! {
        started = start(client, &request, &mut ui.terminal) => started?,
        // The request may have arrived: the request id is how to find out.
        () = interrupt.pressed() => return Err(left_while_starting(&request).into()),
    };
    if started.selection_digest != size.digest {
        let guests = words::count(started.task_count, "guest");
        ui.terminal.note(&format!("The fleet changed since the preview: the operation has {guests}."));
    }
    if request.stays {
        let finish = follow_to_end(client, &started.id, &mut ui.terminal, ui.format, &mut interrupt).await;
        return finish.map_err(|error| lost_from_sight(&started.id, error, ui));
    }
    let summary = Summary::begun(started);
    match ui.format {
        Format::Table => ui.terminal.data(&format!("{} started", summary.operation.id))?,
        Format::Json | Format::Yaml | Format::Name => summary.write(&mut ui.terminal, ui.format)?,
    }
    tell_the_way_back(&mut ui.terminal, &summary.operation.id);
    Ok(Finish::Begun(Box::new(summary)))
}

/// Refuses, before anything is asked, what could never be confirmed.
///
/// # Errors
/// When it is not confirmed and nobody can be asked.
pub fn check_can_confirm(request: &LogoffRequest, ui: &Ui) -> Result<(), Usage> {
    if request.is_confirmed || ui.terminal.facts().stdin_is_terminal {
        return Ok(());
    }
    Err(Usage::new("stdin is no terminal, so nobody can be asked: say --yes to log users off without asking"))
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

/// A fresh request id: 128 random bits.
///
/// # Errors
/// When the operating system gives no random numbers.
pub fn random_request_id() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("no random numbers for a request id: {error}"))?;
    Ok(format!("curfew-{:032x}", u128::from_be_bytes(bytes)))
}

/// Starts the operation; asks again with the same request id where the answer was lost.
async fn start(
    client: &Client,
    request: &LogoffRequest,
    terminal: &mut Terminal,
) -> Result<v1::Operation, CallError> {
    let mut pauses = START_PAUSES_MS.into_iter();
    loop {
        let message = client::soon(v1::StartOperationRequest {
            spec: Some(request.spec.clone()),
            request_id: request.request_id.clone(),
            validate_only: false,
        });
        let mut operations = client.operations();
        let answer = client.ask("start the logoff", operations.start_operation(message)).await;
        let mut error = match answer {
            Ok(answer) => return Ok(answer.operation.unwrap_or_default()),
            Err(error) => error,
        };
        match pauses.next() {
            Some(pause_ms) if error.is_lost => {
                terminal.note(&format!("{error}: {}; asking again", error.why));
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            }
            Some(_) | None if error.is_lost => {
                error.why.help = Some(how_to_find_out(request));
                return Err(error);
            }
            Some(_) | None => return Err(error),
        }
    }
}

fn lost_from_sight(id: &str, error: anyhow::Error, ui: &mut Ui) -> anyhow::Error {
    tell_the_way_back(&mut ui.terminal, id);
    Unfollowed { operation_id: id.to_owned(), source: error.into() }.into()
}

fn left_while_starting(request: &LogoffRequest) -> Why {
    Why::new("left before the controller answered: the operation may have started", how_to_find_out(request))
}

fn how_to_find_out(request: &LogoffRequest) -> String {
    format!(
        "it may have started: `curfew operation list` tells, and the same command with --request-id {} starts it \
         once only",
        request.request_id
    )
}

fn leave(terminal: &mut Terminal, id: &str) -> Finish {
    terminal.note(&format!("Left operation {id}, which goes on without this command."));
    tell_the_way_back(terminal, id);
    Finish::Left { operation_id: id.to_owned() }
}

fn tell_the_way_back(terminal: &mut Terminal, id: &str) {
    terminal.note(&format!("  come back:  curfew operation watch {id}"));
    terminal.note(&format!("  cancel it:  curfew operation cancel {id}"));
}
