//! A turn's records, folded into what one transaction writes. Pure: it knows neither the file nor what is in it.

use super::body::{CancelBody, Entry, HandedBody, LateBody, VerdictBody, join, pack, split};
use super::finished::{FinishedRef, pack_finished};
use super::safeguards::SafeguardsChange;
use curfew_controller_core::record::{CancelScope, ClockFrame, Record, Started};
use curfew_types::agent::LedgerMark;
use curfew_types::label::Labels;
use curfew_types::operation::{OperationEvent, Standing};
use curfew_types::{
    Guest, GuestId, HostName, OperationId, OperationState, Outcome, Reason, Verdict, WallTime,
};
use std::collections::BTreeMap;

/// What one transaction writes. Where several records say the same of a host, the last one stands.
#[derive(Default)]
pub(super) struct Batch<'a> {
    pub(super) epoch: Option<u64>,
    pub(super) clock: Option<ClockFrame>,
    pub(super) hosts: BTreeMap<&'a HostName, HostChange<'a>>,
    pub(super) guest_labels: BTreeMap<&'a GuestId, &'a Labels>,
    pub(super) operations: BTreeMap<OperationId, OperationChange<'a>>,
    pub(super) safeguards: SafeguardsChange<'a>,
}

/// What changes about a host.
#[derive(Default)]
pub(super) struct HostChange<'a> {
    /// It is forgotten first, then the rest applies.
    pub(super) removed: bool,
    pub(super) seen: Option<(WallTime, &'a str)>,
    pub(super) ledger: Option<(LedgerMark, u64)>,
    pub(super) labels: Option<&'a Labels>,
    pub(super) inventory: Vec<InventoryChange<'a>>,
}

/// One change of a host's inventory.
pub(super) struct InventoryChange<'a> {
    pub(super) replace: bool,
    pub(super) upserts: &'a [Guest],
    pub(super) removed: &'a [GuestId],
    pub(super) digest: u64,
}

/// What changes about an operation.
#[derive(Default)]
pub(super) struct OperationChange<'a> {
    pub(super) started: Option<&'a Started>,
    pub(super) replanned: Option<Replanned<'a>>,
    pub(super) events: Vec<&'a OperationEvent>,
    /// How it stands after the last of the events.
    pub(super) standing: Option<&'a Standing>,
    pub(super) cancelled: Option<CancelRef<'a>>,
    pub(super) ended: Option<EndRef<'a>>,
    pub(super) chunks: BTreeMap<u32, ChunkChange<'a>>,
    pub(super) counts: Counts,
}

/// A new set of guests for an operation that waits for approval.
#[derive(Clone, Copy)]
pub(super) struct Replanned<'a> {
    pub(super) with: &'a Started,
    /// Only the database knows how the operation stood before.
    pub(super) check_stored: bool,
    /// This batch says that it did not wait any more.
    pub(super) too_late: bool,
}

/// How an operation ended.
#[derive(Clone, Copy)]
pub(super) struct EndRef<'a> {
    pub(super) at: WallTime,
    pub(super) revision: u64,
    pub(super) slowest: &'a [(u32, u64)],
}

/// Who cancelled, why and when.
#[derive(Clone, Copy)]
pub(super) struct CancelRef<'a> {
    pub(super) by: &'a str,
    pub(super) reason: &'a str,
    pub(super) at: WallTime,
}

/// What is added to an operation's counters.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) outcomes: [i64; Outcome::ALL.len()],
    pub(super) reasons: BTreeMap<(Outcome, Reason), i64>,
    pub(super) ended_well: i64,
    pub(super) late: i64,
}

impl Counts {
    pub(super) fn count(&mut self, verdict: &Verdict) {
        self.outcomes[verdict.outcome.place()] += 1;
        *self.reasons.entry((verdict.outcome, verdict.reason)).or_default() += 1;
        self.ended_well += i64::from(verdict.ended_well());
    }
}

/// What is added about the tasks of one chunk.
#[derive(Default)]
pub(super) struct ChunkChange<'a> {
    finished: Vec<FinishedRef<'a>>,
    handed: Vec<(WallTime, Vec<u8>)>,
    cancels: Vec<(u8, CancelRef<'a>)>,
    pub(super) late: Vec<LateRef<'a>>,
    mask: i64,
}

/// Late news about a task.
#[derive(Clone, Copy)]
pub(super) struct LateRef<'a> {
    pub(super) host: &'a HostName,
    pub(super) place: u8,
    pub(super) guest: &'a GuestId,
    pub(super) verdict: &'a Verdict,
    pub(super) at: WallTime,
}

/// In a journal row's mask: one of its tasks did not end well.
pub(super) const NOT_WELL: i64 = 1 << 16;

/// An outcome's bit in a journal row's mask.
pub(super) fn outcome_bit(outcome: Outcome) -> i64 {
    1 << outcome.place()
}

impl<'a> Batch<'a> {
    /// Folds `records`, in their order.
    pub(super) fn fold(records: &'a [Record]) -> Batch<'a> {
        let mut batch = Batch::default();
        for record in records {
            batch.add(record);
        }
        batch
    }

    /// The operations that get their guests in it.
    pub(super) fn planned(&self) -> impl Iterator<Item = OperationId> {
        let planned = |change: &OperationChange<'_>| change.started.is_some() || change.replanned.is_some();
        self.operations.iter().filter(move |(_, change)| planned(change)).map(|(id, _)| *id)
    }

    fn add(&mut self, record: &'a Record) {
        match record {
            Record::EpochRaised { epoch } => self.epoch = Some(*epoch),
            Record::ClockSet { clock } => self.clock = Some(*clock),
            Record::Started(started) => self.operation(started.id).started = Some(started),
            Record::Replanned(started) => self.operation(started.id).replan(started),
            Record::Steered { operation, event, standing } => {
                let operation = self.operation(*operation);
                operation.events.push(event);
                operation.standing = Some(standing);
            }
            Record::Handed { operation, tasks, until, .. } => {
                let operation = self.operation(*operation);
                for task in tasks {
                    operation.hand(*task, *until);
                }
            }
            Record::Finished { operation, tasks, at, .. } => {
                let operation = self.operation(*operation);
                for (task, verdict) in tasks {
                    operation.finish(*task, verdict, *at);
                }
            }
            Record::Late { operation, host, index, guest, verdict, at } => {
                let (chunk, place) = split(*index);
                let late = LateRef { host, place, guest, verdict, at: *at };
                self.operation(*operation).chunks.entry(chunk).or_default().late.push(late);
            }
            Record::CancelRequested { operation, scope, by, reason, at } => {
                let operation = self.operation(*operation);
                let cancel = CancelRef { by, reason, at: *at };
                match scope {
                    CancelScope::Operation => {
                        operation.cancelled.get_or_insert(cancel);
                    }
                    CancelScope::Task(index) => {
                        let (chunk, place) = split(*index);
                        operation.chunks.entry(chunk).or_default().cancels.push((place, cancel));
                    }
                }
            }
            Record::Ended { operation, at, revision, slowest } => {
                self.operation(*operation).ended = Some(EndRef { at: *at, revision: *revision, slowest });
            }
            Record::HostSeen { host, at, version } => self.host(host).seen = Some((*at, version)),
            Record::LedgerSeen { host, ledger, acknowledged } => {
                self.host(host).ledger = Some((*ledger, *acknowledged));
            }
            Record::Inventory { host, replace, upserts, removed, digest } => {
                let change = InventoryChange { replace: *replace, upserts, removed, digest: *digest };
                self.host(host).inventory.push(change);
            }
            Record::HostLabelled { host, labels } => self.host(host).labels = Some(labels),
            Record::GuestLabelled { guest, labels } => {
                self.guest_labels.insert(guest, labels);
            }
            Record::HostRemoved { host } => {
                *self.host(host) = HostChange { removed: true, ..HostChange::default() };
            }
            Record::Held { .. }
            | Record::Released { .. }
            | Record::Protected { .. }
            | Record::Unprotected { .. }
            | Record::FreezeChanged { .. } => self.safeguards.add(record),
        }
    }

    fn host(&mut self, host: &'a HostName) -> &mut HostChange<'a> {
        self.hosts.entry(host).or_default()
    }

    fn operation(&mut self, id: OperationId) -> &mut OperationChange<'a> {
        self.operations.entry(id).or_default()
    }
}

impl<'a> OperationChange<'a> {
    fn replan(&mut self, with: &'a Started) {
        let stood = self.standing.or(self.started.map(|started| &started.standing));
        let too_late = self.cancelled.is_some()
            || !self.chunks.is_empty()
            || self.replanned.is_some_and(|before| before.too_late)
            || stood.is_some_and(|standing| standing.state != OperationState::AwaitingApproval);
        let check_stored = self.replanned.map_or(stood.is_none(), |before| before.check_stored);
        self.replanned = Some(Replanned { with, check_stored, too_late });
        // Its own standing is the newest until something else changes it.
        self.standing = Some(&with.standing);
    }

    fn hand(&mut self, task: u32, until: WallTime) {
        let (chunk, place) = split(task);
        let handed = &mut self.chunks.entry(chunk).or_default().handed;
        match handed.iter_mut().find(|(when, _)| *when == until) {
            Some((_, places)) => places.push(place),
            None => handed.push((until, vec![place])),
        }
    }

    fn finish(&mut self, task: u32, verdict: &'a Verdict, at: WallTime) {
        self.counts.count(verdict);
        let (chunk, place) = split(task);
        let change = self.chunks.entry(chunk).or_default();
        change.mask |= outcome_bit(verdict.outcome);
        if !verdict.ended_well() {
            change.mask |= NOT_WELL;
        }
        change.finished.push(FinishedRef { at, place, verdict });
    }

    /// The indices of the tasks that end in this batch.
    pub(super) fn finished(&self) -> impl Iterator<Item = u32> {
        self.chunks
            .iter()
            .flat_map(|(chunk, change)| change.finished.iter().map(|task| join(*chunk, task.place)))
    }

    /// The indices of all tasks it says anything of, late news apart.
    pub(super) fn indices(&self) -> impl Iterator<Item = u32> {
        let others = self.chunks.iter().flat_map(|(chunk, change)| {
            let handed = change.handed.iter().flat_map(|(_, places)| places.iter().copied());
            let cancelled = change.cancels.iter().map(|(place, _)| *place);
            handed.chain(cancelled).map(|place| join(*chunk, place))
        });
        self.finished().chain(others)
    }

    /// Whether it brings nothing but late news, which may come at any time.
    pub(super) fn is_only_late(&self) -> bool {
        self.started.is_none()
            && self.replanned.is_none()
            && self.standing.is_none()
            && self.cancelled.is_none()
            && self.ended.is_none()
            && self.indices().next().is_none()
    }
}

impl<'a> ChunkChange<'a> {
    /// The row's mask and body; `None` when nothing is left to write.
    pub(super) fn into_row(mut self) -> Option<(i64, Entry)> {
        let mut verdicts = Vec::new();
        let late: Vec<LateBody> = std::mem::take(&mut self.late)
            .into_iter()
            .map(|late| LateBody {
                verdict: place_of(&mut verdicts, late.verdict),
                at: late.at.0,
                place: u32::from(late.place),
            })
            .collect();
        let (shapes, columns) = pack_finished(&mut self.finished);
        let handed = self
            .handed
            .into_iter()
            .map(|(until, mut places)| HandedBody { until: until.0, runs: pack(&mut places) });
        let cancels = self.cancels.into_iter().map(|(place, cancel)| CancelBody {
            place: u32::from(place),
            by: cancel.by.to_owned(),
            reason: cancel.reason.to_owned(),
            at: cancel.at.0,
        });
        let entry = Entry {
            handed: handed.collect(),
            cancels: cancels.collect(),
            late,
            verdicts: verdicts.into_iter().map(VerdictBody::from).collect(),
            shapes,
            columns,
            ..Entry::default()
        };
        (entry != Entry::default()).then_some((self.mask, entry))
    }
}

/// How many verdicts are looked at for an equal one: late news seldom repeat, and those that do come in rows.
const LOOK_BACK: usize = 16;

/// The place of `verdict` in the list, where it is put if it is not among the last. The list has at most a chunk's tasks.
fn place_of<'a>(verdicts: &mut Vec<&'a Verdict>, verdict: &'a Verdict) -> u32 {
    let first = verdicts.len().saturating_sub(LOOK_BACK);
    let known =
        verdicts[first..].iter().position(|known| std::ptr::eq(*known, verdict) || **known == *verdict);
    let place = known.map(|place| first + place).unwrap_or_else(|| {
        verdicts.push(verdict);
        verdicts.len() - 1
    });
    u32::try_from(place).unwrap_or(u32::MAX)
}
