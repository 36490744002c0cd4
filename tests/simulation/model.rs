//! A reference model of what may be in flight: it stands beside the controller's core, is fed with what is stored, in
//! order, and says on its own what that allows.
//!
//! It shares the vocabulary with the core and nothing else. What it holds against the core is told as [`Broken`].

mod limits;
mod set;
mod states;
mod told;
mod waves;

use crate::disk::Disk;
use crate::truth::Violation;
use curfew_controller_core::ApprovalRule;
use curfew_controller_core::record::{CancelScope, Record, Started};
use curfew_types::{Budgets, GuestId, OperationId, OperationState, Outcome, OutcomeClass, Reason};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) use told::Told;

/// The label that limits name.
pub(crate) const RACK: &str = "rack";
/// The wave of a guest that is left out.
const LEFT_OUT: u8 = u8::MAX;

/// What the core did against the model's word.
pub(crate) type Broken = Violation;

fn broken<T>(invariant: u8, text: String) -> Result<T, Broken> {
    Err(Violation { invariant, text })
}

/// The model.
#[derive(Debug)]
pub(crate) struct Model {
    rule: ApprovalRule,
    pub(crate) operations: BTreeMap<OperationId, Modelled>,
    held: BTreeSet<GuestId>,
    pub(crate) frozen: bool,
    /// What agents are told not to touch; goes with what is written, not with what is stored.
    pub(crate) told: Told,
    /// Tasks that the call that is being taken in handed over, and waves that it began; empty between two calls.
    handed: Vec<(OperationId, u32)>,
    begun: Vec<(OperationId, u32, bool)>,
    /// How many calls were taken in.
    calls: u64,
}

/// An operation as the model has it.
#[derive(Debug)]
pub(crate) struct Modelled {
    pub(crate) started: Started,
    pub(crate) state: OperationState,
    pub(crate) wave: u32,
    pub(crate) budgets: Budgets,
    pub(crate) tasks: Vec<ModelTask>,
    /// Its set was replaced, and that was not said yet.
    replanned: bool,
    /// Since when nothing but itself has kept it: a start, a restart, an unfreeze, a resume, its last wave.
    pub(crate) free_since: u64,
}

/// A task as the model has it.
#[derive(Debug)]
pub(crate) struct ModelTask {
    pub(crate) guest: GuestId,
    pub(crate) host: usize,
    pub(crate) wave: u8,
    /// Its value of the limited label, as of the start or the last restart.
    pub(crate) rack: Option<String>,
    handed: bool,
    pub(crate) ended: Option<End>,
}

/// How and when a task ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) at: u64,
    /// Which call of the core wrote it.
    call: u64,
    outcome: Outcome,
    reason: Reason,
}

impl Model {
    pub(crate) fn new(rule: ApprovalRule) -> Model {
        Model {
            rule,
            operations: BTreeMap::new(),
            held: BTreeSet::new(),
            frozen: false,
            told: Told::default(),
            handed: Vec::new(),
            begun: Vec::new(),
            calls: 0,
        }
    }

    /// A controller begins again with what is on disk: the values of limited labels are read anew, and what was told
    /// and not stored is forgotten.
    pub(crate) fn restarted(&mut self, at: u64, disk: &Disk) {
        self.told = Told::on(disk);
        for operation in self.operations.values_mut() {
            operation.read_racks(disk);
            operation.free_since = at;
        }
    }

    /// An older store takes over. What it still knows may have gone further than it remembers, so nothing is said of it.
    pub(crate) fn restored(&mut self, disk: &Disk) {
        self.operations.clear();
        self.held = disk.holds.keys().cloned().collect();
        self.frozen = disk.freeze.is_some();
    }

    /// Takes in a record that was stored just now; `disk` has it already.
    pub(crate) fn take(&mut self, at: u64, record: &Record, disk: &Disk) -> Result<(), Broken> {
        match record {
            Record::Started(started) => return self.take_start(at, started, disk),
            Record::Replanned(started) => return self.take_new_set(started, disk),
            Record::Steered { operation, event, standing } => {
                return self.take_steered(at, *operation, event, standing);
            }
            Record::Handed { operation, tasks, .. } => {
                for index in tasks {
                    self.take_handed(*operation, *index)?;
                }
            }
            Record::Finished { operation, tasks, .. } => {
                let Some(operation) = self.operations.get_mut(operation) else { return Ok(()) };
                for (index, verdict) in tasks {
                    let end = End { at, call: self.calls, outcome: verdict.outcome, reason: verdict.reason };
                    operation.tasks[*index as usize].ended.get_or_insert(end);
                }
            }
            Record::CancelRequested { operation, scope: CancelScope::Operation, .. } => {
                if let Some(operation) = self.operations.get_mut(operation) {
                    operation.state = OperationState::Cancelling;
                }
            }
            Record::Ended { operation, .. } => {
                if let Some(operation) = self.operations.get_mut(operation) {
                    operation.state = OperationState::Ended;
                }
            }
            Record::Held { hold, .. } => {
                self.held.insert(hold.guest.clone());
            }
            Record::Released { guest, .. } => {
                self.held.remove(guest);
            }
            Record::FreezeChanged { freeze } => {
                self.frozen = freeze.is_some();
                for operation in self.operations.values_mut() {
                    operation.free_since = at;
                }
            }
            Record::EpochRaised { .. }
            | Record::ClockSet { .. }
            | Record::Late { .. }
            | Record::CancelRequested { .. }
            | Record::HostSeen { .. }
            | Record::LedgerSeen { .. }
            | Record::Inventory { .. }
            | Record::HostLabelled { .. }
            | Record::GuestLabelled { .. }
            | Record::HostRemoved { .. }
            | Record::Protected { .. }
            | Record::Unprotected { .. } => {}
        }
        Ok(())
    }

    /// Everything that one call of the core wrote has been taken in.
    pub(crate) fn end_call(&mut self, at: u64) -> Result<(), Broken> {
        let (handed, begun) = (std::mem::take(&mut self.handed), std::mem::take(&mut self.begun));
        self.check_waves_begun(at, &begun)?;
        self.check_limits(&handed)?;
        let checked = self.check_budgets(&handed);
        self.calls += 1;
        checked
    }
}

impl Modelled {
    /// How many tasks ended in a class.
    fn spent(&self, class: OutcomeClass, counts: impl Fn(&End) -> bool) -> u64 {
        let of_class = |end: &End| match class {
            OutcomeClass::Failed => end.outcome == Outcome::Failed,
            OutcomeClass::TimedOut => end.outcome == Outcome::TimedOut,
            OutcomeClass::Unreachable => matches!(end.outcome, Outcome::Unreachable | Outcome::Unknown),
            OutcomeClass::Refused => end.outcome == Outcome::Refused,
        };
        let ends = self.tasks.iter().filter_map(|task| task.ended.as_ref());
        ends.filter(|end| of_class(end) && counts(end)).count() as u64
    }

    /// A class of which more ended than its budget in force allows.
    pub(crate) fn overspent(&self, counts: impl Fn(&End) -> bool) -> Option<OutcomeClass> {
        OutcomeClass::ALL.into_iter().find(|class| {
            self.budgets
                .of(*class)
                .is_some_and(|budget| self.spent(*class, &counts) > limits::budget(budget, self.tasks.len()))
        })
    }

    /// When the last task of the waves before `wave` got its outcome; `None` while one has none.
    pub(crate) fn complete_since(&self, wave: u32) -> Option<u64> {
        let before = self.tasks.iter().filter(|task| u32::from(task.wave) < wave);
        before.map(|task| task.ended.map(|end| end.at)).try_fold(0, |last, at| Some(last.max(at?)))
    }

    pub(crate) fn last_wave(&self) -> u32 {
        let waves = self.tasks.iter().map(|task| task.wave).filter(|wave| *wave != LEFT_OUT);
        waves.max().map_or(0, u32::from)
    }
}

impl ModelTask {
    fn in_flight(&self) -> bool {
        self.handed && self.ended.is_none()
    }
}
