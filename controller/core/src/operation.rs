//! One operation in memory: its tasks, where each stands, and counters that agree with them at every moment.
//!
//! It keeps books; it decides nothing.

use crate::change_log::ChangeLog;
use crate::lanes::{Lanes, Limits, Values};
use crate::record::{NO_WAVE, SLOWEST_MAX, Started, TargetGuest, TargetHost};
use curfew_types::operation::Standing;
use curfew_types::{
    HostName, Mono, OperationId, OperationSpec, OperationState, Outcome, OutcomeClass, Reason, SessionCounts,
    Stage, Verdict, WallTime,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// An operation that has not ended, or ended a moment ago.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) id: OperationId,
    pub(crate) spec: OperationSpec,
    pub(crate) requester: String,
    pub(crate) created: WallTime,
    /// Since when this process has known it: time before that counts against no host.
    pub(crate) since: Mono,
    pub(crate) deadline: Mono,
    pub(crate) deadline_wall: WallTime,
    pub(crate) digest: u64,
    pub(crate) seed: u64,
    pub(crate) state: OperationState,
    /// What operators, budgets and waves have made of it; says nothing of a cancel and of the end, `state` does.
    pub(crate) standing: Standing,
    /// Since when its tasks may start: a host's absence before that does not count.
    pub(crate) startable_since: Mono,
    /// When the pause before the next wave is over; `None` while there is no such pause.
    pub(crate) wave_pause_until: Option<Mono>,
    /// How many guests each wave has, and how many of them have their outcome. Left-out guests are in none.
    pub(crate) waves: Vec<WaveCount>,
    pub(crate) cancelled_by: Option<String>,
    pub(crate) ended: Option<WallTime>,
    /// Its guests by host, as they are recorded.
    pub(crate) targets: Arc<[TargetHost]>,
    /// Whether something may be recorded that changed how it stands: its history need not be read otherwise.
    pub(crate) has_events: bool,
    /// Whether this process has ordered any of its tasks.
    pub(crate) has_ordered: bool,
    /// In the order of `targets`.
    pub(crate) hosts: Vec<OperationHost>,
    pub(crate) tasks: Vec<Task>,
    /// The queues of the tasks whose wave has begun, and the limits.
    pub(crate) lanes: Lanes,
    /// Ended tasks by outcome.
    pub(crate) outcomes: [u64; 9],
    /// Ended tasks by outcome and reason.
    pub(crate) reasons: BTreeMap<(Outcome, Reason), u64>,
    /// The ended tasks that took longest, with their milliseconds, the longest first.
    pub(crate) slowest: Vec<(u32, u64)>,
    /// Unfinished tasks by stage.
    pub(crate) stages: [u64; 8],
    /// Tasks that ended well.
    pub(crate) ended_well: u64,
    pub(crate) late_findings: u64,
    pub(crate) revision: u64,
    /// [`crate::fleet::Fleet::moves`] when its guests were looked up: as long as that stands, they are where they were.
    pub(crate) planned_at: u64,
    changes: ChangeLog,
}

/// A host's part in an operation.
#[derive(Debug)]
pub(crate) struct OperationHost {
    pub(crate) name: HostName,
    pub(crate) first: u32,
    pub(crate) count: u32,
    /// When what it has not confirmed is said again; `None` while nothing is outstanding or it is away.
    pub(crate) repeat_at: Option<Mono>,
    /// When the first of what is outstanding was said last.
    pub(crate) said_at: Mono,
}

/// How far a wave has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WaveCount {
    pub(crate) tasks: u64,
    pub(crate) ended: u64,
}

/// Whether a task is to be taken back, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Recall {
    /// It is to run.
    #[default]
    No,
    /// Only if its agent has not accepted it: a budget is spent.
    Withdraw,
    /// Its guest has moved to another host.
    Moved,
    /// An operator cancelled it.
    Cancel,
}

/// One guest's logoff; [`Operation::target`] says which guest's.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) host: u32,
    pub(crate) lane: u32,
    pub(crate) wave: u8,
    pub(crate) stage: Stage,
    pub(crate) recall: Recall,
    /// An order was handed to the host's stream, or is about to be.
    pub(crate) handed: bool,
    /// When it was ordered, and when an outcome must have come; meaningful once handed.
    pub(crate) since: Mono,
    pub(crate) until: Mono,
    pub(crate) sessions: SessionCounts,
    pub(crate) verdict: Option<Arc<Verdict>>,
    pub(crate) revision: u64,
}

impl Operation {
    /// The operation as it started, every task queued, with its revision and [`Operation::planned_at`]. `values` tells a guest's values of the limited labels.
    pub(crate) fn new(
        started: &Started,
        since: Mono,
        deadline: Mono,
        (first_revision, planned_at): (u64, u64),
        values: impl Fn(&HostName, &TargetGuest) -> Values,
    ) -> Operation {
        let total = started.task_count();
        let in_flight = started.spec.max_in_flight.map(|amount| amount.as_limit(total.into()));
        let mut lanes = Lanes::new(Limits {
            in_flight: in_flight.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX)),
            per_host: started.spec.rollout.max_per_host,
        });
        let mut known = HashMap::new();
        let mut hosts = Vec::with_capacity(started.hosts.len());
        let mut tasks = Vec::with_capacity(total as usize);
        let mut waves: Vec<WaveCount> = Vec::new();
        for (place, target) in (0_u32..).zip(&*started.hosts) {
            let count = u32::try_from(target.guests.len()).unwrap_or(u32::MAX);
            hosts.push(OperationHost {
                name: target.host.clone(),
                first: target.first,
                count,
                repeat_at: None,
                said_at: since,
            });
            let lane_of = if started.spec.rollout.spread.is_empty() {
                vec![lanes.add_plain_host(target.guests.len()); target.guests.len()]
            } else {
                let values = target.guests.iter().map(|guest| values(&target.host, guest)).collect();
                lanes.add_host(&mut known, values)
            };
            for (guest, lane) in target.guests.iter().zip(lane_of) {
                if guest.wave != NO_WAVE {
                    let wave = usize::from(guest.wave);
                    waves.resize(waves.len().max(wave + 1), WaveCount::default());
                    waves[wave].tasks += 1;
                }
                let index = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
                if guest.wave == NO_WAVE || u32::from(guest.wave) <= started.standing.wave {
                    lanes.push_back(lane, index);
                }
                tasks.push(Task {
                    host: place,
                    lane,
                    wave: guest.wave,
                    stage: Stage::Queued,
                    recall: Recall::No,
                    handed: false,
                    since: Mono::default(),
                    until: Mono::default(),
                    sessions: SessionCounts::default(),
                    verdict: None,
                    revision: first_revision,
                });
            }
        }
        let mut stages = [0; 8];
        stages[Stage::Queued as usize] = tasks.len() as u64;
        Operation {
            id: started.id,
            spec: started.spec.clone(),
            requester: started.requester.clone(),
            created: started.created,
            since,
            deadline,
            deadline_wall: started.deadline,
            digest: started.digest,
            seed: started.seed,
            state: started.standing.state,
            standing: started.standing.clone(),
            startable_since: since,
            wave_pause_until: None,
            waves,
            cancelled_by: None,
            ended: None,
            targets: Arc::clone(&started.hosts),
            has_events: false,
            has_ordered: false,
            hosts,
            tasks,
            lanes,
            outcomes: [0; 9],
            reasons: BTreeMap::new(),
            slowest: Vec::new(),
            stages,
            ended_well: 0,
            late_findings: 0,
            revision: first_revision,
            planned_at,
            changes: ChangeLog::default(),
        }
    }

    /// How many tasks ended in a class.
    pub(crate) fn spent(&self, class: OutcomeClass) -> u64 {
        let of_class = |outcome: &Outcome| outcome.class() == Some(class);
        Outcome::ALL.into_iter().filter(of_class).map(|outcome| self.outcomes[outcome.place()]).sum()
    }

    /// How many tasks may end in a class before nothing more starts.
    pub(crate) fn allowed(&self, class: OutcomeClass, budgets: &curfew_types::Budgets) -> Option<u64> {
        Some(budgets.of(class)?.as_budget(self.tasks.len() as u64))
    }

    /// The first class whose budget is spent, with what was allowed and what was spent.
    pub(crate) fn overspent(&self, budgets: &curfew_types::Budgets) -> Option<(OutcomeClass, u64, u64)> {
        OutcomeClass::ALL.into_iter().find_map(|class| {
            let (allowed, spent) = (self.allowed(class, budgets)?, self.spent(class));
            (spent > allowed).then_some((class, allowed, spent))
        })
    }

    /// Whether a task's wave has begun.
    pub(crate) fn has_begun(&self, task: &Task) -> bool {
        task.wave == NO_WAVE || u32::from(task.wave) <= self.standing.wave
    }

    /// Puts the tasks of a wave into their queues.
    pub(crate) fn enqueue_wave(&mut self, wave: u32) {
        for (index, task) in (0..).zip(&self.tasks) {
            if u32::from(task.wave) == wave && task.stage == Stage::Queued {
                self.lanes.push_back(task.lane, index);
            }
        }
    }

    /// Notes how long an ended task took, if it is among the slowest.
    pub(crate) fn note_elapsed(&mut self, index: u32, elapsed_ms: u64) {
        note_slow(&mut self.slowest, index, elapsed_ms);
    }

    /// The task at `index`.
    pub(crate) fn task(&self, index: u32) -> Option<&Task> {
        self.tasks.get(index as usize)
    }

    /// The guest of the task at `index`, which must be one of the operation's.
    pub(crate) fn target(&self, index: u32) -> &TargetGuest {
        let host = &self.targets[self.tasks[index as usize].host as usize];
        &host.guests[(index - host.first) as usize]
    }

    /// The guests of all its tasks, by index.
    pub(crate) fn guests(&self) -> impl Iterator<Item = &TargetGuest> {
        self.targets.iter().flat_map(|host| &host.guests)
    }

    /// The indices of a host's tasks.
    pub(crate) fn tasks_of(&self, host: u32) -> std::ops::Range<u32> {
        self.hosts.get(host as usize).map_or(0..0, |host| host.first..host.first + host.count)
    }

    /// The place of the host with this name.
    pub(crate) fn place_of(&self, name: &HostName) -> Option<u32> {
        let place = self.hosts.binary_search_by(|host| host.name.cmp(name)).ok()?;
        u32::try_from(place).ok()
    }

    /// Whether a task of it is this host's.
    pub(crate) fn is_on(&self, task: &Task, name: &HostName) -> bool {
        self.hosts.get(task.host as usize).is_some_and(|host| host.name == *name)
    }

    /// How many tasks are between ordered and done.
    pub(crate) fn under_way(&self) -> u64 {
        self.stages[Stage::Ordered as usize..].iter().sum()
    }

    /// Whether every task has its outcome.
    pub(crate) fn is_complete(&self) -> bool {
        self.outcomes.iter().sum::<u64>() == self.tasks.len() as u64
    }

    /// Changes the task at `index` and keeps the books; nothing happens to a task that has ended.
    pub(crate) fn update(&mut self, index: u32, change: impl FnOnce(&mut Task)) {
        let Some(task) = self.tasks.get_mut(index as usize) else { return };
        if task.stage == Stage::Done {
            return;
        }
        let before = task.stage;
        change(task);
        let (after, verdict, lane, wave) = (task.stage, task.verdict.as_deref(), task.lane, task.wave);
        self.stages[before as usize] -= 1;
        match verdict {
            Some(verdict) if after == Stage::Done => {
                self.outcomes[verdict.outcome.place()] += 1;
                self.ended_well += u64::from(verdict.ended_well());
                *self.reasons.entry((verdict.outcome, verdict.reason)).or_default() += 1;
                if let Some(wave) = self.waves.get_mut(usize::from(wave)) {
                    wave.ended += 1;
                }
            }
            _ => self.stages[after as usize] += 1,
        }
        let flies = |stage: Stage| stage > Stage::Queued && stage < Stage::Done;
        match (flies(before), flies(after)) {
            (false, true) => self.lanes.take_off(lane),
            (true, false) => self.lanes.land(lane),
            (true, true) | (false, false) => {}
        }
        self.touch(index);
    }

    /// Notes that something about the task at `index` changed.
    pub(crate) fn touch(&mut self, index: u32) {
        self.revision += 1;
        let revision = self.revision;
        if let Some(task) = self.tasks.get_mut(index as usize) {
            task.revision = revision;
        }
        let tasks = &self.tasks;
        self.changes.push(revision, index, tasks.len(), |index| latest(tasks, index));
    }

    /// Tasks that changed after `revision`, oldest change first.
    pub(crate) fn changed_since(&self, revision: u64) -> impl Iterator<Item = u32> {
        self.changes.since(revision, |index| latest(&self.tasks, index))
    }
}

/// Notes in a list of the slowest tasks how long one took so far, if it is among them: the longest first, and of several that
/// took as long the first by index.
pub(crate) fn note_slow(slowest: &mut Vec<(u32, u64)>, index: u32, elapsed_ms: u64) {
    let is_before = |(other, ms): &(u32, u64)| (elapsed_ms, other) <= (*ms, &index);
    if slowest.len() >= SLOWEST_MAX && slowest.last().is_some_and(is_before) {
        return;
    }
    let place = slowest.partition_point(is_before);
    slowest.insert(place, (index, elapsed_ms));
    slowest.truncate(SLOWEST_MAX);
}

fn latest(tasks: &[Task], index: u32) -> u64 {
    tasks.get(index as usize).map_or(0, |task| task.revision)
}

#[cfg(test)]
mod tests {
    use super::{SLOWEST_MAX, note_slow};
    use std::cmp::Reverse;

    #[test]
    fn of_many_tasks_those_that_take_longest_are_kept_in_whatever_order_they_come() {
        let mut all: Vec<(u32, u64)> = (0..97).map(|index| (index, u64::from(index * 31 % 13))).collect();
        let mut kept = Vec::new();
        // 97 is a prime: each place comes up once, and neither upwards nor downwards.
        for (index, ms) in (0..all.len()).map(|place| all[place * 40 % 97]) {
            note_slow(&mut kept, index, ms);
        }
        all.sort_unstable_by_key(|(index, ms)| (Reverse(*ms), *index));
        all.truncate(SLOWEST_MAX);
        assert_eq!(kept, all);
    }
}
