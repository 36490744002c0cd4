//! An operation's set of guests: what its start and a new set must be like.

use super::{Broken, LEFT_OUT, Model, ModelTask, Modelled, RACK, broken, waves};
use crate::disk::Disk;
use curfew_controller_core::record::Started;
use curfew_types::{GuestId, OperationState};
use std::collections::BTreeSet;
use xxhash_rust::xxh3::xxh3_64;

impl Model {
    pub(super) fn take_start(&mut self, at: u64, started: &Started, disk: &Disk) -> Result<(), Broken> {
        let id = started.id;
        if self.frozen {
            return broken(4, format!("{id} started while the fleet was frozen"));
        }
        self.check_set(started, disk)?;
        let included = included(started).count() as u64;
        let fleet = disk.guest_count();
        let many = self.rule.above_guests.is_some_and(|limit| included > limit);
        let share = self.rule.above_percent.is_some_and(|limit| included * 100 > fleet * u64::from(limit));
        let expected = if many || share { OperationState::AwaitingApproval } else { OperationState::Running };
        let standing = &started.standing;
        if standing.state != expected || standing.wave != 0 || standing.approved_by.is_some() {
            let text = format!("{id} over {included} of {fleet} guests starts as {standing:?}");
            return broken(0, text);
        }
        self.operations.insert(id, Modelled::of(at, started, disk));
        Ok(())
    }

    /// An operation that waits for its approval takes a larger set.
    pub(super) fn take_new_set(&mut self, started: &Started, disk: &Disk) -> Result<(), Broken> {
        let id = started.id;
        let Some(before) = self.operations.get(&id) else { return Ok(()) };
        if before.state != OperationState::AwaitingApproval {
            return broken(0, format!("{id} takes another set while it is {}", before.state.as_str()));
        }
        if before.tasks.iter().any(|task| task.handed || task.ended.is_some()) {
            return broken(
                1,
                format!("{id} takes another set, and outcomes of the one before are forgotten"),
            );
        }
        let known: BTreeSet<&GuestId> = included(&before.started).collect();
        if included(started).all(|guest| known.contains(guest)) {
            return broken(0, format!("{id} asks for another approval, and its set has not grown"));
        }
        let since = before.free_since;
        self.check_set(started, disk)?;
        let again = Modelled { replanned: true, ..Modelled::of(since, started, disk) };
        self.operations.insert(id, again);
        Ok(())
    }

    fn check_set(&self, started: &Started, disk: &Disk) -> Result<(), Broken> {
        let id = started.id;
        if started.digest != digest(started) {
            return broken(0, format!("{id} says another digest than its set has"));
        }
        if let Some(guest) = included(started).find(|guest| self.held.contains(*guest)) {
            return broken(6, format!("{id} includes {guest}, which is held"));
        }
        let tried_before = started.spec.retry_of.and_then(|id| disk.operations.get(&id));
        if let Some(before) = tried_before {
            let left: BTreeSet<&GuestId> = before.left().collect();
            let guests = started.hosts.iter().flat_map(|host| &host.guests).map(|guest| &guest.id);
            if let Some(guest) = guests.into_iter().find(|guest| !left.contains(guest)) {
                return broken(0, format!("{id} tries {guest} again, which ended well before"));
            }
        }
        waves::check_drawn(started)
    }
}

/// The guests that an operation is to log off.
fn included(started: &Started) -> impl Iterator<Item = &GuestId> {
    let guests = started.hosts.iter().flat_map(|host| &host.guests);
    guests.filter(|guest| guest.wave != LEFT_OUT).map(|guest| &guest.id)
}

/// XXH3 over the digests of its hosts, each XXH3 over the host's guests and its name.
fn digest(started: &Started) -> u64 {
    let mut of_hosts = Vec::new();
    for host in &*started.hosts {
        let mut bytes = Vec::new();
        for guest in &host.guests {
            bytes.extend_from_slice(guest.id.as_str().as_bytes());
            bytes.push(u8::from(guest.wave != LEFT_OUT));
        }
        bytes.extend_from_slice(host.host.as_str().as_bytes());
        of_hosts.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
    }
    xxh3_64(&of_hosts)
}

impl Modelled {
    fn of(at: u64, started: &Started, disk: &Disk) -> Modelled {
        let task = |host, guest: &curfew_controller_core::record::TargetGuest| ModelTask {
            guest: guest.id.clone(),
            host,
            wave: guest.wave,
            rack: None,
            handed: false,
            ended: None,
        };
        let hosts = started.hosts.iter().enumerate();
        let mut operation = Modelled {
            state: started.standing.state,
            wave: started.standing.wave,
            budgets: started.standing.budgets,
            tasks: hosts
                .flat_map(|(place, host)| host.guests.iter().map(move |guest| task(place, guest)))
                .collect(),
            started: started.clone(),
            replanned: false,
            free_since: at,
        };
        operation.read_racks(disk);
        operation
    }

    /// Reads the values of the limited label anew.
    pub(super) fn read_racks(&mut self, disk: &Disk) {
        for task in &mut self.tasks {
            let host = &self.started.hosts[task.host].host;
            task.rack = disk.label(host, &task.guest, RACK).map(str::to_owned);
        }
    }
}
