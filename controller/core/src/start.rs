//! Starting an operation: validate against the fleet, fix the set of guests, write it down.

use crate::core::Core;
use crate::operation::Operation;
use crate::record::{Record, Started, TargetGuest, TargetHost};
use crate::select::{self, Plan};
use crate::timer::Timer;
use crate::view::OperationView;
use curfew_types::{Now, OperationId, OperationSpec, TaskId, Violation};

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
    /// The store cannot be written, so nothing new starts.
    #[error("the controller's store is away, so nothing new starts; ask again when it is back")]
    StoreAway,
}

impl StartError {
    pub(crate) fn invalid(field: &str, why: impl Into<String>) -> StartError {
        StartError::Invalid(vec![Violation::new(field, why)])
    }
}

impl Core {
    /// Says what `spec` would do now, without doing it.
    ///
    /// # Errors
    /// When the selection cannot be met.
    pub fn plan(&self, spec: &OperationSpec) -> Result<Plan, StartError> {
        select::plan(&self.fleet, spec)
    }

    /// Starts an operation. The answer may be given once the turn's records are stored.
    ///
    /// The same request id and body of the same requester answers with the operation that it started, as long as
    /// that is in memory; the shell looks for older ones in the store first.
    ///
    /// # Errors
    /// When the selection cannot be met, the request id was used for something else, or nothing new starts now.
    pub fn start(
        &mut self,
        now: Now,
        requester: &str,
        spec: OperationSpec,
        entropy: u64,
    ) -> Result<OperationView, StartError> {
        if let Some(existing) = self.find_request(requester, &spec) {
            return existing;
        }
        if self.stopping {
            return Err(StartError::ShuttingDown);
        }
        if self.store_away {
            return Err(StartError::StoreAway);
        }
        let plan = self.plan(&spec)?;
        let mut entropy = entropy;
        let mut id = OperationId::new(now.wall, entropy);
        while self.operations.contains_key(&id) {
            entropy = entropy.wrapping_add(1);
            id = OperationId::new(now.wall, entropy);
        }
        let started = Started {
            id,
            requester: requester.into(),
            created: now.wall,
            deadline: now.wall.plus(spec.deadline_ms),
            digest: plan.digest,
            hosts: targets_by_host(&plan),
            spec,
        };
        let deadline = now.mono.plus(started.spec.deadline_ms);
        let operation = Operation::new(&started, now.mono, deadline, self.epoch << 32);
        self.record(Record::Started(Box::new(started)));
        self.operations.insert(id, operation);
        self.timers.set(deadline, Timer::Deadline { operation: id });
        for (index, guest) in (0..).zip(plan.guests) {
            if let Some(verdict) = guest.left_out {
                self.finish(TaskId { operation: id, index }, verdict);
            }
        }
        self.make_hosts_ready(now, id);
        self.touch(id);
        self.settle(now);
        self.operation(id).ok_or(StartError::ShuttingDown)
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

fn targets_by_host(plan: &Plan) -> Vec<TargetHost> {
    let mut hosts: Vec<TargetHost> = Vec::new();
    for (index, planned) in (0..).zip(&plan.guests) {
        let guest = TargetGuest { id: planned.id.clone(), name: planned.name.clone() };
        match hosts.last_mut().filter(|last| last.host == planned.host) {
            Some(last) => last.guests.push(guest),
            None => hosts.push(TargetHost { host: planned.host.clone(), first: index, guests: vec![guest] }),
        }
    }
    hosts
}
