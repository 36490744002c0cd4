//! Lines of the ledger: what a turn writes about many guests at once is one line, which says what they have in common
//! once. An agent that logs ten guests off writes a third of the bytes so; what a line means is the same entries.

use super::Entry;
use crate::acting::Target;
use curfew_types::{GuestId, Mono, OperationId, SessionKey, SessionResult, Verdict, WallTime};
use serde::{Deserialize, Serialize, Serializer};
use std::sync::Arc;

/// The entries as lines, in their order.
pub fn lines(entries: &[Entry]) -> impl Iterator<Item = Line<'_>> {
    entries.chunk_by(belong_together).map(Line)
}

/// A line to be written: one entry, or several that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a>(&'a [Entry]);

/// Whether two entries, one after the other, are told in one line.
fn belong_together(one: &Entry, next: &Entry) -> bool {
    match (one, next) {
        (Entry::Acting { operation, at, .. }, Entry::Acting { operation: next_one, at: next_at, .. }) => {
            operation == next_one && at == next_at && is_plain_acting(one) && is_plain_acting(next)
        }
        (
            Entry::Finished { operation, verdict, sequence, at, follow_up: false, .. },
            Entry::Finished {
                operation: next_one,
                verdict: next_verdict,
                sequence: next_sequence,
                at: next_at,
                follow_up: false,
                ..
            },
        ) => {
            operation == next_one
                && at == next_at
                && *next_sequence == number(*sequence, 1)
                && verdict.is_like(next_verdict)
        }
        _ => false,
    }
}

/// The number of the finding `place` after one; those that were acknowledged before have none.
fn number(first: u64, place: u64) -> u64 {
    if first == 0 { 0 } else { first + place }
}

/// Whether there is nothing to say of an act moment but its targets.
fn is_plain_acting(entry: &Entry) -> bool {
    let Entry::Acting { guest_boot, targets, additions: 0, left_early, left_alone, .. } = entry else {
        return false;
    };
    let is_plain = |target: &Target| {
        let Target { session, notices, unnoticed, forced, spared, unmatched, .. } = target;
        session.boot == *guest_boot
            && *notices == 0
            && unnoticed.is_empty()
            && !(*forced || *spared || *unmatched)
    };
    left_early.is_empty() && left_alone.is_empty() && targets.iter().all(is_plain)
}

/// Several entries in one line.
#[derive(Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
enum Together<Acting, Finished> {
    /// The act moment of several guests: for each task its place, the guest's boot, and the targets.
    ActingTogether { operation: OperationId, at: Mono, tasks: Acting },
    /// Outcomes that have a shape in common: for each task its place, its guest, and whose sessions they were.
    FinishedTogether {
        operation: OperationId,
        at: WallTime,
        /// The number of the first in the outbox; the others follow it. 0 where all were acknowledged.
        sequence: u64,
        verdict: Verdict,
        tasks: Finished,
    },
}

/// A task's place, its guest's boot, and of each target the id, when it began, and the user.
type ActingRead = (u32, String, Vec<(String, u64, String)>);
/// A task's place, its guest, and of each session the id and the user.
type FinishedRead = (u32, GuestId, Vec<(String, String)>);

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [Entry::Acting { operation, at, .. }, _, ..] => {
                let (operation, at, tasks) = (*operation, *at, Each(self.0, acting_written));
                Together::<_, ()>::ActingTogether { operation, at, tasks }.serialize(serializer)
            }
            [Entry::Finished { operation, verdict, sequence, at, .. }, _, ..] => {
                let (operation, at, sequence, verdict) = (*operation, *at, *sequence, verdict.shape());
                let tasks = Each(self.0, finished_written);
                Together::<(), _>::FinishedTogether { operation, at, sequence, verdict, tasks }
                    .serialize(serializer)
            }
            alone => alone.first().serialize(serializer),
        }
    }
}

/// What is said of each of these, without a list being made.
struct Each<'a, T, U>(&'a [T], fn(&'a T) -> Option<U>);

impl<T, U: Serialize> Serialize for Each<'_, T, U> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().filter_map(self.1))
    }
}

/// As [`ActingRead`].
type ActingWritten<'a> = (u32, &'a str, Each<'a, Target, (&'a String, u64, &'a String)>);

fn acting_written(entry: &Entry) -> Option<ActingWritten<'_>> {
    let Entry::Acting { index, guest_boot, targets, .. } = entry else { return None };
    let targets = Each(targets, |Target { session, user, .. }| Some((&session.id, session.began_us, user)));
    Some((*index, guest_boot, targets))
}

/// As [`FinishedRead`].
type FinishedWritten<'a> = (u32, &'a GuestId, Each<'a, SessionResult, (&'a String, &'a String)>);

fn finished_written(entry: &Entry) -> Option<FinishedWritten<'_>> {
    let Entry::Finished { index, guest, verdict, .. } = entry else { return None };
    Some((*index, guest, Each(&verdict.results, |SessionResult { id, user, .. }| Some((id, user)))))
}

/// What the kinds of lines with several entries end with.
const TOGETHER: &str = "_together";

/// What kind of line it is.
#[derive(Deserialize)]
struct Kind {
    entry: String,
}

/// The entries of a line that was read.
///
/// # Errors
/// When it is none that this version writes.
pub fn entries(json: &[u8]) -> Result<Vec<Entry>, serde_json::Error> {
    let Kind { entry } = serde_json::from_slice(json)?;
    if !entry.ends_with(TOGETHER) {
        return Ok(vec![serde_json::from_slice(json)?]);
    }
    match serde_json::from_slice::<Together<Vec<ActingRead>, Vec<FinishedRead>>>(json)? {
        Together::ActingTogether { operation, at, tasks } => {
            Ok(tasks.into_iter().map(|task| acting(operation, at, task)).collect())
        }
        Together::FinishedTogether { operation, at, sequence, verdict, tasks } => (0..)
            .zip(tasks)
            .map(|(place, (index, guest, names))| {
                let verdict = verdict.with_names(names).ok_or_else(|| {
                    <serde_json::Error as serde::de::Error>::custom(
                        "a verdict has other sessions than its task",
                    )
                })?;
                let (verdict, sequence) = (Arc::new(verdict), number(sequence, place));
                Ok(Entry::Finished { operation, index, guest, verdict, sequence, at, follow_up: false })
            })
            .collect(),
    }
}

fn acting(operation: OperationId, at: Mono, (index, guest_boot, targets): ActingRead) -> Entry {
    let target =
        |(id, began_us, user)| Target::of(SessionKey { boot: guest_boot.clone(), id, began_us }.into(), user);
    let targets = targets.into_iter().map(target).collect();
    let (left_early, left_alone) = (Vec::new(), Vec::new());
    Entry::Acting { operation, index, at, guest_boot, targets, additions: 0, left_early, left_alone }
}
