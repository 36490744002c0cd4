//! What `virsh` complains of, in the contract's codes. Its exit code says only that something failed, so its words count:
//! they are libvirt's own, in English, and have been the same for many versions.

use crate::provider::Error;
use crate::provider::guest_agent::{Refusal, shown, silent, unexpected};
use curfew_types::StatusCode;

/// Why `virsh` has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The domain is paused, shut off, or anything but running; libvirt says the same of all.
    NotRunning,
    /// There is no such domain.
    Unknown,
    /// The domain has no channel for a guest agent.
    NoChannel,
    /// Nothing in the guest has the channel open, or the agent went away; libvirt's words, escaped.
    NoAgent(String),
    /// Nothing was sent: the agent did not answer libvirt's synchronisation, or libvirt was busy with the domain.
    NotSent,
    /// No answer came in time: of the agent, of libvirt, or of `virsh`.
    Silent,
    /// libvirt does not let this user.
    Denied(String),
    /// libvirt cannot be reached, or went away.
    NoLibvirt(String),
    /// The agent refused a command; its words, escaped.
    Refused(Refusal),
    /// The program could not be run.
    NotRun(String),
    /// More was printed than is believed.
    TooMuch,
    /// More would have to be said than fits into an argument.
    TooLong(usize),
    /// Something else; libvirt's words, escaped.
    Other(String),
}

/// How libvirt begins what an agent itself refused. The guest's own words follow, so that nothing in them counts.
const AGENT_REFUSED: &str = "unable to execute QEMU agent command";

impl Failure {
    /// Reads a complaint.
    pub(super) fn read(complaint: &[u8]) -> Failure {
        let text = String::from_utf8_lossy(complaint);
        let said = || shown(text.trim_start_matches("error: ").as_bytes());
        if let Some((_, rest)) = text.split_once(AGENT_REFUSED) {
            return Failure::Refused(refusal(rest));
        }
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if has(&["domain is not running"]) {
            Failure::NotRunning
        } else if has(&["Domain not found", "no domain with matching", "failed to get domain"]) {
            Failure::Unknown
        } else if has(&["agent is not configured"]) {
            Failure::NoChannel
        } else if has(&["not available for now", "cannot acquire state change lock"]) {
            Failure::NotSent
        } else if has(&["imed out", "timeout"]) {
            Failure::Silent
        } else if has(&["Guest agent is not responding", "agent is not connected", "Guest agent disappeared"])
        {
            Failure::NoAgent(said())
        } else if has(&[
            "ermission denied",
            "ccess denied",
            "uthentication",
            "not authorized",
            "read only access",
        ]) {
            Failure::Denied(said())
        } else if has(&[
            "failed to connect",
            "Failed to connect",
            "End of file while reading",
            "connection closed",
        ]) {
            Failure::NoLibvirt(said())
        } else {
            Failure::Other(said())
        }
    }

    /// The error for somebody who wanted `what`.
    pub(super) fn error(self, what: &str) -> Error {
        match self {
            Failure::NotRunning => Error::new(StatusCode::VmNotRunning, "the domain does not run"),
            Failure::Unknown => Error::new(StatusCode::VmUnknown, "libvirt has no such domain any more"),
            Failure::NoChannel => {
                let message = "the domain has no channel for a guest agent; see org.qemu.guest_agent.0 in libvirt's manual";
                Error::new(StatusCode::AdditionsFeatureNotAvail, message)
            }
            Failure::NoAgent(said) => {
                let message = format!("no guest agent answers in the domain: {said}");
                Error::new(StatusCode::AdditionsNotAvail, message)
            }
            Failure::NotSent | Failure::Silent => silent(),
            Failure::Denied(said) => {
                Error::new(StatusCode::AccessDenied, format!("{what} was denied by libvirt: {said}"))
            }
            // It is back in a moment when it was restarted.
            Failure::NoLibvirt(said) => {
                let message = format!("{what} failed, since libvirt cannot be reached: {said}");
                Error::new(StatusCode::AdditionsNotAvail, message)
            }
            Failure::Refused(Refusal::Broken(error)) => error,
            Failure::Refused(Refusal::NoSuchCommand(said) | Refusal::Failed(said)) => {
                unexpected(format!("{what} was refused by the guest agent: {said}"))
            }
            Failure::NotRun(why) => unexpected(format!("{what} failed: {why}")),
            Failure::TooMuch => unexpected(format!("{what} was answered with more than is believed")),
            Failure::TooLong(bytes) => unexpected(format!("{what} needs an argument of {bytes} bytes")),
            Failure::Other(said) => unexpected(format!("{what} failed: {said}")),
        }
    }
}

/// The agent's own refusal: libvirt leaves out its class, so that its words have to do. They are QEMU's, of any version.
fn refusal(rest: &str) -> Refusal {
    let said = rest.split_once(": ").map_or(rest, |(_, said)| said);
    let forbidden = ["has been disabled", "has not been found", "CommandNotFound", "is not allowed"];
    let is_forbidden = forbidden.iter().any(|words| said.contains(words));
    let said = shown(said.as_bytes());
    if is_forbidden { Refusal::NoSuchCommand(said) } else { Refusal::Failed(said) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(complaint: &str) -> StatusCode {
        Failure::read(complaint.as_bytes()).error("asking").code
    }

    #[test]
    fn libvirts_words_become_the_contracts_codes() {
        for (complaint, status) in [
            ("error: Requested operation is not valid: domain is not running\n", StatusCode::VmNotRunning),
            ("error: failed to get domain '6f1c'\n", StatusCode::VmUnknown),
            ("error: Domain not found: no domain with matching uuid '6f1c' (web)\n", StatusCode::VmUnknown),
            (
                "error: argument unsupported: QEMU guest agent is not configured\n",
                StatusCode::AdditionsFeatureNotAvail,
            ),
            (
                "error: Guest agent is not responding: QEMU guest agent is not connected\n",
                StatusCode::AdditionsNotAvail,
            ),
            (
                "error: Guest agent is not responding: Guest agent disappeared while executing command\n",
                StatusCode::AdditionsNotAvail,
            ),
            (
                "error: Guest agent is not responding: Guest agent not available for now\n",
                StatusCode::TimedOut,
            ),
            (
                "error: Timed out during operation: cannot acquire state change lock (held by agent=remoteDispatch)\n",
                StatusCode::TimedOut,
            ),
            (
                "error: failed to connect to the hypervisor\nerror: Failed to connect socket to '/run/libvirt/libvirt-sock': Permission denied\n",
                StatusCode::AccessDenied,
            ),
            (
                "error: authentication unavailable: no polkit agent available to authenticate action 'org.libvirt.unix.manage'\n",
                StatusCode::AccessDenied,
            ),
            (
                "error: operation forbidden: read only access prevents virDomainQemuAgentCommand\n",
                StatusCode::AccessDenied,
            ),
            (
                "error: failed to connect to the hypervisor\nerror: Failed to connect socket to '/run/libvirt/libvirt-sock': No such file or directory\n",
                StatusCode::AdditionsNotAvail,
            ),
            ("error: internal error: client socket is closed\n", StatusCode::Unexpected),
            ("", StatusCode::Unexpected),
        ] {
            assert_eq!(code(complaint), status, "{complaint}");
        }
    }

    #[test]
    fn what_an_agent_says_counts_for_nothing_but_its_own_refusal() {
        let disabled = "error: internal error: unable to execute QEMU agent command 'guest-exec': Command guest-exec has been disabled\n";
        let read = Failure::read(disabled.as_bytes());
        assert!(matches!(read, Failure::Refused(Refusal::NoSuchCommand(_))), "{read:?}");
        let forged = "error: internal error: unable to execute QEMU agent command 'guest-exec': domain is not running\nDomain not found";
        let read = Failure::read(forged.as_bytes());
        assert!(matches!(read, Failure::Refused(Refusal::Failed(_))), "{read:?}");
    }

    #[test]
    fn complaints_are_shown_escaped_and_short() {
        let Failure::Other(said) = Failure::read(&[b"error: \x1b[2J".as_slice(), &[b'x'; 5000]].concat())
        else {
            panic!("something else")
        };
        assert!(said.len() < 300 && said.starts_with("\"\\u{1b}[2J"), "{said}");
    }
}
