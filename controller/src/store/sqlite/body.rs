//! The packed bodies: protobuf messages that only this store reads and writes.
//!
//! Numbers of fields, outcomes, fates, power states and families are never reused; reasons are kept as their words and codes
//! as their values, both of which are published.

use super::finished::{Finished, places_finished, unpack_finished};
use curfew_types::{
    Outcome, Reason, SessionCounts, SessionFate, SessionResult, StatusCode, Verdict, WallTime,
};
use prost::Message;

/// Tasks in a chunk, so that a place within it is one byte.
pub(super) const CHUNK: u32 = 256;

/// The chunk a task is in, and its place there.
pub(super) fn split(index: u32) -> (u32, u8) {
    let [place, ..] = index.to_le_bytes();
    (index / CHUNK, place)
}

/// The task at `place` of `chunk`.
pub(super) fn join(chunk: u32, place: u8) -> u32 {
    chunk * CHUNK + u32::from(place)
}

/// Why a body cannot be understood.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("a packed row does not decode")]
    Decode(#[from] prost::DecodeError),
    #[error("a packed row says {0}, which this version does not know")]
    Unknown(String),
    #[error("packed columns do not read back")]
    Columns,
    #[error("a stored name is not valid")]
    Id(#[from] curfew_types::id::IdError),
    #[error("a stored text is not valid JSON for what it stands for")]
    Json(#[from] serde_json::Error),
    #[error("it is not a database of Curfew's controller")]
    Foreign,
    #[error("the schema's versions do not fit")]
    Schema(#[source] sqlx::migrate::MigrateError),
}

/// What one transaction appended about the tasks of a chunk.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Entry {
    /// Each verdict once; others name it by its place here. Only late news have theirs here since the third schema.
    #[prost(message, repeated, tag = "1")]
    pub(super) verdicts: Vec<VerdictBody>,
    /// As versions before the third schema wrote them.
    #[prost(message, repeated, tag = "2")]
    pub(super) finished: Vec<FinishedBody>,
    #[prost(message, repeated, tag = "3")]
    pub(super) handed: Vec<HandedBody>,
    #[prost(message, repeated, tag = "4")]
    pub(super) late: Vec<LateBody>,
    #[prost(message, repeated, tag = "5")]
    pub(super) cancels: Vec<CancelBody>,
    /// Verdicts without the ids and users of their sessions; the columns name them by their place here.
    #[prost(message, repeated, tag = "6")]
    pub(super) shapes: Vec<VerdictBody>,
    /// Tasks that ended.
    #[prost(bytes = "vec", tag = "7")]
    pub(super) columns: Vec<u8>,
}

impl Entry {
    /// The verdicts that late news name by their place.
    ///
    /// # Errors
    /// When one cannot be understood.
    pub(super) fn take_verdicts(&mut self) -> Result<Vec<Verdict>, BodyError> {
        std::mem::take(&mut self.verdicts).into_iter().map(Verdict::try_from).collect()
    }

    /// The tasks that ended, whichever version wrote them. `verdicts` are those of the entry.
    ///
    /// # Errors
    /// When they cannot be understood.
    pub(super) fn take_finished(&mut self, verdicts: &[Verdict]) -> Result<Vec<Finished>, BodyError> {
        let mut tasks = unpack_finished(std::mem::take(&mut self.shapes), &self.columns)?;
        for FinishedBody { verdict, at, runs } in &self.finished {
            let verdict = verdict_at(verdicts, *verdict)?;
            let task = |place| Finished { place, at: WallTime(*at), verdict: verdict.clone() };
            tasks.extend(unpack(runs).map(task));
        }
        Ok(tasks)
    }

    /// The places of the tasks that ended.
    ///
    /// # Errors
    /// When they cannot be understood.
    pub(super) fn places_finished(&self) -> Result<Vec<u8>, BodyError> {
        let mut places = places_finished(&self.columns)?;
        places.extend(self.finished.iter().flat_map(|finished| unpack(&finished.runs)));
        Ok(places)
    }
}

/// The verdict at a place.
///
/// # Errors
/// When there is none.
pub(super) fn verdict_at(verdicts: &[Verdict], place: u32) -> Result<&Verdict, BodyError> {
    let verdict = usize::try_from(place).ok().and_then(|place| verdicts.get(place));
    verdict.ok_or_else(|| BodyError::Unknown(format!("verdict {place}")))
}

/// Tasks that ended alike.
#[derive(Clone, PartialEq, Message)]
pub(super) struct FinishedBody {
    #[prost(uint32, tag = "1")]
    verdict: u32,
    #[prost(int64, tag = "2")]
    at: i64,
    #[prost(bytes = "vec", tag = "3")]
    runs: Vec<u8>,
}

/// Tasks handed over with the same time limit.
#[derive(Clone, PartialEq, Message)]
pub(super) struct HandedBody {
    #[prost(int64, tag = "1")]
    pub(super) until: i64,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) runs: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LateBody {
    #[prost(uint32, tag = "1")]
    pub(super) verdict: u32,
    #[prost(int64, tag = "2")]
    pub(super) at: i64,
    #[prost(uint32, tag = "3")]
    pub(super) place: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CancelBody {
    #[prost(uint32, tag = "1")]
    pub(super) place: u32,
    #[prost(string, tag = "2")]
    pub(super) by: String,
    #[prost(string, tag = "3")]
    pub(super) reason: String,
    #[prost(int64, tag = "4")]
    pub(super) at: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct VerdictBody {
    /// [`Outcome::place`].
    #[prost(uint32, tag = "1")]
    outcome: u32,
    #[prost(fixed32, tag = "2")]
    code: u32,
    #[prost(string, tag = "3")]
    reason: String,
    #[prost(string, tag = "4")]
    message: String,
    #[prost(uint32, tag = "5")]
    found: u32,
    #[prost(uint32, tag = "6")]
    ended: u32,
    #[prost(uint32, tag = "7")]
    forced: u32,
    #[prost(uint32, tag = "8")]
    remaining: u32,
    #[prost(uint32, tag = "9")]
    excluded: u32,
    #[prost(uint32, tag = "10")]
    new: u32,
    #[prost(message, repeated, tag = "11")]
    results: Vec<ResultBody>,
}

/// What became of one session. The first versions kept the remaining ones only, and of them the first two fields.
#[derive(Clone, PartialEq, Message)]
struct ResultBody {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    user: String,
    /// [`SessionFate::place`].
    #[prost(uint32, tag = "3")]
    fate: u32,
    #[prost(uint32, tag = "4")]
    notices: u32,
    #[prost(string, tag = "5")]
    why: String,
}

impl From<&SessionResult> for ResultBody {
    fn from(result: &SessionResult) -> ResultBody {
        ResultBody {
            id: result.id.clone(),
            user: result.user.clone(),
            fate: u32::try_from(result.fate.place()).unwrap_or(u32::MAX),
            notices: result.notices,
            why: result.why.clone(),
        }
    }
}

impl TryFrom<ResultBody> for SessionResult {
    type Error = BodyError;

    fn try_from(body: ResultBody) -> Result<SessionResult, BodyError> {
        let fate = usize::try_from(body.fate).ok().and_then(|place| SessionFate::ALL.get(place));
        Ok(SessionResult {
            id: body.id,
            user: body.user,
            fate: *fate.ok_or_else(|| BodyError::Unknown(format!("fate {}", body.fate)))?,
            notices: body.notices,
            why: body.why,
        })
    }
}

impl VerdictBody {
    /// The body of the verdict without the ids and users of its sessions.
    pub(super) fn shape(verdict: &Verdict) -> VerdictBody {
        let shape = |result: &SessionResult| ResultBody {
            id: String::new(),
            user: String::new(),
            ..ResultBody::from(result)
        };
        VerdictBody::with_results(verdict, verdict.results.iter().map(shape).collect())
    }

    fn with_results(verdict: &Verdict, results: Vec<ResultBody>) -> VerdictBody {
        let SessionCounts { found, ended, forced, remaining, excluded, new } = verdict.sessions;
        VerdictBody {
            outcome: u32::try_from(verdict.outcome.place()).unwrap_or(u32::MAX),
            code: verdict.code.value(),
            reason: verdict.reason.as_str().to_owned(),
            message: verdict.message.clone(),
            found,
            ended,
            forced,
            remaining,
            excluded,
            new,
            results,
        }
    }
}

impl From<&Verdict> for VerdictBody {
    fn from(verdict: &Verdict) -> VerdictBody {
        VerdictBody::with_results(verdict, verdict.results.iter().map(ResultBody::from).collect())
    }
}

impl TryFrom<VerdictBody> for Verdict {
    type Error = BodyError;

    fn try_from(body: VerdictBody) -> Result<Verdict, BodyError> {
        let outcome = usize::try_from(body.outcome).ok().and_then(|place| Outcome::ALL.get(place));
        Ok(Verdict {
            outcome: *outcome.ok_or_else(|| BodyError::Unknown(format!("outcome {}", body.outcome)))?,
            code: StatusCode::from_value(body.code)
                .ok_or_else(|| BodyError::Unknown(format!("code 0x{:08X}", body.code)))?,
            reason: Reason::from_word(&body.reason)
                .ok_or_else(|| BodyError::Unknown(format!("reason {:?}", body.reason)))?,
            message: body.message,
            sessions: SessionCounts {
                found: body.found,
                ended: body.ended,
                forced: body.forced,
                remaining: body.remaining,
                excluded: body.excluded,
                new: body.new,
            },
            results: body.results.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}

/// Packs places as runs, two bytes each: the first place and how many follow it. Sorts what it is given.
pub(super) fn pack(places: &mut [u8]) -> Vec<u8> {
    places.sort_unstable();
    let mut runs: Vec<u8> = Vec::new();
    for place in places.iter().copied() {
        match runs.as_mut_slice() {
            [.., first, more] if u16::from(*first) + u16::from(*more) + 1 == u16::from(place) => *more += 1,
            _ => runs.extend([place, 0]),
        }
    }
    runs
}

/// The places that `runs` stands for, in order.
pub(super) fn unpack(runs: &[u8]) -> impl Iterator<Item = u8> {
    runs.chunks_exact(2).flat_map(|run| run[0]..=run[0].saturating_add(run[1]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn packed_places_unpack_to_the_same_set(places in prop::collection::btree_set(any::<u8>(), 0..300)) {
            let mut shuffled: Vec<u8> = places.iter().rev().copied().collect();
            let unpacked: Vec<u8> = unpack(&pack(&mut shuffled)).collect();
            prop_assert_eq!(&unpacked, &places.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(unpacked.into_iter().collect::<BTreeSet<_>>(), places);
        }
    }

    #[test]
    fn a_whole_chunk_is_one_run() {
        let mut all: Vec<u8> = (0..=u8::MAX).collect();
        assert_eq!(pack(&mut all), [0, 255]);
    }

    #[test]
    fn the_sessions_of_a_verdict_of_the_first_version_remained() {
        let old: &[u8] = b"\x08\x03\x1a\x0fsessions_remain\x40\x01\x5a\x09\x0a\x02c2\x12\x03bob";
        let verdict = Verdict::try_from(VerdictBody::decode(old).expect("a body")).expect("a verdict");
        assert_eq!((verdict.outcome, verdict.sessions.remaining), (Outcome::Failed, 1));
        let [left] = verdict.results.as_slice() else { panic!("one session: {:?}", verdict.results) };
        assert_eq!((left.id.as_str(), left.user.as_str()), ("c2", "bob"));
        assert_eq!((left.fate, left.notices, left.why.as_str()), (SessionFate::Remaining, 0, ""));
    }

    #[test]
    fn what_a_number_means_never_changes() {
        let words = Outcome::ALL.map(Outcome::as_str);
        assert_eq!(
            words,
            [
                "succeeded",
                "nothing to do",
                "refused",
                "failed",
                "timed out",
                "unreachable",
                "unknown",
                "cancelled",
                "skipped"
            ],
            "stored outcomes are places in this list: append to it only"
        );
        let fates: Vec<&str> = SessionFate::ALL.iter().map(|fate| fate.as_str()).collect();
        assert_eq!(
            fates,
            ["remaining", "forced", "ended", "left by itself", "excluded", "new"],
            "stored fates are places in this list: append to it only"
        );
    }
}
