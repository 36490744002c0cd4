//! Named points at which a test may end this process as a power cut would: SIGKILL, nothing flushed, nobody told.
//!
//! Compiled in with the feature `kill-points` only, and armed by `CURFEW_KILL_AT=agent:NAME` (the first time the
//! point is reached) or `CURFEW_KILL_AT=agent:NAME:N` (the N-th time). Without the feature [`reach`] is empty.

macro_rules! kill_points {
    ($($variant:ident = $name:literal, $doc:literal;)+) => {
        /// A point, by what has happened when it is reached.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum KillPoint {
            $(#[doc = concat!("`", $name, "`: ", $doc, ".")] $variant,)+
        }

        impl KillPoint {
            /// Every point.
            pub const ALL: &[KillPoint] = &[$(KillPoint::$variant),+];

            /// The name that arms it.
            pub fn name(self) -> &'static str {
                match self { $(KillPoint::$variant => $name),+ }
            }
        }
    };
}

kill_points! {
    BeforeAcceptSync = "before-accept-sync", "an order was taken, and nothing of it is in the ledger yet";
    AfterAcceptSync = "after-accept-sync", "an order was accepted, and nothing else has happened";
    AfterDrainSync = "after-drain-sync", "a drain is on disk, and the guest was not told yet";
    AfterTellingSync = "after-telling-sync", "a notice is on disk, and nobody was shown it yet";
    AfterActSync = "after-act-sync", "the act moment is on disk, and no session was asked to end yet";
    AfterForcingSync = "after-forcing-sync", "that sessions are killed is on disk, and none was yet";
    BetweenEnds = "between-ends", "a session was asked to end, and the next one of the task was not yet";
    BeforeOutcomeSync = "before-outcome-sync", "an outcome is decided, and it is not in the ledger yet";
    AfterOutcomeSync = "after-outcome-sync", "an outcome is on disk, and its report was not sent";
    AfterReportSent = "after-report-sent", "a report was sent and its acknowledgement came, but was not handled";
    AfterAckWritten = "after-ack-written", "an acknowledgement was taken, and the report it stands for is forgotten";
    BeforeRewriteRename = "before-rewrite-rename", "a rewritten ledger is on disk beside the old one";
    AfterRewriteRename = "after-rewrite-rename", "a rewritten ledger has replaced the old one";
}

/// Ends the process here if the environment says so.
#[cfg(not(feature = "kill-points"))]
#[inline(always)]
pub fn reach(_point: KillPoint) {}

#[cfg(feature = "kill-points")]
pub use armed::reach;

#[cfg(feature = "kill-points")]
mod armed {
    use super::KillPoint;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// The point that is armed, and how often it is still passed before it kills, counting that time.
    static ARMED: OnceLock<Option<(KillPoint, AtomicU32)>> = OnceLock::new();

    /// Ends the process here if the environment says so.
    pub fn reach(point: KillPoint) {
        let armed = ARMED.get_or_init(|| std::env::var("CURFEW_KILL_AT").ok().and_then(|text| parse(&text)));
        let Some((wanted, left)) = armed else { return };
        if *wanted == point && left.fetch_sub(1, Ordering::SeqCst) == 1 {
            let own = rustix::process::getpid();
            rustix::process::kill_process(own, rustix::process::Signal::KILL).ok();
            // The signal is on its way; nothing more may happen in this thread.
            loop {
                std::thread::park();
            }
        }
    }

    /// Reads `agent:NAME[:N]`; what is for another program is ignored.
    fn parse(text: &str) -> Option<(KillPoint, AtomicU32)> {
        let mut parts = text.strip_prefix("agent:")?.split(':');
        let name = parts.next()?;
        let times: u32 = parts.next().map_or(Ok(1), str::parse).ok()?;
        match KillPoint::ALL.iter().find(|point| point.name() == name) {
            Some(point) => Some((*point, AtomicU32::new(times))),
            None => {
                let names: Vec<_> = KillPoint::ALL.iter().map(|point| point.name()).collect();
                tracing::warn!(name, "no kill point has this name; there are {}", names.join(", "));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_has_a_name_of_its_own() {
        for (at, point) in KillPoint::ALL.iter().enumerate() {
            let first = KillPoint::ALL.iter().position(|other| other.name() == point.name());
            assert_eq!(first, Some(at), "{}", point.name());
        }
    }
}
