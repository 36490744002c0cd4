//! How an operation may come to stand otherwise than before, and who may see to that.

use super::{Broken, LEFT_OUT, Model, Modelled, broken};
use curfew_controller_core::view::OperationView;
use curfew_types::operation::{EventKind, OperationEvent, Standing};
use curfew_types::{OperationId, OperationState, OutcomeClass};

impl Model {
    pub(super) fn take_steered(
        &mut self,
        at: u64,
        id: OperationId,
        event: &OperationEvent,
        standing: &Standing,
    ) -> Result<(), Broken> {
        use OperationState::{AwaitingApproval, Cancelling, Halted, Paused, Running};
        let Some(operation) = self.operations.get_mut(&id) else { return Ok(()) };
        let before = operation.state;
        let by = event.by.as_deref();
        let by_itself = by.is_none();
        let by_another = by.is_some_and(|by| by != operation.started.requester);
        let (allowed, after) = match (before, event.what) {
            (AwaitingApproval, EventKind::ApprovalAsked) => (by_itself, AwaitingApproval),
            (AwaitingApproval, EventKind::SetGrew) => (by_itself && operation.replanned, AwaitingApproval),
            (AwaitingApproval, EventKind::Approved) => {
                (by_another && !operation.replanned && standing.approved_by.as_deref() == by, Running)
            }
            (AwaitingApproval, EventKind::Rejected) => (by.is_some(), Cancelling),
            (AwaitingApproval, EventKind::ApprovalExpired) => (by_itself, Cancelling),
            (Running, EventKind::Paused) => (by.is_some(), Paused),
            (Running | Paused | Halted, EventKind::Resumed) => (by.is_some(), Running),
            (Running, EventKind::Halted) => (by_itself, Halted),
            (Running, EventKind::WaveBegun) => (true, Running),
            (_, _) => (false, before),
        };
        let wave = operation.wave + u32::from(event.what == EventKind::WaveBegun);
        let state = if after == Cancelling { before } else { after };
        let resumed = event.what == EventKind::Resumed;
        let fits = standing.state == state
            && standing.wave == wave
            && (resumed || standing.budgets == operation.budgets);
        if !allowed || !fits {
            let text = format!("{id} was {}, and {event:?} makes it {standing:?}", before.as_str());
            return broken(0, text);
        }
        (operation.state, operation.wave, operation.budgets) = (after, wave, standing.budgets);
        operation.replanned = false;
        match event.what {
            EventKind::WaveBegun => {
                operation.free_since = at;
                self.begun.push((id, wave, by.is_some()));
            }
            EventKind::Resumed | EventKind::Approved => operation.free_since = at,
            _ => {}
        }
        Ok(())
    }

    /// What is published of an operation is what is stored of it.
    pub(crate) fn check_view(&self, view: &OperationView) -> Result<(), Broken> {
        let Some(operation) = self.operations.get(&view.id) else { return Ok(()) };
        let standing = &view.standing;
        let stands = view.state == operation.state
            && standing.wave == operation.wave
            && standing.budgets == operation.budgets
            && view.digest == operation.started.digest
            && view.seed == operation.started.seed;
        if !stands {
            return broken(0, format!("{view:?} is published, and the model has {operation:?}"));
        }
        if !operation.waves_are(view) || !operation.budgets_are(view) {
            return broken(0, format!("the waves or budgets of {view:?} do not fit {operation:?}"));
        }
        Ok(())
    }
}

impl Modelled {
    fn waves_are(&self, view: &OperationView) -> bool {
        if self.last_wave() == 0 {
            return view.waves.is_empty();
        }
        let waves = (0..=self.last_wave()).map(|wave| {
            let of_wave = || {
                self.tasks.iter().filter(move |task| task.wave != LEFT_OUT && u32::from(task.wave) == wave)
            };
            let ended = of_wave().filter(|task| task.ended.is_some()).count() as u64;
            (
                of_wave().count() as u64,
                ended,
                wave <= self.wave && self.state != OperationState::AwaitingApproval,
            )
        });
        waves.eq(view.waves.iter().map(|wave| (wave.tasks, wave.ended, wave.begun)))
    }

    fn budgets_are(&self, view: &OperationView) -> bool {
        let budgets = OutcomeClass::ALL.into_iter().filter_map(|class| {
            let budget = self.budgets.of(class)?;
            let allowed = super::limits::budget(budget, self.tasks.len());
            Some((class, allowed, self.spent(class, |_| true)))
        });
        budgets.eq(view.budgets.iter().map(|one| (one.class, one.allowed, one.spent)))
    }
}
