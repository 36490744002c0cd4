//! Linux guests: fixed scripts that ask logind inside the guest, and the strict reading of what they print.
//!
//! Whatever acts is checked inside the guest, immediately before, by the script itself; see the windows in [`super`].

mod drain;
mod end;
mod list;
mod notify;

pub(super) use drain::{drain, undrain};
pub(super) use end::end;
pub(super) use list::list;
pub(super) use notify::notify;

use super::channel::{AgentChannel, shown, unexpected};
use super::exec::{self, Ended, Program};
use crate::provider::Error;
use curfew_types::StatusCode;
use tokio::time::Instant;

/// Exit codes that every script has: what the guest has not got, what is not ready, and that the time is over.
const EXIT_NO_PROC: i64 = 30;
const EXIT_NO_PROGRAM: i64 = 31;
const EXIT_OTHER_SESSION: i64 = 21;
const EXIT_TOO_LATE: i64 = 22;

/// The guest's uptime, in 1/100 s, at which an act of this exchange comes too late, as an argument for a script.
///
/// It is read over the same connection: its answer shows that the guest is awake, and the script then refuses to act
/// once the guest's own clock is past what is left of the budget.
async fn latest_uptime(channel: &mut dyn AgentChannel) -> Result<String, Error> {
    let cat = Program { path: "/bin/cat", arguments: &["/proc/uptime"], input: b"" };
    let uptime = read_uptime(&exec::run(channel, cat).await?.output)?;
    Ok((uptime + hundredths_left(channel.deadline())).to_string())
}

fn hundredths_left(deadline: Instant) -> u64 {
    let left = deadline.saturating_duration_since(Instant::now());
    u64::try_from(left.as_millis() / 10).unwrap_or(u64::MAX / 2)
}

/// The first number of /proc/uptime, in hundredths of a second as the kernel prints it.
fn read_uptime(output: &[u8]) -> Result<u64, Error> {
    let text = String::from_utf8_lossy(output);
    let first = text.split_whitespace().next().unwrap_or_default();
    let parsed = first.split_once('.').filter(|(_, hundredths)| hundredths.len() == 2);
    let number =
        parsed.and_then(|(seconds, hundredths)| format!("{seconds}{hundredths}").parse::<u64>().ok());
    // A number so large that adding a budget would wrap is no uptime.
    number
        .filter(|number| *number < u64::MAX / 4)
        .ok_or_else(|| unexpected(format!("the guest's /proc/uptime makes no sense: {}", shown(output))))
}

/// What it means that a script which was to do `what` ended as none of its own answers.
fn failed(what: &str, ended: &Ended) -> Error {
    let said = &ended.complaint;
    match ended.code {
        Some(EXIT_NO_PROC | EXIT_NO_PROGRAM) => {
            let message = format!("{what} in the guest is not possible: {said}");
            Error::new(StatusCode::AdditionsFeatureNotAvail, message)
        }
        Some(EXIT_TOO_LATE) => {
            Error::new(StatusCode::TimedOut, format!("{what} in the guest came too late, and was not done"))
        }
        _ => unexpected(format!("{what} in the guest {}: {said}", ended.exit())),
    }
}

#[cfg(test)]
mod tests;
