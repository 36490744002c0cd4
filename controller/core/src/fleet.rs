//! Hosts, their inventories and labels, and which host a guest belongs to when several claim it.

mod claims;
mod inventory;
mod refusal;

pub use refusal::FleetError;

use crate::action::Action;
use crate::core::Core;
use crate::drains::{self, Drains};
use crate::record::{Record, RecoveredHost};
use claims::Claims;
use curfew_types::agent::{LedgerMark, SafeguardsMark};
use curfew_types::label::{self, LABELS_MAX, Labels};
use curfew_types::{Guest, GuestId, HostName, Now, PowerState, WallTime};
use inventory::Inventory;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Most guests of one host: several times the largest hypervisor's limit.
pub const GUESTS_PER_HOST_MAX: usize = 10_000;

/// Most names of providers that are shared between guests; there are half a dozen.
const PROVIDERS_MAX: usize = 64;

/// Everything that can be selected, and who is connected.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    pub(crate) hosts: BTreeMap<HostName, Host>,
    /// Labels set on guests; they stay when the guest leaves every inventory, since it may only be migrating.
    pub(crate) guest_labels: HashMap<GuestId, Labels>,
    /// Which hosts have a guest in their inventory.
    claims: Claims,
    /// The names of providers that guests have: a few, shared by all.
    providers: HashSet<Arc<str>>,
}

/// A host as the core knows it.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) labels: Labels,
    /// The attachment that is live, if any.
    pub(crate) session: Option<u64>,
    /// This process has welcomed its agent, be it on an attachment that is over.
    pub(crate) is_welcomed: bool,
    /// Since when it has been away, while it is.
    pub(crate) away_since: curfew_types::Mono,
    pub(crate) ledger: Option<LedgerMark>,
    pub(crate) acknowledged: u64,
    pub(crate) seen: Option<WallTime>,
    /// When its agent attached or reported last.
    pub(crate) heard: curfew_types::Mono,
    pub(crate) version: String,
    pub(crate) inventory_digest: u64,
    /// The safeguards in force there, as its agent said last.
    pub(crate) safeguards: SafeguardsMark,
    pub(crate) guests: Inventory,
    /// Options that its agent knows; `None` until it attaches to this process.
    pub(crate) capabilities: Option<BTreeSet<String>>,
    /// The drains of its guests, as its agent told them last; `None` until it does so to this process.
    pub(crate) drains: Option<Drains>,
}

/// Which host a guest belongs to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Owner<'a> {
    /// This one.
    Host(&'a HostName),
    /// These all claim it as running.
    Conflict(Vec<&'a HostName>),
    /// No inventory has it.
    Nobody,
}

/// A host as outsiders see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostView {
    /// Its name.
    pub name: HostName,
    /// Whether its agent is connected.
    pub connected: bool,
    /// When its agent last attached.
    pub seen: Option<WallTime>,
    /// Labels set on the controller.
    pub labels: Labels,
    /// How many guests it has.
    pub guests: usize,
    /// The agent's version.
    pub version: String,
}

/// A guest as outsiders see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestView {
    /// What its agent says.
    pub guest: Arc<Guest>,
    /// The host.
    pub host: HostName,
    /// Every label that selectors see.
    pub labels: Labels,
    /// Other hosts that claim it too.
    pub other_hosts: Vec<HostName>,
    /// Whether the host is connected.
    pub connected: bool,
    /// Until when it refuses new logons because of a drain, as its host's agent told last.
    pub drained_until: Option<WallTime>,
}

impl Host {
    pub(crate) fn new(away_since: curfew_types::Mono) -> Host {
        Host {
            labels: Labels::new(),
            session: None,
            is_welcomed: false,
            away_since,
            ledger: None,
            acknowledged: 0,
            heard: away_since,
            seen: None,
            version: String::new(),
            inventory_digest: 0,
            safeguards: SafeguardsMark::default(),
            guests: Inventory::default(),
            capabilities: None,
            drains: None,
        }
    }

    /// Its inventory by name.
    pub(crate) fn guests_by_name(&self) -> Vec<&Arc<Guest>> {
        let mut guests: Vec<_> = self.guests.iter().collect();
        guests.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        guests
    }

    /// Which of these options its agent is known not to know.
    pub(crate) fn lacks(&self, options: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
        let Some(known) = &self.capabilities else { return Vec::new() };
        options.filter(|option| !known.contains(*option)).collect()
    }
}

impl Fleet {
    pub(crate) fn recover(
        now: Now,
        hosts: Vec<RecoveredHost>,
        guest_labels: Vec<(GuestId, Labels)>,
    ) -> Fleet {
        let mut fleet = Fleet { guest_labels: guest_labels.into_iter().collect(), ..Fleet::default() };
        fleet.claims.make_room(hosts.iter().map(|host| host.guests.len()).sum());
        for row in hosts {
            let host = fleet.hosts.entry(row.name.clone()).or_insert_with(|| Host::new(now.mono));
            host.labels = row.labels;
            host.ledger = row.ledger;
            host.acknowledged = row.acknowledged;
            host.seen = row.seen;
            host.version = row.version;
            host.inventory_digest = row.inventory_digest;
            fleet.upsert(&row.name, row.guests);
        }
        fleet
    }

    /// How many guests there are; one that several hosts claim counts once.
    pub(crate) fn guest_count(&self) -> usize {
        self.claims.guest_count()
    }

    /// The hosts that have a guest in their inventory.
    pub(crate) fn claimants(&self, guest: &GuestId) -> &[HostName] {
        self.claims.of(guest)
    }

    /// The host that runs a guest now, if it is another than `name` and the only one.
    pub(crate) fn moved_to(&self, guest: &GuestId, name: &HostName) -> Option<&HostName> {
        let Owner::Host(owner) = self.owner(guest) else { return None };
        let power = self.hosts.get(owner)?.guests.get(guest)?.power;
        (owner != name && power == PowerState::Running).then_some(owner)
    }

    pub(crate) fn is_connected(&self, host: &HostName) -> bool {
        self.hosts.get(host).is_some_and(|host| host.session.is_some())
    }

    /// The live attachment of a host.
    pub(crate) fn session(&self, host: &HostName) -> Option<u64> {
        self.hosts.get(host)?.session
    }

    /// Puts guests into a host's inventory.
    pub(crate) fn upsert(&mut self, name: &HostName, guests: Vec<Guest>) {
        let Some(host) = self.hosts.get_mut(name) else { return };
        if host.guests.len() == 0 {
            host.guests.make_room(guests.len());
        }
        for mut guest in guests {
            guest.provider = shared(&mut self.providers, guest.provider);
            let id = guest.id.clone();
            host.guests.insert(guest);
            self.claims.add(name, id);
        }
    }

    /// Takes guests out of a host's inventory.
    pub(crate) fn forget(&mut self, name: &HostName, guests: &[GuestId]) {
        for id in guests {
            if let Some(host) = self.hosts.get_mut(name) {
                host.guests.remove(id);
            }
            self.claims.remove(name, id);
        }
    }

    /// Takes every guest out of a host's inventory, and says which those were.
    pub(crate) fn forget_all(&mut self, name: &HostName) -> Vec<GuestId> {
        let ids: Vec<GuestId> = self
            .hosts
            .get(name)
            .map_or_else(Vec::new, |host| host.guests.iter().map(|guest| guest.id.clone()).collect());
        self.forget(name, &ids);
        ids
    }

    /// Which host a guest belongs to: the one that runs it; with none running it, the first that knows it.
    pub(crate) fn owner(&self, guest: &GuestId) -> Owner<'_> {
        let claims = match self.claims.of(guest) {
            [] => return Owner::Nobody,
            [only] => return Owner::Host(only),
            several => several,
        };
        let power = |host: &HostName| {
            self.hosts.get(host).and_then(|host| host.guests.get(guest)).map(|guest| guest.power)
        };
        let runs = |host: &&HostName| matches!(power(host), Some(PowerState::Running | PowerState::Paused));
        let running: Vec<&HostName> = claims.iter().filter(runs).collect();
        match running.as_slice() {
            [] => claims.iter().min().map_or(Owner::Nobody, Owner::Host),
            [only] => Owner::Host(only),
            _ => Owner::Conflict(running),
        }
    }

    /// The same for a guest that is in this host's inventory, without looking far as long as no other host has it.
    pub(crate) fn owner_of_listed<'a>(&'a self, name: &'a HostName, guest: &GuestId) -> Owner<'a> {
        if self.claims.is_contested(guest) { self.owner(guest) } else { Owner::Host(name) }
    }

    /// A number that stays the same as long as every guest belongs to the host that it belongs to.
    pub(crate) fn moves(&self) -> u64 {
        self.claims.moves()
    }

    /// Looks a selector's key up for a guest: its own labels, then its host's, then the well-known ones.
    pub(crate) fn label<'a>(
        &'a self,
        name: &'a HostName,
        host: &'a Host,
        guest: &'a Guest,
        key: &str,
    ) -> Option<&'a str> {
        match key {
            "host" => Some(name.as_str()),
            "guest" => Some(&guest.name),
            "os" => Some(guest.os.as_str()),
            "provider" => Some(&guest.provider),
            _ if key.starts_with(label::AGENT_PREFIX) => guest.labels.get(key).map(String::as_str),
            _ => {
                let own = self.guest_labels.get(&guest.id).and_then(|labels| labels.get(key));
                own.or_else(|| host.labels.get(key)).map(String::as_str)
            }
        }
    }

    /// Every guest with its host, each once, by host and then by name.
    pub(crate) fn guests(&self) -> impl Iterator<Item = (&HostName, &Host, &Arc<Guest>)> {
        self.hosts
            .iter()
            .flat_map(|(name, host)| host.guests_by_name().into_iter().map(move |guest| (name, host, guest)))
    }

    pub(crate) fn host_view(&self, name: &HostName) -> Option<HostView> {
        let host = self.hosts.get(name)?;
        Some(HostView {
            name: name.clone(),
            connected: host.session.is_some(),
            seen: host.seen,
            labels: host.labels.clone(),
            guests: host.guests.len(),
            version: host.version.clone(),
        })
    }

    pub(crate) fn guest_view(&self, name: &HostName, guest: &Arc<Guest>) -> Option<GuestView> {
        let host = self.hosts.get(name)?;
        let mut labels = guest.labels.clone();
        labels.extend(host.labels.clone());
        labels.extend(self.guest_labels.get(&guest.id).cloned().unwrap_or_default());
        for key in label::WELL_KNOWN {
            if let Some(value) = self.label(name, host, guest, key) {
                labels.insert(key.into(), value.into());
            }
        }
        let others = self.claimants(&guest.id).iter().filter(|other| *other != name);
        Some(GuestView {
            guest: guest.clone(),
            host: name.clone(),
            labels,
            other_hosts: others.cloned().collect(),
            connected: host.session.is_some(),
            drained_until: drains::latest(host, &guest.id),
        })
    }
}

/// The provider's name as all guests share it.
fn shared(providers: &mut HashSet<Arc<str>>, provider: Arc<str>) -> Arc<str> {
    if let Some(known) = providers.get(&provider) {
        return Arc::clone(known);
    }
    // What agents make up beyond that is kept with each guest.
    if providers.len() < PROVIDERS_MAX {
        providers.insert(Arc::clone(&provider));
    }
    provider
}

impl Core {
    /// How many hosts are connected.
    pub fn connected_hosts(&self) -> usize {
        self.fleet.hosts.values().filter(|host| host.session.is_some()).count()
    }

    /// How many guests are in inventories; one that several hosts claim counts once.
    pub fn guest_count(&self) -> usize {
        self.fleet.guest_count()
    }

    /// Hosts after `after` by name that `keep` wants, at most `limit`.
    pub fn hosts(
        &self,
        after: Option<&HostName>,
        limit: usize,
        keep: impl Fn(&HostView) -> bool,
    ) -> Vec<HostView> {
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let range = self.fleet.hosts.range::<HostName, _>((from, std::ops::Bound::Unbounded));
        range
            .filter_map(|(name, _)| self.fleet.host_view(name))
            .filter(|view| keep(view))
            .take(limit)
            .collect()
    }

    /// One host.
    ///
    /// # Errors
    /// When no host has this name.
    pub fn host(&self, name: &HostName) -> Result<HostView, FleetError> {
        self.fleet.host_view(name).ok_or_else(|| FleetError::UnknownHost(name.to_string()))
    }

    /// Guests by host and name that come after `after` and that `keep` wants, at most `limit`.
    pub fn guests(
        &self,
        after: Option<(&HostName, &str, &GuestId)>,
        limit: usize,
        keep: impl Fn(&GuestView) -> bool,
    ) -> Vec<GuestView> {
        let passed = |name: &HostName, guest: &Guest| {
            after.is_some_and(|after| (name, guest.name.as_ref(), &guest.id) <= after)
        };
        let guests = self.fleet.guests().filter(|(name, _, guest)| !passed(name, guest));
        guests
            .filter_map(|(name, _, guest)| self.fleet.guest_view(name, guest))
            .filter(|view| keep(view))
            .take(limit)
            .collect()
    }

    /// The one guest with this id, or with this name if only one has it.
    ///
    /// # Errors
    /// When none has it, or when several have the name.
    pub fn guest(&self, id_or_name: &str) -> Result<GuestView, FleetError> {
        let unknown = || FleetError::UnknownGuest(id_or_name.into());
        if let Ok(id) = id_or_name.parse::<GuestId>() {
            let owner = match self.fleet.owner(&id) {
                Owner::Host(host) => Some(host),
                Owner::Conflict(hosts) => hosts.into_iter().min(),
                Owner::Nobody => None,
            };
            if let Some(host) = owner {
                let guest =
                    self.fleet.hosts.get(host).and_then(|host| host.guests.get(&id)).ok_or_else(unknown)?;
                return self.fleet.guest_view(host, guest).ok_or_else(unknown);
            }
        }
        let mut named: Vec<_> =
            self.fleet.guests().filter(|(_, _, guest)| *guest.name == *id_or_name).collect();
        named.dedup_by(|a, b| a.2.id == b.2.id);
        match named.as_slice() {
            [] => Err(unknown()),
            [(host, _, guest)] => self.fleet.guest_view(host, guest).ok_or_else(unknown),
            several => Err(FleetError::Ambiguous {
                name: id_or_name.into(),
                ids: several.iter().map(|(_, _, guest)| guest.id.to_string()).collect(),
            }),
        }
    }

    /// Sets and removes labels of a host.
    ///
    /// # Errors
    /// When the host is unknown or a label cannot be set; nothing is changed then.
    pub fn label_host(
        &mut self,
        name: &HostName,
        set: &Labels,
        remove: &[String],
    ) -> Result<HostView, FleetError> {
        let host = self.fleet.hosts.get_mut(name).ok_or_else(|| FleetError::UnknownHost(name.to_string()))?;
        host.labels = changed_labels(&host.labels, set, remove)?;
        let labels = host.labels.clone();
        self.record(Record::HostLabelled { host: name.clone(), labels });
        self.host(name)
    }

    /// Sets and removes labels of a guest.
    ///
    /// # Errors
    /// When the guest is unknown or ambiguous, or a label cannot be set; nothing is changed then.
    pub fn label_guest(
        &mut self,
        id_or_name: &str,
        set: &Labels,
        remove: &[String],
    ) -> Result<GuestView, FleetError> {
        let guest = self.guest(id_or_name)?.guest.id.clone();
        let before = self.fleet.guest_labels.get(&guest).cloned().unwrap_or_default();
        let labels = changed_labels(&before, set, remove)?;
        self.fleet.guest_labels.insert(guest.clone(), labels.clone());
        self.record(Record::GuestLabelled { guest: guest.clone(), labels });
        self.guest(guest.as_str())
    }

    /// Forgets a host and its guests; with `force` also a connected or busy one.
    ///
    /// # Errors
    /// When the host is unknown, or in use and `force` was not said.
    pub fn remove_host(&mut self, now: Now, name: &HostName, force: bool) -> Result<(), FleetError> {
        let host = self.fleet.hosts.get(name).ok_or_else(|| FleetError::UnknownHost(name.to_string()))?;
        let session = host.session;
        if !force {
            let in_use = |why| Err(FleetError::InUse { host: name.clone(), why });
            if session.is_some() {
                return in_use("is connected");
            }
            if self.has_unfinished_tasks(name) {
                return in_use("has unfinished tasks");
            }
        }
        if let Some(session) = session {
            let why = "the host was removed from the fleet".into();
            self.push(Action::Disconnect { host: name.clone(), session, why });
        }
        self.finish_tasks_of_removed_host(now, name);
        self.fleet.forget_all(name);
        self.fleet.hosts.remove(name);
        self.record(Record::HostRemoved { host: name.clone() });
        self.settle(now);
        Ok(())
    }
}

fn changed_labels(before: &Labels, set: &Labels, remove: &[String]) -> Result<Labels, FleetError> {
    let mut labels = before.clone();
    for key in remove {
        labels.remove(key);
    }
    for (key, value) in set {
        label::check_settable(key, value)?;
        labels.insert(key.clone(), value.clone());
    }
    if labels.len() > LABELS_MAX { Err(FleetError::TooManyLabels) } else { Ok(labels) }
}
