//! Guests behind the QEMU guest agent, however it is reached: what is common to the providers that speak to one. A provider
//! says which guests there are and opens channels ([`Reach`]); everything that happens in a guest is done here, in one file
//! for each system.
//!
//! # What cannot be atomic
//!
//! Sessions are listed and ended with logind inside a Linux guest (`linux/list.sh`, `linux/end.sh`). The script that ends a
//! session checks the guest's boot, the session's logon time, what must still hold and the deadline, then signals: between
//! the check and the signal is one call to logind, some milliseconds, in which the session could end and its id be given to
//! a new one, or somebody could come back to it. logind takes ids from the kernel's audit counter, or counts by itself, so
//! an id comes back within one boot only after logind itself was restarted.
//!
//! A guest that is frozen or paused takes what was sent to it when it wakes. So nothing is sent to a guest that its
//! hypervisor reports as paused; every exchange begins with a synchronisation; and the act follows at once upon an
//! answer that only a waking guest can give, its uptime, after which the script refuses to act when the guest's own
//! clock has passed the deadline. What remains: a virtual machine that is paused between that answer and the act,
//! within a round trip, and whose clock stands still meanwhile, acts when it is resumed, late, yet still only on the
//! very session that was meant.
//!
//! After `VM_E_TIMED_OUT` the program in the guest may still run; it acts before the deadline or not at all.

pub(in crate::provider) mod channel;
mod exec;
#[cfg(test)]
pub(in crate::provider) mod fake;
mod guests;
mod json;
mod linux;
mod system;
mod target;
mod windows;

pub(in crate::provider) use channel::{
    AgentChannel, REPLY_MAX, Refusal, read_reply, shown, silent, unexpected,
};
pub(in crate::provider) use guests::{GuestAgents, Reach, Seen};
