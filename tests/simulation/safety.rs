//! Invariant 6 and what an agent says about it: who is held or protected, once confirmed, is left alone.

use crate::guest;
use crate::truth::AtHost;
use crate::world::World;
use curfew_types::agent::{Safeguards, SafeguardsMark};
use curfew_types::{GuestId, HostName, SessionKey, TaskId};

/// Whether these safeguards mean a user, by the simulation's own list of who is meant by what.
pub(crate) fn protects(safeguards: &Safeguards, user: &str) -> bool {
    guest::means(safeguards.protected_users.iter().map(curfew_types::glob::Glob::as_str), user)
}

fn holds(safeguards: &Safeguards, guest: &GuestId) -> bool {
    safeguards.held.contains(guest)
}

impl World {
    /// An agent's ledger takes safeguards in.
    pub(crate) fn check_taken(&mut self, host: usize, safeguards: &Safeguards) {
        let known = &mut self.truth.hosts[host];
        if known.taken.last().is_some_and(|last| last.mark >= safeguards.mark) {
            let text = format!("host {host} takes {:?} in, and has newer safeguards", safeguards.mark);
            return self.truth.fail(6, text);
        }
        known.taken.push(safeguards.clone());
    }

    /// An agent says which safeguards are in force.
    pub(crate) fn agent_confirms(&mut self, host: usize, mark: SafeguardsMark) {
        let known = &mut self.truth.hosts[host];
        if mark > SafeguardsMark::default() && !known.taken.iter().any(|one| one.mark == mark) {
            let text = format!("host {host} says that {mark:?} is in force, which its ledger does not have");
            return self.truth.fail(6, text);
        }
        known.confirmed = known.confirmed.max(mark);
    }

    pub(crate) fn check_accepted_of_held(&mut self, host: usize, guest: &GuestId) {
        if self.truth.hosts[host].was_told(|told| holds(told, guest)) {
            self.truth.fail(6, format!("host {host} accepts a task of {guest}, which is held"));
        }
    }

    /// A session is told to end: its guest is not held and its user not protected, as far as the agent has confirmed it.
    pub(crate) fn check_effect_is_safe(&mut self, host: usize, guest: usize, task: TaskId, key: &SessionKey) {
        let known = &self.truth.hosts[host];
        let guest = &self.guests[guest];
        if !known.accepted.contains_key(&task) {
            // The ledger that told of the request is lost, and with it every way to know that one is out.
            return;
        }
        if known.has_confirmed(|told| holds(told, &guest.id)) {
            let text = format!("{task} ends {key:?}, and {} is held, which host {host} confirmed", guest.id);
            return self.truth.fail(6, text);
        }
        let Some(user) = guest.user_of(key) else { return };
        if known.has_confirmed(|told| protects(told, user)) {
            let text = format!("{task} ends {key:?} of {user}, who is protected, as host {host} confirmed");
            self.truth.fail(6, text);
        }
    }

    /// A hold that the controller shows as confirmed is in the ledger of every host that has the guest.
    pub(crate) fn check_holds_shown(&mut self) {
        let Some(core) = &self.controller.core else { return };
        let mut problem = None;
        for view in core.holds(None, usize::MAX).into_iter().filter(|view| view.confirmed) {
            let guest = &view.hold.guest;
            let heeds = |host: &AtHost| host.shaken || host.was_told(|told| holds(told, guest));
            let Ok(listed) = core.guest(guest.as_str()) else {
                problem = Some(format!("the hold of {guest}, which no host has, is shown as confirmed"));
                break;
            };
            let claimants = [&listed.host].into_iter().chain(&listed.other_hosts);
            for name in claimants {
                let place =
                    self.hosts.iter().position(|host| host.name == *name).expect("a host of this world");
                if !heeds(&self.truth.hosts[place]) {
                    problem = Some(format!("{view:?} is shown, and {name} does not heed it"));
                }
            }
        }
        if let Some(text) = problem {
            self.truth.fail(6, text);
        }
    }

    /// When everything is mended, no hold is pending any more. Only where an agent was told what the store has never
    /// heard of, it keeps that until something is changed, and the controller does not know what it heeds.
    pub(crate) fn check_safeguards_arrived(&mut self) {
        let Some(core) = &self.controller.core else { return };
        let newest = self.controller.disk.safeguards;
        let knows_more = |name: &HostName| {
            let place = self.hosts.iter().position(|host| host.name == *name);
            place.is_some_and(|place| self.truth.hosts[place].confirmed > newest)
        };
        let mut pending = core.holds(None, usize::MAX).into_iter().filter(|view| {
            // A guest that no host lists has nobody who could confirm.
            let listed = core.guest(view.hold.guest.as_str());
            let can_be = listed.is_ok_and(|guest| {
                guest.connected && ![&guest.host].into_iter().chain(&guest.other_hosts).any(knows_more)
            });
            !view.confirmed && can_be
        });
        if let Some(view) = pending.next() {
            self.truth.fail(6, format!("{view:?} stays pending, and its host is connected"));
        }
    }
}
