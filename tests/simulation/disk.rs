//! The controller's store as a small reference model: records in, [`Recovered`] out, written independently of any
//! real store.

use curfew_controller_core::record::{
    CancelScope, Record, Recovered, RecoveredHost, RecoveredOperation, Started,
};
use curfew_types::label::Labels;
use curfew_types::{GuestId, HostName, OperationId, Verdict, WallTime};
use std::collections::BTreeMap;

/// What is on disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    epoch: u64,
    hosts: BTreeMap<HostName, RecoveredHost>,
    guest_labels: BTreeMap<GuestId, Labels>,
    pub(crate) operations: BTreeMap<OperationId, Kept>,
    pub(crate) late: Vec<(OperationId, u32, Verdict)>,
}

/// An operation on disk.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) started: Started,
    pub(crate) handed: BTreeMap<u32, WallTime>,
    pub(crate) finished: BTreeMap<u32, Verdict>,
    pub(crate) ended: bool,
    cancelled_by: Option<String>,
    cancelled_tasks: Vec<u32>,
    late_findings: u64,
}

impl Disk {
    /// Takes one record in.
    pub(crate) fn append(&mut self, record: &Record) {
        match record {
            Record::EpochRaised { epoch } => self.epoch = *epoch,
            Record::Started(started) => {
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
            Record::Handed { operation, tasks, until, .. } => {
                if let Some(kept) = self.operations.get_mut(operation) {
                    kept.handed.extend(tasks.iter().map(|index| (*index, *until)));
                }
            }
            Record::Finished { operation, tasks, .. } => {
                if let Some(kept) = self.operations.get_mut(operation) {
                    kept.finished.extend(tasks.iter().cloned());
                }
            }
            Record::Late { operation, index, verdict, .. } => {
                self.late.push((*operation, *index, verdict.clone()));
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
            hosts: self.hosts.values().cloned().collect(),
            guest_labels: self.guest_labels.iter().map(|(id, labels)| (id.clone(), labels.clone())).collect(),
            operations: unfinished.map(operation).collect(),
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

/// Whether an outcome is what the agent said, be it in the requester's words.
fn is_same(known: &Verdict, said: &Verdict) -> bool {
    use curfew_types::{Outcome, Reason};
    known == said
        || (known.outcome == Outcome::Skipped
            && known.reason == Reason::NotRunningByChoice
            && said.reason == Reason::NotRunning)
}
