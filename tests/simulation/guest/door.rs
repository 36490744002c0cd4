//! Whether a guest lets new people in: what Curfew set, what somebody else set, and the guest's own timer.

use curfew_agent_core::call::{DrainReply, UndrainReply};

/// A guest's door.
pub(crate) struct Door {
    /// Who keeps it closed; `None`: it is open.
    pub(crate) closed: Option<Refusal>,
    /// The guest ends what Curfew set by itself.
    pub(crate) has_timers: bool,
    /// How often Curfew has set something: a timer of an earlier time ends nothing.
    pub(crate) set: u64,
}

/// Why new people are not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Curfew set it, until this moment.
    Ours {
        /// When the guest's own timer ends it.
        until: u64,
    },
    /// Somebody else did.
    SomebodyElses,
}

impl Door {
    pub(crate) fn new(has_timers: bool) -> Door {
        Door { closed: None, has_timers, set: 0 }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// Whether it is closed by what Curfew set.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self.closed, Some(Refusal::Ours { .. }))
    }

    /// Curfew closes it, unless somebody else has.
    pub(super) fn drain(&mut self, until: u64) -> DrainReply {
        if self.closed == Some(Refusal::SomebodyElses) {
            return DrainReply::SomebodyElses;
        }
        self.closed = Some(Refusal::Ours { until });
        self.set += 1;
        DrainReply::InForce
    }

    /// Curfew opens it, unless somebody else has closed it.
    pub(super) fn undrain(&mut self) -> UndrainReply {
        if self.closed == Some(Refusal::SomebodyElses) {
            return UndrainReply::SomebodyElses;
        }
        self.closed = None;
        UndrainReply::Lifted
    }

    /// The guest's own timer, as it was set.
    pub(crate) fn timer_fires(&mut self, set: u64) {
        if self.set == set && self.is_ours() {
            self.closed = None;
        }
    }

    /// Somebody else closes it, or opens what he has closed.
    pub(crate) fn others(&mut self, closes: bool) {
        if closes {
            self.closed = Some(Refusal::SomebodyElses);
        } else if self.closed == Some(Refusal::SomebodyElses) {
            self.closed = None;
        }
    }

    /// The guest goes down: all of that is forgotten.
    pub(super) fn forget(&mut self) {
        self.closed = None;
    }
}
