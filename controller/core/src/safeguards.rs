//! What no operation may touch, whoever asks: held guests and protected users.
//!
//! The controller keeps the set and tells every agent, which enforces it. A hold counts from the confirmation of the
//! guest's host; until then it is pending.

use crate::action::Frame;
use crate::core::{Core, PlantedBug};
use crate::fleet::FleetError;
use crate::record::{Hold, ProtectedUser, Record, Recovered};
use crate::timer::Timer;
use curfew_types::agent::{HOLDS_MAX, PROTECTED_USERS, PROTECTED_USERS_MAX, Safeguards, SafeguardsMark};
use curfew_types::glob::Glob;
use curfew_types::{
    GuestId, HostName, Logoff, Now, OperationState, Outcome, Reason, Stage, StatusCode, TaskId, Verdict,
    WallTime,
};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// A hold as outsiders see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldView {
    /// The hold.
    pub hold: Hold,
    /// Whether every host that has the guest has confirmed it.
    pub confirmed: bool,
}

/// The holds and the protected users.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    /// With the mark of the set that has the hold as it is now.
    holds: BTreeMap<GuestId, (Hold, SafeguardsMark)>,
    users: BTreeMap<String, ProtectedUser>,
    /// What agents are told.
    told: Arc<Safeguards>,
    /// The highest mark that an agent has named. Above `told` where this store is older than its agents.
    named: SafeguardsMark,
    /// The state that the store had when this process began, and the first that it made itself. Marks between them were
    /// made by a controller whose store is gone, and say nothing about what is told here.
    stored: SafeguardsMark,
    first_made: Option<SafeguardsMark>,
}

impl Guard {
    pub(crate) fn recover(recovered: &mut Recovered) -> Guard {
        let mark = recovered.safeguards;
        let holds = std::mem::take(&mut recovered.holds);
        let users = std::mem::take(&mut recovered.protected_users);
        let mut guard = Guard {
            // When each was changed last is not stored: all are confirmed once the newest is.
            holds: holds.into_iter().map(|hold| (hold.guest.clone(), (hold, mark))).collect(),
            users: users.into_iter().map(|user| (user.pattern.as_str().to_owned(), user)).collect(),
            stored: mark,
            ..Guard::default()
        };
        guard.tell(mark);
        guard
    }

    pub(crate) fn mark(&self) -> SafeguardsMark {
        self.told.mark
    }

    /// What an agent must be able to do to take an order with these options under these safeguards. Held guests are not
    /// ordered at all.
    pub(crate) fn capabilities_for(&self, logoff: &Logoff) -> impl Iterator<Item = &'static str> + use<> {
        let protects = (!self.users.is_empty()).then_some(PROTECTED_USERS);
        protects.into_iter().chain(logoff.required_capabilities())
    }

    /// What holds this guest, if anything does.
    pub(crate) fn hold(&self, guest: &GuestId) -> Option<&Hold> {
        self.holds.get(guest).map(|(hold, _)| hold)
    }

    /// How a task of this guest ends at once, if the guest is held.
    pub(crate) fn verdict(&self, guest: &GuestId) -> Option<Verdict> {
        let hold = self.hold(guest)?;
        let why = format!("held by {}: {}", hold.by, hold.reason);
        Some(Verdict::new(Outcome::Skipped, StatusCode::Ok, Reason::Held, why))
    }

    fn tell(&mut self, mark: SafeguardsMark) {
        self.told = Arc::new(Safeguards {
            mark,
            held: self.holds.keys().cloned().collect(),
            protected_users: self.users.values().map(|user| user.pattern.clone()).collect(),
        });
    }

    /// Whether a mark is of a state that this store has had. A host with another one enforces what another controller said.
    fn knows(&self, mark: SafeguardsMark) -> bool {
        let made_here = self.first_made.is_some_and(|first| (first..=self.mark()).contains(&mark));
        mark <= self.stored || made_here
    }

    fn next_expiry(&self) -> Option<WallTime> {
        self.holds.values().filter_map(|(hold, _)| hold.until).min()
    }
}

impl Core {
    /// Holds a guest: nothing touches it until it is released. Holding it again changes the hold. It makes things safer,
    /// so it does not wait for the store.
    ///
    /// # Errors
    /// When the guest is unknown or ambiguous, the time is over, or there are too many holds.
    pub fn hold_guest(
        &mut self,
        now: Now,
        id_or_name: &str,
        by: &str,
        reason: &str,
        until: Option<WallTime>,
    ) -> Result<HoldView, FleetError> {
        let guest = self.guest(id_or_name)?.guest;
        if until.is_some_and(|until| until <= now.wall) {
            return Err(FleetError::Past);
        }
        if self.guard.holds.len() >= HOLDS_MAX && !self.guard.holds.contains_key(&guest.id) {
            return Err(FleetError::TooMany(format!(
                "{HOLDS_MAX} guests are held already; release some first"
            )));
        }
        let hold = Hold {
            guest: guest.id.clone(),
            name: guest.name.to_string(),
            by: by.to_owned(),
            reason: reason.to_owned(),
            since: now.wall,
            until,
        };
        let mark = self.next_mark();
        self.guard.holds.insert(guest.id.clone(), (hold.clone(), mark));
        self.record(Record::Held { hold: hold.clone(), mark });
        self.tell_safeguards(mark);
        self.wake_for_holds(now);
        // What waits for its turn ends now; what runs is the agent's to stop.
        self.skip_queued_of_held(&guest.id);
        self.settle(now);
        Ok(self.hold_view(&hold, mark))
    }

    /// Releases a held guest, by its id or the name it was held under.
    ///
    /// # Errors
    /// When it is not held, or the name fits several.
    pub fn release_guest(&mut self, now: Now, id_or_name: &str) -> Result<(), FleetError> {
        let named: Vec<GuestId> = match id_or_name.parse::<GuestId>() {
            Ok(id) if self.guard.holds.contains_key(&id) => vec![id],
            Ok(_) | Err(_) => {
                let named = self.guard.holds.values().filter(|(hold, _)| hold.name == id_or_name);
                named.map(|(hold, _)| hold.guest.clone()).collect()
            }
        };
        match named.as_slice() {
            [] => Err(FleetError::NotHeld(id_or_name.to_owned())),
            [guest] => {
                self.release(guest);
                self.settle(now);
                Ok(())
            }
            several => Err(FleetError::Ambiguous {
                name: id_or_name.to_owned(),
                ids: several.iter().map(ToString::to_string).collect(),
            }),
        }
    }

    /// Holds of guests whose id comes after `after`, at most `limit`.
    pub fn holds(&self, after: Option<&GuestId>, limit: usize) -> Vec<HoldView> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = self.guard.holds.range::<GuestId, _>((from, Bound::Unbounded));
        range.take(limit).map(|(_, (hold, mark))| self.hold_view(hold, *mark)).collect()
    }

    /// Whether a guest is held.
    pub fn is_held(&self, guest: &GuestId) -> bool {
        self.guard.hold(guest).is_some()
    }

    /// Protects users, and returns all that are protected. It makes things safer, so it does not wait for the store.
    ///
    /// # Errors
    /// When there are too many patterns; nothing is changed then.
    pub fn protect_users(
        &mut self,
        now: Now,
        patterns: Vec<Glob>,
        by: &str,
        reason: &str,
    ) -> Result<Vec<ProtectedUser>, FleetError> {
        let new = patterns.iter().filter(|pattern| !self.guard.users.contains_key(pattern.as_str())).count();
        if self.guard.users.len() + new > PROTECTED_USERS_MAX {
            return Err(FleetError::TooMany(format!(
                "there would be more than {PROTECTED_USERS_MAX} patterns; join some into one with * and ?"
            )));
        }
        for pattern in patterns {
            let mark = self.next_mark();
            let user =
                ProtectedUser { pattern, by: by.to_owned(), reason: reason.to_owned(), since: now.wall };
            self.guard.users.insert(user.pattern.as_str().to_owned(), user.clone());
            self.record(Record::Protected { user, mark });
            self.guard.tell(mark);
        }
        self.tell_safeguards(self.guard.mark());
        Ok(self.guard.users.values().cloned().collect())
    }

    /// Takes the protection of these patterns away, and returns what is still protected.
    ///
    /// # Errors
    /// When one of them is not protected; nothing is changed then.
    pub fn unprotect_users(
        &mut self,
        _now: Now,
        patterns: &[Glob],
    ) -> Result<Vec<ProtectedUser>, FleetError> {
        let unknown = patterns.iter().find(|pattern| !self.guard.users.contains_key(pattern.as_str()));
        if let Some(unknown) = unknown {
            return Err(FleetError::NotProtected(unknown.as_str().to_owned()));
        }
        for pattern in patterns {
            if self.guard.users.remove(pattern.as_str()).is_some() {
                let mark = self.next_mark();
                self.record(Record::Unprotected { pattern: pattern.clone(), mark });
                self.guard.tell(mark);
            }
        }
        self.tell_safeguards(self.guard.mark());
        Ok(self.guard.users.values().cloned().collect())
    }

    /// Protected users by pattern, and how many attached hosts have not confirmed the newest list.
    pub fn protected_users(&self) -> (Vec<ProtectedUser>, u64) {
        let mark = self.guard.mark();
        let attached = self.fleet.hosts.values().filter(|host| host.session.is_some());
        let pending = attached.filter(|host| host.safeguards != mark).count();
        (self.guard.users.values().cloned().collect(), pending as u64)
    }

    /// Whether sessions of this user are never ended.
    pub fn is_protected(&self, user: &str) -> bool {
        self.guard.told.protects(user)
    }

    /// Sends the safeguards to a host that has older ones. One that has newer ones has met a controller that knew more:
    /// it keeps them until something is changed here.
    pub(crate) fn send_safeguards_if_older(&mut self, name: &HostName, theirs: SafeguardsMark) {
        let mark = self.guard.mark();
        self.guard.named = self.guard.named.max(theirs);
        if theirs < mark {
            self.send(name, Frame::Safeguards(self.guard.told.clone()), true);
        } else if theirs > mark && self.guard.first_made.is_some() {
            self.say_above_all_marks();
        } else if theirs > mark {
            self.note(true, format!(
                "host {name} enforces newer holds and protected users than this store knows (a restored backup?): it \
                 keeps them until the next change; compare with `curfew guest holds` and `curfew protected-user list`"
            ));
        }
    }

    /// The marks of this epoch may be those of another controller, too: what was made in it is said again in the next.
    pub(crate) fn mark_safeguards_anew(&mut self) {
        if self.guard.first_made.is_some() {
            self.say_above_all_marks();
        }
    }

    /// Something was changed before a host came that knows a higher mark: all is written and said again above that.
    fn say_above_all_marks(&mut self) {
        let mark = self.next_mark();
        let hold = self.guard.holds.values().next().map(|(hold, _)| hold.clone());
        let user = self.guard.users.values().next().cloned();
        match (hold, user) {
            (Some(hold), _) => self.record(Record::Held { hold, mark }),
            (None, Some(user)) => self.record(Record::Protected { user, mark }),
            // There is nothing that a host would have to enforce.
            (None, None) => return,
        }
        for (_, said) in self.guard.holds.values_mut() {
            *said = mark;
        }
        self.tell_safeguards(mark);
    }

    /// An agent says which safeguards are in force there.
    pub(crate) fn safeguards_confirmed(&mut self, name: &HostName, mark: SafeguardsMark) {
        let ours = self.guard.mark();
        let Some(host) = self.fleet.hosts.get_mut(name) else { return };
        if mark > host.safeguards {
            host.safeguards = mark;
            if mark == ours {
                self.note(false, format!("host {name} enforces the newest holds and protected users"));
            }
        }
    }

    /// Releases what is held no longer, and looks again when the next one is over.
    pub(crate) fn release_expired(&mut self, now: Now) {
        let over =
            self.guard.holds.values().filter(|(hold, _)| hold.until.is_some_and(|until| until <= now.wall));
        let over: Vec<GuestId> = over.map(|(hold, _)| hold.guest.clone()).collect();
        for guest in over {
            self.note(false, format!("the hold of guest {guest} is over"));
            self.release(&guest);
        }
        self.wake_for_holds(now);
    }

    /// Sets the moment at which the next hold is over.
    pub(crate) fn wake_for_holds(&mut self, now: Now) {
        if let Some(until) = self.guard.next_expiry() {
            // The wall clock may jump, so it is looked at again at least every hour.
            let ms = until.remaining_from(now.wall).clamp(1, 3_600_000);
            self.timers.set(now.mono.plus(ms), Timer::HoldsOver);
        }
    }

    fn release(&mut self, guest: &GuestId) {
        if self.guard.holds.remove(guest).is_some() {
            let mark = self.next_mark();
            self.record(Record::Released { guest: guest.clone(), mark });
            self.tell_safeguards(mark);
        }
    }

    /// Above every mark that this controller or an agent knows: an agent ignores what is not newer than its own.
    fn next_mark(&mut self) -> SafeguardsMark {
        let highest = self.guard.mark().max(self.guard.named);
        let next = SafeguardsMark { epoch: self.epoch.max(highest.epoch), revision: highest.revision + 1 };
        self.guard.first_made.get_or_insert(next);
        next
    }

    fn tell_safeguards(&mut self, mark: SafeguardsMark) {
        self.guard.tell(mark);
        let connected = self.fleet.hosts.iter().filter(|(_, host)| host.session.is_some());
        let names: Vec<HostName> = connected.map(|(name, _)| name.clone()).collect();
        for name in names {
            self.send(&name, Frame::Safeguards(self.guard.told.clone()), true);
        }
    }

    fn hold_view(&self, hold: &Hold, mark: SafeguardsMark) -> HoldView {
        let confirms = |name: &HostName| {
            let theirs = self.fleet.hosts.get(name).map(|host| host.safeguards);
            theirs.is_some_and(|theirs| theirs >= mark && self.guard.knows(theirs))
        };
        let claimants = self.fleet.claimants(&hold.guest);
        let confirmed = !claimants.is_empty() && claimants.iter().all(confirms);
        HoldView {
            hold: hold.clone(),
            confirmed: confirmed || self.planted(PlantedBug::ConfirmsHoldsUnasked),
        }
    }

    fn skip_queued_of_held(&mut self, guest: &GuestId) {
        let queued: Vec<TaskId> = self
            .operations
            .values()
            .filter(|operation| operation.ended.is_none())
            // One that waits for approval may still take another set; its held guests end with its approval.
            .filter(|operation| operation.state != OperationState::AwaitingApproval)
            .flat_map(|operation| {
                let tasks = (0..).zip(operation.guests().zip(&operation.tasks));
                let held = tasks.filter(|(_, (of, task))| of.id == *guest && task.stage == Stage::Queued);
                held.map(|(index, _)| TaskId { operation: operation.id, index })
            })
            .collect();
        for task in queued {
            if let Some(verdict) = self.guard.verdict(guest) {
                self.finish(task, verdict);
            }
        }
    }
}
