//! Invariant 8: every drain is lifted by its expiry, or at the first contact after it; a guest with several takes logons
//! when the last is over; what an agent does about it rests on its ledger.

use crate::agent_shell::Host;
use crate::world::World;
use curfew_agent_core::Entry;
use curfew_agent_core::call::DrainOrder;
use curfew_types::{Drain, DrainAsk, DrainFor, DrainOwner, DrainState, DrainWish, GuestId};
use std::collections::{BTreeMap, HashMap};

/// How long a guest that answers may stand otherwise than its agent's ledger says: an agent says it again each minute,
/// and tries again within a minute after a call that failed. The rest is for the calls themselves.
const PATIENCE_MS: u64 = 80_000;
/// Time by which two readings of a clock may differ within one turn.
const SLACK_MS: u64 = 10;

/// What an agent's ledger says of drains: when each ends, in the simulation's time.
pub(crate) type DrainBooks = HashMap<GuestId, BTreeMap<DrainOwner, u64>>;

/// A guest that stands otherwise than it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    since: u64,
    is_open: bool,
}

fn note(books: &mut DrainBooks, host: &Host, t: u64, entry: &Entry) {
    #[allow(clippy::wildcard_enum_match_arm, reason = "the others are not about drains")]
    match entry {
        Entry::DrainBegun { guest, owner, boot, ends, until, for_ms, .. } => {
            let until = if *boot == host.boot_name() {
                host.clocks.moment_of(*ends)
            } else {
                t.saturating_add(until.remaining_from(host.clocks.now(t).wall).min(*for_ms))
            };
            books.entry(guest.clone()).or_default().insert(*owner, until);
        }
        Entry::DrainOver { guest, owner } => {
            books.entry(guest.clone()).or_default().remove(owner);
        }
        _ => {}
    }
    books.retain(|_, drains| !drains.is_empty());
}

fn latest(books: &DrainBooks, guest: &GuestId) -> Option<u64> {
    books.get(guest).and_then(|drains| drains.values().max().copied())
}

impl World {
    /// An agent begins: what its ledger says of drains is read anew, since another boot has another clock.
    pub(crate) fn read_drains_again(&mut self, place: usize) {
        let host = &self.hosts[place];
        let mut books = DrainBooks::new();
        for entry in &host.ledger {
            note(&mut books, host, self.t, entry);
        }
        self.truth.hosts[place].drains = books;
    }

    /// Somebody's wish reaches an agent.
    pub(crate) fn drain_asked(&mut self, host: usize, ask: &DrainAsk) {
        let what = match &ask.what {
            DrainWish::Set { for_ms, .. } => {
                let until = self.t + for_ms;
                let wished = self.truth.hosts[host].wishes.entry(ask.guest.clone()).or_default();
                *wished = until.max(*wished);
                "drained by hand"
            }
            DrainWish::Lift(_) | DrainWish::LiftAll => "lifted by hand",
        };
        self.truth.met.insert(what);
    }

    /// A drain reaches an agent's disk: it lasts no longer than was asked for.
    pub(crate) fn check_drain_entry(&mut self, place: usize, entry: &Entry) {
        let host = &self.hosts[place];
        #[allow(clippy::wildcard_enum_match_arm, reason = "the others begin nothing")]
        let before = match entry {
            Entry::DrainBegun { guest, owner, .. } => {
                self.truth.hosts[place].drains.get(guest).and_then(|drains| drains.get(owner)).copied()
            }
            _ => None,
        };
        note(&mut self.truth.hosts[place].drains, host, self.t, entry);
        let Entry::DrainBegun { guest, owner, .. } = entry else { return };
        let books = &self.truth.hosts[place].drains;
        let until = books.get(guest).and_then(|drains| drains.get(owner)).copied().unwrap_or(0);
        let asked = match owner {
            DrainOwner::Hand => self.truth.hosts[place].wishes.get(guest).copied(),
            DrainOwner::Operation(operation) => {
                self.truth.logoffs.get(operation).and_then(|logoff| logoff.drain).map(|wish| match wish {
                    DrainFor::Ms(ms) => self.t + ms,
                    DrainFor::TheTask => {
                        let accepted = self.truth.hosts[place].accepted.iter();
                        let of_it = accepted.filter(|(id, _)| id.operation == *operation);
                        of_it.map(|(_, accepted)| accepted.expires).max().unwrap_or(0)
                    }
                })
            }
        };
        // After a boot it is said again, by the clock of this one.
        let is_said_again = before.is_some_and(|before| until <= before);
        if !is_said_again && asked.is_none_or(|asked| until > asked.saturating_add(SLACK_MS)) {
            let text = format!("host {place} drains {guest} for {owner} until {until}, asked was {asked:?}");
            self.truth.fail(8, text);
        }
    }

    /// An agent asks a guest to refuse logons: until the last of the drains in its ledger is over, neither shorter nor
    /// longer.
    pub(crate) fn check_drain_call(&mut self, host: usize, guest: &GuestId, order: &DrainOrder) {
        let until = self.t.saturating_add(order.for_ms);
        let latest = latest(&self.truth.hosts[host].drains, guest);
        if latest.is_none_or(|latest| until.abs_diff(latest) > SLACK_MS) {
            let text = format!("host {host} drains {guest} until {until}, and its ledger says {latest:?}");
            self.truth.fail(8, text);
        }
    }

    /// An agent asks a guest to take logons again: no drain of it is left.
    pub(crate) fn check_undrain_call(&mut self, host: usize, guest: &GuestId) {
        let kept = latest(&self.truth.hosts[host].drains, guest);
        if let Some(kept) = kept.filter(|until| *until > self.t + SLACK_MS) {
            let text = format!("host {host} lifts the drain of {guest}, and one lasts until {kept}");
            self.truth.fail(8, text);
        }
    }

    /// An agent tells the drains of its guests.
    pub(crate) fn check_drains_told(&mut self, host: usize, told: &[Drain]) {
        let books = &self.truth.hosts[host].drains;
        let mut written: Vec<(GuestId, DrainOwner)> = Vec::new();
        for (guest, drains) in books {
            written.extend(drains.keys().map(|owner| (guest.clone(), *owner)));
        }
        // One that is over is told on until its guest is let go.
        let kept = told.iter().filter(|drain| drain.state != DrainState::Lifting);
        let mut told: Vec<_> = kept.map(|drain| (drain.guest.clone(), drain.owner)).collect();
        written.sort();
        told.sort();
        if told != written {
            self.truth.fail(8, format!("host {host} tells of drains {told:?}, its ledger of {written:?}"));
        }
    }

    /// After each event: a guest that answers stands as its agent's ledger says, but for a while.
    pub(crate) fn check_doors(&mut self) {
        let t = self.t;
        for place in 0..self.guests.len() {
            let guest = &self.guests[place];
            let at = &self.truth.hosts[guest.host];
            let answers = guest.condition.is_none() && self.hosts[guest.host].process.is_some();
            // Nothing touches a held guest: it is let go, but not drained again.
            let is_held = at.was_told(|told| told.held.contains(&guest.id));
            let kept = latest(&at.drains, &guest.id).is_some_and(|until| until > t);
            let is_wrong = answers
                && !guest.has_moved
                && ((kept && guest.door.is_open() && !is_held)
                    || (!kept && guest.door.is_ours() && !at.forgetful));
            let is_open = guest.door.is_open();
            let before = self.truth.wrong_doors[place].filter(|wrong| wrong.is_open == is_open);
            let now = is_wrong.then(|| before.unwrap_or(Wrong { since: t, is_open }));
            self.truth.wrong_doors[place] = now;
            if let Some(wrong) = now.filter(|wrong| t > wrong.since + PATIENCE_MS) {
                let closed = guest.door.closed;
                let text = format!(
                    "guest {place} ({}) has stood as {closed:?} since {}, and its drains are {:?}",
                    guest.id,
                    wrong.since,
                    at.drains.get(&guest.id)
                );
                self.truth.fail(8, text);
            }
        }
    }

    /// When everything is over, no drain is left anywhere.
    pub(crate) fn check_no_drain_is_left(&mut self) {
        for place in 0..self.hosts.len() {
            let drains = &self.truth.hosts[place].drains;
            if !drains.is_empty() {
                let text = format!("host {place} still has drains {drains:?}");
                self.truth.fail(8, text);
            }
        }
        let lasting = |guest: &&crate::guest::Guest| {
            guest.door.is_ours() && !guest.has_moved && !self.truth.hosts[guest.host].forgetful
        };
        if let Some(guest) = self.guests.iter().find(lasting) {
            let text = format!("{} still refuses logons: {:?}", guest.id, guest.door.closed);
            self.truth.fail(8, text);
        }
        let Some(core) = &self.controller.core else { return };
        if let Some(view) = core.drains(None, 1).pop() {
            self.truth.fail(8, format!("the controller still shows {view:?}"));
        }
    }
}
