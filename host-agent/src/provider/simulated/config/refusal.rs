//! What a simulated guest with a fault answers to anything at all.

use super::FaultKind;
use crate::provider::Error;
use curfew_types::StatusCode;

impl FaultKind {
    /// What a guest of this age answers, whatever it is asked; `None`: it does what it is asked.
    pub(in crate::provider::simulated) fn refusal(self, age_ms: u64) -> Option<Error> {
        let (code, message) = match self {
            FaultKind::NotRunning => (StatusCode::VmNotRunning, "the simulated guest is shut off"),
            FaultKind::Paused => (StatusCode::VmPaused, "the simulated guest is paused"),
            FaultKind::NoAgent => (StatusCode::AdditionsNotAvail, "no agent answers in the simulated guest"),
            FaultKind::NotBootedForMs(ms) if age_ms < ms => {
                (StatusCode::AdditionsNotAvail, "the simulated guest is still booting")
            }
            FaultKind::FeatureMissing => {
                let message = "the simulated guest's agent forbids running commands";
                (StatusCode::AdditionsFeatureNotAvail, message)
            }
            FaultKind::Unlistable => {
                return Some(Error::unlistable("the simulated guest cannot list its sessions"));
            }
            FaultKind::UnknownGuest => (StatusCode::VmUnknown, "the simulated guest is unknown"),
            FaultKind::Broken => (StatusCode::Unexpected, "the simulated guest is broken"),
            FaultKind::NotBootedForMs(_)
            | FaultKind::AccessDenied
            | FaultKind::Stubborn
            | FaultKind::Immortal
            | FaultKind::Frozen
            | FaultKind::FrozenForMs(_)
            | FaultKind::Empty
            | FaultKind::NewLogon
            | FaultKind::Vanishing
            | FaultKind::Reboots
            | FaultKind::Unverifiable
            | FaultKind::Disconnected
            | FaultKind::IdleForMs(_)
            | FaultKind::ReturnsAfterMs(_)
            | FaultKind::ArrivesAfterMs(_)
            | FaultKind::LeavesAfterNoticeMs(_)
            | FaultKind::NoTerminal
            | FaultKind::NotifyHangs
            | FaultKind::Undrainable
            | FaultKind::DrainedByOther
            | FaultKind::NoTimer
            | FaultKind::RebootsAfterMs(_) => return None,
        };
        Some(Error::new(code, message))
    }
}
