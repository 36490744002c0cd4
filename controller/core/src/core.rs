//! The core itself: its state, the turn that every event and request ends with, and what the shell drains.

use crate::action::{Action, Frame};
use crate::approve::ApprovalRule;
use crate::busy::Busy;
use crate::event::Event;
use crate::fleet::Fleet;
use crate::operation::Operation;
use crate::record::{ClockFrame, Freeze, Record};
use crate::safeguards::Guard;
use crate::timer::{Timer, Timers};
use curfew_types::{GuestId, HostName, Mono, Now, OperationId, OperationState, Stage, TaskId, Verdict};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// How long an ended operation stays in memory: a repeated request id and a slow watcher still find it.
const KEEP_ENDED_MS: u64 = 60_000;
/// Tasks above which it stays for less time, in proportion: some 400 bytes each, and the store has it all.
const KEEP_ENDED_TASKS: u64 = 100_000;

/// What the core is told once.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How often either side of a stream says something at least.
    pub heartbeat_ms: u64,
    /// Which boot of the machine this is: equal within one boot only. 0 where that is unknown.
    pub boot: u64,
    /// Which operations a second person has to approve.
    pub approval: ApprovalRule,
    /// Most tasks of an operation that start in one turn: small enough that its orders go out while the rest is still
    /// being started, large enough that a turn's commit is small beside it. At least 1.
    pub start_at_a_time: u32,
    /// A known bug to plant; honoured only where the feature `planted-bugs` is compiled in.
    pub planted: Option<PlantedBug>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            heartbeat_ms: 15_000,
            boot: 0,
            approval: ApprovalRule::default(),
            start_at_a_time: 4_096,
            planted: None,
        }
    }
}

/// Bugs that the simulation must catch, one against each invariant that the controller upholds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlantedBug {
    /// A late report replaces the outcome (invariant 1).
    LateNewsReplacesOutcome,
    /// Findings are acknowledged without being stored (invariant 3).
    AcknowledgesBeforeStoring,
    /// The window is forgotten across a restart (invariant 4).
    ForgetsInFlightAfterRestart,
    /// A spent failure budget is not looked at (invariant 4).
    IgnoresBudgets,
    /// Limits per value of a label are not looked at (invariant 4).
    IgnoresSpread,
    /// Every wave begins at once (invariant 4).
    IgnoresWaves,
    /// A freeze is forgotten across a restart (invariant 4).
    ForgetsFreezeAfterRestart,
    /// A hold counts as confirmed before its agent said so (invariant 6).
    ConfirmsHoldsUnasked,
    /// Handed tasks count as not started when cancelled (invariant 5).
    CancelConfirmsWithoutAsking,
    /// The deadline is not looked at (invariant 7).
    IgnoresDeadline,
    /// Time runs out for tasks while the store is away (invariant 9).
    TimesOutWhileStoreIsAway,
}

/// Tasks of one host, by index, with how they ended.
type Outcomes = Vec<(u32, Arc<Verdict>)>;

/// The controller's decisions. See the crate's documentation for how to drive it.
#[derive(Debug)]
pub struct Core {
    pub(crate) settings: Settings,
    pub(crate) epoch: u64,
    pub(crate) fleet: Fleet,
    pub(crate) operations: BTreeMap<OperationId, Operation>,
    /// Those of them that have not ended: what ended is kept for a while, and may be many.
    unfinished: BTreeSet<OperationId>,
    /// See [`Core::holder`].
    pub(crate) busy: Busy,
    /// Tasks that wait for a guest that another task has.
    pub(crate) awaiting: HashMap<GuestId, VecDeque<TaskId>>,
    pub(crate) timers: Timers,
    pub(crate) clock: ClockFrame,
    pub(crate) guard: Guard,
    /// While it is there, nothing starts.
    pub(crate) freeze: Option<Freeze>,
    pub(crate) store_away: bool,
    /// Until then no task ends because nothing was heard: controller or store were away themselves.
    pub(crate) quiet_until: Mono,
    /// The shell has begun to stop: nothing new is taken on.
    pub(crate) stopping: bool,
    /// Operations that this turn changed.
    touched: BTreeSet<OperationId>,
    /// Outcomes of this turn, by operation and place of the host.
    finished: BTreeMap<(OperationId, u32), Outcomes>,
    actions: VecDeque<Action>,
}

impl Core {
    pub(crate) fn with(
        settings: Settings,
        epoch: u64,
        clock: ClockFrame,
        fleet: Fleet,
        quiet_until: Mono,
    ) -> Core {
        Core {
            settings,
            epoch,
            fleet,
            operations: BTreeMap::new(),
            unfinished: BTreeSet::new(),
            busy: Busy::default(),
            awaiting: HashMap::new(),
            timers: Timers::default(),
            clock,
            guard: Guard::default(),
            freeze: None,
            store_away: false,
            quiet_until,
            stopping: false,
            touched: BTreeSet::new(),
            finished: BTreeMap::new(),
            actions: VecDeque::new(),
        }
    }

    /// Takes one event in.
    pub fn handle(&mut self, now: Now, event: Event) {
        match event {
            Event::Detached { host, session } => self.handle_detached(now, &host, session),
            Event::Reported { host, session, report } => self.handle_report(now, &host, session, report),
            Event::InventoryChanged { host, session, replace, upserts, removed, digest } => {
                self.handle_inventory(now, &host, session, replace, upserts, removed, digest);
            }
            Event::StoreAway => self.store_away = true,
            Event::StoreBack => self.handle_store_back(now),
            Event::Tick => {}
        }
        self.handle_timers(now);
        self.settle(now);
    }

    /// The next thing to do. Drain it until `None` after every event and request.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When the core wants a [`Event::Tick`] at the latest, and why.
    pub fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        let (at, timer) = self.timers.next()?;
        // While the store is away nothing times out, so there is nothing to wake for.
        (!self.store_away).then_some((at, timer.why()))
    }

    /// How many tasks are between ordered and done.
    pub fn under_way(&self) -> usize {
        let under_way: u64 = self.unfinished().map(Operation::under_way).sum();
        usize::try_from(under_way).unwrap_or(usize::MAX)
    }

    /// Takes an operation into memory that has not ended, in place of one with its id.
    pub(crate) fn keep(&mut self, operation: Operation) {
        self.unfinished.insert(operation.id);
        self.operations.insert(operation.id, operation);
    }

    /// The operations that have not ended.
    pub(crate) fn unfinished(&self) -> impl Iterator<Item = &Operation> {
        self.unfinished.iter().filter_map(|id| self.operations.get(id))
    }

    /// The task that has a guest: it is between ordered and done, and there is one at a time.
    pub(crate) fn holder(&self, guest: &GuestId) -> Option<TaskId> {
        let id = self.busy.last(guest)?;
        let task = self.operations.get(&id.operation)?.task(id.index)?;
        (task.handed && task.stage != Stage::Done).then_some(id)
    }

    /// The epoch that every order carries.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// From now on nothing new is taken on; what runs goes on.
    pub fn begin_stop(&mut self) {
        self.stopping = true;
    }

    /// Whether the store is away, as the shell last said.
    pub fn store_is_away(&self) -> bool {
        self.store_away
    }

    pub(crate) fn planted(&self, bug: PlantedBug) -> bool {
        cfg!(feature = "planted-bugs") && self.settings.planted == Some(bug)
    }

    pub(crate) fn push(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(crate) fn record(&mut self, record: Record) {
        self.push(Action::Record(record));
    }

    pub(crate) fn note(&mut self, warn: bool, text: String) {
        self.push(Action::Note { warn, text });
    }

    /// Sends to a host if it is connected; what is lost is repeated or said again when it attaches.
    pub(crate) fn send(&mut self, host: &HostName, frame: Frame, urgent: bool) {
        if let Some(session) = self.fleet.session(host) {
            self.push(Action::Send { host: host.clone(), session, frame, urgent });
        }
    }

    pub(crate) fn touch(&mut self, operation: OperationId) {
        self.touched.insert(operation);
    }

    /// Gives a task its outcome, frees its guest, and wakes who waited for that. Nothing happens to an ended task.
    pub(crate) fn finish(&mut self, task: TaskId, verdict: impl Into<Arc<Verdict>>) {
        let verdict = verdict.into();
        let Some(operation) = self.operations.get_mut(&task.operation) else { return };
        let Some(entry) = operation.task(task.index).filter(|entry| entry.stage != Stage::Done) else {
            return;
        };
        let (host, had_guest) = (entry.host, entry.handed);
        let awaited = had_guest && !self.awaiting.is_empty();
        let awaited = awaited.then(|| operation.target(task.index).id.clone());
        self.finished.entry((task.operation, host)).or_default().push((task.index, Arc::clone(&verdict)));
        operation.update(task.index, |entry| {
            entry.stage = Stage::Done;
            entry.verdict = Some(verdict);
        });
        self.touch(task.operation);
        if let Some(guest) = awaited {
            self.wake_waiting(&guest);
        }
    }

    /// Ends a turn: starts what may start, writes down what ended, says who changed.
    pub(crate) fn settle(&mut self, now: Now) {
        let mut changed = BTreeSet::new();
        // Starting can finish a task at once (its guest has moved), which can free a guest that another waits for.
        while let Some(operation) = self.touched.pop_first() {
            changed.insert(operation);
            self.check_budgets(now, operation);
            self.advance_waves(now, operation);
            self.start_queued(now, operation);
        }
        for ((operation, host), tasks) in std::mem::take(&mut self.finished) {
            self.note_elapsed(now, operation, &tasks);
            self.record(Record::Finished { operation, host, tasks, at: now.wall });
        }
        for id in changed {
            self.end_if_complete(now, id);
            self.push(Action::Publish(id));
        }
    }

    /// Notes how long tasks took that were ordered by this process.
    fn note_elapsed(&mut self, now: Now, operation: OperationId, tasks: &[(u32, Arc<Verdict>)]) {
        let Some(operation) = self.operations.get_mut(&operation) else { return };
        for (index, _) in tasks {
            let since = operation.task(*index).filter(|task| task.handed).map(|task| task.since);
            if let Some(since) = since {
                operation.note_elapsed(*index, now.mono.since(since));
            }
        }
    }

    /// Whether nothing new may start, whatever an operation's own standing is.
    pub(crate) fn starts_nothing(&self) -> bool {
        self.store_away || self.stopping || self.freeze.is_some()
    }

    fn end_if_complete(&mut self, now: Now, id: OperationId) {
        let Some(operation) = self.operations.get_mut(&id) else { return };
        if operation.state == OperationState::Ended || !operation.is_complete() {
            return;
        }
        self.unfinished.remove(&id);
        operation.state = OperationState::Ended;
        operation.ended = Some(now.wall);
        operation.revision += 1;
        let (revision, slowest) = (operation.revision, operation.slowest.clone());
        let tasks = operation.tasks.len() as u64;
        self.record(Record::Ended { operation: id, at: now.wall, revision, slowest });
        self.timers.set(now.mono.plus(keep_ended_ms(tasks)), Timer::Forget { operation: id });
    }
}

/// How long an ended operation of so many tasks stays in memory, in milliseconds.
fn keep_ended_ms(tasks: u64) -> u64 {
    KEEP_ENDED_MS * KEEP_ENDED_TASKS / tasks.max(KEEP_ENDED_TASKS)
}

#[cfg(test)]
mod tests {
    use super::keep_ended_ms;

    #[test]
    fn a_large_operation_leaves_memory_sooner() {
        assert_eq!([0, 1, 100_000].map(keep_ended_ms), [60_000; 3]);
        assert_eq!([200_000, 1_000_000].map(keep_ended_ms), [30_000, 6_000]);
    }
}
