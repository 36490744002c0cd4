//! Follows an operation until it ends: one watch after another, each resumed from the last revision seen.
//!
//! A lost connection is told and tried again for as long as the person stays; it never counts as the end.

use crate::client::{self, Client};
use crate::error::CallError;
use crate::interrupt::Interrupt;
use curfew_proto::v1;
use std::time::Duration;

/// Before the first attempt to come back: a controller that restarts needs about a second.
const BACK_OFF_FIRST: Duration = Duration::from_millis(250);
/// Between later attempts at most: a person should not wait much longer than the outage.
const BACK_OFF_MAX: Duration = Duration::from_secs(10);

/// What there is to tell on the way.
#[derive(Debug)]
pub enum News<'a> {
    /// The operation as it stands now.
    Changed(&'a v1::Operation),
    /// The connection is gone; the next attempt comes after the pause.
    Lost(&'a CallError, Duration),
    /// The connection is there again.
    Back,
}

/// How following ended.
#[derive(Debug)]
pub enum Followed {
    /// The operation ended.
    Ended(Box<v1::Operation>),
    /// The person left; the operation goes on.
    Left,
}

/// Follows the operation `id`.
///
/// # Errors
/// When the controller refuses to tell.
pub async fn follow(
    client: &Client,
    id: &str,
    interrupt: &mut Interrupt,
    mut tell: impl FnMut(News<'_>),
) -> Result<Followed, CallError> {
    let mut revision = 0;
    let mut back_off = BACK_OFF_FIRST;
    let mut is_lost = false;
    loop {
        let resume_after = revision;
        let mut seen = |operation: &v1::Operation| {
            if std::mem::take(&mut is_lost) {
                tell(News::Back);
            }
            // An older picture can only be an echo of the watch before.
            if operation.revision >= revision {
                revision = operation.revision;
                tell(News::Changed(operation));
            }
            back_off = BACK_OFF_FIRST;
        };
        let watched = tokio::select! {
            // Dropping a watch loses nothing: the next one begins at the revision.
            watched = watch(client, id, resume_after, &mut seen) => watched,
            // Checked anew at every turn.
            () = interrupt.pressed() => return Ok(Followed::Left),
        };
        let lost = match watched {
            Ok(operation) => return Ok(Followed::Ended(Box::new(operation))),
            Err(error) if error.is_lost => error,
            Err(error) => return Err(error),
        };
        tell(News::Lost(&lost, back_off));
        is_lost = true;
        tokio::select! {
            // A pause that is cut short by leaving has nothing to undo.
            () = tokio::time::sleep(back_off) => {}
            // As above.
            () = interrupt.pressed() => return Ok(Followed::Left),
        }
        back_off = (back_off * 2).min(BACK_OFF_MAX);
    }
}

/// One watch, until the operation ends or the stream does.
async fn watch(
    client: &Client,
    id: &str,
    after_revision: u64,
    seen: &mut impl FnMut(&v1::Operation),
) -> Result<v1::Operation, CallError> {
    let attempted = || format!("watch operation {id}");
    let request = v1::WatchOperationRequest { operation_id: id.into(), after_revision, include_tasks: false };
    let mut operations = client.operations();
    let mut stream = client.ask(attempted(), operations.watch_operation(request)).await?;
    loop {
        match stream.message().await {
            Ok(Some(v1::WatchOperationResponse { operation: Some(operation), .. })) => {
                seen(&operation);
                if operation.state() == v1::OperationState::Ended {
                    return Ok(operation);
                }
            }
            Ok(Some(v1::WatchOperationResponse { operation: None, .. })) => {}
            // The stream ended before the operation did, or after an end that this watch was not told of, because
            // the revision was seen before: reading it once tells which.
            Ok(None) => {
                let operation = get(client, id).await?;
                if operation.state() == v1::OperationState::Ended {
                    seen(&operation);
                    return Ok(operation);
                }
                return Err(client.error(attempted(), &tonic::Status::unavailable("the stream ended early")));
            }
            Err(status) => return Err(client.error(attempted(), &status)),
        }
    }
}

/// Reads an operation.
///
/// # Errors
/// When the controller could not be asked or does not know it.
pub async fn get(client: &Client, id: &str) -> Result<v1::Operation, CallError> {
    let request = client::soon(v1::GetOperationRequest { operation_id: id.into() });
    let mut operations = client.operations();
    let answer = client.ask(format!("read operation {id}"), operations.get_operation(request)).await?;
    Ok(answer.operation.unwrap_or_default())
}
