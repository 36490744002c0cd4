//! Waves: which guests come first, and when the next ones may start.
//!
//! A wave is complete when each of its tasks has its outcome. What lies between two waves is the request's: nothing, a
//! pause, or a person's promotion.

use crate::core::{Core, PlantedBug};
use crate::operation::Operation;
use crate::record::{NO_WAVE, TargetGuest, TargetHost};
use crate::steer::SteerError;
use crate::timer::Timer;
use crate::view::OperationView;
use curfew_types::operation::EventKind;
use curfew_types::rollout::{self, BetweenWaves, Rollout};
use curfew_types::{Now, OperationId, OperationState};

/// Draws the waves of a plan: which guests are in which, by the seed. Returns their sizes.
pub(crate) fn draw(hosts: &mut [TargetHost], rollout: &Rollout, seed: Option<u64>) -> Vec<u64> {
    let guests = hosts.iter_mut().flat_map(|host| &mut host.guests);
    let included = guests.filter(|guest| guest.wave != NO_WAVE);
    let ends = if let (Some(seed), false) = (seed, rollout.waves.is_empty()) {
        let mut included: Vec<&mut TargetGuest> = included.collect();
        included.sort_by_cached_key(|guest| (rollout::draw(seed, &guest.id), guest.id.clone()));
        let ends = rollout::wave_ends(&rollout.waves, included.len() as u64);
        for (place, guest) in (0_u64..).zip(included) {
            let wave = ends.partition_point(|end| *end <= place);
            guest.wave = u8::try_from(wave).unwrap_or(NO_WAVE - 1);
        }
        ends
    } else {
        rollout::wave_ends(&rollout.waves, included.count() as u64)
    };
    let starts = [0].into_iter().chain(ends.iter().copied());
    ends.iter().zip(starts).map(|(end, start)| end - start).collect()
}

impl Operation {
    /// Whether every task of the waves that have begun has its outcome.
    pub(crate) fn wave_is_complete(&self) -> bool {
        let mut begun = self.waves.iter().take(self.standing.wave as usize + 1);
        begun.all(|wave| wave.ended == wave.tasks)
    }

    /// Whether a wave is still to come.
    pub(crate) fn has_next_wave(&self) -> bool {
        (self.standing.wave as usize) + 1 < self.waves.len()
    }
}

impl Core {
    /// Begins the next wave if the one before is complete and nothing lies between them any more.
    pub(crate) fn advance_waves(&mut self, now: Now, id: OperationId) {
        let at_once = self.planted(PlantedBug::IgnoresWaves);
        loop {
            let starts_nothing = self.starts_nothing();
            let Some(operation) = self.operations.get_mut(&id) else { return };
            let may = operation.state == OperationState::Running && now.mono < operation.deadline;
            if starts_nothing || !may || !operation.has_next_wave() {
                return;
            }
            if !at_once
                && (!operation.wave_is_complete()
                    || operation.overspent(&operation.standing.budgets).is_some())
            {
                return;
            }
            match (operation.spec.rollout.between, operation.wave_pause_until) {
                _ if at_once => {}
                (BetweenWaves::Nothing, _) => {}
                (BetweenWaves::Pause(_), Some(until)) if now.mono >= until => {}
                (BetweenWaves::Pause(_), Some(_)) => return,
                (BetweenWaves::Pause(ms), None) => {
                    let until = now.mono.plus(ms);
                    operation.wave_pause_until = Some(until);
                    self.timers.set(until, Timer::NextWave { operation: id });
                    return;
                }
                (BetweenWaves::Promotion, _) => return,
            }
            self.begin_next_wave(now, id, None);
        }
    }

    fn begin_next_wave(&mut self, now: Now, id: OperationId, by: Option<&str>) {
        let Some(operation) = self.operations.get_mut(&id) else { return };
        operation.standing.wave += 1;
        operation.wave_pause_until = None;
        operation.startable_since = now.mono;
        let (wave, of) = (operation.standing.wave, operation.waves.len());
        operation.enqueue_wave(wave);
        self.steer(now, id, EventKind::WaveBegun, by, format!("wave {} of {of}", wave + 1));
        self.make_hosts_ready(now, id);
    }

    /// Begins the next wave of an operation that waits between two: `wave` counts from 1, and 0 is the next one. One that
    /// has begun already is no error.
    ///
    /// # Errors
    /// When there is no such wave, the one before is not complete, or the operation does not run.
    pub fn promote_operation(
        &mut self,
        now: Now,
        id: OperationId,
        by: &str,
        wave: u32,
    ) -> Result<OperationView, SteerError> {
        let operation = self.steerable(id)?;
        let (current, of) = (operation.standing.wave + 1, operation.waves.len());
        if wave > 0 && wave <= current {
            return self.operation(id).ok_or(SteerError::NotInMemory);
        }
        let refused = |why: String| Err(SteerError::Refused(why));
        if operation.state != OperationState::Running {
            let state = operation.state.as_str();
            return refused(format!("{id} is {state}; it can be promoted once it runs"));
        }
        if !operation.has_next_wave() {
            return refused(format!("{id} has no wave after this one"));
        }
        if wave > current + 1 {
            return refused(format!("{id} is in wave {current} of {of}; the next one is {}", current + 1));
        }
        if !operation.wave_is_complete() {
            let open: u64 =
                operation.waves.iter().take(current as usize).map(|wave| wave.tasks - wave.ended).sum();
            return refused(format!(
                "{open} guests of wave {current} have no outcome yet; promote once they have, or cancel their tasks"
            ));
        }
        if self.starts_nothing() {
            return refused(format!("nothing starts now: {}", self.blocked_by()));
        }
        self.begin_next_wave(now, id, Some(by));
        self.touch(id);
        self.settle(now);
        self.operation(id).ok_or(SteerError::NotInMemory)
    }
}
