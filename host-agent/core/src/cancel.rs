//! Taking tasks back: each is answered with how far it had come, once that is certain.

use crate::core::Core;
use crate::run::{Phase, key};
use crate::verdicts;
use curfew_types::agent::Cancel;
use curfew_types::{Now, TaskId};

impl Core {
    pub(crate) fn handle_cancel(&mut self, now: Now, cancel: Cancel) {
        for task in cancel.tasks {
            let id = key(cancel.operation, task.index);
            if self.runs.contains_key(&id) {
                self.cancel_run(now, id);
            } else if self.finished.contains_key(&id) {
                self.say_outcome_again(id);
            } else {
                self.bury(now, id, task.guest);
            }
        }
    }

    fn cancel_run(&mut self, now: Now, id: TaskId) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.cancel = true;
        let ending_is_out = run.call.is_some() && matches!(run.phase, Phase::Ending { .. });
        if ending_is_out {
            // What it did is not known yet; its answer decides which of the three words is true.
            return;
        }
        let any_asked = run.acting.as_ref().is_some_and(crate::run::Acting::any_asked);
        if !any_asked {
            let verdict = verdicts::cancelled(run);
            self.finish(now, id, verdict, false);
        } else if run.phase != Phase::Verifying {
            // One more look, so that the counts are what was seen.
            run.phase = Phase::Verifying;
            run.next = now.mono;
        } else if run.call.is_none() {
            run.next = now.mono;
        }
    }
}
