//! The second person: operations above a size wait until somebody else approves exactly the set of guests that is shown.

use crate::core::Core;
use crate::record::{NO_WAVE, Record, Started};
use crate::select::Plan;
use crate::steer::SteerError;
use crate::timer::Timer;
use crate::view::OperationView;
use curfew_types::operation::EventKind;
use curfew_types::{GuestId, Now, OperationId, OperationState, Outcome, Reason, StatusCode, TaskId, Verdict};
use std::collections::{HashMap, HashSet};

/// How long an approval is waited for unless the controller's settings say otherwise.
pub const APPROVAL_EXPIRES_DEFAULT_MS: u64 = 24 * 60 * 60 * 1000;
/// Most names of new guests in an answer; the count tells the rest.
const NEW_GUESTS_MAX: usize = 100;

/// Which operations a second person has to approve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApprovalRule {
    /// Those over more guests than this.
    pub above_guests: Option<u64>,
    /// Those over more than this share of the fleet's guests, in percent.
    pub above_percent: Option<u8>,
    /// How long the approval may take, in milliseconds.
    pub expires_ms: u64,
}

impl Default for ApprovalRule {
    fn default() -> Self {
        ApprovalRule { above_guests: None, above_percent: None, expires_ms: APPROVAL_EXPIRES_DEFAULT_MS }
    }
}

impl ApprovalRule {
    /// Whether logging `guests` of a fleet of `fleet` guests off needs a second person.
    pub fn applies(&self, guests: u64, fleet: u64) -> bool {
        let many = self.above_guests.is_some_and(|limit| guests > limit);
        many || self.above_percent.is_some_and(|percent| guests * 100 > fleet * u64::from(percent))
    }
}

/// What an approval came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    /// The operation after it: running, or still waiting if guests have come to its set.
    pub operation: OperationView,
    /// How many guests have come since approval was asked for. Not 0: nothing was approved.
    pub new_guest_count: u64,
    /// The names of the first of them.
    pub new_guests: Vec<String>,
}

impl Core {
    /// Approves an operation with the set that `digest` names. If the set has grown since, nothing is approved: the
    /// operation takes the larger set, and waits for its approval.
    ///
    /// # Errors
    /// When it does not wait for approval, `by` asked for it, or `digest` is another set's.
    pub fn approve_operation(
        &mut self,
        now: Now,
        id: OperationId,
        by: &str,
        reason: &str,
        digest: u64,
    ) -> Result<Approved, SteerError> {
        let operation = self.steerable(id)?;
        if operation.state != OperationState::AwaitingApproval {
            let state = operation.state.as_str();
            return Err(SteerError::Refused(format!("{id} is {state}; it does not wait for approval")));
        }
        if operation.requester == by {
            return Err(SteerError::OwnRequest);
        }
        if operation.digest != digest {
            return Err(SteerError::Refused(format!(
                "{digest:016x} is not the digest of its guests; that is {:016x}: look at them with `curfew operation \
                 show {id}` and `curfew task list {id}`, then approve that",
                operation.digest
            )));
        }
        let fresh = self.plan_again(id);
        if let Some(plan) = &fresh {
            let new = self.new_guests(id, plan);
            if !new.is_empty() && self.has_outcomes(id) {
                // Outcomes are for good, and those of another set would be other guests'.
                return Err(SteerError::Refused(format!(
                    "{} guests have come to its set since approval was asked for, and some of its tasks have ended \
                     meanwhile, so it cannot take a new set: reject {id} and start it again",
                    new.len()
                )));
            }
            if !new.is_empty() {
                return self.ask_again(now, id, plan, &new);
            }
        }
        let Some(operation) = self.operations.get_mut(&id) else { return Err(SteerError::NotInMemory) };
        operation.state = OperationState::Running;
        operation.standing.state = OperationState::Running;
        operation.standing.approval_until = None;
        operation.standing.approved_by = Some(by.to_owned());
        operation.standing.why = String::new();
        operation.startable_since = now.mono;
        self.steer(now, id, EventKind::Approved, Some(by), reason.to_owned());
        self.leave_out(id, fresh.as_ref());
        self.make_hosts_ready(now, id);
        self.settle(now);
        self.approved(id, &[])
    }

    /// Rejects an operation that waits for approval; anybody may, its requester too.
    ///
    /// # Errors
    /// When it does not wait for approval.
    pub fn reject_operation(
        &mut self,
        now: Now,
        id: OperationId,
        by: &str,
        reason: &str,
    ) -> Result<OperationView, SteerError> {
        let operation = self.steerable(id)?;
        if operation.state != OperationState::AwaitingApproval {
            let state = operation.state.as_str();
            return Err(SteerError::Refused(format!(
                "{id} is {state}; `curfew operation cancel {id}` ends it"
            )));
        }
        let why = if reason.is_empty() {
            format!("rejected by {by}")
        } else {
            format!("rejected by {by}: {reason}")
        };
        self.end_unapproved(now, id, EventKind::Rejected, Some(by), why);
        self.settle(now);
        self.operation(id).ok_or(SteerError::NotInMemory)
    }

    /// Nobody approved it in time.
    pub(crate) fn approval_over(&mut self, now: Now, id: OperationId) {
        let Some(operation) = self.operations.get(&id) else { return };
        let waits = operation.state == OperationState::AwaitingApproval;
        let framed = self.clock.wall(now.mono);
        if waits && operation.standing.approval_until.is_some_and(|until| until <= framed) {
            self.end_unapproved(
                now,
                id,
                EventKind::ApprovalExpired,
                None,
                "nobody approved it in time".into(),
            );
        } else if let Some(until) = operation.standing.approval_until.filter(|_| waits) {
            // It began in another boot, or approval was asked for again. A wall clock that was set back before this boot
            // must not prolong it.
            let left = until.remaining_from(framed);
            let at = now.mono.plus(left.clamp(1000, self.settings.approval.expires_ms.max(1000)));
            self.timers.set(at, Timer::Approval { operation: id });
        }
    }

    /// Lets an operation wait for approval.
    pub(crate) fn wait_for_approval(&mut self, now: Now, id: OperationId, included: u64) {
        let Some(operation) = self.operations.get_mut(&id) else { return };
        let framed = self.clock.wall(now.mono);
        let until = framed.plus(self.settings.approval.expires_ms).min(operation.deadline_wall);
        operation.state = OperationState::AwaitingApproval;
        operation.standing.state = OperationState::AwaitingApproval;
        operation.standing.approval_until = Some(until);
        operation.standing.why = format!("{included} guests are more than one person may log off");
        let at = now.mono.plus(until.remaining_from(framed));
        self.timers.set(at, Timer::Approval { operation: id });
    }

    fn end_unapproved(&mut self, now: Now, id: OperationId, what: EventKind, by: Option<&str>, why: String) {
        let Some(operation) = self.operations.get_mut(&id) else { return };
        operation.state = OperationState::Cancelling;
        operation.standing.approval_until = None;
        operation.standing.why.clone_from(&why);
        let tasks = u32::try_from(operation.tasks.len()).unwrap_or(u32::MAX);
        self.steer(now, id, what, by, why.clone());
        for index in 0..tasks {
            let verdict = Verdict::new(Outcome::Skipped, StatusCode::Ok, Reason::NotApproved, why.as_str());
            self.finish(TaskId { operation: id, index }, verdict);
        }
    }

    /// What the operation would be over now; nothing if its selection fits nothing any more.
    fn plan_again(&self, id: OperationId) -> Option<Plan> {
        let operation = self.operations.get(&id)?;
        let only: Option<HashSet<GuestId>> =
            operation.spec.retry_of.map(|_| operation.guests().map(|guest| guest.id.clone()).collect());
        let mut spec = operation.spec.clone();
        spec.rollout.seed = Some(operation.seed);
        self.plan(&spec, only.as_ref()).ok()
    }

    /// Guests that the plan would log off and the operation, as it was shown, would not.
    fn new_guests(&self, id: OperationId, plan: &Plan) -> Vec<String> {
        let Some(operation) = self.operations.get(&id) else { return Vec::new() };
        let known: HashSet<&GuestId> =
            operation.guests().filter(|guest| guest.wave != NO_WAVE).map(|guest| &guest.id).collect();
        let new = plan.guests().map(|guest| guest.target);
        let new = new.filter(|guest| guest.wave != NO_WAVE && !known.contains(&guest.id));
        new.map(|guest| guest.name.to_string()).collect()
    }

    fn has_outcomes(&self, id: OperationId) -> bool {
        self.operations.get(&id).is_some_and(|operation| operation.outcomes.iter().any(|count| *count > 0))
    }

    fn ask_again(
        &mut self,
        now: Now,
        id: OperationId,
        plan: &Plan,
        new: &[String],
    ) -> Result<Approved, SteerError> {
        let Some(before) = self.operations.get(&id) else { return Err(SteerError::NotInMemory) };
        let started = Started {
            id,
            spec: before.spec.clone(),
            requester: before.requester.clone(),
            created: before.created,
            deadline: before.deadline_wall,
            digest: plan.digest,
            seed: before.seed,
            standing: before.standing.clone(),
            hosts: plan.hosts.as_slice().into(),
        };
        let (since, deadline, revision) = (before.since, before.deadline, before.revision + 1);
        let mut operation = self.build_operation(&started, since, deadline, revision);
        // Whoever follows it has seen other tasks: all of these are news.
        for index in 0..started.task_count() {
            operation.touch(index);
        }
        self.record(Record::Replanned(Box::new(started)));
        self.keep(operation);
        self.wait_for_approval(now, id, plan.included());
        let why = format!("{} guests have come to its set", new.len());
        self.steer(now, id, EventKind::SetGrew, None, why);
        self.settle(now);
        self.approved(id, new)
    }

    fn approved(&self, id: OperationId, new: &[String]) -> Result<Approved, SteerError> {
        let operation = self.operation(id).ok_or(SteerError::NotInMemory)?;
        let new_guests = new.iter().take(NEW_GUESTS_MAX).cloned().collect();
        Ok(Approved { operation, new_guest_count: new.len() as u64, new_guests })
    }

    /// Ends the tasks of guests that the plan leaves out, and of those that were left out before and are gone since.
    pub(crate) fn leave_out(&mut self, id: OperationId, plan: Option<&Plan>) {
        let Some(operation) = self.operations.get(&id) else { return };
        let left_out: HashMap<&GuestId, &Verdict> = plan
            .into_iter()
            .flat_map(Plan::guests)
            .filter_map(|planned| Some((&planned.target.id, planned.left_out?)))
            .collect();
        let tasks = (0..).zip(operation.guests());
        let gone = || {
            let why = "it was to be left out, and is no longer in the fleet";
            Verdict::new(Outcome::Refused, StatusCode::VmUnknown, Reason::GuestUnknown, why)
        };
        let verdicts: Vec<(u32, Verdict)> = tasks
            .filter_map(|(index, guest)| match left_out.get(&guest.id) {
                Some(verdict) => Some((index, (*verdict).clone())),
                None => (guest.wave == NO_WAVE).then(|| (index, gone())),
            })
            .collect();
        for (index, verdict) in verdicts {
            self.finish(TaskId { operation: id, index }, verdict);
        }
    }
}
