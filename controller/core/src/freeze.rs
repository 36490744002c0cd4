//! The cord that stops every new start fleet-wide, until somebody lets the fleet go on.

use crate::core::Core;
use crate::operation::Recall;
use crate::record::{Freeze, Record};
use curfew_types::{Now, OperationId, Stage};
use std::collections::BTreeMap;

impl Core {
    /// Stops every new start fleet-wide; with `hard`, what runs is cancelled where that is still possible. It makes
    /// things safer, so it does not wait for the store. Pulling it again changes who and why, and never softens it.
    pub fn freeze(&mut self, now: Now, by: &str, reason: &str, hard: bool) -> Freeze {
        let was_hard = self.freeze.as_ref().is_some_and(|freeze| freeze.hard);
        let (by, reason) = (by.to_owned(), reason.to_owned());
        let freeze = Freeze { by, reason, since: now.wall, hard: hard || was_hard };
        self.freeze = Some(freeze.clone());
        self.record(Record::FreezeChanged { freeze: Some(freeze.clone()) });
        if hard {
            self.cancel_what_runs(now);
        }
        self.touch_all();
        self.settle(now);
        freeze
    }

    /// Lets operations start again. Nothing happens to a fleet that is not frozen.
    pub fn unfreeze(&mut self, now: Now, by: &str) {
        if self.freeze.take().is_none() {
            return;
        }
        self.note(false, format!("{by} let the fleet go on"));
        self.record(Record::FreezeChanged { freeze: None });
        let ids: Vec<OperationId> = self.operations.keys().copied().collect();
        for id in ids {
            if let Some(operation) = self.operations.get_mut(&id) {
                operation.startable_since = now.mono;
            }
            self.make_hosts_ready(now, id);
        }
        self.touch_all();
        self.settle(now);
    }

    /// The freeze, if there is one.
    pub fn frozen(&self) -> Option<Freeze> {
        self.freeze.clone()
    }

    /// Takes every task back that was handed over. What waits for its turn stays where it is.
    pub(crate) fn cancel_what_runs(&mut self, now: Now) {
        let ids: Vec<OperationId> = self.operations.keys().copied().collect();
        for id in ids {
            let Some(operation) = self.operations.get_mut(&id) else { continue };
            let mut by_host: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
            for (index, task) in (0..).zip(&mut operation.tasks) {
                if task.handed && task.stage != Stage::Done {
                    task.recall = Recall::Cancel;
                    by_host.entry(task.host).or_default().push(index);
                }
            }
            for (place, tasks) in by_host {
                self.send_cancel(id, place, &tasks, false);
                self.repeat_later(now, id, place);
            }
        }
    }

    fn touch_all(&mut self) {
        let ids: Vec<OperationId> = self.operations.keys().copied().collect();
        for id in ids {
            if let Some(operation) =
                self.operations.get_mut(&id).filter(|operation| operation.ended.is_none())
            {
                operation.revision += 1;
                self.touch(id);
            }
        }
    }
}
