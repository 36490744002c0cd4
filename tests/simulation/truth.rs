//! What is true, kept by an observer who sees everything: who was ended when and for whom, what was promised when.
//!
//! Nothing here looks into a core. Violations name the invariant of DESIGN.md section 5; 0 stands for a report that
//! does not fit what happened, [`NOTICE`] for people who are told otherwise than asked or have less time than they were
//! told, [`FORCE`] for a session that is killed and should not be.

use crate::books::Watcher;
use crate::disk::Disk;
use crate::doors::{DrainBooks, Wrong};
use curfew_agent_core::Entry;
use curfew_agent_core::call::SessionList;
use curfew_controller_core::record::Record;
use curfew_types::agent::{Order, Safeguards, SafeguardsMark};
use curfew_types::{GuestId, Logoff, OperationId, Reason, SessionKey, TaskId, Verdict};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// See the module's documentation.
pub(crate) const NOTICE: u8 = 11;
/// See the module's documentation.
pub(crate) const FORCE: u8 = 12;

/// Something that must never happen, and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The invariant's number, or 0.
    pub(crate) invariant: u8,
    /// In words.
    pub(crate) text: String,
}

/// A task as an agent accepted it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted {
    pub(crate) at: u64,
    /// After this moment nobody's session may be ended.
    pub(crate) expires: u64,
    /// The boot of the host.
    pub(crate) boot: u64,
}

/// A task's act moment.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    pub(crate) at: u64,
    pub(crate) guest_boot: String,
    /// As the ledger holds them; `None` while only a call showed that the moment is past.
    pub(crate) targets: Option<Vec<SessionKey>>,
}

/// What the observer knows of one host.
#[derive(Clone, Debug, Default)]
pub(crate) struct AtHost {
    pub(crate) epoch: u64,
    /// The stream that the controller holds to be live.
    pub(crate) attached: Option<u64>,
    pub(crate) accepted: HashMap<TaskId, Accepted>,
    pub(crate) finished: HashSet<TaskId>,
    /// Orders that may be taken, and until when their tasks may run.
    pub(crate) orders: HashMap<TaskId, u64>,
    /// Findings by number.
    pub(crate) said: BTreeMap<u64, (TaskId, Verdict)>,
    /// Findings that the agent knows to be stored.
    pub(crate) acknowledged: u64,
    /// What it was told not to touch, as its ledger has it, the newest last.
    pub(crate) taken: Vec<Safeguards>,
    /// Up to which of these it has said that nothing goes against them any more.
    pub(crate) confirmed: SafeguardsMark,
    /// The mark in its last report: a report with another one is not lost on a live stream.
    pub(crate) reported: SafeguardsMark,
    /// Its ledger was lost or rolled back, and no controller has heard of it: what it confirmed before is void.
    pub(crate) shaken: bool,
    /// Its ledger was lost or rolled back at some time.
    pub(crate) forgetful: bool,
    /// When the first notice of each task was written down, and everybody whom its notices were to tell.
    pub(crate) first_told: HashMap<TaskId, u64>,
    pub(crate) told: HashMap<TaskId, HashSet<SessionKey>>,
    /// How often later sessions became targets.
    pub(crate) additions: HashMap<TaskId, u32>,
    /// What its agent has heard last of who is logged on, with the moment and the guest.
    pub(crate) lists: Vec<(u64, usize, SessionList)>,
    /// What its ledger says of drains, and until when guests were to be drained by hand.
    pub(crate) drains: DrainBooks,
    pub(crate) wishes: HashMap<GuestId, u64>,
}

impl AtHost {
    /// Whether all that the agent has confirmed, and was told since, says so.
    pub(crate) fn has_confirmed(&self, says: impl Fn(&Safeguards) -> bool) -> bool {
        let last = self.taken.iter().rposition(|one| one.mark <= self.confirmed);
        last.is_some_and(|place| self.taken[place..].iter().all(says))
    }

    /// Whether what it was told last says so.
    pub(crate) fn was_told(&self, says: impl Fn(&Safeguards) -> bool) -> bool {
        self.taken.last().is_some_and(says)
    }
}

/// The observer's notes.
pub(crate) struct Truth {
    pub(crate) violation: Option<Violation>,
    pub(crate) hosts: Vec<AtHost>,
    pub(crate) guests: HashMap<TaskId, GuestId>,
    pub(crate) acts: HashMap<TaskId, Act>,
    pub(crate) effects: HashMap<TaskId, Vec<SessionKey>>,
    pub(crate) kills: HashMap<TaskId, HashSet<SessionKey>>,
    /// Who might be killed, as ledgers had it.
    pub(crate) forcing: HashMap<TaskId, HashSet<SessionKey>>,
    /// Targets that came later, under a drain.
    pub(crate) added: HashSet<(TaskId, SessionKey)>,
    /// Everybody whom a task was to tell, whatever a ledger has forgotten since.
    pub(crate) told: HashMap<TaskId, HashSet<SessionKey>>,
    /// How many notices each session was shown.
    pub(crate) shown: HashMap<(TaskId, SessionKey), u64>,
    /// Targets that were left alone since they did not fit any more, as ledgers have it.
    pub(crate) unmatched: HashSet<(TaskId, SessionKey)>,
    /// How people are to be logged off, as orders say it.
    pub(crate) logoffs: HashMap<OperationId, Logoff>,
    /// Guests whose door stands otherwise than it should.
    pub(crate) wrong_doors: Vec<Option<Wrong>>,
    /// What happened in agents and guests, to see that runs are about something.
    pub(crate) met: BTreeSet<&'static str>,
    pub(crate) published: HashMap<TaskId, Verdict>,
    pub(crate) watchers: HashMap<OperationId, Watcher>,
    pub(crate) open: BTreeSet<OperationId>,
    /// When each operation must have ended. A wall clock that was set makes it another after a restart, and never later
    /// than if the operation had started then.
    pub(crate) deadlines: HashMap<OperationId, u64>,
    /// Before these moments an outcome that did not come is not given up, and an approval not forgotten.
    pub(crate) orders_due: HashMap<TaskId, u64>,
    pub(crate) approvals_due: HashMap<OperationId, u64>,
    /// Since when controller and store are both there.
    pub(crate) healthy_since: u64,
    /// What a restored backup has forgotten; outcomes of these say what the backup knows, not what was.
    pub(crate) forgotten: HashSet<OperationId>,
    pub(crate) was_restored: bool,
}

impl Truth {
    pub(crate) fn new(hosts: usize, guests: usize) -> Truth {
        Truth {
            violation: None,
            hosts: vec![AtHost::default(); hosts],
            guests: HashMap::new(),
            acts: HashMap::new(),
            effects: HashMap::new(),
            kills: HashMap::new(),
            forcing: HashMap::new(),
            added: HashSet::new(),
            told: HashMap::new(),
            shown: HashMap::new(),
            unmatched: HashSet::new(),
            logoffs: HashMap::new(),
            wrong_doors: vec![None; guests],
            met: BTreeSet::new(),
            published: HashMap::new(),
            watchers: HashMap::new(),
            open: BTreeSet::new(),
            deadlines: HashMap::new(),
            orders_due: HashMap::new(),
            approvals_due: HashMap::new(),
            healthy_since: 0,
            forgotten: HashSet::new(),
            was_restored: false,
        }
    }

    /// Notes the first violation.
    pub(crate) fn fail(&mut self, invariant: u8, text: String) {
        self.violation.get_or_insert(Violation { invariant, text });
    }

    /// Notes what the model says, if it is the first violation.
    pub(crate) fn hold(&mut self, checked: Result<(), Violation>) {
        if let Err(violation) = checked {
            self.violation.get_or_insert(violation);
        }
    }

    pub(crate) fn epoch_met(&mut self, host: usize, epoch: u64) {
        let known = &mut self.hosts[host].epoch;
        *known = (*known).max(epoch);
    }

    /// An order reaches an agent. Only one of the newest epoch, with time left, may be taken.
    pub(crate) fn order_met(&mut self, host: usize, order: &Order, expires: u64) {
        let known = self.logoffs.entry(order.operation).or_insert_with(|| order.logoff.clone());
        if *known != order.logoff {
            let text = format!("{} is ordered with {:?} and then {:?}", order.operation, known, order.logoff);
            self.fail(0, text);
        }
        for task in &order.tasks {
            let id = TaskId { operation: order.operation, index: task.index };
            self.guests.insert(id, task.guest.clone());
            if order.epoch >= self.hosts[host].epoch && order.remaining_ms > 0 {
                let known = self.hosts[host].orders.entry(id).or_default();
                *known = (*known).max(expires);
            }
        }
        self.epoch_met(host, order.epoch);
    }

    pub(crate) fn is_of_older_epoch(&self, host: usize, order: &Order) -> bool {
        order.epoch < self.hosts[host].epoch
    }

    pub(crate) fn ledger_lost(&mut self, host: usize) {
        let attached = self.hosts[host].attached;
        self.hosts[host] = AtHost { attached, shaken: true, forgetful: true, ..AtHost::default() };
    }

    /// A ledger has become what it was before: what it says no more was never said.
    pub(crate) fn ledger_rolled_back(&mut self, host: usize, ledger: &[Entry]) {
        let mut before = std::mem::take(&mut self.hosts[host]);
        let known = &mut self.hosts[host];
        known.attached = before.attached;
        known.shaken = true;
        known.forgetful = true;
        for entry in ledger {
            match entry {
                Entry::Summary { acknowledged, .. } => known.acknowledged = *acknowledged,
                Entry::Acknowledged { sequence } => known.acknowledged = *sequence,
                Entry::Accepted { operation, tasks, .. } => {
                    let ids = tasks.iter().map(|task| TaskId { operation: *operation, index: task.index });
                    known.accepted.extend(ids.filter_map(|id| before.accepted.remove_entry(&id)));
                }
                Entry::Finished { operation, index, verdict, sequence, .. } => {
                    let id = TaskId { operation: *operation, index: *index };
                    known.finished.insert(id);
                    known.said.insert(*sequence, (id, verdict.as_ref().clone()));
                }
                Entry::Said { finding, sequence, .. } => {
                    let id = TaskId { operation: finding.operation, index: finding.index };
                    known.said.insert(*sequence, (id, finding.verdict.as_ref().clone()));
                }
                Entry::Safeguarded { safeguards } => known.taken.push(safeguards.clone()),
                // The host has booted since, so that nothing goes on: what it began is read anew as its agent starts.
                Entry::EpochSeen { .. }
                | Entry::Acting { .. }
                | Entry::Added { .. }
                | Entry::Unmatched { .. }
                | Entry::Forcing { .. }
                | Entry::Telling { .. }
                | Entry::Shown { .. }
                | Entry::DrainBegun { .. }
                | Entry::DrainOver { .. }
                | Entry::Undrained { .. }
                | Entry::FollowUpOver { .. } => {}
            }
        }
    }

    /// Two live streams of one identity: the newer is refused until the older is dead.
    pub(crate) fn attached(&mut self, host: usize, stream: u64, taken: bool) {
        let before = self.hosts[host].attached;
        if taken == before.is_some() {
            self.fail(
                10,
                format!("stream {stream} of host {host} came while {before:?} was live: taken {taken}"),
            );
        }
        if taken {
            self.hosts[host].attached = Some(stream);
            self.hosts[host].shaken = false;
        }
    }

    /// The controller learns that a stream is dead.
    pub(crate) fn detached(&mut self, host: usize, stream: u64) {
        if self.hosts[host].attached == Some(stream) {
            self.hosts[host].attached = None;
        }
    }

    /// The controller has forgotten the host.
    pub(crate) fn removed(&mut self, host: usize) {
        self.hosts[host].attached = None;
    }

    pub(crate) fn is_attached(&self, host: usize) -> bool {
        self.hosts[host].attached.is_some()
    }

    /// Watchers resume with the next controller from what they saw last. What was not stored nobody saw, so those who
    /// followed it here as it came up begin anew.
    pub(crate) fn controller_died(&mut self, with_unstored_turns: bool) {
        for host in &mut self.hosts {
            host.attached = None;
        }
        if with_unstored_turns {
            self.watchers.values_mut().for_each(Watcher::begin_anew);
        }
    }

    /// An older store takes over: what was stored since is nobody's promise any more.
    pub(crate) fn restored(&mut self, before: &Disk, backup: &Disk) {
        self.was_restored = true;
        self.deadlines.clear();
        self.orders_due.clear();
        self.approvals_due.clear();
        for id in before.operations.keys() {
            let known = backup.operations.get(id);
            if known.is_none_or(|kept| !kept.ended) {
                self.forgotten.insert(*id);
                self.watchers.remove(id);
                self.published.retain(|task, _| {
                    task.operation != *id || known.is_some_and(|kept| kept.finished.contains_key(&task.index))
                });
            }
        }
        self.open = backup.operations.iter().filter(|(_, kept)| !kept.ended).map(|(id, _)| *id).collect();
    }

    /// Invariant 9: while the store is away nothing starts, and no time runs out.
    pub(crate) fn check_record_while(&mut self, away: bool, record: &Record) {
        if !away {
            return;
        }
        // What agents of a forgotten controller have under way is waited for, and that is no start.
        if let Record::Handed { operation, tasks, .. } = record
            && !self.forgotten.contains(operation)
        {
            self.fail(9, format!("tasks {tasks:?} of {operation} were started while the store was away"));
        }
        if let Record::Finished { operation, tasks, .. } = record {
            for (index, verdict) in tasks {
                let by_time = [Reason::NoReport, Reason::HostOffline, Reason::DeadlineBeforeStart];
                if by_time.contains(&verdict.reason) {
                    let text = format!("{operation}/{index} ended while the store was away: {verdict:?}");
                    self.fail(9, text);
                }
            }
        }
    }
}
