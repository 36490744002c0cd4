//! The columns of a journal row: which tasks ended, when, and how, without saying the same twice.
//!
//! A verdict is a *shape*, which many have in common, and the ids and users of its sessions, which few have.

use super::body::{BodyError, VerdictBody, pack, unpack};
use super::columns::{Packer, Unpacker};
use curfew_types::{Verdict, WallTime};

/// How many shapes are looked at for an equal one, the newest first: there are few, unless messages differ, and then no
/// look would find one.
const LOOK_BACK: usize = 16;
/// Most runs of places in a chunk.
const RUNS: usize = 128;

/// A task of a chunk that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finished {
    pub(super) place: u8,
    pub(super) at: WallTime,
    pub(super) verdict: Verdict,
}

/// The same, before it is packed.
#[derive(Clone, Copy)]
pub(super) struct FinishedRef<'a> {
    pub(super) at: WallTime,
    pub(super) place: u8,
    pub(super) verdict: &'a Verdict,
}

/// Packs tasks that ended: the shapes of their verdicts, and the columns. Sorts what it is given.
pub(super) fn pack_finished(tasks: &mut [FinishedRef<'_>]) -> (Vec<VerdictBody>, Vec<u8>) {
    if tasks.is_empty() {
        return Default::default();
    }
    tasks.sort_unstable_by_key(|task| (task.at, task.place));
    let mut packer = Packer::default();
    pack_places(tasks, &mut packer);
    let shapes = pack_shapes(tasks, &mut packer);
    let (mut id, mut user) = ("", "");
    for result in tasks.iter().flat_map(|task| &task.verdict.results) {
        packer.text(id, &result.id);
        packer.text(user, &result.user);
        (id, user) = (&result.id, &result.user);
    }
    (shapes, packer.into_bytes())
}

/// The moments at which some ended, each with their places.
fn pack_places(tasks: &[FinishedRef<'_>], packer: &mut Packer) {
    let moments = || tasks.chunk_by(|one, other| one.at == other.at);
    packer.count(moments().count());
    let mut before = 0;
    for moment in moments() {
        packer.signed(moment[0].at.0.wrapping_sub(before));
        before = moment[0].at.0;
        let mut places: Vec<u8> = moment.iter().map(|task| task.place).collect();
        let runs = pack(&mut places);
        packer.count(runs.len() / 2);
        packer.bytes(&runs);
    }
}

/// Each task's shape, by its place among the shapes, and how many in a row have it.
fn pack_shapes(tasks: &[FinishedRef<'_>], packer: &mut Packer) -> Vec<VerdictBody> {
    let mut shapes: Vec<&Verdict> = Vec::new();
    let mut rows: Vec<(usize, usize)> = Vec::new();
    for FinishedRef { verdict, .. } in tasks {
        let mut known = shapes.iter().enumerate().rev().take(LOOK_BACK);
        let shape = known.find(|(_, known)| known.is_like(verdict)).map(|(place, _)| place);
        let shape = shape.unwrap_or_else(|| {
            shapes.push(verdict);
            shapes.len() - 1
        });
        match rows.last_mut() {
            Some((last, count)) if *last == shape => *count += 1,
            _ => rows.push((shape, 1)),
        }
    }
    for (shape, count) in rows {
        packer.count(shape);
        packer.count(count);
    }
    shapes.into_iter().map(VerdictBody::shape).collect()
}

/// The tasks that the columns tell of, in the order of their ends.
///
/// # Errors
/// When they cannot be understood.
pub(super) fn unpack_finished(shapes: Vec<VerdictBody>, columns: &[u8]) -> Result<Vec<Finished>, BodyError> {
    if columns.is_empty() {
        return Ok(Vec::new());
    }
    let shapes: Vec<Verdict> = shapes.into_iter().map(Verdict::try_from).collect::<Result<_, _>>()?;
    let mut unpacker = Unpacker::new(columns);
    let moments = unpack_places(&mut unpacker)?;
    let mut finished = Vec::with_capacity(moments.len());
    while finished.len() < moments.len() {
        let shape = unpacker.count()?;
        let shape = shapes.get(shape).ok_or_else(|| BodyError::Unknown(format!("shape {shape}")))?;
        let count = unpacker.count()?;
        let next = moments[finished.len()..].get(..count).filter(|next| !next.is_empty());
        let tasks = next.ok_or(BodyError::Columns)?.iter();
        finished.extend(tasks.map(|(place, at)| Finished { place: *place, at: *at, verdict: shape.clone() }));
    }
    let (mut id, mut user) = (String::new(), String::new());
    for result in finished.iter_mut().flat_map(|task| &mut task.verdict.results) {
        unpacker.text(&mut id)?;
        unpacker.text(&mut user)?;
        result.id.clone_from(&id);
        result.user.clone_from(&user);
    }
    Ok(finished)
}

/// The places of the tasks that the columns tell of.
///
/// # Errors
/// When they cannot be understood.
pub(super) fn places_finished(columns: &[u8]) -> Result<Vec<u8>, BodyError> {
    if columns.is_empty() {
        return Ok(Vec::new());
    }
    let moments = unpack_places(&mut Unpacker::new(columns))?;
    Ok(moments.into_iter().map(|(place, _)| place).collect())
}

fn unpack_places(unpacker: &mut Unpacker<'_>) -> Result<Vec<(u8, WallTime)>, BodyError> {
    let mut moments = Vec::new();
    let mut at = 0_i64;
    for _ in 0..unpacker.count()? {
        at = at.wrapping_add(unpacker.signed()?);
        let runs = unpacker.count()?;
        if runs > RUNS {
            return Err(BodyError::Columns);
        }
        moments.extend(unpack(unpacker.bytes(2 * runs)?).map(|place| (place, WallTime(at))));
    }
    Ok(moments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use curfew_types::{Outcome, Reason, SessionCounts, SessionFate, SessionResult, StatusCode};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn result() -> impl Strategy<Value = SessionResult> {
        let fate = (0..SessionFate::ALL.len()).prop_map(|place| SessionFate::ALL[place]);
        ("c[0-9]{1,3}", "(CORP\\\\)?[a-zé]{1,20}", fate, 0_u32..3, "(held by vim)?")
            .prop_map(|(id, user, fate, notices, why)| SessionResult { id, user, fate, notices, why })
    }

    fn verdict() -> impl Strategy<Value = Verdict> {
        let results = prop::collection::vec(result(), 0..4);
        (0..Outcome::ALL.len(), "[ab]{0,2}", results).prop_map(|(outcome, message, results)| {
            let found = u32::try_from(results.len()).expect("few");
            let counts = SessionCounts { found, ..SessionCounts::default() };
            Verdict::new(Outcome::ALL[outcome], StatusCode::Unexpected, Reason::SessionsRemain, message)
                .with_sessions(counts, results)
        })
    }

    proptest! {
        #[test]
        fn tasks_read_back_as_they_ended(
            ended in prop::collection::btree_map(any::<u8>(), (0_i64..9, verdict()), 0..256)
        ) {
            let mut tasks: Vec<FinishedRef<'_>> = ended
                .iter()
                .map(|(place, (at, verdict))| FinishedRef { at: WallTime(*at), place: *place, verdict })
                .collect();
            let (shapes, columns) = pack_finished(&mut tasks);
            let mut places = places_finished(&columns).expect("places");
            places.sort_unstable();
            prop_assert!(places.iter().eq(ended.keys()));
            let read: BTreeMap<u8, (i64, Verdict)> = unpack_finished(shapes, &columns)
                .expect("tasks")
                .into_iter()
                .map(|task| (task.place, (task.at.0, task.verdict)))
                .collect();
            prop_assert_eq!(read, ended);
        }

        #[test]
        fn noise_is_an_error_and_no_panic(noise in prop::collection::vec(any::<u8>(), 0..60)) {
            let shape = Verdict::new(Outcome::Failed, StatusCode::Unexpected, Reason::SessionsRemain, "");
            let _ = unpack_finished(vec![VerdictBody::shape(&shape)], &noise);
        }
    }

    #[test]
    fn a_task_like_its_neighbours_costs_its_session_and_nothing_else() {
        let verdict = |number: u32| {
            let ended = SessionCounts { found: 1, ended: 1, ..SessionCounts::default() };
            let fate = SessionFate::Ended;
            let user = format!("user-{number:05}");
            let session = SessionResult { id: "c12".into(), user, fate, notices: 0, why: String::new() };
            Verdict::new(Outcome::Succeeded, StatusCode::Ok, Reason::SessionsEnded, "1 session ended")
                .with_sessions(ended, vec![session])
        };
        let verdicts: Vec<Verdict> = (0..256).map(|number| verdict(number * 7919 % 100_000)).collect();
        let packed = |count: u8| {
            let tasks = (0..count).zip(&verdicts);
            let mut tasks: Vec<_> =
                tasks.map(|(place, verdict)| FinishedRef { at: WallTime(7), place, verdict }).collect();
            let (shapes, columns) = pack_finished(&mut tasks);
            assert_eq!(shapes.len(), 1);
            columns.len()
        };
        assert!(packed(200) - packed(100) <= 100 * 7, "{} and {}", packed(100), packed(200));
    }
}
