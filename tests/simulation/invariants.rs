//! The invariants of DESIGN.md section 5, each checked at the event that could break it, against what is true.

use crate::happening::Down;
use crate::safety;
use crate::treatment;
use crate::truth::Accepted;
use crate::world::World;
use curfew_agent_core::Entry;
use curfew_controller_core::Frame;
use curfew_controller_core::record::Record;
use curfew_types::{Logoff, Outcome, Reason, SessionKey, TaskId, Verdict};

impl World {
    /// An entry reaches an agent's disk.
    pub(crate) fn check_entry(&mut self, host: usize, entry: &Entry) {
        match entry {
            Entry::Accepted { operation, expires, tasks, .. } => {
                let expires = self.hosts[host].clocks.moment_of(*expires);
                for task in tasks {
                    self.check_accepted_of_held(host, &task.guest);
                    self.check_accepted(host, TaskId { operation: *operation, index: task.index }, expires);
                }
            }
            Entry::Acting { operation, index, guest_boot, targets, .. } => {
                let id = TaskId { operation: *operation, index: *index };
                self.check_acting(host, id, guest_boot, targets);
            }
            Entry::Added { operation, index, targets } => {
                let id = TaskId { operation: *operation, index: *index };
                self.check_added(host, id, targets);
            }
            Entry::Forcing { operation, index, targets } => {
                let id = TaskId { operation: *operation, index: *index };
                self.truth.forcing.entry(id).or_default().extend(targets.iter().map(|key| (**key).clone()));
            }
            Entry::Unmatched { operation, index, session } => {
                let id = TaskId { operation: *operation, index: *index };
                self.truth.unmatched.insert((id, (**session).clone()));
                self.truth.met.insert("no longer matched");
            }
            Entry::Telling { .. } => self.check_telling(host, entry),
            Entry::DrainBegun { .. } | Entry::DrainOver { .. } => self.check_drain_entry(host, entry),
            Entry::Shown { .. } | Entry::Undrained { .. } => {}
            Entry::Finished { operation, index, guest, verdict, sequence, .. } => {
                let id = TaskId { operation: *operation, index: *index };
                let mut said = self.truth.hosts[host].said.values().filter(|(of, _)| *of == id);
                if self.truth.hosts[host].finished.contains(&id)
                    && said.all(|(_, before)| *before != **verdict)
                {
                    self.truth.fail(1, format!("host {host} finished {id} in another way than before"));
                }
                self.truth.hosts[host].finished.insert(id);
                self.truth.guests.insert(id, guest.clone());
                self.truth.hosts[host].said.insert(*sequence, (id, verdict.as_ref().clone()));
                self.check_finding(host, id, verdict);
                self.check_results(host, id, verdict);
            }
            Entry::Said { finding, sequence, .. } => {
                let id = TaskId { operation: finding.operation, index: finding.index };
                self.truth.hosts[host].said.insert(*sequence, (id, finding.verdict.as_ref().clone()));
                if finding.late {
                    self.check_finding(host, id, &finding.verdict);
                    self.check_results(host, id, &finding.verdict);
                }
            }
            Entry::Acknowledged { sequence } => self.truth.hosts[host].acknowledged = *sequence,
            Entry::Safeguarded { safeguards } => self.check_taken(host, safeguards),
            Entry::Summary { .. } | Entry::EpochSeen { .. } | Entry::FollowUpOver { .. } => {}
        }
    }

    /// Invariant 10: only a fresh order of the newest epoch is taken, once, and with no more time than it had.
    fn check_accepted(&mut self, host: usize, id: TaskId, expires: u64) {
        let accepted = Accepted { at: self.t, expires, boot: self.hosts[host].boot };
        let known = &mut self.truth.hosts[host];
        let ordered = known.orders.get(&id).copied();
        let again = known.accepted.contains_key(&id) || known.finished.contains(&id);
        let at_most = ordered.unwrap_or(0);
        known.accepted.insert(id, Accepted { expires: expires.min(at_most), ..accepted });
        let mut said = known.said.values().filter(|(of, _)| *of == id);
        if said.any(|(_, verdict)| verdict.reason == Reason::NotStarted) {
            self.truth.fail(5, format!("host {host} takes {id} up, whose cancel it has confirmed"));
        } else if again {
            self.truth.fail(10, format!("host {host} accepted {id} twice"));
        } else if ordered.is_none() {
            self.truth.fail(10, format!("host {host} accepted {id} without a fresh order"));
        }
    }

    /// What an agent says of a guest fits what is true of it.
    fn check_finding(&mut self, host: usize, id: TaskId, verdict: &Verdict) {
        let Some(guest) = self.truth.guests.get(&id) else { return };
        let Some(guest) = self.guests.iter().find(|known| known.id == *guest && known.host == host) else {
            return;
        };
        let act = self.truth.acts.get(&id);
        let plain = Logoff::default();
        let logoff = self.truth.logoffs.get(&id.operation).unwrap_or(&plain);
        let at = &self.truth.hosts[host];
        let is_protected = |user: &str| at.taken.iter().any(|one| safety::protects(one, user));
        let problem = match (verdict.outcome, verdict.reason) {
            // Whom the request means may have changed at any time.
            (Outcome::NothingToDo, _) if treatment::can_change(logoff) => None,
            (Outcome::NothingToDo, _) => {
                let since = at.accepted.get(&id).map_or(self.t, |accepted| accepted.at);
                let by = act.map_or(u64::MAX, |act| act.at);
                let is_left_alone = |user: &str| is_protected(user) || treatment::leaves_alone(logoff, user);
                (!guest.was_empty_within(since, self.t, by, is_left_alone))
                    .then(|| "somebody was logged on all the time".into())
            }
            (Outcome::Succeeded, Reason::GuestStopped) => {
                let told = self.truth.told.get(&id).into_iter().flatten().map(|key| &key.boot);
                let mut boots = act.map(|act| &act.guest_boot).into_iter().chain(told);
                let went = guest.is_off() || boots.any(|boot| *boot != guest.boot_name());
                (!went).then(|| "the guest has not stopped".to_owned())
            }
            (Outcome::Succeeded, _) => {
                let told = self.truth.told.get(&id);
                let targets = act.and_then(|act| act.targets.as_ref()).into_iter().flatten();
                // Without an act moment everybody who was told must have left, or be none whom the request means.
                let told_only = told.filter(|_| act.is_none()).into_iter().flatten();
                let is_spared = |key: &SessionKey| {
                    let it = (id, key.clone());
                    // A ledger that was set back knows nothing of later targets.
                    self.truth.unmatched.contains(&it) || (at.forgetful && self.truth.added.contains(&it))
                };
                let may_stay = |key: &SessionKey| {
                    act.is_none()
                        && (treatment::can_change(logoff) || told.is_none_or(|told| !told.contains(key)))
                };
                let is_left = |key: &&SessionKey| {
                    let user = guest.user_of(key);
                    user.is_some_and(|user| !is_protected(user)) && !is_spared(key) && !may_stay(key)
                };
                let left: Vec<_> = targets.chain(told_only).filter(is_left).collect();
                (!left.is_empty() || (act.is_none() && told.is_none()))
                    .then(|| format!("{left:?} are still there"))
            }
            _ => None,
        };
        if let Some(problem) = problem {
            self.truth.fail(0, format!("{id} is said to have ended as {verdict:?}, but {problem}"));
        }
    }

    /// A record that was written at `at` reaches the controller's disk.
    pub(crate) fn check_durable(&mut self, at: u64, record: &Record) {
        self.check_times(at, record);
        if let Record::Started(started) = record {
            self.truth.open.insert(started.id);
        }
        if let Record::Ended { operation, .. } = record {
            self.truth.open.remove(operation);
            let kept = self.controller.disk.operations.get(operation);
            let complete =
                kept.is_some_and(|kept| kept.finished.len() as u64 == u64::from(kept.started.task_count()));
            if !complete {
                self.truth.fail(7, format!("{operation} ended before all of its tasks"));
            }
        }
        if let Record::Finished { operation, tasks, .. } = record {
            for (index, verdict) in tasks {
                self.check_outcome(TaskId { operation: *operation, index: *index }, verdict);
            }
        }
    }

    /// An outcome is about to be stored: the only one of its task, and true.
    fn check_outcome(&mut self, id: TaskId, verdict: &Verdict) {
        let Some(kept) = self.controller.disk.operations.get(&id.operation) else {
            return self.truth.fail(3, format!("{id} ended, and its operation is not stored"));
        };
        if let Some(before) = kept.finished.get(&id.index) {
            let text = format!("{id} ended as {before:?} and again as {verdict:?}");
            return self.truth.fail(1, text);
        }
        if self.truth.forgotten.contains(&id.operation) {
            return;
        }
        let handed = kept.handed.contains_key(&id.index);
        if verdict.outcome == Outcome::Unreachable && handed {
            self.truth.fail(0, format!("{id} ends as unreachable, but its order was handed over"));
        }
        if verdict.outcome == Outcome::Unknown && !handed {
            self.truth.fail(0, format!("{id} ends as unknown, but no order was handed over"));
        }
        let effects = self.truth.effects.get(&id);
        if let (Some(effects), Some(invariant)) = (effects, says_nobody_was_ended(verdict)) {
            let text = format!("{id} ends as {verdict:?}, but it has ended {effects:?}");
            self.truth.fail(invariant, text);
        }
    }

    /// Invariant 3: what the controller acknowledges to an agent is on its disk.
    pub(crate) fn check_acknowledgement(&mut self, stream: u64, frame: &Down) {
        let (Down::Frame(Frame::Acknowledge(up_to))
        | Down::Welcome(curfew_controller_core::Welcome { acknowledged_sequence: up_to, .. })) = frame
        else {
            return;
        };
        let Some(open) = self.network.stream(stream) else { return };
        if open.agent != self.hosts[open.host].processes {
            return;
        }
        let host = &self.truth.hosts[open.host];
        let disk = &self.controller.disk;
        let claimed =
            host.said.range(host.acknowledged + 1..up_to.saturating_add(1).max(host.acknowledged + 1));
        let mut missing = claimed.filter(|(_, (id, verdict))| !disk.holds(id.operation, id.index, verdict));
        if let Some((sequence, finding)) = missing.next()
            && !self.truth.was_restored
        {
            let text = format!("finding {sequence} ({finding:?}) is acknowledged and not stored");
            self.truth.fail(3, text);
        }
    }

    /// When everything is mended and all time is over: everything has ended, and everything that was said is stored.
    pub(crate) fn check_end(&mut self) {
        self.check_safeguards_arrived();
        self.check_no_drain_is_left();
        if let Some(id) = self.truth.open.first().copied() {
            self.truth.fail(7, format!("{id} never ended"));
        }
        for place in 0..self.hosts.len() {
            let Some(agent) = &self.hosts[place].process else {
                self.truth.fail(0, format!("agent {place} never came back"));
                continue;
            };
            let last = self.truth.hosts[place].said.keys().next_back().copied().unwrap_or(0);
            let first_pending = agent.core.hello(Vec::new(), 0).first_pending_sequence;
            if !agent.core.is_idle() {
                self.truth.fail(7, format!("agent {place} still has tasks"));
            } else if first_pending <= last {
                self.truth
                    .fail(3, format!("findings {first_pending} to {last} of agent {place} stay unsaid"));
            }
            let host = &self.truth.hosts[place];
            let disk = &self.controller.disk;
            let missing = host.said.values().find(|(id, said)| !disk.holds(id.operation, id.index, said));
            if let Some(missing) = missing.filter(|_| !self.truth.was_restored).cloned() {
                self.truth.fail(3, format!("agent {place} said {missing:?}, which is stored nowhere"));
            }
        }
    }
}

/// The invariant that a later or earlier end of a session would break, for outcomes that deny any.
pub(crate) fn says_nobody_was_ended(verdict: &Verdict) -> Option<u8> {
    match verdict.outcome {
        Outcome::Cancelled => (verdict.reason != Reason::AfterSomeSessions).then_some(5),
        Outcome::Skipped if verdict.reason == Reason::Excluded => Some(6),
        Outcome::Skipped | Outcome::Refused | Outcome::Unreachable | Outcome::NothingToDo => Some(0),
        // An order that expired ended nobody since; what was before a reboot, a ledger may not tell.
        Outcome::TimedOut if verdict.reason == Reason::OrderExpired => None,
        Outcome::TimedOut if verdict.sessions.found == 0 => Some(0),
        Outcome::Succeeded | Outcome::Failed | Outcome::TimedOut | Outcome::Unknown => None,
    }
}
