//! Turning a selection into a plan: each guest in or out with the reason, in the order the operation will have.
//!
//! A plan is data; planning twice over the same inventory gives the same plan and the same digest.

use crate::fleet::{Fleet, Host, Owner};
use crate::record::{NO_WAVE, TargetGuest, TargetHost};
use crate::safeguards::Guard;
use crate::start::StartError;
use curfew_types::operation::TARGETS_MAX;
use curfew_types::{
    Guest, GuestId, HostName, NotRunning, OperationSpec, Outcome, PowerState, Reason, Selection, StatusCode,
    Verdict, Violation,
};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// Bytes that are digested at a time: many short ones would cost more than what they hold.
const DIGEST_BYTES: usize = 4096;

/// What an operation would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The selected guests, by host and then by name, as the operation would have them; those that are left out are in
    /// [`NO_WAVE`], and the waves of the others are drawn only where a seed is given.
    pub hosts: Vec<TargetHost>,
    /// What to know of the guests of each of `hosts` that are in, in words; empty where there is nothing to say.
    pub notes: Vec<Cow<'static, str>>,
    /// How the tasks of those that are left out end at once, by index.
    pub left_out: BTreeMap<u32, Verdict>,
    /// The digest of the set: equal sets with equal fates have equal digests.
    pub digest: u64,
    /// How many guests each wave has.
    pub wave_sizes: Vec<u64>,
    /// Whether a second person would have to approve it.
    pub needs_approval: bool,
    /// Why nothing would start now, in words; empty where it would.
    pub blocked_by: String,
}

/// One selected guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedGuest<'a> {
    /// Its host.
    pub host: &'a HostName,
    /// The guest, with its wave.
    pub target: &'a TargetGuest,
    /// How its task ends at once, for a guest that is left out.
    pub left_out: Option<&'a Verdict>,
    /// What to know of it, in words; empty when there is nothing to say.
    pub note: &'a str,
}

impl Plan {
    /// How many guests would be logged off.
    pub fn included(&self) -> u64 {
        self.wave_sizes.iter().sum()
    }

    /// How many guests are selected, those that are left out among them.
    pub fn selected(&self) -> u32 {
        self.hosts.last().map_or(0, TargetHost::end)
    }

    /// The selected guests in the order of the set.
    pub fn guests(&self) -> impl Iterator<Item = PlannedGuest<'_>> {
        self.hosts.iter().zip(&self.notes).flat_map(move |(host, note)| {
            (host.first..).zip(&host.guests).map(move |(index, target)| {
                let left_out = self.left_out.get(&index);
                let note = left_out.map_or(note.as_ref(), |verdict| verdict.message.as_str());
                PlannedGuest { host: &host.host, target, left_out, note }
            })
        })
    }
}

/// The guests of a selection with their fates, before waves are drawn. Its fields are the [`Plan`]'s.
pub(crate) struct Selected {
    pub(crate) hosts: Vec<TargetHost>,
    pub(crate) notes: Vec<Cow<'static, str>>,
    pub(crate) left_out: BTreeMap<u32, Verdict>,
    pub(crate) digest: u64,
}

/// Selects the guests of `spec` from `fleet`, of `only` these if they are given.
pub(crate) fn guests(
    fleet: &Fleet,
    guard: &Guard,
    spec: &OperationSpec,
    only: Option<&HashSet<GuestId>>,
) -> Result<Selected, StartError> {
    let selection = &spec.selection;
    check_said(selection)?;
    // A name that was fine once may be gone when its operation is tried again; then it is simply not among them.
    if only.is_none() {
        check_known(fleet, selection)?;
    }
    let ids: HashSet<&GuestId> = selection.guest_ids.iter().collect();
    let options: Vec<&'static str> = guard.capabilities_for(&spec.logoff).collect();
    let room = if selection.all { fleet.hosts.len() } else { 0 };
    let (mut hosts, mut notes) = (Vec::with_capacity(room), Vec::with_capacity(room));
    let (mut left_out, mut digest, mut index) = (BTreeMap::new(), SetDigest::new(), 0);
    for (name, host) in &fleet.hosts {
        let listed = host.guests_by_name();
        let mut guests = Vec::new();
        for (place, guest) in listed.iter().enumerate() {
            let owner = fleet.owner_of_listed(name, &guest.id);
            let listed_here = match &owner {
                Owner::Host(owner) => *owner == name,
                // A guest in conflict is listed once, under the first of its hosts.
                Owner::Conflict(hosts) => hosts.iter().min() == Some(&name),
                Owner::Nobody => false,
            };
            let is_candidate = only.is_none_or(|only| only.contains(&guest.id));
            if !listed_here || !is_candidate || !is_selected(fleet, selection, &ids, name, host, guest) {
                continue;
            }
            if guests.is_empty() {
                guests.reserve_exact(listed.len() - place);
            }
            let verdict = why_left_out(spec, guard, &owner, guest);
            let wave = if verdict.is_some() { NO_WAVE } else { 0 };
            digest.add(name, &guest.id, verdict.is_none());
            guests.push(TargetGuest { id: guest.id.clone(), name: Arc::clone(&guest.name), wave });
            left_out.extend(verdict.map(|verdict| (index, verdict)));
            index += 1;
        }
        if let Some(last) = guests.len().checked_sub(1) {
            let first = index - 1 - u32::try_from(last).unwrap_or(u32::MAX);
            hosts.push(TargetHost { host: name.clone(), first, guests });
            notes.push(note(&options, host));
        }
    }
    if hosts.is_empty() {
        return Err(StartError::invalid(
            "spec.selection",
            "no guest fits it; `curfew guest list` shows what there is",
        ));
    }
    if index as usize > TARGETS_MAX {
        return Err(StartError::invalid("spec.selection", format!("more than {TARGETS_MAX} guests fit it")));
    }
    Ok(Selected { hosts, notes, left_out, digest: digest.finish() })
}

fn check_said(selection: &Selection) -> Result<(), StartError> {
    if selection.is_empty() {
        let why = "nothing is selected; name guests, hosts or labels, or say all for the whole fleet";
        return Err(StartError::Missing(vec![Violation::new("spec.selection", why)]));
    }
    let with_all = selection.labels.is_some()
        || !selection.hosts.is_empty()
        || !selection.guests.is_empty()
        || !selection.guest_ids.is_empty();
    if selection.all && with_all {
        let why = "all goes with no other condition; leave all out to narrow the selection";
        return Err(StartError::invalid("spec.selection.all", why));
    }
    Ok(())
}

/// Everything that is named without a wildcard must exist, and a name must be unambiguous.
fn check_known(fleet: &Fleet, selection: &Selection) -> Result<(), StartError> {
    let mut unknown = Vec::new();
    for host in selection.hosts.iter().filter(|host| host.is_literal()) {
        let known = host.as_str().parse().is_ok_and(|name: HostName| fleet.hosts.contains_key(&name));
        if !known {
            unknown.push(format!("host {:?}", host.as_str()));
        }
    }
    for id in &selection.guest_ids {
        if fleet.owner(id) == Owner::Nobody {
            unknown.push(format!("guest id {:?}", id.as_str()));
        }
    }
    let mut ambiguous = Vec::new();
    for name in selection.guests.iter().filter(|name| name.is_literal()) {
        let named = fleet.guests().filter(|(_, _, guest)| *guest.name == *name.as_str());
        let ids: HashSet<&GuestId> = named.map(|(_, _, guest)| &guest.id).collect();
        if ids.is_empty() {
            unknown.push(format!("guest {:?}", name.as_str()));
        } else if ids.len() > 1 {
            let mut ids: Vec<&str> = ids.into_iter().map(GuestId::as_str).collect();
            ids.sort_unstable();
            let why =
                format!("{:?} is the name of several guests; use an id: {}", name.as_str(), ids.join(", "));
            ambiguous.push(Violation::new("spec.selection.guests", why));
        }
    }
    if !ambiguous.is_empty() {
        return Err(StartError::Invalid(ambiguous));
    }
    if unknown.is_empty() { Ok(()) } else { Err(StartError::UnknownGuests(unknown)) }
}

fn is_selected(
    fleet: &Fleet,
    selection: &Selection,
    ids: &HashSet<&GuestId>,
    name: &HostName,
    host: &Host,
    guest: &Guest,
) -> bool {
    let by_id = ids.contains(&guest.id);
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
        .is_none_or(|labels| labels.matches_with(|key| fleet.label(name, host, guest, key)));
    guests_fit && hosts_fit && labels_fit
}

/// How a guest's task ends at once; nothing if it is in.
fn why_left_out(spec: &OperationSpec, guard: &Guard, owner: &Owner<'_>, guest: &Guest) -> Option<Verdict> {
    let left_out = |outcome, code, reason, why: &str| Some(Verdict::new(outcome, code, reason, why));
    let excluded =
        |glob: &curfew_types::glob::Glob| glob.matches(&guest.name) || glob.matches(guest.id.as_str());
    if spec.selection.exclude.iter().any(excluded) {
        return left_out(Outcome::Skipped, StatusCode::Ok, Reason::Excluded, "excluded by the request");
    }
    if let Some(verdict) = guard.verdict(&guest.id) {
        return Some(verdict);
    }
    if let Owner::Conflict(hosts) = owner {
        let hosts: Vec<&str> = hosts.iter().map(|host| host.as_str()).collect();
        let why = format!("hosts {} all claim it as running", hosts.join(", "));
        return left_out(Outcome::Refused, StatusCode::Unexpected, Reason::Conflict, &why);
    }
    match (guest.power, spec.not_running) {
        (PowerState::Running | PowerState::Unknown, _) => None,
        // Its users are still logged on, in memory: leaving it out silently would call a full guest empty.
        (PowerState::Paused, _) => left_out(
            Outcome::Refused,
            StatusCode::VmPaused,
            Reason::Paused,
            "the guest is paused; resume it first",
        ),
        (PowerState::Stopped, NotRunning::Skip) => {
            left_out(Outcome::Skipped, StatusCode::Ok, Reason::NotRunningByChoice, "the guest is not running")
        }
        (PowerState::Stopped, NotRunning::Refuse) => left_out(
            Outcome::Refused,
            StatusCode::VmNotRunning,
            Reason::NotRunning,
            "the guest is not running",
        ),
    }
}

/// What to know of a host's guests that are in: whether its agent can be reached, and whether it would take the order.
fn note(options: &[&'static str], host: &Host) -> Cow<'static, str> {
    let lacks = host.lacks(options.iter().copied());
    if !lacks.is_empty() {
        return format!("its agent does not know {} and will refuse; upgrade it", lacks.join(", ")).into();
    }
    if host.session.is_some() { "".into() } else { "its host is not connected".into() }
}

/// XXH3 over hosts, ids and whether each guest is in: the same on every machine, and quick enough for a million guests.
struct SetDigest {
    digest: Xxh3,
    bytes: Vec<u8>,
}

impl SetDigest {
    fn new() -> SetDigest {
        SetDigest { digest: Xxh3::new(), bytes: Vec::with_capacity(DIGEST_BYTES + 1024) }
    }

    fn add(&mut self, host: &HostName, id: &GuestId, is_in: bool) {
        self.bytes.extend_from_slice(host.as_str().as_bytes());
        self.bytes.push(0);
        self.bytes.extend_from_slice(id.as_str().as_bytes());
        self.bytes.push(u8::from(is_in));
        if self.bytes.len() >= DIGEST_BYTES {
            self.digest.update(&self.bytes);
            self.bytes.clear();
        }
    }

    fn finish(mut self) -> u64 {
        self.digest.update(&self.bytes);
        self.digest.digest()
    }
}
