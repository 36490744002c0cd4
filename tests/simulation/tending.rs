//! The day when all is mended, and the operators who look after what waits for them from then on.

use crate::controller_shell::{Input, Turn};
use crate::happening::Happening;
use crate::world::World;
use curfew_types::{Amount, Budgets, OperationId, OperationState};

/// How often operators look.
const LOOK_MS: u64 = 4_000;
/// For how long; every deadline is over by then.
const LOOKS: u64 = 55;

/// Whatever went wrong, an operation goes on.
pub(crate) const UNLIMITED: Budgets = Budgets {
    failed: Some(Amount::Percent(100)),
    timed_out: Some(Amount::Percent(100)),
    unreachable: Some(Amount::Percent(100)),
    refused: Some(Amount::Percent(100)),
};

impl World {
    /// Everything is mended, so that everything can end.
    pub(crate) fn heal(&mut self) {
        self.healed = true;
        self.log(|| "everything is mended".into());
        self.store_heals();
        self.controller.doomed = None;
        for place in 0..self.hosts.len() {
            self.hosts[place].doomed = None;
            let line = &mut self.network.lines[place];
            line.noisy_until = 0;
            line.parted_until = 0;
        }
        for place in 0..self.guests.len() {
            self.guests[place].until = self.t;
            self.guest_recovers(place);
        }
        for look in 0..LOOKS {
            self.agenda.put(self.t + look * LOOK_MS, Happening::Tended);
        }
    }

    pub(crate) fn look_after(&mut self) {
        if self.controller.is_up() {
            self.controller_takes(Input::Tended);
        }
    }

    /// The fleet is let go on; in worlds that are tended, whatever waits for a person has one.
    pub(crate) fn tend(&mut self, turn: &mut Turn) {
        let now = self.controller.clocks.now(self.t);
        let Some(core) = self.controller.core.as_mut().filter(|core| !core.store_is_away()) else { return };
        core.unfreeze(now, "tender");
        let open: Vec<(OperationId, OperationState, u64)> =
            core.operations().map(|view| (view.id, view.state, view.digest)).collect();
        self.drain(turn);
        if !self.plan.tended {
            return;
        }
        for (id, state, digest) in open {
            let Some(core) = &mut self.controller.core else { return };
            // Whatever is refused is tried again at the next look.
            match state {
                OperationState::Paused | OperationState::Halted => {
                    let _ = core.resume_operation(now, id, "tender", "mended", UNLIMITED);
                }
                OperationState::AwaitingApproval => {
                    let _ = core.approve_operation(now, id, "tender", "mended", digest);
                }
                OperationState::Running => {
                    let _ = core.promote_operation(now, id, "tender", 0);
                }
                OperationState::Cancelling | OperationState::Ended => {}
            }
            self.drain(turn);
        }
    }
}
