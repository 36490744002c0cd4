//! People are told as often as was asked for, and nobody is logged off before the time is over that he was told.

use crate::treatment::{self, CALLED_OFF};
use crate::truth::NOTICE;
use crate::world::World;
use curfew_agent_core::Entry;
use curfew_types::{GuestId, SessionKey, Stage, TaskId};

/// Time by which two readings of a clock may differ within one turn.
const SLACK_MS: u64 = 10;

impl World {
    /// A notice reaches an agent's disk before anybody sees it.
    pub(crate) fn check_telling(&mut self, host: usize, entry: &Entry) {
        let Entry::Telling { operation, index, at, told, .. } = entry else { return };
        let id = TaskId { operation: *operation, index: *index };
        let at = self.hosts[host].clocks.moment_of(*at);
        let known = &mut self.truth.hosts[host];
        let first = *known.first_told.entry(id).or_insert(at);
        let sessions = known.told.entry(id).or_default();
        sessions.extend(told.iter().map(|told| told.session.clone()));
        self.truth.told.entry(id).or_default().extend(told.iter().map(|told| told.session.clone()));
        self.truth.met.insert(if first == at { "told" } else { "told again or later" });
        let Some(logoff) = self.truth.logoffs.get(operation) else { return };
        if let Some(one) = told.iter().find(|told| treatment::leaves_alone(logoff, &told.user)) {
            self.truth.fail(6, format!("{id} tells {one:?} to leave, who is not meant"));
        }
    }

    /// A request to show a notice leaves an agent. Tells on behalf of which task.
    pub(crate) fn check_notify_call(
        &mut self,
        host: usize,
        guest: &GuestId,
        sessions: &[SessionKey],
        text: &str,
    ) -> Option<TaskId> {
        if text == CALLED_OFF {
            self.truth.met.insert("called off");
            return None;
        }
        let agent = self.hosts[host].process.as_ref()?;
        let hello = agent.core.hello(Vec::new(), 0);
        let warning = hello.unfinished.iter().filter(|progress| progress.stage == Stage::Warning);
        let mut ids = warning.map(|progress| TaskId { operation: progress.operation, index: progress.index });
        let found = ids.find(|id| self.truth.guests.get(id) == Some(guest));
        let Some(id) = found else {
            self.truth.fail(3, format!("host {host} tells people of {guest} to leave for no task"));
            return None;
        };
        let known = &self.truth.hosts[host];
        let told = known.told.get(&id);
        if let Some(unwritten) = sessions.iter().find(|key| told.is_none_or(|told| !told.contains(key))) {
            let text = format!("{id} tells {unwritten:?}, and its ledger does not say so");
            self.truth.fail(3, text);
            return Some(id);
        }
        let grace = self.truth.logoffs.get(&id.operation).map_or(0, curfew_types::Logoff::grace_ms);
        let ends = known.first_told.get(&id).map_or(0, |first| first + grace);
        let left = ends.saturating_sub(self.t);
        let says: Option<u64> = text.split(' ').find_map(|word| word.parse().ok());
        let is_true = says.is_some_and(|seconds| {
            seconds * 1000 + SLACK_MS >= left && seconds * 1000 <= left + 1000 + SLACK_MS
        });
        if self.t > ends + SLACK_MS || !is_true {
            let text = format!("{id} tells people {text:?} with {left} ms left until {ends}");
            self.truth.fail(NOTICE, text);
        }
        Some(id)
    }

    /// A notice is shown, in truth.
    pub(crate) fn check_shown(&mut self, task: Option<TaskId>, sessions: &[SessionKey]) {
        let Some(id) = task else { return };
        let Some(logoff) = self.truth.logoffs.get(&id.operation) else { return };
        let most = treatment::notices_max(logoff);
        for key in sessions {
            let count = self.truth.shown.entry((id, key.clone())).or_default();
            *count += 1;
            if *count > most && !self.truth.forgotten.contains(&id.operation) {
                let text = format!("{key:?} is shown notice {count} of {id}, at most {most} were asked for");
                self.truth.fail(NOTICE, text);
                return;
            }
        }
    }

    /// A session is about to be ended: the time is over that people were told.
    pub(crate) fn check_grace(&mut self, host: usize, id: TaskId, key: &SessionKey) {
        let Some(notice) = self.truth.logoffs.get(&id.operation).and_then(|logoff| logoff.notice.as_ref())
        else {
            return;
        };
        let ends = self.truth.hosts[host].first_told.get(&id).map(|first| first + notice.grace_ms);
        if ends.is_none_or(|ends| self.t < ends) {
            let text = format!("{id} ends {key:?}, and people have time until {ends:?}");
            self.truth.fail(NOTICE, text);
        }
    }
}
