//! Taking tasks back and stopping them: each is answered with how far it had come, once that is certain.

use crate::core::Core;
use crate::run::{Phase, Stop, key};
use crate::verdicts;
use curfew_types::agent::Cancel;
use curfew_types::{Now, TaskId};

impl Core {
    pub(crate) fn handle_cancel(&mut self, now: Now, cancel: Cancel) {
        for task in cancel.tasks {
            let id = key(cancel.operation, task.index);
            if self.runs.contains_key(&id) {
                if cancel.only_unaccepted {
                    self.tell_progress(id);
                } else {
                    self.stop_run(now, id, Stop::Cancelled);
                }
            } else if self.finished.contains_key(&id) {
                self.say_outcome_again(id);
            } else {
                self.bury(now, id, task.guest);
            }
        }
    }

    /// Lets a run ask nobody any more, and ends it once it is certain what it did.
    pub(crate) fn stop_run(&mut self, now: Now, id: TaskId, stop: Stop) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.stop.get_or_insert(stop);
        if run.is_asking() {
            // What it did is not known yet; its answer decides which of the three words is true.
            return;
        }
        let any_asked = run.acting.as_ref().is_some_and(crate::acting::Acting::any_asked);
        if !any_asked {
            let verdict = verdicts::stopped(run);
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
