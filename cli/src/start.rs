//! Starting something once: a lost answer is asked for again with the same request id, and what was not confirmed
//! or cannot be is never asked for.

use crate::error::{CallError, Usage, Why};
use crate::terminal::Terminal;
use curfew_proto::v1;
use std::time::Duration;

/// Pauses before a start is asked again whose answer was lost, with the same request id: a controller that
/// restarts is back within them.
const START_PAUSES_MS: [u64; 5] = [250, 500, 1000, 2000, 4000];

/// Refuses, before anything is asked, what could never be confirmed.
///
/// # Errors
/// When it is not confirmed and nobody can be asked.
pub(crate) fn check_can_confirm(is_confirmed: bool, terminal: &Terminal, what: &str) -> Result<(), Usage> {
    if is_confirmed || terminal.facts().stdin_is_terminal {
        return Ok(());
    }
    Err(Usage::new(format!(
        "stdin is no terminal, so nobody can be asked: say --yes to {what} without asking"
    )))
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

/// Calls `start` until it is answered, or the pauses are used up. Every call must carry the same request id.
///
/// # Errors
/// When the controller says no, or does not answer; then it is not known whether the operation started.
pub(crate) async fn until_answered(
    terminal: &mut Terminal,
    request_id: &str,
    mut start: impl AsyncFnMut() -> Result<v1::Operation, CallError>,
) -> Result<v1::Operation, CallError> {
    let mut pauses = START_PAUSES_MS.into_iter();
    loop {
        let mut error = match start().await {
            Ok(operation) => return Ok(operation),
            Err(error) => error,
        };
        match pauses.next() {
            Some(pause_ms) if error.is_lost => {
                terminal.note(&format!("{error}: {}; asking again", error.why));
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            }
            Some(_) | None if error.is_lost => {
                error.why.help = Some(how_to_find_out(request_id));
                return Err(error);
            }
            Some(_) | None => return Err(error),
        }
    }
}

/// The person left before the answer came.
pub(crate) fn left_while_starting(request_id: &str) -> Why {
    Why::new(
        "left before the controller answered: the operation may have started",
        how_to_find_out(request_id),
    )
}

fn how_to_find_out(request_id: &str) -> String {
    format!(
        "it may have started: `curfew operation list` tells, and the same command with --request-id {request_id} \
         starts it once only"
    )
}
