//! Turning a selection into a plan: each guest in or out with the reason, in the order the operation will have.
//!
//! A plan is data; planning twice over the same inventory gives the same plan and the same digest.

use crate::fleet::{Fleet, Host, Owner};
use crate::safeguards::Guard;
use crate::start::StartError;
use curfew_types::operation::TARGETS_MAX;
use curfew_types::{
    Guest, GuestId, HostName, NotRunning, OperationSpec, Outcome, PowerState, Reason, Selection, StatusCode,
    Verdict, Violation,
};
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// Bytes that are digested at a time: many short ones would cost more than what they hold.
const DIGEST_BYTES: usize = 4096;

/// What an operation would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The selected guests, by host and then by name.
    pub guests: Vec<PlannedGuest>,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedGuest {
    /// As its agent says.
    pub guest: Arc<Guest>,
    /// Its host.
    pub host: HostName,
    /// How its task ends at once, for a guest that is left out.
    pub left_out: Option<Box<Verdict>>,
    /// What to know of it, in words; empty when there is nothing to say.
    pub note: Cow<'static, str>,
    /// Its wave, from 0; drawn only where a seed is given.
    pub wave: u8,
}

impl Plan {
    /// How many guests would be logged off.
    pub fn included(&self) -> usize {
        self.guests.iter().filter(|guest| guest.left_out.is_none()).count()
    }
}

/// Plans the guests of `spec` over `fleet`, of `only` these if they are given.
pub(crate) fn guests(
    fleet: &Fleet,
    guard: &Guard,
    spec: &OperationSpec,
    only: Option<&HashSet<GuestId>>,
) -> Result<Vec<PlannedGuest>, StartError> {
    let selection = &spec.selection;
    check_said(selection)?;
    // A name that was fine once may be gone when its operation is tried again; then it is simply not among them.
    if only.is_none() {
        check_known(fleet, selection)?;
    }
    let ids: HashSet<&GuestId> = selection.guest_ids.iter().collect();
    let mut guests = Vec::with_capacity(if selection.all { fleet.guest_count() } else { 0 });
    let options: Vec<&'static str> = guard.capabilities_for(&spec.logoff).collect();
    for (name, host, guest) in fleet.guests() {
        let owner = fleet.owner_of_listed(name, &guest.id);
        let listed_here = match &owner {
            Owner::Host(owner) => *owner == name,
            // A guest in conflict is listed once, under the first of its hosts.
            Owner::Conflict(hosts) => hosts.iter().min() == Some(&name),
            Owner::Nobody => false,
        };
        let is_candidate = only.is_none_or(|only| only.contains(&guest.id));
        if listed_here && is_candidate && is_selected(fleet, selection, &ids, name, host, guest) {
            let (left_out, note) = fate(spec, guard, &options, &owner, host, guest);
            guests.push(PlannedGuest { guest: guest.clone(), host: name.clone(), left_out, note, wave: 0 });
        }
    }
    if guests.is_empty() {
        return Err(StartError::invalid(
            "spec.selection",
            "no guest fits it; `curfew guest list` shows what there is",
        ));
    }
    if guests.len() > TARGETS_MAX {
        return Err(StartError::invalid("spec.selection", format!("more than {TARGETS_MAX} guests fit it")));
    }
    Ok(guests)
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

fn fate(
    spec: &OperationSpec,
    guard: &Guard,
    options: &[&'static str],
    owner: &Owner<'_>,
    host: &Host,
    guest: &Guest,
) -> (Option<Box<Verdict>>, Cow<'static, str>) {
    let excluded =
        |glob: &curfew_types::glob::Glob| glob.matches(&guest.name) || glob.matches(guest.id.as_str());
    if spec.selection.exclude.iter().any(excluded) {
        return left_out(
            Outcome::Skipped,
            StatusCode::Ok,
            Reason::Excluded,
            "excluded by the request".into(),
        );
    }
    if let Some(verdict) = guard.verdict(&guest.id) {
        let why = verdict.message.clone();
        return (Some(Box::new(verdict)), why.into());
    }
    if let Owner::Conflict(hosts) = owner {
        let hosts: Vec<&str> = hosts.iter().map(|host| host.as_str()).collect();
        let why = format!("hosts {} all claim it as running", hosts.join(", "));
        return left_out(Outcome::Refused, StatusCode::Unexpected, Reason::Conflict, why);
    }
    match (guest.power, spec.not_running) {
        (PowerState::Running | PowerState::Unknown, _) => (None, note(options, host)),
        // Its users are still logged on, in memory: leaving it out silently would call a full guest empty.
        (PowerState::Paused, _) => left_out(
            Outcome::Refused,
            StatusCode::VmPaused,
            Reason::Paused,
            "the guest is paused; resume it first".into(),
        ),
        (PowerState::Stopped, NotRunning::Skip) => left_out(
            Outcome::Skipped,
            StatusCode::Ok,
            Reason::NotRunningByChoice,
            "the guest is not running".into(),
        ),
        (PowerState::Stopped, NotRunning::Refuse) => left_out(
            Outcome::Refused,
            StatusCode::VmNotRunning,
            Reason::NotRunning,
            "the guest is not running".into(),
        ),
    }
}

/// What to know of a guest that is in: whether its agent can be reached, and whether it would take the order.
fn note(options: &[&'static str], host: &Host) -> Cow<'static, str> {
    let lacks = host.lacks(options.iter().copied());
    if !lacks.is_empty() {
        return format!("its agent does not know {} and will refuse; upgrade it", lacks.join(", ")).into();
    }
    if host.session.is_some() { "".into() } else { "its host is not connected".into() }
}

fn left_out(
    outcome: Outcome,
    code: StatusCode,
    reason: Reason,
    why: String,
) -> (Option<Box<Verdict>>, Cow<'static, str>) {
    (Some(Box::new(Verdict::new(outcome, code, reason, why.clone()))), why.into())
}

/// XXH3 over hosts, ids and whether each guest is in: the same on every machine, and quick enough for a million guests.
pub(crate) fn digest(guests: &[PlannedGuest]) -> u64 {
    let mut digest = Xxh3::new();
    let mut bytes = Vec::with_capacity(DIGEST_BYTES + 1024);
    for guest in guests {
        bytes.extend_from_slice(guest.host.as_str().as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(guest.guest.id.as_str().as_bytes());
        bytes.push(u8::from(guest.left_out.is_none()));
        if bytes.len() >= DIGEST_BYTES {
            digest.update(&bytes);
            bytes.clear();
        }
    }
    digest.update(&bytes);
    digest.digest()
}
