//! Named points at which a test may have this process killed, as a power cut would.
//!
//! Compiled in with the feature `kill-points` only, and armed by `CURFEW_KILL_AT=controller:NAME[:N]`: the process
//! sends itself SIGKILL the N-th time it comes to that point (the first, if N is left out).

/// Where the process may be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillPoint {
    /// An operation was asked for, and nothing of it is stored.
    BeforeStartStored,
    /// An operation is stored, and nobody has been told.
    AfterStartStored,
    /// Orders are marked as handed over, and none is sent.
    AfterHandedStored,
    /// Orders are in the hosts' queues.
    AfterOrdersSent,
    /// Findings are stored, and not acknowledged.
    AfterFindingsStored,
    /// A cancel is stored, and not sent.
    AfterCancelStored,
}

impl KillPoint {
    /// Every point.
    pub const ALL: [KillPoint; 6] = [
        KillPoint::BeforeStartStored,
        KillPoint::AfterStartStored,
        KillPoint::AfterHandedStored,
        KillPoint::AfterOrdersSent,
        KillPoint::AfterFindingsStored,
        KillPoint::AfterCancelStored,
    ];

    /// The name in `CURFEW_KILL_AT`.
    pub fn name(self) -> &'static str {
        match self {
            KillPoint::BeforeStartStored => "before-start-stored",
            KillPoint::AfterStartStored => "after-start-stored",
            KillPoint::AfterHandedStored => "after-handed-stored",
            KillPoint::AfterOrdersSent => "after-orders-sent",
            KillPoint::AfterFindingsStored => "after-findings-stored",
            KillPoint::AfterCancelStored => "after-cancel-stored",
        }
    }

    /// Says that the process has come here.
    #[cfg(feature = "kill-points")]
    pub fn reach(self) {
        use std::sync::OnceLock;
        use std::sync::atomic::{AtomicU32, Ordering};
        static ARMED: OnceLock<Option<(String, u32)>> = OnceLock::new();
        static REACHED: AtomicU32 = AtomicU32::new(0);
        let armed = ARMED.get_or_init(|| {
            let text = std::env::var("CURFEW_KILL_AT").ok()?;
            let mut parts = text.strip_prefix("controller:")?.split(':');
            let name = parts.next()?.to_owned();
            Some((name, parts.next().and_then(|n| n.parse().ok()).unwrap_or(1)))
        });
        let Some((name, nth)) = armed else { return };
        if name == self.name() && REACHED.fetch_add(1, Ordering::SeqCst) + 1 == *nth {
            let own = rustix::process::getpid();
            let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
        }
    }

    /// Says that the process has come here.
    #[cfg(not(feature = "kill-points"))]
    #[inline]
    pub fn reach(self) {}
}
