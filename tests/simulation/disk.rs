//! The controller's store as a small reference model: records in, [`Recovered`] out, written independently of any
//! real store.

use curfew_controller_core::record::{
    CancelScope, ClockFrame, Freeze, Hold, ProtectedUser, Record, Recovered, RecoveredHost,
    RecoveredOperation, Started,
};
use curfew_types::agent::SafeguardsMark;
use curfew_types::label::Labels;
use curfew_types::operation::EventKind;
use curfew_types::{GuestId, HostName, Now, OperationId, Verdict, WallTime};
use std::collections::{BTreeMap, BTreeSet};

/// What is on disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    epoch: u64,
    clock: Option<ClockFrame>,
    hosts: BTreeMap<HostName, RecoveredHost>,
    guest_labels: BTreeMap<GuestId, Labels>,
    pub(crate) operations: BTreeMap<OperationId, Kept>,
    pub(crate) late: Vec<(OperationId, u32, Verdict)>,
    pub(crate) holds: BTreeMap<GuestId, Hold>,
    pub(crate) protected_users: BTreeMap<String, ProtectedUser>,
    pub(crate) safeguards: SafeguardsMark,
    pub(crate) freeze: Option<Freeze>,
    /// What happened to operations and tasks, in the vocabulary's words.
    pub(crate) met: BTreeSet<&'static str>,
}

/// An operation on disk.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// As it started, with the standing that it has now.
    pub(crate) started: Started,
    pub(crate) handed: BTreeMap<u32, WallTime>,
    pub(crate) finished: BTreeMap<u32, Verdict>,
    pub(crate) ended: bool,
    cancelled_by: Option<String>,
    cancelled_tasks: Vec<u32>,
    late_findings: u64,
}

impl Kept {
    /// The guests that did not end well.
    pub(crate) fn left(&self) -> impl Iterator<Item = &GuestId> {
        let guests = self.started.hosts.iter().flat_map(|host| (host.first..).zip(&host.guests));
        guests.filter_map(|(index, guest)| {
            let ended_well = self.finished.get(&index).is_some_and(Verdict::ended_well);
            (!ended_well).then_some(&guest.id)
        })
    }
}

impl Disk {
    /// Takes one record in.
    pub(crate) fn append(&mut self, record: &Record) {
        match record {
            Record::EpochRaised { epoch } => self.epoch = *epoch,
            Record::ClockSet { clock } => self.clock = Some(*clock),
            Record::Started(started) => {
                if started.spec.retry_of.is_some() {
                    self.met.insert("retried");
                }
                let kept = Kept {
                    started: (**started).clone(),
                    handed: BTreeMap::new(),
                    finished: BTreeMap::new(),
                    ended: false,
                    cancelled_by: None,
                    cancelled_tasks: Vec::new(),
                    late_findings: 0,
                };
                self.operations.insert(started.id, kept);
            }
            Record::Replanned(started) => {
                if let Some(kept) = self.operations.get_mut(&started.id) {
                    kept.started = (**started).clone();
                }
            }
            Record::Steered { operation, event, standing } => {
                self.met.insert(event.what.as_str());
                if event.what == EventKind::WaveBegun && event.by.is_some() {
                    self.met.insert("promoted");
                }
                if let Some(kept) = self.operations.get_mut(operation) {
                    kept.started.standing = standing.clone();
                }
            }
            Record::Handed { operation, tasks, until, .. } => {
                if let Some(kept) = self.operations.get_mut(operation) {
                    kept.handed.extend(tasks.iter().map(|index| (*index, *until)));
                }
            }
            Record::Finished { operation, tasks, .. } => {
                self.met.extend(tasks.iter().map(|(_, verdict)| verdict.reason.as_str()));
                if let Some(kept) = self.operations.get_mut(operation) {
                    let finished = tasks.iter().map(|(index, verdict)| (*index, verdict.as_ref().clone()));
                    kept.finished.extend(finished);
                }
            }
            Record::Late { operation, index, verdict, .. } => {
                self.late.push((*operation, *index, verdict.as_ref().clone()));
                if let Some(kept) = self.operations.get_mut(operation) {
                    kept.late_findings += 1;
                }
            }
            Record::CancelRequested { operation, scope, by, .. } => {
                if let Some(kept) = self.operations.get_mut(operation) {
                    match scope {
                        CancelScope::Operation => kept.cancelled_by = Some(by.clone()),
                        CancelScope::Task(index) => kept.cancelled_tasks.push(*index),
                    }
                }
            }
            Record::Ended { operation, .. } => {
                if let Some(kept) = self.operations.get_mut(operation) {
                    kept.ended = true;
                }
            }
            Record::HostSeen { .. }
            | Record::LedgerSeen { .. }
            | Record::Inventory { .. }
            | Record::HostLabelled { .. }
            | Record::GuestLabelled { .. }
            | Record::HostRemoved { .. } => self.append_about_fleet(record),
            Record::Held { .. }
            | Record::Released { .. }
            | Record::Protected { .. }
            | Record::Unprotected { .. }
            | Record::FreezeChanged { .. } => self.append_about_safety(record),
        }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "the rest is about operations and was taken before")]
    fn append_about_fleet(&mut self, record: &Record) {
        match record {
            Record::HostSeen { host, at, version } => {
                let row = self.host(host);
                row.seen = Some(*at);
                row.version.clone_from(version);
            }
            Record::LedgerSeen { host, ledger, acknowledged } => {
                let row = self.host(host);
                row.ledger = Some(*ledger);
                row.acknowledged = *acknowledged;
            }
            Record::Inventory { host, replace, upserts, removed, digest } => {
                let row = self.host(host);
                if *replace {
                    row.guests.clear();
                }
                let gone = |id: &GuestId| removed.contains(id) || upserts.iter().any(|new| new.id == *id);
                row.guests.retain(|guest| !gone(&guest.id));
                row.guests.extend(upserts.iter().filter(|new| !removed.contains(&new.id)).cloned());
                row.inventory_digest = *digest;
            }
            Record::HostLabelled { host, labels } => self.host(host).labels.clone_from(labels),
            Record::GuestLabelled { guest, labels } => {
                self.guest_labels.insert(guest.clone(), labels.clone());
            }
            Record::HostRemoved { host } => {
                self.hosts.remove(host);
            }
            _ => {}
        }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "the rest was taken before")]
    fn append_about_safety(&mut self, record: &Record) {
        match record {
            Record::Held { hold, mark } => {
                self.holds.insert(hold.guest.clone(), hold.clone());
                self.safeguards = *mark;
            }
            Record::Released { guest, mark } => {
                self.holds.remove(guest);
                self.met.insert("released");
                self.safeguards = *mark;
            }
            Record::Protected { user, mark } => {
                self.protected_users.insert(user.pattern.as_str().to_owned(), user.clone());
                self.safeguards = *mark;
            }
            Record::Unprotected { pattern, mark } => {
                self.protected_users.remove(pattern.as_str());
                self.met.insert("unprotected");
                self.safeguards = *mark;
            }
            Record::FreezeChanged { freeze } => {
                self.met.insert(match freeze {
                    Some(freeze) if freeze.hard => "frozen_hard",
                    Some(_) => "frozen",
                    None => "unfrozen",
                });
                self.freeze.clone_from(freeze);
            }
            _ => {}
        }
    }

    /// What stored wall times stand for in the boot that begins to use them at `now`: milliseconds from then. Within one
    /// boot the monotonic clock counts, and after another only the wall clock is left.
    pub(crate) fn left_until(&self, wall: WallTime, boot: u64, now: Now) -> u64 {
        let same_boot = self.clock.filter(|clock| clock.boot == boot);
        let now = same_boot.map_or(now.wall.0, |clock| {
            clock.wall_of_zero + i64::try_from(now.mono.0).expect("a short simulation")
        });
        wall.remaining_from(WallTime(now))
    }

    /// How many guests the inventories name.
    pub(crate) fn guest_count(&self) -> u64 {
        let guests = self.hosts.values().flat_map(|row| &row.guests);
        guests.map(|guest| &guest.id).collect::<BTreeSet<_>>().len() as u64
    }

    /// A guest's value of a label that operators set, as long as its host lists it.
    pub(crate) fn label(&self, host: &HostName, guest: &GuestId, key: &str) -> Option<&str> {
        let row = self.hosts.get(host)?;
        row.guests.iter().find(|listed| listed.id == *guest)?;
        let own = self.guest_labels.get(guest).and_then(|labels| labels.get(key));
        own.or_else(|| row.labels.get(key)).map(String::as_str)
    }

    fn host(&mut self, name: &HostName) -> &mut RecoveredHost {
        self.hosts.entry(name.clone()).or_insert_with(|| RecoveredHost {
            name: name.clone(),
            labels: Labels::new(),
            ledger: None,
            acknowledged: 0,
            seen: None,
            version: String::new(),
            inventory_digest: 0,
            guests: Vec::new(),
        })
    }

    /// The age of a host's ledger as far as it is stored, if it is this one.
    pub(crate) fn counter_of(&self, host: &HostName, incarnation: u64) -> u64 {
        let ledger = self.hosts.get(host).and_then(|row| row.ledger);
        ledger.filter(|ledger| ledger.incarnation == incarnation).map_or(0, |ledger| ledger.counter)
    }

    /// What a controller that starts now is told.
    pub(crate) fn recovered(&self) -> Recovered {
        let unfinished = self.operations.values().filter(|kept| !kept.ended);
        let operation = |kept: &Kept| RecoveredOperation {
            started: kept.started.clone(),
            handed: kept.handed.iter().map(|(index, until)| (*index, *until)).collect(),
            finished: kept.finished.iter().map(|(index, verdict)| (*index, verdict.clone())).collect(),
            cancelled_by: kept.cancelled_by.clone(),
            cancelled_tasks: kept.cancelled_tasks.clone(),
            late_findings: kept.late_findings,
        };
        Recovered {
            epoch: self.epoch,
            clock: self.clock,
            hosts: self.hosts.values().cloned().collect(),
            guest_labels: self.guest_labels.iter().map(|(id, labels)| (id.clone(), labels.clone())).collect(),
            operations: unfinished.map(operation).collect(),
            holds: self.holds.values().cloned().collect(),
            protected_users: self.protected_users.values().cloned().collect(),
            safeguards: self.safeguards,
            freeze: self.freeze.clone(),
        }
    }

    /// Ended tasks by outcome.
    pub(crate) fn outcomes(&self) -> [u64; 9] {
        let mut outcomes = [0; 9];
        for verdict in self.operations.values().flat_map(|kept| kept.finished.values()) {
            outcomes[verdict.outcome.place()] += 1;
        }
        outcomes
    }

    /// Whether a finding is stored, as an outcome or as late news beside one.
    pub(crate) fn holds(&self, operation: OperationId, index: u32, verdict: &Verdict) -> bool {
        let as_outcome = self.operations.get(&operation).and_then(|kept| kept.finished.get(&index));
        as_outcome.is_some_and(|known| is_same(known, verdict))
            || self.late.iter().any(|(op, at, late)| *op == operation && *at == index && late == verdict)
    }
}

/// Whether an outcome is what the agent said, be it as the controller, who knows more, reads it.
fn is_same(known: &Verdict, said: &Verdict) -> bool {
    use curfew_types::{Outcome, Reason};
    let by_choice = known.outcome == Outcome::Skipped
        && known.reason == Reason::NotRunningByChoice
        && said.reason == Reason::NotRunning;
    let withdrawn = known.outcome == Outcome::Skipped
        && known.reason == Reason::BudgetSpent
        && (said.outcome, said.reason) == (Outcome::Cancelled, Reason::NotStarted);
    // The agent sees that the guest is gone, and the controller where it went.
    let moved = known.reason == Reason::Moved;
    known == said || by_choice || withdrawn || moved
}
