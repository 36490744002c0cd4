//! Which simulated guests fail, each in its own way, and how their tasks must end.

use curfew_agent::provider::simulated::{FaultKind, SimulatedConfig};
use curfew_proto::v1;
use curfew_types::StatusCode;

/// How long a simulated session takes to go: as long as in a container guest.
const SESSION_DELAY_MS: u64 = 50;

/// Every fault with the outcome and code it must lead to.
const FAULTS: [(FaultKind, v1::Outcome, StatusCode); 9] = [
    (FaultKind::NotRunning, v1::Outcome::Refused, StatusCode::VmNotRunning),
    (FaultKind::Paused, v1::Outcome::Refused, StatusCode::VmPaused),
    (FaultKind::NoAgent, v1::Outcome::Refused, StatusCode::AdditionsNotAvail),
    (FaultKind::Unlistable, v1::Outcome::Refused, StatusCode::AdditionsFeatureNotAvail),
    (FaultKind::AccessDenied, v1::Outcome::Refused, StatusCode::AccessDenied),
    (FaultKind::UnknownGuest, v1::Outcome::Refused, StatusCode::VmUnknown),
    (FaultKind::Broken, v1::Outcome::Failed, StatusCode::Unexpected),
    (FaultKind::Immortal, v1::Outcome::TimedOut, StatusCode::TimedOut),
    (FaultKind::Empty, v1::Outcome::NothingToDo, StatusCode::NoSuchLogonSession),
];

/// The rigged fleet.
pub(crate) struct Rig {
    hosts: u32,
    guests: u32,
    sessions: u32,
}

impl Rig {
    pub(crate) fn new(hosts: u32, guests: u32, sessions: u32) -> Rig {
        Rig { hosts, guests, sessions }
    }

    pub(crate) fn guest_count(&self) -> u64 {
        u64::from(self.hosts) * u64::from(self.guests)
    }

    pub(crate) fn host_name(&self, host: u32) -> String {
        format!("host-{host:0width$}", width = self.hosts.to_string().len())
    }

    /// The guests of a host: on each of the first hosts one of them fails, each in another way.
    pub(crate) fn guests_of(&self, host: u32) -> SimulatedConfig {
        let healthy = SimulatedConfig {
            sessions_per_guest: self.sessions,
            delay_ms: SESSION_DELAY_MS,
            seed: u64::from(host),
            name_prefix: format!("{}-desk-", self.host_name(host)),
            ..SimulatedConfig::healthy(self.guests)
        };
        match self.fault_on(host) {
            Some((kind, ..)) => healthy.with_fault(self.faulty_guest(host), kind),
            None => healthy,
        }
    }

    /// What is not as it was rigged about a task, in words.
    pub(crate) fn surprise(&self, task: &v1::Task) -> Option<String> {
        let (outcome, code) = self.expected(&task.guest_name);
        let verdict = task.verdict.clone().unwrap_or_default();
        let hresult = verdict.status.unwrap_or_default().hresult;
        if verdict.outcome() == outcome && hresult == code.value() {
            return None;
        }
        let was = verdict.outcome().as_str_name();
        Some(format!(
            "{} ended as {was} with 0x{hresult:08X}, rigged was {} with {code}",
            task.guest_name,
            outcome.as_str_name()
        ))
    }

    fn expected(&self, guest_name: &str) -> (v1::Outcome, StatusCode) {
        let rigged = (1..=self.hosts).find_map(|host| {
            let (_, outcome, code) = self.fault_on(host)?;
            let name = format!("{}-desk-{}", self.host_name(host), self.faulty_guest(host));
            (name == guest_name).then_some((outcome, code))
        });
        match rigged {
            // With nobody logged on there is nothing that could be denied or refuse to go.
            Some((v1::Outcome::TimedOut, _) | (_, StatusCode::AccessDenied)) | None if self.sessions == 0 => {
                (v1::Outcome::NothingToDo, StatusCode::NoSuchLogonSession)
            }
            Some(rigged) => rigged,
            None => (v1::Outcome::Succeeded, StatusCode::Ok),
        }
    }

    fn fault_on(&self, host: u32) -> Option<(FaultKind, v1::Outcome, StatusCode)> {
        FAULTS.get(host as usize - 1).copied()
    }

    /// Not always the first guest, so that the display shows some variety.
    fn faulty_guest(&self, host: u32) -> u32 {
        (host * 7) % self.guests + 1
    }
}
