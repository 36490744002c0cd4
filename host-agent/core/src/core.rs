//! The core itself: its books, the turn, and what the shell drains.

use crate::action::Action;
use crate::call::Request;
use crate::drains::Drains;
use crate::event::Event;
use crate::follow_up::FollowUp;
use crate::ledger::Entry;
use crate::outbox::Outbox;
use crate::run::{Phase, Run};
use crate::safeguards::Guarding;
use crate::telling::Telling;
use curfew_types::agent::{Finding, Hello, LedgerMark, TaskProgress};
use curfew_types::{GuestId, Mono, Now, TaskId, Verdict, WallTime};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// What the core is told once.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Longest time one call to a provider may take: far more than a healthy guest needs (RECIPES of the test guests
    /// measure 0.2 to 0.8 s in an emulated VM), short enough to notice a thaw.
    pub call_max_ms: u64,
    /// Pause between asking a session to end and asking again, more firmly.
    pub ask_again_ms: u64,
    /// How long a guest is looked at after an outcome that leaves a question open.
    pub follow_up_ms: u64,
    /// Longest pause between two such looks.
    pub follow_up_pause_max_ms: u64,
    /// A known bug to plant; honoured only where the feature `planted-bugs` is compiled in.
    pub planted: Option<PlantedBug>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            call_max_ms: 10_000,
            ask_again_ms: 2_000,
            follow_up_ms: 24 * 60 * 60 * 1000,
            follow_up_pause_max_ms: 30_000,
            planted: None,
        }
    }
}

/// Bugs that the simulation must catch, one against each invariant that the agent upholds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlantedBug {
    /// An order for a finished task is run again (invariants 1 and 10).
    RunsFinishedTaskAgain,
    /// Sessions that began after the act moment become targets (invariant 2).
    EndsLaterSessions,
    /// The act moment is not written down (invariants 2 and 3).
    ActsWithoutWriting,
    /// A cancel of an unknown task is confirmed and forgotten (invariant 5).
    ForgetsCancelOfUnknownTask,
    /// Orders of an older epoch are taken (invariant 10).
    TakesOldEpoch,
    /// Orders do not expire (invariants 7 and 10).
    IgnoresExpiry,
    /// Guests that are held are worked on all the same (invariant 6).
    IgnoresHolds,
    /// Sessions of protected users are ended all the same (invariant 6).
    IgnoresProtection,
    /// Safeguards are confirmed when they come in, while something that goes against them is on its way (invariant 6).
    ConfirmsSafeguardsEarly,
    /// Users whom the request excludes are logged off all the same (invariant 6).
    IgnoresExcludedUsers,
    /// Notices are not written down before they are shown: after a crash people are told too often.
    TellsWithoutWriting,
    /// What does not end by itself is killed although nobody asked for that.
    ForcesUnasked,
    /// Drains are not written down: after a crash nobody lifts them (invariant 8).
    DrainsWithoutWriting,
    /// Drains do not end by themselves (invariant 8).
    IgnoresDrainExpiry,
}

/// Who asked for a call, and gets its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A run.
    Run(TaskId),
    /// A task's follow-up.
    FollowUp(TaskId),
    /// The guest's drains.
    Drains(GuestId),
    /// Nobody waits for it.
    Nobody,
}

/// An outcome that is remembered, so that a repeated order finds its task.
#[derive(Debug)]
pub(crate) struct Remembered {
    pub(crate) guest: GuestId,
    pub(crate) verdict: Arc<Verdict>,
    pub(crate) at: WallTime,
}

/// A call that goes out when the turn ends.
#[derive(Debug)]
struct Call {
    call: u64,
    guest: GuestId,
    request: Request,
    /// After this moment nobody's session may be ended by it.
    until: Mono,
}

/// The agent's decisions. See the crate's documentation for how to drive it.
#[derive(Debug)]
pub struct Core {
    pub(crate) settings: Settings,
    pub(crate) boot: String,
    /// Both clocks when this core began.
    began: Now,
    pub(crate) mark: LedgerMark,
    /// The ledger's counter as this process found it, until a controller has judged it.
    pub(crate) found: Option<u64>,
    pub(crate) epoch_seen: u64,
    /// Boxed: a map moves its entries about.
    pub(crate) runs: BTreeMap<TaskId, Box<Run>>,
    /// Tasks by guest: the first has the guest, the others wait.
    pub(crate) queues: HashMap<GuestId, VecDeque<TaskId>>,
    pub(crate) finished: BTreeMap<TaskId, Remembered>,
    pub(crate) follow_ups: BTreeMap<TaskId, FollowUp>,
    pub(crate) outbox: Outbox,
    pub(crate) acknowledged: u64,
    pub(crate) stopping: bool,
    pub(crate) guarding: Guarding,
    pub(crate) drains: Drains,
    /// Who asked for the calls that are out.
    pub(crate) calls: BTreeMap<u64, Caller>,
    next_call: u64,
    /// Calls made since the last turn ended: they go out with it, so empty between turns.
    calls_of_turn: Vec<Call>,
    pub(crate) telling: Telling,
    actions: VecDeque<Action>,
}

impl Core {
    pub(crate) fn with(now: Now, settings: Settings, boot: String, incarnation: u64) -> Core {
        Core {
            settings,
            boot,
            began: now,
            mark: LedgerMark { incarnation, counter: 0 },
            found: None,
            epoch_seen: 0,
            runs: BTreeMap::new(),
            queues: HashMap::new(),
            finished: BTreeMap::new(),
            follow_ups: BTreeMap::new(),
            outbox: Outbox::default(),
            acknowledged: 0,
            stopping: false,
            guarding: Guarding::default(),
            drains: Drains::default(),
            calls: BTreeMap::new(),
            next_call: 1,
            calls_of_turn: Vec::new(),
            telling: Telling::default(),
            actions: VecDeque::new(),
        }
    }

    /// Takes one event in. Several may be taken before the turn ends.
    pub fn handle(&mut self, now: Now, event: Event) {
        match event {
            Event::Welcomed { epoch, acknowledged } => self.handle_welcome(now, epoch, acknowledged),
            Event::Disconnected => self.telling.detach(),
            Event::Ordered(order) => self.handle_order(now, *order),
            Event::CancelAsked(cancel) => self.handle_cancel(now, cancel),
            Event::Safeguarded(safeguards) => self.handle_safeguards(now, safeguards),
            Event::Acknowledged(sequence) => self.handle_acknowledged(now, sequence),
            Event::Listed { call, result } => match self.calls.remove(&call) {
                Some(Caller::Run(task)) => self.run_listed(now, task, call, result),
                Some(Caller::FollowUp(task)) => self.follow_up_listed(now, task, result),
                Some(Caller::Drains(_) | Caller::Nobody) | None => {}
            },
            Event::Ended { call, result } => {
                if let Some(Caller::Run(task)) = self.calls.remove(&call) {
                    self.run_ended(now, task, call, result);
                }
            }
            Event::Notified { call, result } => {
                if let Some(Caller::Run(task)) = self.calls.remove(&call) {
                    self.run_notified(now, task, call, result);
                }
            }
            Event::Drained { call, result } => {
                if let Some(Caller::Drains(guest)) = self.calls.remove(&call) {
                    self.drained(now, &guest, result);
                }
            }
            Event::Undrained { call, result } => {
                if let Some(Caller::Drains(guest)) = self.calls.remove(&call) {
                    self.undrained(now, &guest, result);
                }
            }
            Event::DrainAsked(ask) => self.handle_drain_ask(now, ask),
            Event::Tick => {}
        }
    }

    /// Ends the turn: whose moment has come goes on, and what there is to say is put into reports.
    pub fn end_turn(&mut self, now: Now) {
        self.drains_due(now);
        self.advance_due(now);
        // A run that ended may have left a drain behind, and one that began may want one.
        self.drains_due(now);
        self.follow_up_due(now);
        self.confirm_safeguards(now);
        self.release_calls(now);
        self.tell_controller(now);
    }

    /// The next thing to do. Drain it until `None` after every turn.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// How many more things there are to do.
    pub fn actions_left(&self) -> usize {
        self.actions.len()
    }

    /// When the core wants a [`Event::Tick`] at the latest, and why.
    pub fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        let runs = self.runs.values().map(|run| match (run.call, run.phase) {
            (Some(_), _) | (None, Phase::Waiting | Phase::Draining) => {
                (run.deadline, "a task's time is over")
            }
            (None, _) => (run.next.min(run.deadline), "a task goes on"),
        });
        let follow_ups = self.follow_ups.values().filter_map(FollowUp::timeout);
        let telling = self.telling.timeout();
        let drains = self.drains.timeout();
        runs.chain(follow_ups).chain(telling).chain(self.guarding.timeout()).chain(drains).min()
    }

    /// What to say first on a new stream.
    pub fn hello(&self, capabilities: Vec<String>, inventory_digest: u64) -> Hello {
        let progress = |id: &TaskId, run: &Run| TaskProgress {
            operation: id.operation,
            index: id.index,
            stage: run.stage(),
            sessions: run.counts(),
        };
        // What was written since the start must not hide that the ledger had been rolled back before it.
        let counter = self.found.unwrap_or(self.mark.counter);
        Hello {
            ledger: LedgerMark { counter, ..self.mark },
            epoch_seen: self.epoch_seen,
            capabilities,
            unfinished: self.runs.iter().map(|(id, run)| progress(id, run)).collect(),
            first_pending_sequence: self.outbox.first_pending(),
            inventory_digest,
            safeguards: self.guarding.in_force,
            drains: self.drains.shown(),
        }
    }

    /// The [`Core::hello`] of this moment is on its way: what it tells needs no report.
    pub fn said_hello(&mut self) {
        self.take_progress();
        self.drains.untold = false;
        self.drains.told_in_hello = true;
    }

    /// The controller cannot have understood what the hello tells of guests that it does not know to be here: it is told
    /// again with the welcome.
    pub fn tell_drains_again(&mut self) {
        self.drains.told_in_hello = false;
    }

    /// From now on new orders are refused; what runs goes on.
    pub fn begin_stop(&mut self) {
        self.stopping = true;
    }

    /// Whether no task is on its way. Drains go on: the guests end them by themselves, and so does the next process.
    pub fn is_idle(&self) -> bool {
        self.runs.is_empty()
    }

    pub(crate) fn planted(&self, bug: PlantedBug) -> bool {
        cfg!(feature = "planted-bugs") && self.settings.planted == Some(bug)
    }

    pub(crate) fn push(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(crate) fn note(&mut self, warn: bool, text: String) {
        self.push(Action::Note { warn, text });
    }

    /// Puts an entry into the ledger.
    pub(crate) fn write(&mut self, entry: Entry) {
        self.mark.counter += 1;
        self.push(Action::Write(entry));
    }

    pub(crate) fn call(&mut self, caller: Caller, guest: GuestId, request: Request, until: Mono) -> u64 {
        let call = self.next_call;
        self.next_call += 1;
        self.calls.insert(call, caller);
        self.calls_of_turn.push(Call { call, guest, request, until });
        call
    }

    /// Hands the turn's calls out. A turn takes in several events, so what time a call has left is told only now.
    fn release_calls(&mut self, now: Now) {
        let calls = self.calls_of_turn.drain(..).map(|Call { call, guest, request, until }| {
            let budget_ms = until.since(now.mono).max(1);
            Action::Call { call, guest, request, budget_ms }
        });
        self.actions.extend(calls);
    }

    /// Gives a task its outcome, and the guest to the next task.
    pub(crate) fn finish(&mut self, now: Now, id: TaskId, verdict: Verdict, follow_up: bool) {
        self.call_off(now, id, &verdict);
        let Some(run) = self.runs.remove(&id) else { return };
        if let Some(call) = run.call {
            self.calls.remove(&call);
            // A call of this very turn has not gone out: a finished task asks for nothing more.
            self.calls_of_turn.retain(|made| made.call != call);
        }
        self.telling.forget_progress(&run);
        self.end_drain_of(now, id, &run, &verdict);
        self.conclude(now, id, run.guest.clone(), verdict, follow_up);
        if follow_up {
            self.follow_ups.insert(id, FollowUp::after(now, &self.settings, &run));
        }
        self.leave_queue(now, id, &run.guest);
    }

    /// Writes an outcome down and puts it into the outbox.
    pub(crate) fn conclude(
        &mut self,
        now: Now,
        id: TaskId,
        guest: GuestId,
        verdict: Verdict,
        follow_up: bool,
    ) {
        let verdict = Arc::new(verdict);
        let sequence = self.outbox.next_sequence();
        let (operation, index) = (id.operation, id.index);
        self.write(Entry::Finished {
            operation,
            index,
            guest: guest.clone(),
            verdict: verdict.clone(),
            sequence,
            at: now.wall,
            follow_up,
        });
        self.outbox.push(Finding {
            operation,
            index,
            guest: guest.clone(),
            verdict: verdict.clone(),
            late: false,
        });
        self.finished.insert(id, Remembered { guest, verdict, at: now.wall });
    }

    fn leave_queue(&mut self, now: Now, id: TaskId, guest: &GuestId) {
        let Some(queue) = self.queues.get_mut(guest) else { return };
        queue.retain(|waiting| *waiting != id);
        match queue.front().copied() {
            Some(next) => self.begin(now, next),
            None => {
                self.queues.remove(guest);
            }
        }
    }

    /// Lets a task that has its guest begin, or go on where a process before this one was.
    pub(crate) fn begin(&mut self, now: Now, id: TaskId) {
        let Some(run) = self.runs.get_mut(&id).filter(|run| run.phase == Phase::Waiting) else { return };
        run.next = now.mono;
        run.phase = match (&run.acting, &run.warning) {
            (Some(_), _) => Phase::Verifying,
            (None, Some(_)) => Phase::Warning,
            (None, None) => Phase::Looking,
        };
        if run.phase == Phase::Looking && run.logoff.drain.is_some() && run.may_end(now.mono) {
            run.phase = Phase::Draining;
            self.begin_drain_of(now, id);
        }
    }

    /// Forgets outcomes that no repeated order can ask for any more. Call it now and then, before rewriting the
    /// ledger.
    ///
    /// Their age is counted on the wall clock, since they outlive boots, but never faster than the other clock has run
    /// since this core began: a wall clock that is set ahead forgets nothing.
    pub fn forget_old(&mut self, now: Now) {
        let Now { mono, wall } = self.began;
        let wall = now.wall.min(wall.plus(now.mono.since(mono)));
        let keep = i64::try_from(curfew_types::agent::REMEMBER_FINISHED_MS).unwrap_or(i64::MAX);
        let (outbox, follow_ups) = (&self.outbox, &self.follow_ups);
        self.finished.retain(|id, remembered| {
            wall.0.saturating_sub(remembered.at.0) < keep
                || outbox.holds_outcome(id.operation, id.index)
                || follow_ups.contains_key(id)
        });
    }
}
