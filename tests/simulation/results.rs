//! What a verdict tells of sessions, one by one and in numbers, is what was seen to become of them.

use crate::guest::Guest;
use crate::truth::NOTICE;
use crate::world::World;
use curfew_types::outcome::RESULTS_MAX;
use curfew_types::{SessionFate, SessionKey, SessionResult, TaskId, Verdict};
use std::collections::BTreeSet;

impl World {
    /// An agent writes an outcome down, or late news.
    pub(crate) fn check_results(&mut self, host: usize, id: TaskId, verdict: &Verdict) {
        let problem = self.problem_with(host, id, verdict);
        if let Err((invariant, why)) = problem {
            let (counts, results) = (verdict.sessions, &verdict.results);
            let text = format!(
                "{id} ends as {:?} ({:?}) with {counts:?} and {results:?}, but {why}",
                verdict.outcome, verdict.reason
            );
            self.truth.fail(invariant, text);
        }
    }

    fn problem_with(&self, host: usize, id: TaskId, verdict: &Verdict) -> Result<(), (u8, String)> {
        let results = &verdict.results;
        let named: BTreeSet<_> = results.iter().map(|result| (&result.id, &result.user)).collect();
        if named.len() < results.len() {
            return Err((0, "a session is told twice".into()));
        }
        let counts = verdict.sessions;
        if counts.found > counts.ended + counts.remaining + counts.excluded || counts.forced > counts.ended {
            return Err((0, "that does not add up".into()));
        }
        let of = |fate| u32::try_from(verdict.results_of(fate).count()).unwrap_or(0);
        let (forced, itself) = (of(SessionFate::Forced), of(SessionFate::LeftByItself));
        let told = (
            of(SessionFate::Remaining),
            forced,
            of(SessionFate::Ended) + forced + itself,
            of(SessionFate::Excluded),
            of(SessionFate::New),
        );
        let counted = (counts.remaining, counts.forced, counts.ended, counts.excluded, counts.new);
        if !results.is_empty() && results.len() < RESULTS_MAX && told != counted {
            return Err((0, format!("the sessions come to {told:?}")));
        }
        let place = self.guests.iter().position(|guest| Some(&guest.id) == self.truth.guests.get(&id));
        let guest = place.map(|place| &self.guests[place]).filter(|guest| guest.host == host);
        results.iter().try_for_each(|result| self.problem_with_one(id, result, guest))
    }

    fn problem_with_one(
        &self,
        id: TaskId,
        result: &SessionResult,
        guest: Option<&Guest>,
    ) -> Result<(), (u8, String)> {
        let Some(key) = self.key_of(id, result) else { return Ok(()) };
        // What a ledger has forgotten, its agent cannot tell.
        let is_forgetful = guest.is_none_or(|guest| self.truth.hosts[guest.host].forgetful);
        let shown = self.truth.shown.get(&(id, key.clone())).copied().unwrap_or(0);
        if u64::from(result.notices) > shown {
            return Err((NOTICE, format!("{key:?} was shown {shown} notices")));
        }
        let was_asked = self.truth.effects.get(&id).is_some_and(|ended| ended.contains(&key));
        let was_killed = self.truth.kills.get(&id).is_some_and(|killed| killed.contains(&key));
        let may_be_killed =
            was_killed || self.truth.forcing.get(&id).is_some_and(|forced| forced.contains(&key));
        let is_there = guest.is_some_and(|guest| guest.session(&key).is_some());
        match result.fate {
            SessionFate::LeftByItself if was_asked && !is_forgetful => {
                Err((0, format!("{key:?} was asked to end")))
            }
            SessionFate::Forced if !may_be_killed => Err((0, format!("{key:?} was never to be killed"))),
            SessionFate::Ended if was_killed && !is_forgetful => Err((0, format!("{key:?} was killed"))),
            SessionFate::LeftByItself | SessionFate::Forced | SessionFate::Ended if is_there => {
                Err((0, format!("{key:?} is still there")))
            }
            _ => Ok(()),
        }
    }

    /// Which session a result speaks of, where its id names one only.
    fn key_of(&self, id: TaskId, result: &SessionResult) -> Option<SessionKey> {
        let told = self.truth.told.get(&id).into_iter().flatten();
        let targets = self.truth.acts.get(&id).and_then(|act| act.targets.as_ref()).into_iter().flatten();
        let mut keys: BTreeSet<&SessionKey> = told.chain(targets).filter(|key| key.id == result.id).collect();
        let one = keys.pop_first()?;
        keys.is_empty().then(|| one.clone())
    }
}
