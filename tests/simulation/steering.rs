//! What operators do about operations and the fleet besides starting: safer things, which never wait for the store, and
//! the others; and what they must be answered.

use crate::guest::PATTERNS;
use crate::operator::{ENV, LAB, REQUESTER};
use crate::plan::{Approver, Lifted, Planned};
use crate::tending::UNLIMITED;
use crate::world::World;
use curfew_controller_core::fleet::GuestView;
use curfew_controller_core::view::OperationView;
use curfew_controller_core::{CancelError, Core, Frame, SteerError};
use curfew_types::glob::Glob;
use curfew_types::{
    Budgets, DrainOwner, GuestId, Now, OperationId, OperationState, Outcome, PowerState, Selection, Stage,
    TaskId,
};
use std::collections::{BTreeSet, HashSet};

/// Who approves.
const SECOND: &str = "second";

impl World {
    fn known(&self, nth: usize) -> Option<OperationId> {
        self.operator.known.iter().rev().nth(nth).copied()
    }

    /// What makes things safer. Tells whether it was taken.
    #[allow(clippy::wildcard_enum_match_arm, reason = "the caller has sorted the requests")]
    pub(crate) fn make_safer(&mut self, now: Now, what: &Planned) -> bool {
        let id = match what {
            Planned::CancelOperation { nth } | Planned::CancelTask { nth, .. } | Planned::Pause { nth } => {
                self.known(*nth)
            }
            Planned::Undrain { lifted: Lifted::Of { nth }, .. } => self.known(*nth),
            _ => None,
        };
        let Some(core) = &mut self.controller.core else { return false };
        match (what, id) {
            (Planned::CancelOperation { .. }, Some(id)) => {
                let answer = core.cancel_operation(now, id, REQUESTER, "changed their mind");
                let taken = answer.is_ok();
                self.log(|| format!("cancel of {id}: {:?}", answer.map(|view| view.state)));
                taken
            }
            (Planned::CancelTask { index, .. }, Some(operation)) => {
                let id = TaskId { operation, index: *index };
                let done = core.task(id).is_some_and(|view| view.verdict.is_some());
                let answer = core.cancel_task(now, id, REQUESTER);
                if done && answer != Err(CancelError::Ended) {
                    self.truth.fail(1, format!("a cancel of the ended task {id} was answered {answer:?}"));
                }
                answer.is_ok()
            }
            (Planned::Pause { .. }, Some(id)) => {
                let answer = core.pause_operation(now, id, "pauser", "wait a moment");
                let taken = answer.is_ok();
                self.log(|| format!("pause of {id}: {:?}", answer.map(|view| view.state)));
                taken
            }
            (Planned::Freeze { hard }, _) => {
                let freeze = core.freeze(now, "freezer", "something is wrong", *hard);
                if core.frozen() != Some(freeze) {
                    self.truth.fail(4, "the fleet was frozen, and is not".into());
                }
                true
            }
            (Planned::Hold { guest, ms }, _) => {
                let guest = self.guests[*guest].id.clone();
                let until = ms.map(|ms| now.wall.plus(ms));
                let answer = core.hold_guest(now, guest.as_str(), "holder", "leave it", until);
                if answer.is_ok() && !core.is_held(&guest) {
                    self.truth.fail(6, format!("{guest} was held, and is not"));
                }
                self.log(|| format!("hold of {guest}: {answer:?}"));
                answer.is_ok()
            }
            (Planned::Drain { guest, ms }, _) => {
                let guest = self.guests[*guest].id.clone();
                let answer = core.ask_drain(guest.as_str(), *ms, "drainer", "maintenance");
                self.log(|| format!("drain of {guest}: {answer:?}"));
                answer.is_ok()
            }
            (Planned::Undrain { guest, lifted }, id) => {
                let guest = self.guests[*guest].id.clone();
                let owner = match lifted {
                    Lifted::ByHand => Some(DrainOwner::Hand),
                    Lifted::Of { .. } => id.map(DrainOwner::Operation),
                    Lifted::All => None,
                };
                let answer = core.ask_undrain(guest.as_str(), owner);
                self.log(|| format!("undrain of {guest}: {answer:?}"));
                answer.is_ok()
            }
            (Planned::Protect { pattern }, _) => {
                let answer = core.protect_users(now, vec![glob(*pattern)], "protector", "leave them");
                self.log(|| format!("protected: {answer:?}"));
                answer.is_ok()
            }
            _ => false,
        }
    }

    /// Invariant 9: what makes things safer is sent at once, whatever cannot be stored.
    #[allow(clippy::wildcard_enum_match_arm, reason = "a pause sends nothing")]
    pub(crate) fn check_sent_at_once(&mut self, what: &Planned, sends: &[(u64, Frame, bool)]) {
        let Some(core) = &self.controller.core else { return };
        let mut asked: HashSet<TaskId> = HashSet::new();
        let mut told: BTreeSet<usize> = BTreeSet::new();
        for (stream, frame, _) in sends.iter().filter(|(_, _, urgent)| *urgent) {
            match frame {
                Frame::Cancel(cancel) if !cancel.only_unaccepted => {
                    let tasks = cancel.tasks.iter();
                    asked.extend(tasks.map(|task| TaskId { operation: cancel.operation, index: task.index }));
                }
                Frame::Safeguards(_) => {
                    told.extend(self.network.stream(*stream).map(|stream| stream.host));
                }
                _ => {}
            }
        }
        let attached = |place: &usize| self.truth.is_attached(*place);
        let silent = match *what {
            Planned::Hold { .. } | Planned::Protect { .. } => {
                let untold = (0..self.hosts.len()).filter(attached).find(|place| !told.contains(place));
                untold.map(|place| format!("host {place} was not told at once of {what:?}"))
            }
            Planned::CancelOperation { nth } => {
                let views = self.known(nth).and_then(|id| core.operation(id)).into_iter();
                self.not_taken_back(core, views, &asked)
            }
            Planned::Freeze { hard: true } => self.not_taken_back(core, core.operations(), &asked),
            _ => None,
        };
        if let Some(text) = silent {
            self.truth.fail(9, text);
        }
    }

    /// A task that is with a connected agent, and was not asked back.
    fn not_taken_back(
        &self,
        core: &Core,
        operations: impl Iterator<Item = OperationView>,
        asked: &HashSet<TaskId>,
    ) -> Option<String> {
        let tasks = operations.flat_map(|view| core.tasks(view.id, 0, usize::MAX).unwrap_or_default());
        let mut flying = tasks.filter(|task| task.stage > Stage::Queued && task.stage < Stage::Done);
        flying.find_map(|task| {
            let place = self.hosts.iter().position(|host| host.name == task.host)?;
            (self.truth.is_attached(place) && !asked.contains(&task.id))
                .then(|| format!("{} was not taken back at once", task.id))
        })
    }

    /// What needs the store.
    #[allow(clippy::wildcard_enum_match_arm, reason = "the caller has sorted the requests")]
    pub(crate) fn steer(&mut self, now: Now, what: &Planned) {
        match *what {
            Planned::Resume { nth, larger } => {
                let budgets = if larger { UNLIMITED } else { Budgets::default() };
                if let (Some(id), Some(core)) = (self.known(nth), &mut self.controller.core) {
                    let answer = core.resume_operation(now, id, "resumer", "go on", budgets);
                    self.log(|| format!("resume of {id}: {:?}", answer.map(|view| view.state)));
                }
            }
            Planned::Promote { nth, wave } => {
                if let (Some(id), Some(core)) = (self.known(nth), &mut self.controller.core) {
                    let answer = core.promote_operation(now, id, "promoter", wave);
                    self.log(|| format!("promotion of {id}: {:?}", answer.map(|view| view.standing.wave)));
                }
            }
            Planned::Approve { nth, by } => self.approve(now, nth, by),
            Planned::Reject { nth } => {
                if let (Some(id), Some(core)) = (self.known(nth), &mut self.controller.core) {
                    let answer = core.reject_operation(now, id, "rejecter", "no");
                    // One task may have been cancelled before, or its host removed; none was begun.
                    let quiet = [Outcome::Skipped, Outcome::Cancelled, Outcome::Unreachable];
                    let all_quiet = answer
                        .as_ref()
                        .is_ok_and(|view| view.reasons.iter().all(|(outcome, _, _)| quiet.contains(outcome)));
                    if answer.is_ok() && !all_quiet {
                        self.truth.fail(0, format!("{id} was rejected, and ended as {answer:?}"));
                    }
                }
            }
            Planned::Unfreeze => {
                if let Some(core) = &mut self.controller.core {
                    core.unfreeze(now, "freezer");
                }
            }
            Planned::Release { guest } => {
                let guest = self.guests[guest].id.clone();
                self.model.told.asked = vec![guest.to_string()];
                if let Some(core) = &mut self.controller.core {
                    let answer = core.release_guest(now, guest.as_str());
                    self.log(|| format!("release of {guest}: {answer:?}"));
                }
            }
            Planned::Unprotect { pattern } => {
                self.model.told.asked = vec![PATTERNS[pattern].0.to_owned()];
                if let Some(core) = &mut self.controller.core {
                    let answer = core.unprotect_users(now, &[glob(pattern)]);
                    self.log(|| format!("unprotected: {answer:?}"));
                }
            }
            _ => {}
        }
    }

    fn approve(&mut self, now: Now, nth: usize, by: Approver) {
        let Some(id) = self.known(nth) else { return };
        let Some(core) = &mut self.controller.core else { return };
        let Some(before) = core.operation(id) else { return };
        let tasks = core.tasks(id, 0, usize::MAX).unwrap_or_default();
        let in_set: HashSet<&GuestId> = tasks.iter().map(|task| &task.guest).collect();
        let new: Vec<GuestId> = core
            .guests(None, usize::MAX, |listed| is_to_be_in(&before, listed))
            .into_iter()
            .filter(|listed| !core.is_held(&listed.guest.id) && !in_set.contains(&listed.guest.id))
            .map(|listed| listed.guest.id.clone())
            .collect();
        let digest = match by {
            Approver::SecondWithFirstDigest => self.operator.first_digests.get(&id).copied().unwrap_or(0),
            Approver::Second | Approver::Requester => before.digest,
        };
        let who = if matches!(by, Approver::Requester) { REQUESTER } else { SECOND };
        let answer = core.approve_operation(now, id, who, "looks right", digest);
        let waits = before.state == OperationState::AwaitingApproval;
        let as_it_must_be = match &answer {
            Ok(approved) if approved.new_guest_count > 0 => {
                approved.operation.state == OperationState::AwaitingApproval
                    && approved.operation.digest != before.digest
            }
            Ok(approved) => {
                approved.operation.digest == before.digest
                    && new.is_empty()
                    && waits
                    && who != REQUESTER
                    && digest == before.digest
            }
            Err(SteerError::OwnRequest) => waits && who == REQUESTER,
            // A set with outcomes is not replaced.
            Err(SteerError::Refused(_)) => {
                !waits || digest != before.digest || tasks.iter().any(|task| task.verdict.is_some())
            }
            Err(SteerError::Ended) => before.state == OperationState::Ended,
            Err(SteerError::NotInMemory) => false,
        };
        if !as_it_must_be {
            let text = format!(
                "{id} ({:?}, new: {new:?}), approved by {by:?}, is answered {answer:?}",
                before.state
            );
            return self.truth.fail(0, text);
        }
        self.log(|| {
            format!("approval of {id} by {who}: {:?}", answer.map(|approved| approved.operation.state))
        });
    }
}

fn glob(pattern: usize) -> Glob {
    PATTERNS[pattern].0.parse().expect("a pattern")
}

/// Whether an operation like this would include a guest, as far as that is plain to see.
fn is_to_be_in(view: &OperationView, listed: &GuestView) -> bool {
    let Selection { all, labels, hosts, guest_ids, exclude, .. } = &view.spec.selection;
    let by_id = guest_ids.contains(&listed.guest.id);
    let selected = *all
        || by_id
        || hosts.iter().any(|host| host.as_str() == listed.host.as_str())
        || (labels.is_some() && listed.labels.get(ENV).is_some_and(|value| value == LAB));
    let is_excluded = exclude.iter().any(|name| *name.as_str() == *listed.guest.name);
    selected
        && !is_excluded
        && (!listed.guest.is_host || by_id)
        && listed.guest.power == PowerState::Running
        && listed.other_hosts.is_empty()
        && view.spec.retry_of.is_none()
}
