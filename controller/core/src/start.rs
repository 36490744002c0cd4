//! Starting an operation: validate against the fleet, fix the set of guests, write it down.

use crate::core::{Core, PlantedBug};
use crate::operation::Operation;
use crate::record::{Record, Started, TargetHost};
use crate::select::{self, Plan, Selected};
use crate::timer::Timer;
use crate::view::OperationView;
use crate::waves;
use curfew_types::operation::{EventKind, Standing};
use curfew_types::{GuestId, Mono, Now, OperationId, OperationSpec, Spread, TaskId, Verdict, Violation};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Why an operation cannot start. Nothing is stored then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// Fields are out of range (`E_INVALIDARG`).
    #[error("{}", Violation::describe(.0))]
    Invalid(Vec<Violation>),
    /// Required fields are missing (`E_POINTER`).
    #[error("{}", Violation::describe(.0))]
    Missing(Vec<Violation>),
    /// Something named does not exist (`VM_E_VM_UNKNOWN`).
    #[error("not in the fleet: {}", .0.join(", "))]
    UnknownGuests(Vec<String>),
    /// The request id was used for another request.
    #[error("the request id belongs to {0}, which was asked for something else; use a new one")]
    RequestIdReused(OperationId),
    /// The controller is stopping (`VM_E_APP_SHUTTING_DOWN`).
    #[error("the controller is shutting down; ask again when it is back")]
    ShuttingDown,
    /// The fleet is frozen.
    #[error("{by} froze the fleet: {reason}; nothing starts until `curfew unfreeze`")]
    Frozen {
        /// Who froze it.
        by: String,
        /// Why.
        reason: String,
    },
    /// Not as many guests as the caller expects.
    #[error("{found} guests would be logged off, and {expected} were expected; `curfew preview` shows which")]
    CountDiffers {
        /// As the caller says.
        expected: u64,
        /// As it would be.
        found: u64,
    },
    /// Not the set of guests that the caller has seen.
    #[error(
        "the set of guests has changed since the preview: its digest is {found:016x}, not {expected:016x}; look again"
    )]
    DigestDiffers {
        /// As the caller says.
        expected: u64,
        /// As it is.
        found: u64,
    },
    /// The store cannot be written, so nothing new starts.
    #[error("the controller's store is away, so nothing new starts; ask again when it is back")]
    StoreAway,
}

impl StartError {
    pub(crate) fn invalid(field: &str, why: impl Into<String>) -> StartError {
        StartError::Invalid(vec![Violation::new(field, why)])
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct StartRequest {
    /// Who asks: the name in the client's certificate.
    pub requester: String,
    /// What, validated.
    pub spec: OperationSpec,
    /// Of all that is selected, only these: what an earlier operation left.
    pub only: Option<HashSet<GuestId>>,
    /// How many guests the caller expects to be logged off.
    pub expected_count: Option<u64>,
    /// The digest of the set that the caller has seen.
    pub expected_digest: Option<u64>,
    /// Random bits, for the id and the seed.
    pub entropy: u64,
}

impl Core {
    /// Says what `spec` would do now, to `only` these guests if they are given, without doing it.
    ///
    /// # Errors
    /// When the selection cannot be met.
    pub fn plan(&self, spec: &OperationSpec, only: Option<&HashSet<GuestId>>) -> Result<Plan, StartError> {
        let Selected { mut hosts, notes, left_out, digest } =
            select::guests(&self.fleet, &self.guard, spec, only)?;
        let wave_sizes = waves::draw(&mut hosts, &spec.rollout, spec.rollout.seed);
        let included: u64 = wave_sizes.iter().sum();
        let needs_approval = self.settings.approval.applies(included, self.fleet.guest_count() as u64);
        Ok(Plan { hosts, notes, left_out, digest, wave_sizes, needs_approval, blocked_by: self.blocked_by() })
    }

    /// Starts an operation, or lets it wait for its approval. The answer may be given once the turn's records are stored.
    ///
    /// The same request id and body of the same requester answers with the operation that it started, as long as
    /// that is in memory; the shell looks for older ones in the store first.
    ///
    /// # Errors
    /// When the selection cannot be met or is not what was expected, the request id was used for something else, or
    /// nothing new starts now.
    pub fn start(&mut self, now: Now, request: StartRequest) -> Result<OperationView, StartError> {
        self.start_telling(now, request, |_| {})
    }

    /// The same. `chosen` is told the guests once nothing speaks against the start any more, and before the operation is made of
    /// them: that takes a while if they are many, and others can use it.
    ///
    /// # Errors
    /// As [`Core::start`].
    pub fn start_telling(
        &mut self,
        now: Now,
        request: StartRequest,
        chosen: impl FnOnce(&Arc<[TargetHost]>),
    ) -> Result<OperationView, StartError> {
        let StartRequest { requester, mut spec, only, expected_count, expected_digest, mut entropy } =
            request;
        if let Some(existing) = self.find_request(&requester, &spec) {
            return existing;
        }
        self.check_may_start()?;
        // A seed that somebody may have to type again is short.
        let seed = spec.rollout.seed.unwrap_or((entropy >> 16) & 0xffff_ffff);
        let given = spec.rollout.seed.replace(seed);
        let plan = self.plan(&spec, only.as_ref())?;
        spec.rollout.seed = given;
        let included = plan.included();
        if let Some(expected) = expected_count.filter(|expected| *expected != included) {
            return Err(StartError::CountDiffers { expected, found: included });
        }
        if let Some(expected) = expected_digest.filter(|expected| *expected != plan.digest) {
            return Err(StartError::DigestDiffers { expected, found: plan.digest });
        }
        let mut id = OperationId::new(now.wall, entropy);
        while self.operations.contains_key(&id) {
            entropy = entropy.wrapping_add(1);
            id = OperationId::new(now.wall, entropy);
        }
        let started = Started {
            id,
            requester,
            created: now.wall,
            deadline: self.clock.wall(now.mono).plus(spec.deadline_ms),
            digest: plan.digest,
            seed,
            standing: Standing::running(spec.budgets),
            hosts: plan.hosts.into(),
            spec,
        };
        chosen(&started.hosts);
        self.begin(now, started, plan.left_out, plan.needs_approval.then_some(included));
        self.operation(id).ok_or(StartError::ShuttingDown)
    }

    fn check_may_start(&self) -> Result<(), StartError> {
        if self.stopping {
            return Err(StartError::ShuttingDown);
        }
        if self.store_away {
            return Err(StartError::StoreAway);
        }
        if let Some(freeze) = &self.freeze {
            return Err(StartError::Frozen { by: freeze.by.clone(), reason: freeze.reason.clone() });
        }
        Ok(())
    }

    /// Begins with everything but what is `left_out`, or asks for the approval of so many.
    fn begin(
        &mut self,
        now: Now,
        mut started: Started,
        left_out: BTreeMap<u32, Verdict>,
        to_be_approved: Option<u64>,
    ) {
        let id = started.id;
        let deadline = now.mono.plus(started.spec.deadline_ms);
        let operation = self.build_operation(&started, now.mono, deadline, self.epoch << 32);
        self.keep(operation);
        self.timers.set(deadline, Timer::Deadline { operation: id });
        if let Some(included) = to_be_approved {
            self.wait_for_approval(now, id, included);
            if let Some(operation) = self.operations.get(&id) {
                started.standing = operation.standing.clone();
            }
            let why = started.standing.why.clone();
            self.record(Record::Started(Box::new(started)));
            self.steer(now, id, EventKind::ApprovalAsked, None, why);
        } else {
            self.record(Record::Started(Box::new(started)));
            for (index, verdict) in left_out {
                self.finish(TaskId { operation: id, index }, verdict);
            }
            self.make_hosts_ready(now, id);
        }
        self.touch(id);
        self.settle(now);
    }

    /// The operation in memory, with the values that the limited labels have now.
    pub(crate) fn build_operation(
        &self,
        started: &Started,
        since: Mono,
        deadline: Mono,
        revision: u64,
    ) -> Operation {
        let no_spread = self.planted(PlantedBug::IgnoresSpread);
        let spread = if no_spread { &[] } else { started.spec.rollout.spread.as_slice() };
        let moves = self.fleet.moves();
        Operation::new(started, since, deadline, (revision, moves), |host, target| {
            let value = |limit: &Spread| {
                let value = self.fleet.hosts.get(host).and_then(|entry| {
                    let guest = entry.guests.get(&target.id)?;
                    self.fleet.label(host, entry, guest, &limit.label)
                });
                let name = value.map_or_else(
                    || format!("no {}", limit.label),
                    |value| format!("{}={value}", limit.label),
                );
                (name, limit.max)
            };
            spread.iter().map(value).collect()
        })
    }

    fn find_request(
        &self,
        requester: &str,
        spec: &OperationSpec,
    ) -> Option<Result<OperationView, StartError>> {
        let request_id = spec.request_id.as_ref()?;
        let asked = |operation: &&Operation| {
            operation.requester == requester && operation.spec.request_id.as_ref() == Some(request_id)
        };
        let operation = self.operations.values().find(asked)?;
        if operation.spec != *spec {
            return Some(Err(StartError::RequestIdReused(operation.id)));
        }
        self.operation(operation.id).map(Ok)
    }
}
