//! Which guests are in which wave, and when a wave may begin.

use super::{Broken, LEFT_OUT, Model, broken, limits};
use curfew_controller_core::record::Started;
use curfew_types::rollout;
use curfew_types::{BetweenWaves, GuestId, OperationId};

/// The waves are those that the seed draws.
pub(super) fn check_drawn(started: &Started) -> Result<(), Broken> {
    let guests = started.hosts.iter().flat_map(|host| &host.guests);
    let mut drawn: Vec<(u64, &GuestId, u8)> = guests
        .filter(|guest| guest.wave != LEFT_OUT)
        .map(|guest| (rollout::draw(started.seed, &guest.id), &guest.id, guest.wave))
        .collect();
    drawn.sort_unstable();
    // Each amount is what its wave reaches together with those before; a wave that reaches nobody new is none.
    let mut ends: Vec<u64> = Vec::new();
    for amount in &started.spec.rollout.waves {
        let reached = limits::limit(*amount, drawn.len());
        if reached < drawn.len() as u64 && ends.iter().all(|end| *end < reached) {
            ends.push(reached);
        }
    }
    for (place, (_, guest, wave)) in (0_u64..).zip(&drawn) {
        let expected = ends.iter().filter(|end| **end <= place).count();
        if usize::from(*wave) != expected {
            let seed = started.seed;
            return broken(4, format!("{guest} is in wave {wave}, and seed {seed} draws it into {expected}"));
        }
    }
    match started.spec.rollout.seed {
        Some(seed) if seed != started.seed => {
            broken(4, format!("{} was asked for with seed {seed} and has {}", started.id, started.seed))
        }
        _ => Ok(()),
    }
}

impl Model {
    /// Waves have begun: those before them are complete, and what lies between has passed.
    pub(super) fn check_waves_begun(
        &self,
        at: u64,
        begun: &[(OperationId, u32, bool)],
    ) -> Result<(), Broken> {
        for (id, wave, by_somebody) in begun {
            let Some(operation) = self.operations.get(id) else { continue };
            let Some(complete) = operation.complete_since(*wave) else {
                return broken(4, format!("wave {wave} of {id} began before the one before was complete"));
            };
            match operation.started.spec.rollout.between {
                _ if *by_somebody => {}
                BetweenWaves::Nothing => {}
                BetweenWaves::Pause(ms) if at >= complete + ms => {}
                BetweenWaves::Pause(ms) => {
                    let early = complete + ms - at;
                    return broken(
                        4,
                        format!("wave {wave} of {id} began {early} ms before its pause was over"),
                    );
                }
                BetweenWaves::Promotion => {
                    return broken(4, format!("wave {wave} of {id} began, and nobody promoted it"));
                }
            }
        }
        Ok(())
    }
}
