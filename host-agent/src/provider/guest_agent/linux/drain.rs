//! Refusing new logons in a Linux guest, by `/run/nologin`, which PAM shows to whoever is refused. Root may log on all the
//! same; that is PAM's rule.
//!
//! The file's last line says whether it is Curfew's, and no other is ever replaced or removed. What somebody else writes
//! between the look at it and the act, some milliseconds, is not noticed. A transient timer of the guest's ends the
//! drain; both are gone after a reboot.

use super::{failed, latest_uptime};
use crate::provider::guest_agent::channel::AgentChannel;
use crate::provider::guest_agent::exec::{self, Ended};
use crate::provider::login1;
use crate::provider::{DrainOrder, DrainReply, Error, UndrainReply};
use curfew_types::StatusCode;
use std::time::SystemTime;

const DRAIN: &str = concat!(include_str!("prelude.sh"), include_str!("nologin.sh"), include_str!("drain.sh"));
const UNDRAIN: &str =
    concat!(include_str!("prelude.sh"), include_str!("nologin.sh"), include_str!("undrain.sh"));

/// Lets new logons be refused for a while.
///
/// # Errors
/// Feature missing where nothing heeds the file, or the guest has no timers.
pub(in crate::provider::guest_agent) async fn drain(
    channel: &mut dyn AgentChannel,
    order: &DrainOrder,
) -> Result<DrainReply, Error> {
    let latest = latest_uptime(channel).await?;
    let seconds = order.for_ms.div_ceil(1000).to_string();
    // By this host's clock: the guest's may be wrong.
    let until = login1::until_told(SystemTime::now(), order.for_ms);
    read_drain(&exec::shell(channel, DRAIN, &[&latest, &seconds, &until, &order.text]).await?)
}

/// Takes new logons again.
///
/// # Errors
/// As [`exec::run`].
pub(in crate::provider::guest_agent) async fn undrain(
    channel: &mut dyn AgentChannel,
) -> Result<UndrainReply, Error> {
    let latest = latest_uptime(channel).await?;
    read_undrain(&exec::shell(channel, UNDRAIN, &[&latest]).await?)
}

fn read_drain(ended: &Ended) -> Result<DrainReply, Error> {
    match ended.code {
        Some(0) => Ok(DrainReply::InForce),
        Some(40) => Ok(DrainReply::SomebodyElses),
        Some(41) => {
            let message = "nothing in the guest heeds /run/nologin: its PAM has no pam_nologin";
            Err(Error::new(StatusCode::AdditionsFeatureNotAvail, message))
        }
        Some(32) => {
            let message = format!("the guest's systemd took no timer: {}", ended.complaint);
            Err(Error::new(StatusCode::AdditionsNotAvail, message))
        }
        _ => Err(failed("refusing new logons", ended)),
    }
}

fn read_undrain(ended: &Ended) -> Result<UndrainReply, Error> {
    match ended.code {
        Some(0) => Ok(UndrainReply::Lifted),
        Some(40) => Ok(UndrainReply::SomebodyElses),
        _ => Err(failed("taking new logons again", ended)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: i64) -> Ended {
        Ended { code: Some(code), output: Vec::new(), complaint: "\"why\"".into() }
    }

    #[test]
    fn exit_codes_of_the_drain_scripts_are_their_replies() {
        assert_eq!(read_drain(&ended(0)), Ok(DrainReply::InForce));
        assert_eq!(read_drain(&ended(40)), Ok(DrainReply::SomebodyElses));
        for (code, status) in [
            (41, StatusCode::AdditionsFeatureNotAvail),
            (31, StatusCode::AdditionsFeatureNotAvail),
            (32, StatusCode::AdditionsNotAvail),
            (22, StatusCode::TimedOut),
            (33, StatusCode::Unexpected),
        ] {
            assert_eq!(read_drain(&ended(code)).expect_err("no drain").code, status, "{code}");
        }
        assert_eq!(read_undrain(&ended(0)), Ok(UndrainReply::Lifted));
        assert_eq!(read_undrain(&ended(40)), Ok(UndrainReply::SomebodyElses));
        assert_eq!(read_undrain(&ended(22)).expect_err("late").code, StatusCode::TimedOut);
    }
}
