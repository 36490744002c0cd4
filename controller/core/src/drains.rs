//! Drains: what agents tell of them, and what is asked of them by hand.
//!
//! The agents own them: each keeps its guests' drains in its ledger and lifts them by itself. Here is only what they told
//! last, in memory: after a restart nothing is known of a host until it attaches.

use crate::action::Frame;
use crate::core::Core;
use crate::fleet::{FleetError, Host, Owner};
use crate::link::is_foreign;
use curfew_types::logoff::CAPABILITY_DRAIN;
use curfew_types::{Drain, DrainAsk, DrainOwner, DrainState, DrainWish, GuestId, HostName, WallTime};
use std::collections::BTreeMap;
use std::ops::Bound;

/// The drains of a host by guest, each guest's by owner.
pub(crate) type Drains = BTreeMap<GuestId, Vec<Drain>>;

/// A drain as outsiders see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainView {
    /// As its agent told it.
    pub drain: Drain,
    /// The host whose agent that is.
    pub host: HostName,
    /// The guest's name; empty where no inventory has the guest any more.
    pub name: String,
}

/// What was asked by hand: what to look for in what the agents tell next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainAsked {
    /// The guest.
    pub guest: GuestId,
    /// The hosts that were asked.
    pub hosts: Vec<HostName>,
    what: DrainWish,
    /// The end of the drain by hand that was known before.
    before: Option<WallTime>,
}

/// Until when a guest refuses new logons, as its host's agent told last.
pub(crate) fn latest(host: &Host, guest: &GuestId) -> Option<WallTime> {
    let drains = host.drains.as_ref()?.get(guest)?;
    drains.iter().filter(|drain| drain.state != DrainState::Lifting).map(|drain| drain.until).max()
}

impl Host {
    /// A guest's drains, as this host's agent told them last.
    fn drains_of(&self, guest: &GuestId) -> &[Drain] {
        self.drains.as_ref().and_then(|drains| drains.get(guest)).map_or(&[], Vec::as_slice)
    }
}

impl Core {
    /// Asks a guest's host to refuse new logons to it for `for_ms` milliseconds from now on. It waits for no store: the
    /// agent writes it down.
    ///
    /// # Errors
    /// When the guest is unknown, ambiguous, held or claimed by several hosts, or its agent cannot be asked.
    pub fn ask_drain(
        &mut self,
        id_or_name: &str,
        for_ms: u64,
        by: &str,
        reason: &str,
    ) -> Result<DrainAsked, FleetError> {
        let view = self.guest(id_or_name)?;
        let (guest, name) = (view.guest.id.clone(), view.guest.name.to_string());
        if let Some(hold) = self.guard.hold(&guest) {
            return Err(FleetError::Held { name, by: hold.by.clone(), reason: hold.reason.clone() });
        }
        if let Owner::Conflict(hosts) = self.fleet.owner(&guest) {
            let hosts = hosts.into_iter().cloned().collect();
            return Err(FleetError::Conflict { name, hosts });
        }
        let what = DrainWish::Set { for_ms, by: by.to_owned(), reason: reason.to_owned() };
        self.ask_hosts(guest, vec![view.host], what)
    }

    /// Asks for a guest's drain of this owner to be lifted, or for all of them. It waits for no store, and a hold does not
    /// keep it. Every connected host that has the guest or tells of such drains is asked.
    ///
    /// # Errors
    /// When the guest is unknown or ambiguous, or no agent can be asked.
    pub fn ask_undrain(
        &mut self,
        id_or_name: &str,
        owner: Option<DrainOwner>,
    ) -> Result<DrainAsked, FleetError> {
        let guest = self.drained_guest(id_or_name)?;
        let mut hosts = self.fleet.claimants(&guest).to_vec();
        let telling = self.fleet.hosts.iter().filter(|(_, host)| !host.drains_of(&guest).is_empty());
        hosts.extend(telling.map(|(name, _)| name.clone()));
        hosts.sort();
        hosts.dedup();
        let what = owner.map_or(DrainWish::LiftAll, DrainWish::Lift);
        self.ask_hosts(guest, hosts, what)
    }

    /// Whether the agents that were asked have told what was asked for.
    pub fn is_drain_answered(&self, asked: &DrainAsked) -> bool {
        asked.hosts.iter().filter_map(|name| self.fleet.hosts.get(name)).all(|host| {
            let drains = host.drains_of(&asked.guest);
            let is_known = host.drains.is_some();
            match &asked.what {
                DrainWish::Set { .. } => by_hand(drains)
                    .is_some_and(|drain| drain.state.refuses() && Some(drain.until) != asked.before),
                DrainWish::Lift(owner) => is_known && drains.iter().all(|drain| drain.owner != *owner),
                DrainWish::LiftAll => is_known && drains.is_empty(),
            }
        })
    }

    /// The drain by hand of the guest that was asked about, as it is known now.
    pub fn drain_by_hand(&self, asked: &DrainAsked) -> Option<DrainView> {
        let drains = self.drains_of(&asked.guest);
        drains
            .into_iter()
            .find(|view| asked.hosts.contains(&view.host) && view.drain.owner == DrainOwner::Hand)
    }

    /// A guest's drains by host and owner.
    pub fn drains_of(&self, guest: &GuestId) -> Vec<DrainView> {
        let hosts = self.fleet.hosts.iter();
        let drains =
            hosts.flat_map(|(name, host)| host.drains_of(guest).iter().map(move |drain| (name, drain)));
        let shown = drains.filter(|(name, drain)| self.is_shown(name, drain));
        shown.map(|(name, drain)| self.drain_view(name, drain)).collect()
    }

    /// Drains by host, guest and owner that come after `after`, at most `limit`.
    pub fn drains(&self, after: Option<(&HostName, &GuestId, DrainOwner)>, limit: usize) -> Vec<DrainView> {
        let from = after.map_or(Bound::Unbounded, |(host, _, _)| Bound::Included(host));
        let hosts = self.fleet.hosts.range::<HostName, _>((from, Bound::Unbounded));
        let drains = hosts.flat_map(|(name, host)| {
            let drains = host.drains.iter().flat_map(BTreeMap::values).flatten();
            drains.map(move |drain| (name, drain))
        });
        let passed = |name: &HostName, drain: &Drain| {
            after.is_some_and(|after| (name, &drain.guest, drain.owner) <= after)
        };
        drains
            .filter(|(name, drain)| !passed(name, drain) && self.is_shown(name, drain))
            .take(limit)
            .map(|(name, drain)| self.drain_view(name, drain))
            .collect()
    }

    /// How many hosts are not connected.
    pub fn unconnected_hosts(&self) -> u64 {
        self.fleet.hosts.values().filter(|host| host.session.is_none()).count() as u64
    }

    /// An agent tells all drains of its guests. One of another host's guest is left out.
    pub(crate) fn take_drains(&mut self, name: &HostName, told: Vec<Drain>) {
        let mut drains = Drains::new();
        let mut foreign: Vec<GuestId> = Vec::new();
        for drain in told {
            if self.is_theirs(name, &drain.guest) {
                drains.entry(drain.guest.clone()).or_default().push(drain);
            } else {
                foreign.push(drain.guest);
            }
        }
        for drains in drains.values_mut() {
            drains.sort_by_key(|drain| drain.owner);
            drains.dedup_by_key(|drain| drain.owner);
        }
        if let Some(host) = self.fleet.hosts.get_mut(name) {
            host.drains = Some(drains);
        }
        if let Some(guest) = foreign.first() {
            let count = foreign.len();
            self.note(
                true,
                format!(
                    "host {name} told {count} drains of guests that are not its own, such as {guest}: ignored"
                ),
            );
        }
    }

    /// Whether a drain is anybody's concern: one that is over, of a guest that only other hosts have by now, is not this
    /// host's to lift any more, whatever its agent goes on trying.
    fn is_shown(&self, name: &HostName, drain: &Drain) -> bool {
        drain.state != DrainState::Lifting || self.is_theirs(name, &drain.guest)
    }

    /// Whether a host may speak of a guest: it has it, or nobody has.
    fn is_theirs(&self, name: &HostName, guest: &GuestId) -> bool {
        let claimants = self.fleet.claimants(guest);
        !is_foreign(name, guest) && (claimants.is_empty() || claimants.contains(name))
    }

    /// The guest with this id or name, or with this id one that is known by its drains only.
    fn drained_guest(&self, id_or_name: &str) -> Result<GuestId, FleetError> {
        match self.guest(id_or_name) {
            Err(FleetError::UnknownGuest(unknown)) => {
                let id = unknown.parse::<GuestId>().ok();
                id.filter(|id| !self.drains_of(id).is_empty()).ok_or(FleetError::UnknownGuest(unknown))
            }
            known => known.map(|view| view.guest.id.clone()),
        }
    }

    /// Sends the wish to those of the hosts that can take it.
    fn ask_hosts(
        &mut self,
        guest: GuestId,
        hosts: Vec<HostName>,
        what: DrainWish,
    ) -> Result<DrainAsked, FleetError> {
        let (connected, away): (Vec<_>, Vec<_>) =
            hosts.into_iter().partition(|name| self.fleet.is_connected(name));
        let lacks = |name: &HostName| {
            let host = self.fleet.hosts.get(name);
            host.is_some_and(|host| !host.lacks([CAPABILITY_DRAIN].into_iter()).is_empty())
        };
        let (old, able): (Vec<_>, Vec<_>) = connected.into_iter().partition(lacks);
        if able.is_empty() {
            return Err(match (old.into_iter().next(), away.into_iter().next()) {
                (Some(host), _) => FleetError::AgentLacks { host, option: CAPABILITY_DRAIN },
                (None, Some(host)) => FleetError::HostAway { host },
                (None, None) => FleetError::UnknownGuest(guest.to_string()),
            });
        }
        let known = able.first().and_then(|name| self.fleet.hosts.get(name));
        let before = known.and_then(|host| by_hand(host.drains_of(&guest))).map(|drain| drain.until);
        for host in &able {
            let ask = DrainAsk { guest: guest.clone(), what: what.clone() };
            self.send(host, Frame::Drain(ask), true);
        }
        Ok(DrainAsked { guest, hosts: able, what, before })
    }

    fn drain_view(&self, name: &HostName, drain: &Drain) -> DrainView {
        let in_inventory = |host: &HostName| self.fleet.hosts.get(host)?.guests.get(&drain.guest);
        let elsewhere = || self.fleet.claimants(&drain.guest).iter().find_map(in_inventory);
        let guest = in_inventory(name).or_else(elsewhere);
        DrainView {
            drain: drain.clone(),
            host: name.clone(),
            name: guest.map_or_else(String::new, |guest| guest.name.to_string()),
        }
    }
}

fn by_hand(drains: &[Drain]) -> Option<&Drain> {
    drains.iter().find(|drain| drain.owner == DrainOwner::Hand)
}
