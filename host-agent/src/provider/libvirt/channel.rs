//! A guest agent behind libvirt: each command is one run of `virsh qemu-agent-command`. libvirt synchronises with the
//! agent by itself before each.

use super::domains::Uuid;
use super::failure::Failure;
use super::virsh::Virsh;
use crate::provider::Error;
use crate::provider::guest_agent::{AgentChannel, Refusal, read_reply, silent};
use async_trait::async_trait;
use curfew_types::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The pause after libvirt found the agent busy: each try takes it seconds, so it may begin soon.
const PAUSE: Duration = Duration::from_millis(200);

/// A domain's agent.
pub(super) struct Channel {
    virsh: Arc<Virsh>,
    domain: Uuid,
    deadline: Instant,
}

impl Channel {
    pub(super) fn new(virsh: Arc<Virsh>, domain: Uuid, deadline: Instant) -> Channel {
        Channel { virsh, domain, deadline }
    }

    /// A domain that does not run is paused or shut off, which libvirt's refusal does not say.
    async fn not_running(&self) -> Error {
        let state = self.virsh.run(&["domstate", self.domain.as_str()], self.deadline).await;
        let state = match state {
            Ok(state) => String::from_utf8_lossy(&state).trim().to_owned(),
            Err(failure) => return failure.error("asking libvirt for the domain's state"),
        };
        match state.as_str() {
            "paused" | "pmsuspended" => {
                Error::new(StatusCode::VmPaused, format!("the domain is paused: libvirt says {state:?}"))
            }
            // It runs again: the next try reaches it.
            "running" => Error::new(StatusCode::AdditionsNotAvail, "the domain did not run a moment ago"),
            _ => {
                let message = format!("the domain does not run: libvirt says {:?}", shorten(&state));
                Error::new(StatusCode::VmNotRunning, message)
            }
        }
    }
}

/// The first words of a state: libvirt has none that is longer.
fn shorten(state: &str) -> String {
    state.chars().take(40).collect()
}

#[async_trait]
impl AgentChannel for Channel {
    fn deadline(&self) -> Instant {
        self.deadline
    }

    async fn call(&mut self, command: &str, arguments: Value) -> Result<Value, Refusal> {
        let mut request = json!({ "execute": command });
        if !arguments.is_null() {
            request["arguments"] = arguments;
        }
        let request = request.to_string();
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(silent().into());
            }
            // Whole seconds are all that it takes; at the deadline it is killed.
            let seconds = (left.as_secs() + 1).to_string();
            let arguments = ["qemu-agent-command", "--timeout", &seconds, self.domain.as_str(), &request];
            match self.virsh.run(&arguments, self.deadline).await {
                Ok(printed) => return read_reply(command, printed.trim_ascii()),
                // libvirt gives up on a slow guest within seconds, and somebody else's backup takes longer.
                Err(Failure::NotSent) => sleep_until(self.deadline.min(Instant::now() + PAUSE)).await,
                Err(Failure::NotRunning) => return Err(self.not_running().await.into()),
                Err(Failure::Refused(refusal)) => return Err(refusal),
                Err(failure) => return Err(failure.error("speaking to the guest agent").into()),
            }
        }
    }
}
