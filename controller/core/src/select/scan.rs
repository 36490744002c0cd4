//! Goes through the fleet and asks of each guest whether it is selected and what becomes of it; on several threads where there
//! are many, since what it waits for is memory: a large fleet is in no cache. How many threads there are changes no result.

use super::Selected;
use crate::fleet::{Fleet, Host, Owner};
use crate::record::{NO_WAVE, TargetGuest, TargetHost};
use crate::safeguards::Guard;
use curfew_types::{
    Guest, GuestId, HostName, NotRunning, OperationSpec, Outcome, PowerState, Reason, StatusCode, Verdict,
};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Fewest hosts that are worth another thread: each takes a microsecond or more, and a thread some fifty.
const HOSTS_A_THREAD: usize = 1024;
/// Most threads. More of them than processors take turns and cost little.
const THREADS: usize = 4;

/// What is looked for, and where.
pub(super) struct Scan<'a> {
    fleet: &'a Fleet,
    guard: &'a Guard,
    spec: &'a OperationSpec,
    only: Option<&'a HashSet<GuestId>>,
    /// The ids that the selection names.
    ids: HashSet<&'a GuestId>,
    /// What agents must know to take the order.
    options: Vec<&'static str>,
}

/// The selected guests of some hosts that follow one another, numbered from 0.
#[derive(Default)]
struct Part {
    hosts: Vec<TargetHost>,
    notes: Vec<Cow<'static, str>>,
    left_out: Vec<(u32, Verdict)>,
    /// One for each of `hosts`.
    digests: Vec<u64>,
    selected: u32,
}

impl<'a> Scan<'a> {
    pub(super) fn new(
        fleet: &'a Fleet,
        guard: &'a Guard,
        spec: &'a OperationSpec,
        only: Option<&'a HashSet<GuestId>>,
    ) -> Scan<'a> {
        let ids = spec.selection.guest_ids.iter().collect();
        let options = guard.capabilities_for(&spec.logoff).collect();
        Scan { fleet, guard, spec, only, ids, options }
    }

    /// The selected guests of the whole fleet.
    pub(super) fn of_all(&self) -> Selected {
        let hosts: Vec<(&HostName, &Host)> = self.fleet.hosts.iter().collect();
        joined(self.parts((hosts.len() / HOSTS_A_THREAD).clamp(1, THREADS), &hosts))
    }

    /// The parts in their order, each made by a thread.
    fn parts(&self, threads: usize, hosts: &[(&HostName, &Host)]) -> Vec<Part> {
        let (here, there) = hosts.split_at(hosts.len().div_ceil(threads));
        if there.is_empty() {
            return vec![self.part(here)];
        }
        std::thread::scope(|scope| {
            let others = std::thread::Builder::new().spawn_scoped(scope, || self.parts(threads - 1, there));
            let mut parts = vec![self.part(here)];
            parts.extend(match others {
                Ok(others) => others.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                // A system without room for another thread has this one.
                Err(_) => vec![self.part(there)],
            });
            parts
        })
    }

    fn part(&self, hosts: &[(&HostName, &Host)]) -> Part {
        let mut part = Part::default();
        let room = if self.spec.selection.all { hosts.len() } else { 0 };
        part.hosts.reserve_exact(room);
        part.notes.reserve_exact(room);
        part.digests.reserve_exact(room);
        let mut digest = HostDigest::default();
        for (name, host) in hosts {
            self.add(&mut part, &mut digest, name, host);
        }
        part
    }

    fn add(&self, part: &mut Part, digest: &mut HostDigest, name: &HostName, host: &Host) {
        let listed = host.guests_by_name();
        let (first, mut guests) = (part.selected, Vec::new());
        for (place, guest) in listed.iter().enumerate() {
            let owner = self.fleet.owner_of_listed(name, &guest.id);
            let listed_here = match &owner {
                Owner::Host(owner) => *owner == name,
                // A guest in conflict is listed once, under the first of its hosts.
                Owner::Conflict(hosts) => hosts.iter().min() == Some(&name),
                Owner::Nobody => false,
            };
            let is_candidate = self.only.is_none_or(|only| only.contains(&guest.id));
            if !listed_here || !is_candidate || !self.is_selected(name, host, guest) {
                continue;
            }
            if guests.is_empty() {
                guests.reserve_exact(listed.len() - place);
            }
            let verdict = self.why_left_out(&owner, guest);
            let wave = if verdict.is_some() { NO_WAVE } else { 0 };
            digest.add(&guest.id, verdict.is_none());
            guests.push(TargetGuest { id: guest.id.clone(), name: Arc::clone(&guest.name), wave });
            part.left_out.extend(verdict.map(|verdict| (part.selected, verdict)));
            part.selected += 1;
        }
        if !guests.is_empty() {
            part.hosts.push(TargetHost { host: name.clone(), first, guests });
            part.notes.push(self.note(host));
            part.digests.push(digest.finish(name));
        }
    }

    fn is_selected(&self, name: &HostName, host: &Host, guest: &Guest) -> bool {
        let selection = &self.spec.selection;
        let by_id = self.ids.contains(&guest.id);
        let by_exact_name =
            selection.guests.iter().any(|glob| glob.is_literal() && *glob.as_str() == *guest.name);
        // Logging the operators' own machine off is never a side effect of a wildcard.
        if guest.is_host && !selection.include_host_guests && !by_id && !by_exact_name {
            return false;
        }
        let guests_fit = (selection.guests.is_empty() && selection.guest_ids.is_empty())
            || by_id
            || selection.guests.iter().any(|glob| glob.matches(&guest.name));
        let hosts_fit =
            selection.hosts.is_empty() || selection.hosts.iter().any(|glob| glob.matches(name.as_str()));
        let labels_fit = selection
            .labels
            .as_ref()
            .is_none_or(|labels| labels.matches_with(|key| self.fleet.label(name, host, guest, key)));
        guests_fit && hosts_fit && labels_fit
    }

    /// How a guest's task ends at once; nothing if it is in.
    fn why_left_out(&self, owner: &Owner<'_>, guest: &Guest) -> Option<Verdict> {
        let left_out = |outcome, code, reason, why: &str| Some(Verdict::new(outcome, code, reason, why));
        let excluded =
            |glob: &curfew_types::glob::Glob| glob.matches(&guest.name) || glob.matches(guest.id.as_str());
        if self.spec.selection.exclude.iter().any(excluded) {
            return left_out(Outcome::Skipped, StatusCode::Ok, Reason::Excluded, "excluded by the request");
        }
        if let Some(verdict) = self.guard.verdict(&guest.id) {
            return Some(verdict);
        }
        if let Owner::Conflict(hosts) = owner {
            let hosts: Vec<&str> = hosts.iter().map(|host| host.as_str()).collect();
            let why = format!("hosts {} all claim it as running", hosts.join(", "));
            return left_out(Outcome::Refused, StatusCode::Unexpected, Reason::Conflict, &why);
        }
        match (guest.power, self.spec.not_running) {
            (PowerState::Running | PowerState::Unknown, _) => None,
            // Its users are still logged on, in memory: leaving it out silently would call a full guest empty.
            (PowerState::Paused, _) => left_out(
                Outcome::Refused,
                StatusCode::VmPaused,
                Reason::Paused,
                "the guest is paused; resume it first",
            ),
            (PowerState::Stopped, NotRunning::Skip) => left_out(
                Outcome::Skipped,
                StatusCode::Ok,
                Reason::NotRunningByChoice,
                "the guest is not running",
            ),
            (PowerState::Stopped, NotRunning::Refuse) => left_out(
                Outcome::Refused,
                StatusCode::VmNotRunning,
                Reason::NotRunning,
                "the guest is not running",
            ),
        }
    }

    /// What to know of a host's guests that are in: whether its agent can be reached, and whether it would take the order.
    fn note(&self, host: &Host) -> Cow<'static, str> {
        let lacks = host.lacks(self.options.iter().copied());
        if !lacks.is_empty() {
            return format!("its agent does not know {} and will refuse; upgrade it", lacks.join(", "))
                .into();
        }
        if host.session.is_some() { "".into() } else { "its host is not connected".into() }
    }
}

/// The parts as one, numbered through.
fn joined(parts: Vec<Part>) -> Selected {
    let (mut left_out, mut digest, mut selected) = (BTreeMap::new(), Xxh3::new(), 0);
    let room = parts.iter().map(|part| part.hosts.len()).sum();
    let (mut hosts, mut notes) = (Vec::with_capacity(room), Vec::with_capacity(room));
    for mut part in parts {
        for host in &mut part.hosts {
            host.first += selected;
        }
        left_out.extend(part.left_out.into_iter().map(|(index, verdict)| (selected + index, verdict)));
        for of_host in part.digests {
            digest.update(&of_host.to_le_bytes());
        }
        selected += part.selected;
        hosts.append(&mut part.hosts);
        notes.append(&mut part.notes);
    }
    Selected { hosts, notes, left_out, digest: digest.digest() }
}

/// XXH3 over a host's name, its guests' ids and whether each is in; that of a set is the same over its hosts'. The same on every
/// machine, and quick enough for a million guests.
#[derive(Default)]
struct HostDigest {
    guests: Vec<u8>,
}

impl HostDigest {
    fn add(&mut self, id: &GuestId, is_in: bool) {
        self.guests.extend_from_slice(id.as_str().as_bytes());
        self.guests.push(u8::from(is_in));
    }

    /// The digest of what was added since the last one, as the guests of this host.
    fn finish(&mut self, host: &HostName) -> u64 {
        self.guests.extend_from_slice(host.as_str().as_bytes());
        let digest = xxh3_64(&self.guests);
        self.guests.clear();
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RecoveredHost;
    use curfew_types::{Now, OsFamily, Selection};

    fn guest(id: &str) -> Guest {
        Guest {
            id: id.parse().expect("an id"),
            // Not in the order of the ids.
            name: id.chars().rev().collect::<String>().into(),
            provider: "simulated".into(),
            os: OsFamily::Linux,
            power: if id.ends_with('3') { PowerState::Paused } else { PowerState::Running },
            is_host: false,
            labels: Default::default(),
        }
    }

    /// Hosts with none to three guests of their own, and one that all of them claim.
    fn fleet(hosts: usize) -> Fleet {
        let host = |number: usize| RecoveredHost {
            name: format!("host-{number}").parse().expect("a name"),
            labels: Default::default(),
            ledger: None,
            acknowledged: 0,
            seen: None,
            version: String::new(),
            inventory_digest: 0,
            guests: (0..number % 4)
                .map(|at| guest(&format!("{number}-{at}")))
                .chain([guest("all")])
                .collect(),
        };
        Fleet::recover(Now::default(), (1..=hosts).map(host).collect(), Vec::new())
    }

    #[test]
    fn how_many_threads_there_are_changes_nothing() {
        let fleet = fleet(50);
        let hosts: Vec<_> = fleet.hosts.iter().collect();
        let exclude = vec!["*2".parse().expect("a pattern")];
        let spec = OperationSpec::plain(Selection { all: true, exclude, ..Selection::default() });
        let guard = Guard::default();
        let scan = Scan::new(&fleet, &guard, &spec, None);
        let alone = joined(scan.parts(1, &hosts));
        assert!(alone.left_out.len() > 12 && alone.notes.len() == alone.hosts.len());
        let mut next = 0;
        for host in &alone.hosts {
            assert_eq!(host.first, next);
            next = host.end();
        }
        assert_eq!(next as usize, fleet.guest_count());
        for threads in 2..=60 {
            assert_eq!(joined(scan.parts(threads, &hosts)), alone, "{threads} threads");
        }
    }
}
