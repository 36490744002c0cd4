//! Ending a session, from the act moment to the guest: only targets of the ledger, only as the request asks, by force only
//! where and when that was asked for.

use crate::guest::Use;
use crate::treatment;
use crate::truth::{Act, FORCE};
use crate::world::World;
use curfew_agent_core::call::{EndMode, SessionList};
use curfew_agent_core::{Entry, acting::Target};
use curfew_types::{GuestId, SessionKey, Stage, TaskId};
use std::collections::BTreeSet;

/// How often later sessions may become targets, under a drain.
const ADDITIONS_MAX: u32 = 5;
/// For how long a list that an agent heard can be what it has just acted on: a turn stays open that long at most.
const LIST_AGE_MS: u64 = 10;

impl World {
    /// An agent hears who is logged on.
    pub(crate) fn note_listed(&mut self, host: usize, guest: usize, list: &SessionList) {
        let t = self.t;
        let lists = &mut self.truth.hosts[host].lists;
        lists.retain(|(at, _, _)| t <= at + LIST_AGE_MS);
        lists.push((t, guest, list.clone()));
    }

    /// The act moment reaches an agent's disk: it fixes those whom the request means, all of them and nobody else.
    pub(crate) fn check_acting(&mut self, host: usize, id: TaskId, boot: &str, targets: &[Target]) {
        self.check_targets(host, id, targets, true);
        let keys = targets.iter().map(|target| (*target.session).clone()).collect();
        let act = Act { at: self.t, guest_boot: boot.to_owned(), targets: Some(keys) };
        let before = self.truth.acts.insert(id, act);
        // Where both sides have forgotten a task, it is a new one.
        let is_forgotten = self.truth.forgotten.contains(&id.operation) && self.truth.hosts[host].forgetful;
        if let Some(before) = before.filter(|_| !is_forgotten) {
            let text = format!("{id} had its act moment at {} and again at {}", before.at, self.t);
            self.truth.fail(2, text);
        }
    }

    /// Later sessions become targets: only under a drain, and only so often.
    pub(crate) fn check_added(&mut self, host: usize, id: TaskId, targets: &[Target]) {
        self.check_targets(host, id, targets, false);
        let is_drained = self.truth.logoffs.get(&id.operation).is_some_and(|logoff| logoff.drain.is_some());
        let rounds = self.truth.hosts[host].additions.entry(id).or_default();
        *rounds += 1;
        if !is_drained || *rounds > ADDITIONS_MAX {
            let text = format!("{id} makes {targets:?} targets, its addition {rounds}");
            self.truth.fail(2, text);
        }
        self.truth.added.extend(targets.iter().map(|target| (id, (*target.session).clone())));
        self.truth.met.insert("added");
        // While the others are being killed, so may these be.
        if let Some(forced) = self.truth.forcing.get_mut(&id) {
            forced.extend(targets.iter().map(|target| (*target.session).clone()));
        }
        if let Some(act) = self.truth.acts.get_mut(&id) {
            let known = act.targets.get_or_insert_default();
            known.extend(targets.iter().map(|target| (*target.session).clone()));
        }
    }

    /// Targets are those whom the request means in a list that the agent has just heard.
    fn check_targets(&mut self, host: usize, id: TaskId, targets: &[Target], all: bool) {
        let Some(logoff) = self.truth.logoffs.get(&id.operation) else { return };
        let wall = self.hosts[host].clocks.now(self.t).wall;
        let known = &self.truth.hosts[host];
        let chosen: BTreeSet<&SessionKey> = targets.iter().map(|target| &*target.session).collect();
        let fits = |(_, guest, list): &&(u64, usize, SessionList)| {
            if self.guests.get(*guest).map(|guest| &guest.id) != self.truth.guests.get(&id) {
                return false;
            }
            let verdicts = list.sessions.iter().map(|session| {
                let is_protected = known.was_told(|told| crate::safety::protects(told, &session.user));
                let meant = treatment::means(logoff, list, session, wall);
                (chosen.contains(&session.key), if is_protected { Some(false) } else { meant })
            });
            let all_known = chosen.iter().all(|key| list.sessions.iter().any(|one| one.key == **key));
            let mut verdicts = verdicts;
            all_known
                && verdicts.all(|(chosen, meant)| match meant {
                    None => true,
                    Some(meant) => chosen == meant || (!all && !chosen),
                })
        };
        if !known.lists.iter().any(|list| fits(&list)) {
            let text =
                format!("{id} is to end {chosen:?}, which is not whom it means: {:?}", logoff.sessions);
            self.truth.fail(6, text);
        }
    }

    /// A call to end a session leaves an agent. Tells for which task, as its own hello says.
    pub(crate) fn check_end_call(
        &mut self,
        host: usize,
        guest: &GuestId,
        key: &SessionKey,
        how: EndMode,
    ) -> Option<TaskId> {
        let agent = self.hosts[host].process.as_ref()?;
        let hello = agent.core.hello(Vec::new(), 0);
        // Who has been looked at since is asked again.
        let is_ending = |stage: Stage| matches!(stage, Stage::Ending | Stage::Forcing | Stage::Verifying);
        let ending = hello.unfinished.iter().filter(|progress| is_ending(progress.stage));
        let mut ids = ending.map(|progress| TaskId { operation: progress.operation, index: progress.index });
        let id = ids.find(|id| self.truth.guests.get(id) == Some(guest));
        let Some(id) = id else {
            self.truth.fail(3, format!("host {host} ends {key:?} for no task"));
            return None;
        };
        let t = self.t;
        let boot = key.boot.clone();
        let act = self.truth.acts.entry(id).or_insert(Act { at: t, guest_boot: boot, targets: None });
        let acted = act.at;
        // The ledger is asked as it is on disk, whatever the observer noted.
        let holds = |targets: &[Target]| targets.iter().any(|target| *target.session == *key);
        let (mut is_target, mut was_added) = (false, false);
        #[allow(clippy::wildcard_enum_match_arm, reason = "the others name no targets")]
        for entry in &self.hosts[host].ledger {
            match entry {
                Entry::Acting { operation, index, targets, .. }
                    if *operation == id.operation && *index == id.index =>
                {
                    is_target |= holds(targets);
                }
                Entry::Added { operation, index, targets, .. }
                    if *operation == id.operation && *index == id.index =>
                {
                    was_added |= holds(targets);
                }
                _ => {}
            }
        }
        let is_drained = self.truth.logoffs.get(&id.operation).is_some_and(|logoff| logoff.drain.is_some());
        let is_later = self.began(key).is_some_and(|began| began > acted);
        if is_later && !is_drained {
            let text = format!("{id} ends {key:?}, which began after its act moment at {acted}");
            self.truth.fail(2, text);
        } else if !is_target && !was_added {
            self.truth.fail(3, format!("{id} ends {key:?}, which no ledger holds as its target"));
        } else if !self.truth.hosts[host].accepted.contains_key(&id) {
            self.truth.fail(3, format!("{id} ends {key:?} without having been accepted"));
        }
        self.check_grace(host, id, key);
        if how == EndMode::Force {
            self.check_force(host, id, key);
        }
        Some(id)
    }

    /// Nobody is killed unless and until that was asked for, nor before the ledger says so.
    fn check_force(&mut self, host: usize, id: TaskId, key: &SessionKey) {
        let act = self.hosts[host].ledger.iter().rev().find_map(|entry| match entry {
            Entry::Acting { operation, index, at, .. }
                if *operation == id.operation && *index == id.index =>
            {
                Some(self.hosts[host].clocks.moment_of(*at))
            }
            _ => None,
        });
        let is_written = self.hosts[host].ledger.iter().any(|entry| {
            matches!(entry, Entry::Forcing { operation, index, .. }
                if *operation == id.operation && *index == id.index)
        });
        let after = self.truth.logoffs.get(&id.operation).and_then(|logoff| logoff.force_after_ms);
        let from = act.and_then(|act| Some(act + after?));
        if from.is_none_or(|from| self.t < from) {
            let text = format!("{id} kills {key:?} at {}, asked was after {after:?} from {act:?}", self.t);
            self.truth.fail(FORCE, text);
        } else if !is_written {
            self.truth.fail(3, format!("{id} kills {key:?}, and its ledger does not say so"));
        }
    }

    fn began(&self, key: &SessionKey) -> Option<u64> {
        let sessions = self.guests.iter().flat_map(|guest| &guest.sessions);
        sessions.filter(|session| session.key == *key).map(|session| session.began).next()
    }

    /// A session is told to end, in truth.
    pub(crate) fn check_effect(
        &mut self,
        host: usize,
        guest: usize,
        task: Option<TaskId>,
        (key, was): (&SessionKey, Use),
        is_forced: bool,
    ) {
        let Some(id) = task else {
            return self.truth.fail(3, format!("{key:?} is ended for nobody"));
        };
        self.truth.effects.entry(id).or_default().push(key.clone());
        if is_forced {
            self.truth.met.insert("killed");
            self.truth.kills.entry(id).or_default().insert(key.clone());
        }
        self.check_effect_is_safe(host, guest, id, key);
        self.check_effect_is_meant(guest, id, key, was);
        let t = self.t;
        let is_drained = self.truth.logoffs.get(&id.operation).is_some_and(|logoff| logoff.drain.is_some());
        if let Some(began) = self.began(key)
            && self.truth.acts.get(&id).is_some_and(|act| began > act.at)
            && !is_drained
        {
            self.truth.fail(2, format!("{key:?} began after the act moment of {id} and is ended"));
        }
        if let Some(accepted) = self.truth.hosts[host].accepted.get(&id).copied() {
            if t > accepted.expires {
                self.truth.fail(10, format!("{id} expired at {} and ends {key:?}", accepted.expires));
            }
            if accepted.boot != self.hosts[host].boot {
                self.truth.fail(10, format!("{id} is of an earlier boot of host {host} and ends {key:?}"));
            }
        }
        if self.truth.guests.get(&id) != Some(&self.guests[guest].id) {
            self.truth.fail(6, format!("{id} ends {key:?}, which is in another guest"));
        }
        if self.truth.forgotten.contains(&id.operation) {
            return;
        }
        let kept = self.controller.disk.operations.get(&id.operation);
        if let Some(verdict) = kept.and_then(|kept| kept.finished.get(&id.index))
            && let Some(invariant) = crate::invariants::says_nobody_was_ended(verdict)
        {
            let text = format!("{id} ended as {verdict:?}, and after that ends {key:?}");
            self.truth.fail(invariant, text);
        }
    }

    /// At that very moment the session was one whom the request means.
    fn check_effect_is_meant(&mut self, guest: usize, id: TaskId, key: &SessionKey, (state, idle_ms): Use) {
        let Some(logoff) = self.truth.logoffs.get(&id.operation) else { return };
        let Some(user) = self.guests[guest].user_of(key) else { return };
        if treatment::leaves_alone(logoff, user) || !treatment::still_fits(logoff, state, idle_ms) {
            let text =
                format!("{id} ends {key:?} of {user}, {state:?} and idle for {idle_ms:?} ms: {logoff:?}");
            self.truth.fail(6, text);
        }
    }
}
