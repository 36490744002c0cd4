//! Starting queued tasks as far as limits, hosts and guests allow, and handing out their orders.

use crate::action::Frame;
use crate::core::{Core, PlantedBug};
use crate::fleet::Owner;
use crate::operation::{Operation, Recall};
use crate::record::Record;
use crate::timer::{Timer, Timers};
use curfew_types::agent::{Cancel, Order, OrderedTask};
use curfew_types::{
    Budgets, GuestId, Mono, Now, OperationId, OperationState, Outcome, Reason, Stage, StatusCode, TaskId,
    Verdict,
};
use std::collections::{BTreeMap, VecDeque};

/// Time an order may take on top of the grace and of its two task timeouts (one to find the guest ready, one from the act
/// moment): delivery, the ledger's disk, and the last look.
const ORDER_SLACK_MS: u64 = 10_000;

/// After how long an order or a cancel that was not confirmed is said again on a live stream, if the agent has said
/// something since: it has heard it and did not take it.
pub(crate) const REPEAT_MS: u64 = 5_000;

/// After how long the same is said again to an agent that has said nothing since. A stream loses nothing and keeps order, so
/// that agent has not come to it yet; saying it again would give one that is behind, and a controller that has thousands of
/// those, only more to do.
pub(crate) const REPEAT_UNHEARD_MS: u64 = 30_000;

/// Which part of a slice the first one of an operation is that takes several.
const FIRST_SLICE: u32 = 8;

impl Core {
    /// Lets the connected hosts of an operation take their turns, and watches the time of those that are away.
    pub(crate) fn make_hosts_ready(&mut self, now: Now, id: OperationId) {
        let Some(operation) = self.operations.get_mut(&id) else { return };
        // An operation's hosts are in the fleet's order as a rule: going along with it saves searching for each.
        let mut fleet = self.fleet.hosts.iter().peekable();
        for place in 0..u32::try_from(operation.hosts.len()).unwrap_or(u32::MAX) {
            if !operation.lanes.has_queued(place) {
                continue;
            }
            let host = &operation.hosts[place as usize];
            while fleet.next_if(|(name, _)| **name < host.name).is_some() {}
            let is_connected = match fleet.peek() {
                Some((name, entry)) if **name == host.name => entry.session.is_some(),
                _ => self.fleet.is_connected(&host.name),
            };
            make_ready_or_watch(&mut self.timers, operation, now, place, is_connected);
        }
    }

    /// Lets one host take its turn if it is connected, and watches its time if it is away.
    pub(crate) fn make_host_ready(&mut self, now: Now, id: OperationId, place: u32) {
        let Some(operation) = self.operations.get_mut(&id) else { return };
        if !operation.lanes.has_queued(place) {
            return;
        }
        let is_connected = self.fleet.is_connected(&operation.hosts[place as usize].name);
        make_ready_or_watch(&mut self.timers, operation, now, place, is_connected);
    }

    /// Starts what may start.
    pub(crate) fn start_queued(&mut self, now: Now, id: OperationId) {
        if self.starts_nothing() {
            return;
        }
        let mut room = self.slice_of(id);
        if self.starts_by_hosts(id) {
            while room > 0
                && let Some((place, tasks)) = self.next_host(now, id)
            {
                room = room.saturating_sub(u32::try_from(tasks.len()).unwrap_or(u32::MAX));
                let tasks = tasks.into_iter().filter(|index| self.take_guest(id, place, *index)).collect();
                self.hand_over(now, id, place, tasks);
            }
        } else {
            let mut batches: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
            while room > 0
                && let Some((place, index)) = self.next_queued(now, id)
            {
                room -= 1;
                if self.take_guest(id, place, index) {
                    batches.entry(place).or_default().push(index);
                }
            }
            for (place, tasks) in batches {
                self.hand_over(now, id, place, tasks);
            }
        }
        if room == 0 {
            // The rest has its turn next: what was started goes out first, and reports come in between.
            self.timers.set(now.mono, Timer::GoOn { operation: id });
        }
    }

    /// How many tasks may start in this turn. Of a large operation they are fewer at first: the first orders wait for the
    /// whole slice. A small one starts in one turn, and so with one commit.
    fn slice_of(&self, id: OperationId) -> u32 {
        let slice = self.settings.start_at_a_time;
        let begins_large =
            |operation: &Operation| !operation.has_ordered && operation.tasks.len() > slice as usize;
        let is_first_of_many = self.operations.get(&id).is_some_and(begins_large);
        if is_first_of_many { (slice / FIRST_SLICE).max(1) } else { slice }
    }

    /// Whether neither a limit nor a budget has to be looked at between two tasks.
    fn starts_by_hosts(&self, id: OperationId) -> bool {
        let Some(operation) = self.operations.get(&id) else { return false };
        operation.lanes.have_no_limits() && operation.standing.budgets == Budgets::default()
    }

    /// The next host in turn, with all that waits for it, if its operation may start any.
    fn next_host(&mut self, now: Now, id: OperationId) -> Option<(u32, VecDeque<u32>)> {
        let operation = self.operations.get_mut(&id)?;
        if operation.state != OperationState::Running || now.mono >= operation.deadline {
            return None;
        }
        let (fleet, hosts) = (&self.fleet, &operation.hosts);
        let (place, mut tasks) =
            operation.lanes.next_lane(|place| fleet.is_connected(&hosts[place as usize].name))?;
        tasks.retain(|index| operation.tasks[*index as usize].stage == Stage::Queued);
        Some((place, tasks))
    }

    /// The next task in turn, if its operation may start any. The caller must start it, finish it, or park it.
    fn next_queued(&mut self, now: Now, id: OperationId) -> Option<(u32, u32)> {
        let ignores_budgets = self.planted(PlantedBug::IgnoresBudgets);
        let operation = self.operations.get_mut(&id)?;
        if operation.state != OperationState::Running || now.mono >= operation.deadline {
            return None;
        }
        // A task of this very turn can have spent the rest, and the operation is halted only at the turn's end.
        if operation.overspent(&operation.standing.budgets).is_some() && !ignores_budgets {
            return None;
        }
        let (fleet, hosts, tasks) = (&self.fleet, &operation.hosts, &operation.tasks);
        operation.lanes.next(
            |place| fleet.is_connected(&hosts[place as usize].name),
            |index| tasks[index as usize].stage == Stage::Queued,
        )
    }

    /// Makes the guest this task's own. Otherwise the task waits for another one, or ends here.
    fn take_guest(&mut self, id: OperationId, place: u32, index: u32) -> bool {
        let task = TaskId { operation: id, index };
        let Some(operation) = self.operations.get(&id) else { return false };
        let guest = operation.target(index).id.clone();
        let host = &operation.hosts[place as usize].name;
        if self.holder(&guest).is_some_and(|other| other != task) {
            self.awaiting.entry(guest).or_default().push_back(task);
            return false;
        }
        if let Some(verdict) = self.guard.verdict(&guest) {
            self.finish(task, verdict);
            return false;
        }
        // While nothing has moved since the plan, the guest is where the plan found it.
        let stayed = operation.planned_at == self.fleet.moves();
        let owner = if stayed { Owner::Host(host) } else { self.fleet.owner(&guest) };
        let refusal = match owner {
            Owner::Host(owner) if owner == host => None,
            // The inventory has forgotten it: the agent's own word decides.
            Owner::Nobody => None,
            Owner::Host(other) => Some((Reason::Moved, format!("the guest has moved to host {other}"))),
            Owner::Conflict(hosts) => {
                let hosts: Vec<&str> = hosts.iter().map(|host| host.as_str()).collect();
                Some((Reason::Conflict, format!("hosts {} all claim it as running", hosts.join(", "))))
            }
        };
        if let Some((reason, why)) = refusal {
            let code = if reason == Reason::Moved { StatusCode::VmUnknown } else { StatusCode::Unexpected };
            self.finish(task, Verdict::new(Outcome::Refused, code, reason, why));
            return false;
        }
        self.busy.take(&guest, task);
        if let Some(operation) = self.operations.get_mut(&id) {
            operation.update(index, |task| {
                task.stage = Stage::Ordered;
                task.handed = true;
            });
        }
        true
    }

    fn hand_over(&mut self, now: Now, id: OperationId, place: u32, tasks: Vec<u32>) {
        if tasks.is_empty() {
            return;
        }
        self.mark_handed(now, id, place, tasks.clone());
        self.send_orders(now, id, place, &tasks);
        self.repeat_later(now, id, place);
    }

    /// Writes down that tasks are with their agent, and until when an outcome must have come.
    pub(crate) fn mark_handed(&mut self, now: Now, id: OperationId, place: u32, tasks: Vec<u32>) {
        let heartbeat = self.settings.heartbeat_ms;
        let Some(operation) = self.operations.get_mut(&id) else { return };
        let spec = &operation.spec;
        let life = 2 * spec.task_timeout_ms + spec.logoff.grace_ms() + ORDER_SLACK_MS;
        let remaining = life.min(operation.deadline.since(now.mono));
        let until = now.mono.plus(remaining + heartbeat);
        operation.has_ordered = true;
        for index in &tasks {
            let task = &mut operation.tasks[*index as usize];
            task.since = now.mono;
            task.until = until;
        }
        let until_wall = self.clock.wall(until);
        self.record(Record::Handed { operation: id, host: place, tasks, until: until_wall });
        self.timers.set(until, Timer::OrdersOver { operation: id, host: place });
    }

    /// Sends orders for tasks that were marked as handed over; those whose time is over are left out.
    pub(crate) fn send_orders(&mut self, now: Now, id: OperationId, place: u32, tasks: &[u32]) {
        let Some(operation) = self.operations.get(&id) else { return };
        // One order for all tasks with the same time left; as a rule that is one order.
        let mut by_time: BTreeMap<Mono, Vec<OrderedTask>> = BTreeMap::new();
        for index in tasks {
            let Some(task) = operation.task(*index) else { continue };
            by_time
                .entry(task.until)
                .or_default()
                .push(OrderedTask { index: *index, guest: operation.target(*index).id.clone() });
        }
        let host = operation.hosts[place as usize].name.clone();
        let spec = &operation.spec;
        let required: Vec<String> = self.guard.capabilities_for(&spec.logoff).map(str::to_owned).collect();
        let latest = now.mono.plus(self.settings.heartbeat_ms);
        let in_time = by_time.into_iter().filter(|(until, _)| *until > latest);
        let orders = in_time.map(|(until, tasks)| Order {
            operation: id,
            epoch: self.epoch,
            remaining_ms: until.since(latest),
            task_timeout_ms: spec.task_timeout_ms,
            logoff: spec.logoff.clone(),
            required_capabilities: required.clone(),
            safeguards: self.guard.mark(),
            tasks,
        });
        for order in orders.collect::<Vec<_>>() {
            self.send(&host, Frame::Order(order), false);
        }
    }

    /// Sends a cancel for tasks of one host. It makes things safer, so it does not wait for the store.
    pub(crate) fn send_cancel(&mut self, id: OperationId, place: u32, tasks: &[u32], only_unaccepted: bool) {
        let Some(operation) = self.operations.get(&id) else { return };
        let host = operation.hosts[place as usize].name.clone();
        let ordered = |index: &u32| OrderedTask { index: *index, guest: operation.target(*index).id.clone() };
        let tasks = tasks.iter().map(ordered).collect();
        let cancel = Cancel { operation: id, epoch: self.epoch, tasks, only_unaccepted };
        self.send(&host, Frame::Cancel(cancel), true);
    }

    /// The moment to say unconfirmed things again may have come; a timer of an earlier attachment does nothing.
    pub(crate) fn repeat_due(&mut self, now: Now, id: OperationId, place: u32) {
        let Some(operation) = self.operations.get_mut(&id) else { return };
        let host = &mut operation.hosts[place as usize];
        if host.repeat_at.is_none_or(|at| at > now.mono) {
            return;
        }
        let latest = host.said_at.plus(REPEAT_UNHEARD_MS);
        let is_unheard = self.fleet.hosts.get(&host.name).is_some_and(|entry| entry.heard < host.said_at);
        if is_unheard && now.mono < latest {
            let at = now.mono.plus(REPEAT_MS).min(latest);
            host.repeat_at = Some(at);
            self.timers.set(at, Timer::Repeat { operation: id, host: place });
        } else {
            self.say_again(now, id, place);
        }
    }

    /// Says again what a host of an operation has not confirmed, and keeps doing so while there is something.
    pub(crate) fn say_again(&mut self, now: Now, id: OperationId, place: u32) {
        let Some(operation) = self.operations.get_mut(&id) else { return };
        operation.hosts[place as usize].repeat_at = None;
        let Unconfirmed { orders, withdrawals, cancels } = Unconfirmed::of(operation, place);
        if orders.is_empty() && withdrawals.is_empty() && cancels.is_empty() {
            return;
        }
        if !orders.is_empty() {
            self.send_orders(now, id, place, &orders);
        }
        if !withdrawals.is_empty() {
            self.send_cancel(id, place, &withdrawals, true);
        }
        if !cancels.is_empty() {
            self.send_cancel(id, place, &cancels, false);
        }
        self.repeat_later(now, id, place);
    }

    /// Sets the moment to say things again, once, while the host is connected; attaching says them by itself.
    pub(crate) fn repeat_later(&mut self, now: Now, id: OperationId, place: u32) {
        let Some(operation) = self.operations.get_mut(&id) else { return };
        let host = &mut operation.hosts[place as usize];
        if self.fleet.is_connected(&host.name) && host.repeat_at.is_none() {
            let at = now.mono.plus(REPEAT_MS);
            host.said_at = now.mono;
            host.repeat_at = Some(at);
            self.timers.set(at, Timer::Repeat { operation: id, host: place });
        }
    }

    /// Lets every task that waits for a guest try again, now that the guest is free. The first to have its turn gets
    /// it and the others wait anew: whoever is woken alone may have no turn for long, or be cancelled meanwhile.
    pub(crate) fn wake_waiting(&mut self, guest: &GuestId) {
        // Put in front of their hosts' queues from last to first, so that they keep their order.
        for task in self.awaiting.remove(guest).into_iter().flatten().rev() {
            let operation = self.operations.get_mut(&task.operation);
            let Some(operation) =
                operation.filter(|operation| operation.tasks[task.index as usize].stage == Stage::Queued)
            else {
                continue;
            };
            let lane = operation.tasks[task.index as usize].lane;
            operation.lanes.push_front(lane, task.index);
            self.touch(task.operation);
        }
    }
}

/// What a host has not confirmed of an operation.
#[derive(Default)]
struct Unconfirmed {
    /// Orders that were not accepted.
    orders: Vec<u32>,
    /// Orders that are to be taken back unless they were accepted.
    withdrawals: Vec<u32>,
    /// Cancels that were not answered.
    cancels: Vec<u32>,
}

impl Unconfirmed {
    fn of(operation: &Operation, place: u32) -> Unconfirmed {
        let mut unconfirmed = Unconfirmed::default();
        for index in operation.tasks_of(place) {
            let Some(task) = operation.task(index).filter(|task| task.handed && task.stage != Stage::Done)
            else {
                continue;
            };
            match (task.recall, task.stage) {
                (Recall::No, Stage::Ordered) => unconfirmed.orders.push(index),
                (Recall::Withdraw, Stage::Ordered) => unconfirmed.withdrawals.push(index),
                (Recall::No | Recall::Withdraw, _) => {}
                (Recall::Cancel | Recall::Moved, _) => unconfirmed.cancels.push(index),
            }
        }
        unconfirmed
    }
}

/// Lets a host of an operation take its turn, or watches its time if it is away.
fn make_ready_or_watch(
    timers: &mut Timers,
    operation: &mut Operation,
    now: Now,
    place: u32,
    is_connected: bool,
) {
    if is_connected {
        operation.lanes.make_host_ready(place);
    } else {
        let at = now.mono.plus(operation.spec.deliver_within_ms);
        timers.set(at, Timer::HostAway { operation: operation.id, host: place });
    }
}
