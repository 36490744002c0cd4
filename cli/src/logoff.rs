//! The main job: ask, start, follow, sum up. Never starts anything that was not confirmed, and never cancels.

use crate::attend::attend;
use crate::client::{self, Client};
use crate::error::{CallError, Usage, Why};
use crate::exit::Exit;
use crate::interrupt::{Interrupt, Source};
use crate::output::Format;
use crate::preview::Size;
use crate::start;
use crate::summary::Summary;
use crate::terminal::Terminal;
use crate::treatment;
use crate::words;
use curfew_proto::v1;
use tonic::Code;

/// What a logoff is asked to do.
#[derive(Clone, Debug)]
pub struct LogoffRequest {
    /// The operation.
    pub spec: v1::OperationSpec,
    /// The client's own id for it, so that a lost answer can be asked for again.
    pub request_id: String,
    /// How many guests it must log off to be started at all.
    pub expected_count: Option<u64>,
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
        let request_id = start::random_request_id()?;
        Ok(LogoffRequest { spec, request_id, expected_count: None, is_confirmed: true, stays: true })
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
    /// A second person has to approve it; what they have to type has been said.
    AwaitingApproval(Box<Summary>),
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
            Finish::AwaitingApproval(_) => Exit::AwaitingApproval,
            Finish::Left { .. } => Exit::Detached,
            Finish::Declined => Exit::NotAsked,
        }
    }
}

/// Logs users off: shows the size, asks unless it was confirmed, starts, follows to the end, writes the summary.
///
/// Where a person is asked, exactly the set that was shown is started; if it has changed meanwhile, they are asked
/// again.
///
/// # Errors
/// When nothing was started, or it is not known how the operation stands.
pub async fn run(client: &Client, request: LogoffRequest, ui: &mut Ui) -> anyhow::Result<Finish> {
    check_can_confirm(&request, ui)?;
    let mut size = Size::of(client, &request.spec).await?;
    let mut listening: Option<Interrupt> = None;
    loop {
        size.lines().iter().for_each(|line| ui.terminal.note(line));
        check_expected(&request, &size)?;
        // What is refused anyway needs no answer.
        let is_vain = !size.blocked_by.is_empty();
        if !request.is_confirmed && (is_vain || !ui.terminal.ask(treatment::question(&request.spec))?) {
            ui.terminal.note("Nothing was started.");
            return Ok(Finish::Declined);
        }
        let interrupt = listening.get_or_insert_with(|| ui.interrupts.listen());
        // Ctrl-C at a second question no longer ends the process by itself.
        if interrupt.is_pressed() {
            ui.terminal.note("Nothing was started.");
            return Ok(Finish::Declined);
        }
        let begun = Box::pin(begin(client, &request, &size, &mut ui.terminal, interrupt)).await;
        let error = match begun {
            Ok(started) => {
                if started.selection_digest != size.digest {
                    let guests = words::count(started.task_count, "guest");
                    ui.terminal
                        .note(&format!("The fleet changed since the preview: the operation has {guests}."));
                }
                return Box::pin(attend(client, started, request.stays, ui, interrupt)).await;
            }
            Err(error) => error,
        };
        let is_refused =
            error.downcast_ref::<CallError>().is_some_and(|error| error.code == Code::FailedPrecondition);
        if request.is_confirmed || !is_refused {
            return Err(error);
        }
        let now = Size::of(client, &request.spec).await?;
        if now.digest == size.digest {
            return Err(error);
        }
        ui.terminal.note("The set of guests has changed since it was shown; nothing was started. Now:");
        size = now;
    }
}

/// Refuses, before anything is asked, what could never be confirmed.
///
/// # Errors
/// When it is not confirmed and nobody can be asked.
pub fn check_can_confirm(request: &LogoffRequest, ui: &Ui) -> Result<(), Usage> {
    start::check_can_confirm(request.is_confirmed, &ui.terminal, "log users off")
}

/// The controller checks it again when the operation starts; nobody should be asked for nothing.
fn check_expected(request: &LogoffRequest, size: &Size) -> Result<(), Why> {
    match request.expected_count {
        Some(expected) if expected != size.included => Err(Why::new(
            format!("--expect says {expected}, not {}; nothing was started", size.included),
            "`curfew preview` lists the guests; correct the selection or --expect",
        )),
        Some(_) | None => Ok(()),
    }
}

async fn begin(
    client: &Client,
    request: &LogoffRequest,
    size: &Size,
    terminal: &mut Terminal,
    interrupt: &mut Interrupt,
) -> anyhow::Result<v1::Operation> {
    // A set that a person saw must not become another one unseen. Whoever said --yes asked for the selection.
    let expected_digest = if request.is_confirmed { String::new() } else { size.digest.clone() };
    let start = async || {
        let message = client::soon(v1::StartOperationRequest {
            spec: Some(request.spec.clone()),
            request_id: request.request_id.clone(),
            validate_only: false,
            expected_count: request.expected_count,
            expected_digest: expected_digest.clone(),
        });
        let mut operations = client.operations();
        let answer = client.ask("start the logoff", operations.start_operation(message)).await?;
        Ok(answer.operation.unwrap_or_default())
    };
    tokio::select! {
        started = start::until_answered(terminal, &request.request_id, start) => Ok(started?),
        // The request may have arrived: the request id is how to find out.
        () = interrupt.pressed() => Err(start::left_while_starting(&request.request_id).into()),
    }
}
