//! What no operation may touch: holds and protected users, taken in, written down, and confirmed once nothing that
//! is on its way goes against them.

use crate::acting::Acting;
use crate::core::{Core, PlantedBug};
use crate::ledger::Entry;
use crate::run::{Run, Stop};
use curfew_types::agent::{Safeguards, SafeguardsMark};
use curfew_types::{GuestId, Mono, Now, TaskId};

/// The safeguards as this agent has them.
#[derive(Debug, Default)]
pub(crate) struct Guarding {
    /// The newest that were taken in; they are in the ledger.
    pub(crate) taken: Safeguards,
    /// Which of them are in force: nothing that is on its way goes against them.
    pub(crate) in_force: SafeguardsMark,
    /// A report has to say which are in force; empties with the next one.
    pub(crate) untold: bool,
    /// Before this moment nothing comes into force: what the process before this one asked of a guest may still be
    /// carried out. Empties when it has passed.
    settles: Option<Mono>,
    /// Until then a request of the process before this one may be carried out, in whichever guest.
    strays_until: Mono,
}

impl Core {
    pub(crate) fn handle_safeguards(&mut self, now: Now, safeguards: Safeguards) {
        let own = self.guarding.taken.mark;
        if safeguards.mark <= own {
            // Said twice: the confirmation of the first time may have been lost.
            self.guarding.untold = true;
            return;
        }
        let (held, users) = (safeguards.held.len(), safeguards.protected_users.len());
        self.note(false, format!("safeguards taken in: {held} guests are held, {users} users protected"));
        self.write(Entry::Safeguarded { safeguards: safeguards.clone() });
        self.guarding.taken = safeguards;
        for run in self.runs.values_mut() {
            if let Some(acting) = &mut run.acting {
                acting.spare(&self.guarding.taken);
            }
        }
        self.stop_held_runs(now);
        if now.mono < self.guarding.strays_until {
            self.guarding.settles = Some(self.guarding.strays_until);
        }
        if self.planted(PlantedBug::ConfirmsSafeguardsEarly) {
            self.guarding.in_force = self.guarding.taken.mark;
            self.guarding.untold = true;
        }
    }

    /// Goes on from what the ledger says. Every run is in its queue.
    pub(crate) fn recover_safeguards(&mut self, now: Now, taken: Safeguards) {
        self.guarding.taken = taken;
        let may_be_asked = |run: &Run| {
            run.acting.as_ref().is_some_and(|acting| self.is_held(&run.guest) || acting.any_spared())
        };
        let settles = self.runs.values().any(|run| may_be_asked(run));
        // A task that has ended since may have asked, too: its process may have died more than once.
        let strays = self.runs.values().any(|run| run.acting.is_some()) || !self.finished.is_empty();
        let until = now.mono.plus(self.settings.call_max_ms);
        self.guarding.settles = settles.then_some(until);
        self.guarding.strays_until = if strays { until } else { now.mono };
        self.stop_held_runs(now);
        self.confirm_safeguards(now);
    }

    fn stop_held_runs(&mut self, now: Now) {
        let held: Vec<TaskId> =
            self.runs.iter().filter(|(_, run)| self.is_held(&run.guest)).map(|(id, _)| *id).collect();
        for id in held {
            self.stop_run(now, id, Stop::Held);
        }
    }

    /// Whether nothing may be done in this guest.
    pub(crate) fn is_held(&self, guest: &GuestId) -> bool {
        !self.planted(PlantedBug::IgnoresHolds) && self.guarding.taken.holds(guest)
    }

    /// Whether this user's sessions are left alone.
    pub(crate) fn is_protected(&self, user: &str) -> bool {
        !self.planted(PlantedBug::IgnoresProtection) && self.guarding.taken.protects(user)
    }

    /// What was taken in comes into force once nothing that is on its way goes against it.
    pub(crate) fn confirm_safeguards(&mut self, now: Now) {
        if self.guarding.settles.is_some_and(|at| now.mono < at) {
            return;
        }
        self.guarding.settles = None;
        if self.guarding.in_force == self.guarding.taken.mark {
            return;
        }
        if self.runs.values().any(|run| self.is_held(&run.guest) || run.is_asking_a_spared_one()) {
            return;
        }
        self.guarding.in_force = self.guarding.taken.mark;
        self.guarding.untold = true;
    }
}

impl Guarding {
    /// When they may come into force, where that is a matter of time.
    pub(crate) fn timeout(&self) -> Option<(Mono, &'static str)> {
        self.settles.map(|at| (at, "safeguards come into force"))
    }
}

impl Acting {
    /// Leaves those targets alone from now on that have become protected. A session that was spared stays so: whoever
    /// lifts the protection does not mean the operations that ran under it.
    pub(crate) fn spare(&mut self, safeguards: &Safeguards) {
        for target in &mut self.targets {
            target.spared |= safeguards.protects(&target.user);
        }
    }

    fn any_spared(&self) -> bool {
        self.targets.iter().any(|target| target.spared)
    }
}
