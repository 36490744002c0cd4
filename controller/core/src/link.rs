//! Hosts that come and go: what a hello means for the tasks that were handed over, and what an inventory may say.

use crate::action::Frame;
use crate::core::Core;
use crate::fleet::{GUESTS_PER_HOST_MAX, Host};
use crate::record::Record;
use crate::timer::Timer;
use curfew_types::agent::Hello;
use curfew_types::label::AGENT_PREFIX;
use curfew_types::{
    Guest, GuestId, HostName, Now, OperationId, Outcome, Reason, Stage, StatusCode, TaskId, Verdict,
};

/// Options of an agent's that are kept: several times what there are.
const CAPABILITIES_MAX: usize = 100;

/// Why an agent may not attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// Another stream of this identity is live.
    #[error("another agent with this identity is attached; the newer one is refused until the older is dead")]
    AlreadyAttached,
    /// The controller is stopping.
    #[error("the controller is shutting down")]
    ShuttingDown,
}

/// What a hello is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The controller's epoch.
    pub epoch: u64,
    /// Whether the whole inventory is to be sent.
    pub send_inventory: bool,
    /// Findings up to here are stored, as the agent knows; what it does not know yet follows in a frame.
    pub acknowledged_sequence: u64,
}

impl Core {
    /// Attaches a host's agent. The shell sends the welcome before any frame of the same turn.
    ///
    /// # Errors
    /// When another stream of the host is live, or the controller is stopping.
    pub fn attach(
        &mut self,
        now: Now,
        name: &HostName,
        session: u64,
        hello: &Hello,
        version: &str,
    ) -> Result<Welcome, AttachError> {
        if self.stopping {
            return Err(AttachError::ShuttingDown);
        }
        if self.fleet.is_connected(name) {
            return Err(AttachError::AlreadyAttached);
        }
        self.outrank(name, hello.epoch_seen);
        let host = self.fleet.hosts.entry(name.clone()).or_insert_with(|| Host::new(now.mono));
        let known = host.ledger;
        let lost = known.is_some_and(|known| {
            known.incarnation != hello.ledger.incarnation || hello.ledger.counter < known.counter
        });
        let pending = hello.first_pending_sequence.saturating_sub(1);
        // What an agent no longer holds was acknowledged once, be it by a controller whose store is gone.
        host.acknowledged = if lost || known.is_none() { pending } else { host.acknowledged.max(pending) };
        host.ledger = Some(hello.ledger);
        host.session = Some(session);
        host.is_welcomed = true;
        host.seen = Some(now.wall);
        host.heard = now.mono;
        host.version = version.into();
        host.safeguards = hello.safeguards;
        let known = hello.capabilities.iter().take(CAPABILITIES_MAX).cloned();
        host.capabilities = Some(known.collect());
        let acknowledged = host.acknowledged;
        let send_inventory = host.inventory_digest != hello.inventory_digest || host.inventory_digest == 0;
        self.record(Record::HostSeen { host: name.clone(), at: now.wall, version: version.into() });
        self.record(Record::LedgerSeen { host: name.clone(), ledger: hello.ledger, acknowledged });
        // Otherwise whose its guests are shows only in the inventory, after which it tells them again.
        if !send_inventory {
            self.take_drains(name, hello.drains.clone());
        }
        if lost {
            self.give_up_on_lost_ledger(name);
        }
        // Before any order: an agent takes none that asks for safeguards it does not have.
        self.send_safeguards_if_older(name, hello.safeguards);
        // The welcome says only what the agent knows already. What this store has beyond that, an ordinary frame says,
        // which waits until it is durable: the welcome itself also goes out while the store is away.
        if acknowledged > pending {
            self.send(name, Frame::Acknowledge(acknowledged), false);
        }
        for progress in &hello.unfinished {
            self.take_progress(now, name, progress);
        }
        for (operation, place) in self.parts_of(name) {
            self.make_host_ready(now, operation, place);
            self.say_again(now, operation, place);
            self.touch(operation);
        }
        self.settle(now);
        Ok(Welcome { epoch: self.epoch, send_inventory, acknowledged_sequence: pending })
    }

    /// An agent that has seen a higher epoch has met a controller of this fleet that knew more: a backup was
    /// restored, or two controllers run. So has one that has seen this very epoch and was never welcomed by this process.
    /// This one goes above it and says so.
    fn outrank(&mut self, name: &HostName, epoch_seen: u64) {
        let is_welcomed = self.fleet.hosts.get(name).is_some_and(|host| host.is_welcomed);
        if epoch_seen > self.epoch || (epoch_seen == self.epoch && !is_welcomed) {
            let before = self.epoch;
            self.epoch = epoch_seen + 1;
            self.record(Record::EpochRaised { epoch: self.epoch });
            self.note(true, format!(
                "an agent has seen epoch {epoch_seen}, this controller was at {before}: its store is older than its \
                 agents (a restored backup?); going on with epoch {}",
                self.epoch
            ));
            self.mark_safeguards_anew();
        }
    }

    /// What was delivered to a ledger that is gone becomes unknown, and is never sent again.
    fn give_up_on_lost_ledger(&mut self, name: &HostName) {
        self.note(
            true,
            format!("the ledger of host {name} was lost or rolled back; what it held becomes unknown"),
        );
        for (operation, place) in self.parts_of(name) {
            for index in self.handed_tasks(operation, place) {
                let why = "the agent's ledger was lost or rolled back after the order was handed over";
                let verdict = Verdict::new(Outcome::Unknown, StatusCode::Unexpected, Reason::LedgerLost, why);
                self.finish(TaskId { operation, index }, verdict);
            }
        }
    }

    pub(crate) fn handle_detached(&mut self, now: Now, name: &HostName, session: u64) {
        let Some(host) = self.fleet.hosts.get_mut(name).filter(|host| host.session == Some(session)) else {
            return;
        };
        host.session = None;
        host.away_since = now.mono;
        for (operation, place) in self.parts_of(name) {
            let Some(entry) = self.operations.get_mut(&operation) else { continue };
            entry.hosts[place as usize].repeat_at = None;
            let at = now.mono.plus(entry.spec.deliver_within_ms);
            self.timers.set(at, Timer::HostAway { operation, host: place });
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one event, taken apart once")]
    pub(crate) fn handle_inventory(
        &mut self,
        now: Now,
        name: &HostName,
        session: u64,
        replace: bool,
        upserts: Vec<Guest>,
        removed: Vec<GuestId>,
        digest: u64,
    ) {
        if self.fleet.session(name) != Some(session) {
            return;
        }
        let mut taken = Vec::with_capacity(upserts.len());
        for mut guest in upserts {
            if is_foreign(name, &guest.id) {
                self.note(
                    true,
                    format!("host {name} reported guest {}, whose id is another host's: ignored", guest.id),
                );
                continue;
            }
            guest.labels.retain(|key, _| key.starts_with(AGENT_PREFIX));
            taken.push(guest);
        }
        let mut changed: Vec<GuestId> = taken.iter().map(|guest| guest.id.clone()).collect();
        changed.extend(removed.iter().cloned());
        if replace {
            changed.extend(self.fleet.forget_all(name));
        }
        let held = self.fleet.hosts.get(name).map_or(0, |host| host.guests.len());
        let room = GUESTS_PER_HOST_MAX.saturating_sub(held);
        if taken.len() > room && !replace {
            // Changes of known guests need no room; only what is new is cut.
            let known = |guest: &Guest| {
                self.fleet.hosts.get(name).is_some_and(|host| host.guests.contains(&guest.id))
            };
            let mut room = room;
            taken.retain(|guest| {
                known(guest) || {
                    let fits = room > 0;
                    room = room.saturating_sub(1);
                    fits
                }
            });
        } else {
            taken.truncate(GUESTS_PER_HOST_MAX);
        }
        self.fleet.upsert(name, taken.clone());
        self.fleet.forget(name, &removed);
        self.recall_moved(now, &changed);
        if let Some(host) = self.fleet.hosts.get_mut(name) {
            host.inventory_digest = digest;
        }
        self.record(Record::Inventory { host: name.clone(), replace, upserts: taken, removed, digest });
    }

    /// The unfinished operations that a host has a part in, with its place in each.
    pub(crate) fn parts_of(&self, name: &HostName) -> Vec<(OperationId, u32)> {
        self.unfinished().filter_map(|operation| Some((operation.id, operation.place_of(name)?))).collect()
    }

    /// A host's tasks whose orders were handed over and that have no outcome.
    pub(crate) fn handed_tasks(&self, id: OperationId, place: u32) -> Vec<u32> {
        let Some(operation) = self.operations.get(&id) else { return Vec::new() };
        let open =
            |index: &u32| operation.task(*index).is_some_and(|task| task.handed && task.stage != Stage::Done);
        operation.tasks_of(place).filter(open).collect()
    }

    /// A host's tasks that wait for their turn.
    pub(crate) fn queued_tasks(&self, id: OperationId, place: u32) -> Vec<u32> {
        let Some(operation) = self.operations.get(&id) else { return Vec::new() };
        let queued = |index: &u32| operation.task(*index).is_some_and(|task| task.stage == Stage::Queued);
        operation.tasks_of(place).filter(queued).collect()
    }

    /// A host's tasks that wait for their turn and whose wave has begun.
    pub(crate) fn begun_tasks(&self, id: OperationId, place: u32) -> Vec<u32> {
        let Some(operation) = self.operations.get(&id) else { return Vec::new() };
        let mut tasks = self.queued_tasks(id, place);
        tasks.retain(|index| operation.task(*index).is_some_and(|task| operation.has_begun(task)));
        tasks
    }

    pub(crate) fn has_unfinished_tasks(&self, name: &HostName) -> bool {
        let open = |(id, place): (OperationId, u32)| {
            !self.queued_tasks(id, place).is_empty() || !self.handed_tasks(id, place).is_empty()
        };
        self.parts_of(name).into_iter().any(open)
    }

    pub(crate) fn finish_tasks_of_removed_host(&mut self, _now: Now, name: &HostName) {
        const WHY: &str = "the host was removed from the fleet";
        for (operation, place) in self.parts_of(name) {
            for index in self.queued_tasks(operation, place) {
                let verdict =
                    Verdict::new(Outcome::Unreachable, StatusCode::TimedOut, Reason::HostRemoved, WHY);
                self.finish(TaskId { operation, index }, verdict);
            }
            for index in self.handed_tasks(operation, place) {
                let verdict =
                    Verdict::new(Outcome::Unknown, StatusCode::Unexpected, Reason::HostRemoved, WHY);
                self.finish(TaskId { operation, index }, verdict);
            }
        }
    }
}

/// An id of the form `host/provider/local` is its host's own; a hypervisor's UUID may be anybody's.
pub(crate) fn is_foreign(name: &HostName, id: &GuestId) -> bool {
    id.as_str().split_once('/').is_some_and(|(owner, _)| owner != name.as_str())
}
