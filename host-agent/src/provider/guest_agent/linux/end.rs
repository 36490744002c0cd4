//! Asking a session of a Linux guest to end.

use super::{EXIT_OTHER_SESSION, EXIT_TOO_LATE, failed, latest_uptime};
use crate::provider::guest_agent::channel::{AgentChannel, unexpected};
use crate::provider::guest_agent::exec::{self, Ended};
use crate::provider::{EndMode, EndReply, Error, login1};
use curfew_types::{OnlyIf, SessionKey, StateFilter, StatusCode};

const SCRIPT: &str = concat!(include_str!("prelude.sh"), include_str!("end.sh"));

/// Asks a session to end, if it still is that session and `only_if` holds.
///
/// # Errors
/// When logind denied it, or could not be asked.
pub(in crate::provider::guest_agent) async fn end(
    channel: &mut dyn AgentChannel,
    key: &SessionKey,
    how: EndMode,
    only_if: OnlyIf,
) -> Result<EndReply, Error> {
    if !login1::is_session_id(&key.id) {
        return Err(unexpected(format!("{:?} is not the id of a logind session", key.id)));
    }
    let latest = latest_uptime(channel).await?;
    let signal = match how {
        EndMode::Graceful { attempt } => login1::polite_signal(attempt),
        EndMode::Force => login1::SIGKILL,
    };
    let path = login1::session_path(&key.id);
    let (began, signal) = (key.began_us.to_string(), signal.to_string());
    let state = only_if.state.map_or("", StateFilter::as_str);
    let idle = only_if.idle_at_least_ms.map_or_else(String::new, |ms| ms.to_string());
    let arguments = [&key.boot, &key.id, &path, &began, &signal, &latest, state, &idle];
    read(&exec::shell(channel, SCRIPT, &arguments).await?)
}

fn read(ended: &Ended) -> Result<EndReply, Error> {
    match ended.code {
        Some(0) => Ok(EndReply::Asked),
        Some(20) => Ok(EndReply::Gone),
        Some(EXIT_OTHER_SESSION) => Ok(EndReply::NotThatSession),
        Some(EXIT_TOO_LATE) => Ok(EndReply::TooLate),
        Some(24) => Ok(EndReply::NoLongerMatches),
        Some(23) => {
            let message = format!("logind in the guest denied ending the session: {}", ended.complaint);
            Err(Error::new(StatusCode::AccessDenied, message))
        }
        _ => Err(failed("asking logind to end a session", ended)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_of_the_end_script_are_its_replies() {
        let of = |code| read(&Ended { code, output: Vec::new(), complaint: "\"why\"".into() });
        assert_eq!(of(Some(0)), Ok(EndReply::Asked));
        assert_eq!(of(Some(20)), Ok(EndReply::Gone));
        assert_eq!(of(Some(21)), Ok(EndReply::NotThatSession));
        assert_eq!(of(Some(22)), Ok(EndReply::TooLate));
        assert_eq!(of(Some(24)), Ok(EndReply::NoLongerMatches));
        assert_eq!(of(Some(23)).expect_err("denied").code, StatusCode::AccessDenied);
        assert_eq!(of(Some(33)).expect_err("failed").code, StatusCode::Unexpected);
        assert_eq!(of(None).expect_err("killed").code, StatusCode::Unexpected);
    }
}
