//! Turning a selection into a plan: each guest in or out with the reason, in the order the operation will have.
//!
//! A plan is data; planning twice over the same inventory gives the same plan and the same digest.

mod scan;

use crate::fleet::{Fleet, Owner};
use crate::record::{TargetGuest, TargetHost};
use crate::safeguards::Guard;
use crate::start::StartError;
use curfew_types::operation::TARGETS_MAX;
use curfew_types::{GuestId, HostName, OperationSpec, Selection, Verdict, Violation};
use scan::Scan;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

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
#[derive(Debug, PartialEq, Eq)]
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
    check_said(&spec.selection)?;
    // A name that was fine once may be gone when its operation is tried again; then it is simply not among them.
    if only.is_none() {
        check_known(fleet, &spec.selection)?;
    }
    let selected = Scan::new(fleet, guard, spec, only).of_all();
    let Some(last) = selected.hosts.last() else {
        return Err(StartError::invalid(
            "spec.selection",
            "no guest fits it; `curfew guest list` shows what there is",
        ));
    };
    if last.end() as usize > TARGETS_MAX {
        return Err(StartError::invalid("spec.selection", format!("more than {TARGETS_MAX} guests fit it")));
    }
    Ok(selected)
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
