//! The queues of one operation, and its limits on how many tasks run at a time: in all, on a host, per value of a label.
//!
//! A lane is what shares every limit: the tasks of one host, or, where a label differs between its guests, those with
//! the same values. Lanes take turns. One that meets a full limit is parked there and comes back when a task of that
//! limit ends, so a straggler holds its own place only. It counts and orders; it decides nothing else.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

/// How many tasks may be between ordered and done at a time. `None` is no limit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) in_flight: Option<u32>,
    pub(crate) per_host: Option<u32>,
}

/// A limit on tasks that share a value of a label.
#[derive(Debug)]
pub(crate) struct Group {
    /// The label and the value: `rack=r1`.
    pub(crate) name: String,
    pub(crate) max: u32,
    count: Count,
}

/// Tasks in flight under one limit, and the lanes that wait for it.
#[derive(Debug, Default)]
struct Count {
    in_flight: u32,
    parked: Vec<u32>,
}

#[derive(Debug)]
struct Lane {
    host: u32,
    /// Places in [`Lanes::groups`].
    groups: Vec<u32>,
    queue: VecDeque<u32>,
    in_ready: bool,
    /// It waits for a limit; that limit is full until then.
    parked: bool,
}

/// The queues of one operation.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    limits: Limits,
    lanes: Vec<Lane>,
    /// A host's lanes.
    of_host: Vec<Range<u32>>,
    hosts: Vec<Count>,
    groups: Vec<Group>,
    /// Lanes that may have queued tasks and are not parked, in the order of their turns.
    ready: VecDeque<u32>,
    pub(crate) in_flight: u32,
}

/// A label's value for each guest, with its limit: what lanes are made of.
pub(crate) type Values = Vec<(String, u32)>;

impl Lanes {
    pub(crate) fn new(limits: Limits) -> Lanes {
        Lanes { limits, ..Lanes::default() }
    }

    /// Adds the next host, with room for so many tasks; no label of its guests is limited. Returns their lane.
    pub(crate) fn add_plain_host(&mut self, tasks: usize) -> u32 {
        let (host, lane) = (number(self.of_host.len()), number(self.lanes.len()));
        let queue = VecDeque::with_capacity(tasks);
        self.lanes.push(Lane { host, groups: Vec::new(), queue, in_ready: false, parked: false });
        self.of_host.push(lane..lane + 1);
        self.hosts.push(Count::default());
        lane
    }

    /// Adds the next host with its guests' values of the limited labels. Returns each guest's lane.
    pub(crate) fn add_host(&mut self, known: &mut HashMap<String, u32>, guests: Vec<Values>) -> Vec<u32> {
        let host = number(self.of_host.len());
        let first = number(self.lanes.len());
        if guests.iter().all(Vec::is_empty) {
            return vec![self.add_plain_host(guests.len()); guests.len()];
        }
        let mut lanes: HashMap<Vec<u32>, u32> = HashMap::new();
        let mut lane_of = Vec::with_capacity(guests.len());
        for values in guests {
            let groups: Vec<u32> = values.into_iter().map(|value| self.group(known, value)).collect();
            let next = number(self.lanes.len());
            let lane = *lanes.entry(groups).or_insert_with_key(|groups| {
                let groups = groups.clone();
                self.lanes.push(Lane {
                    host,
                    groups,
                    queue: VecDeque::new(),
                    in_ready: false,
                    parked: false,
                });
                next
            });
            lane_of.push(lane);
        }
        self.of_host.push(first..number(self.lanes.len()));
        self.hosts.push(Count::default());
        lane_of
    }

    fn group(&mut self, known: &mut HashMap<String, u32>, (name, max): (String, u32)) -> u32 {
        *known.entry(name).or_insert_with_key(|name| {
            self.groups.push(Group { name: name.clone(), max, count: Count::default() });
            number(self.groups.len() - 1)
        })
    }

    pub(crate) fn push_back(&mut self, lane: u32, task: u32) {
        self.lanes[lane as usize].queue.push_back(task);
    }

    /// Puts a task before the others of its lane and gives the lane its turn.
    pub(crate) fn push_front(&mut self, lane: u32, task: u32) {
        self.lanes[lane as usize].queue.push_front(task);
        self.make_ready(lane);
    }

    /// Whether a host has tasks in its queues. Some of them may have ended meanwhile.
    pub(crate) fn has_queued(&self, host: u32) -> bool {
        let lanes = self.of_host.get(host as usize).cloned().unwrap_or_default();
        lanes.into_iter().any(|lane| !self.lanes[lane as usize].queue.is_empty())
    }

    /// Lets a host's lanes take their turns.
    pub(crate) fn make_host_ready(&mut self, host: u32) {
        for lane in self.of_host.get(host as usize).cloned().unwrap_or_default() {
            self.make_ready(lane);
        }
    }

    fn make_ready(&mut self, lane: u32) {
        let entry = &mut self.lanes[lane as usize];
        if !entry.queue.is_empty() && !std::mem::replace(&mut entry.in_ready, true) {
            self.ready.push_back(lane);
        }
    }

    /// The next task in turn that every limit has room for, with its host. The caller must start it, finish it, or
    /// put it back.
    pub(crate) fn next(
        &mut self,
        is_connected: impl Fn(u32) -> bool,
        is_queued: impl Fn(u32) -> bool,
    ) -> Option<(u32, u32)> {
        if self.limits.in_flight.is_some_and(|limit| self.in_flight >= limit) {
            return None;
        }
        while let Some(lane) = self.ready.pop_front() {
            let entry = &mut self.lanes[lane as usize];
            entry.in_ready = false;
            // Attaching makes a host's lanes ready again; the end of a task those that are parked.
            if entry.parked || !is_connected(entry.host) {
                continue;
            }
            while entry.queue.front().is_some_and(|task| !is_queued(*task)) {
                entry.queue.pop_front();
            }
            if entry.queue.is_empty() {
                continue;
            }
            if self.park_if_full(lane) {
                continue;
            }
            let entry = &mut self.lanes[lane as usize];
            let host = entry.host;
            let task = entry.queue.pop_front()?;
            self.make_ready(lane);
            return Some((host, task));
        }
        None
    }

    /// Whether nothing but its queues decides what may start.
    pub(crate) fn have_no_limits(&self) -> bool {
        self.limits.in_flight.is_none() && self.limits.per_host.is_none() && self.groups.is_empty()
    }

    /// The tasks of the lane whose turn it is, all at once, with their host: where there are no limits, turns are taken
    /// by hosts. The caller must start or finish each.
    pub(crate) fn next_lane(&mut self, is_connected: impl Fn(u32) -> bool) -> Option<(u32, VecDeque<u32>)> {
        while let Some(lane) = self.ready.pop_front() {
            let entry = &mut self.lanes[lane as usize];
            entry.in_ready = false;
            if is_connected(entry.host) && !entry.queue.is_empty() {
                return Some((entry.host, std::mem::take(&mut entry.queue)));
            }
        }
        None
    }

    fn park_if_full(&mut self, lane: u32) -> bool {
        let entry = &mut self.lanes[lane as usize];
        let host = &mut self.hosts[entry.host as usize];
        let full = match self.limits.per_host {
            Some(limit) if host.in_flight >= limit => Some(host),
            _ => entry
                .groups
                .iter()
                .copied()
                .find(|group| self.groups[*group as usize].is_full())
                .map(|group| &mut self.groups[group as usize].count),
        };
        let Some(count) = full else { return false };
        count.parked.push(lane);
        entry.parked = true;
        true
    }

    /// What keeps a task of this lane from starting, in words.
    pub(crate) fn full_limit(&self, lane: u32) -> Option<String> {
        let entry = self.lanes.get(lane as usize)?;
        if let Some(limit) =
            self.limits.per_host.filter(|limit| self.hosts[entry.host as usize].in_flight >= *limit)
        {
            return Some(format!("at most {limit} tasks run on a host at a time"));
        }
        let full =
            entry.groups.iter().map(|group| &self.groups[*group as usize]).find(|group| group.is_full());
        if let Some(group) = full {
            return Some(format!("at most {} tasks of {} run at a time", group.max, group.name));
        }
        let limit = self.limits.in_flight.filter(|limit| self.in_flight >= *limit)?;
        Some(format!("at most {limit} tasks run at a time"))
    }

    /// A task of this lane is in flight from now on.
    pub(crate) fn take_off(&mut self, lane: u32) {
        self.in_flight += 1;
        let entry = &self.lanes[lane as usize];
        self.hosts[entry.host as usize].in_flight += 1;
        for group in &entry.groups {
            self.groups[*group as usize].count.in_flight += 1;
        }
    }

    /// A task of this lane is no longer in flight: whoever waited for one of its limits has another turn.
    pub(crate) fn land(&mut self, lane: u32) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let entry = &self.lanes[lane as usize];
        let mut woken = self.hosts[entry.host as usize].land();
        for group in entry.groups.clone() {
            woken.append(&mut self.groups[group as usize].count.land());
        }
        for lane in woken {
            self.lanes[lane as usize].parked = false;
            self.make_ready(lane);
        }
    }
}

impl Count {
    fn land(&mut self) -> Vec<u32> {
        self.in_flight = self.in_flight.saturating_sub(1);
        std::mem::take(&mut self.parked)
    }
}

impl Group {
    fn is_full(&self) -> bool {
        self.count.in_flight >= self.max
    }
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(limits: Limits, hosts: &[&[&str]], max: u32) -> (Lanes, Vec<u32>) {
        let (mut lanes, mut known, mut lane_of) = (Lanes::new(limits), HashMap::new(), Vec::new());
        for guests in hosts {
            let values = guests
                .iter()
                .map(|value| if value.is_empty() { vec![] } else { vec![((*value).to_owned(), max)] });
            lane_of.extend(lanes.add_host(&mut known, values.collect()));
        }
        for (task, lane) in (0..).zip(&lane_of) {
            lanes.push_back(*lane, task);
        }
        for host in 0..number(hosts.len()) {
            lanes.make_host_ready(host);
        }
        (lanes, lane_of)
    }

    /// Starts all that may start.
    fn start(lanes: &mut Lanes, lane_of: &[u32]) -> Vec<u32> {
        let mut started = Vec::new();
        while let Some((_, task)) = lanes.next(|_| true, |_| true) {
            lanes.take_off(lane_of[task as usize]);
            started.push(task);
        }
        started
    }

    #[test]
    fn a_full_value_of_a_label_parks_its_lanes_only() {
        let (mut lanes, of) = lanes(Limits::default(), &[&["rack=a", "rack=a"], &["rack=a"], &["rack=b"]], 1);
        assert_eq!(start(&mut lanes, &of), [0, 3]);
        assert_eq!(lanes.full_limit(of[2]).as_deref(), Some("at most 1 tasks of rack=a run at a time"));
        lanes.land(of[3]);
        assert!(start(&mut lanes, &of).is_empty(), "rack b has nobody left");
        lanes.land(of[0]);
        assert_eq!(start(&mut lanes, &of).len(), 1);
    }

    #[test]
    fn guests_of_one_host_with_different_values_do_not_wait_for_each_other() {
        let (mut lanes, of) = lanes(Limits::default(), &[&["rack=a", "rack=a", "rack=b"]], 1);
        assert_eq!(start(&mut lanes, &of), [0, 2]);
    }

    #[test]
    fn a_full_host_holds_nobody_else_up() {
        let limits = Limits { per_host: Some(1), in_flight: None };
        let (mut lanes, of) = lanes(limits, &[&["", ""], &["", ""]], 0);
        assert_eq!(start(&mut lanes, &of), [0, 2]);
        lanes.land(of[2]);
        assert_eq!(start(&mut lanes, &of), [3]);
    }

    #[test]
    fn every_task_gets_its_turn_under_every_limit() {
        let limits = Limits { per_host: Some(2), in_flight: Some(3) };
        let hosts: Vec<&[&str]> =
            vec![&["r=a", "r=b", "r=a", "r=a"], &["r=b", "r=b"], &["r=a", "r=b", "r=c"]];
        let (mut lanes, of) = lanes(limits, &hosts, 2);
        let mut flying: VecDeque<u32> = start(&mut lanes, &of).into();
        let mut done = 0;
        while let Some(task) = flying.pop_front() {
            assert!(flying.len() < 3);
            lanes.land(of[task as usize]);
            done += 1;
            flying.extend(start(&mut lanes, &of));
        }
        assert_eq!(done, 9);
    }
}
