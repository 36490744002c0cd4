//! Drains as the ledger has them: read back after a restart, and said in few entries when it is rewritten.

use super::{Drains, GuestDrains, Kept};
use crate::core::Core;
use crate::ledger::Entry;
use curfew_types::{DrainOwner, DrainState, GuestId, Mono, Now, TaskId, WallTime};
use std::collections::BTreeMap;

/// What the ledger says of drains.
#[derive(Debug, Default)]
pub(crate) struct DrainBooks {
    /// The boot in which each was begun, beside it.
    kept: BTreeMap<GuestId, BTreeMap<DrainOwner, (String, Kept)>>,
    /// Guests that are still to be let go, with their last drain where it is known.
    lifting: BTreeMap<GuestId, Option<(DrainOwner, Kept)>>,
}

impl DrainBooks {
    pub(crate) fn begun(&mut self, guest: GuestId, owner: DrainOwner, boot: String, kept: Kept) {
        self.lifting.remove(&guest);
        self.kept.entry(guest).or_default().insert(owner, (boot, kept));
    }

    pub(crate) fn over(&mut self, guest: GuestId, owner: DrainOwner) {
        let kept = self.kept.entry(guest.clone()).or_default();
        let ended = kept.remove(&owner);
        if kept.is_empty() {
            self.kept.remove(&guest);
            let known = ended.map(|(_, kept)| (owner, kept)).filter(|(_, kept)| kept.for_ms > 0);
            self.lifting.insert(guest, known);
        }
    }

    pub(crate) fn undrained(&mut self, guest: &GuestId) {
        self.lifting.remove(guest);
    }

    fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.lifting.is_empty()
    }
}

impl Drains {
    /// The drains as entries of a ledger.
    pub(crate) fn entries(&self, boot: &str) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (guest, drains) in &self.guests {
            for (owner, kept) in &drains.kept {
                entries.push(begun_entry(guest, *owner, boot, kept));
            }
            if drains.kept.is_empty() {
                let over = drains.over.as_ref();
                entries.extend(over.map(|(owner, kept)| begun_entry(guest, *owner, boot, kept)));
                let owner = over.map_or(DrainOwner::Hand, |(owner, _)| *owner);
                entries.push(Entry::DrainOver { guest: guest.clone(), owner });
            }
        }
        entries
    }

    /// That a run's drain was begun and is over, as entries of a ledger: the guest is told to take logons once more, unless
    /// it has another drain.
    pub(crate) fn past_entries(&self, id: TaskId, guest: &GuestId) -> [Entry; 2] {
        let owner = DrainOwner::Operation(id.operation);
        let (ends, until) = (Mono(0), WallTime(0));
        let kept = Kept { ends, until, for_ms: 0, by: String::new(), reason: String::new() };
        [begun_entry(guest, owner, "", &kept), Entry::DrainOver { guest: guest.clone(), owner }]
    }
}

impl Core {
    /// Goes on from what the ledger says: a drain of this boot ends when it was to end, one of an earlier boot by the wall
    /// clock. What each guest was told last is not known, so each is told.
    pub(crate) fn recover_drains(&mut self, now: Now, books: DrainBooks) {
        if books.is_empty() {
            return;
        }
        self.drains.strays_until = now.mono.plus(self.settings.call_max_ms);
        for (guest, kept) in books.kept {
            let mut drains = GuestDrains::new(now, DrainState::Pending);
            for (owner, (boot, mut kept)) in kept {
                if boot != self.boot {
                    // A wall clock that was set back makes no drain longer than it was asked for.
                    let left_ms = kept.until.remaining_from(now.wall).min(kept.for_ms);
                    (kept.ends, kept.until) = (now.mono.plus(left_ms), now.wall.plus(left_ms));
                    // From here on this boot's clock counts, also for the processes after this one.
                    self.write(begun_entry(&guest, owner, &self.boot.clone(), &kept));
                }
                drains.kept.insert(owner, kept);
            }
            self.drains.guests.insert(guest, drains);
        }
        for (guest, over) in books.lifting {
            let drains = GuestDrains { over, ..GuestDrains::new(now, DrainState::Lifting) };
            self.drains.guests.insert(guest, drains);
        }
    }
}

pub(super) fn begun_entry(guest: &GuestId, owner: DrainOwner, boot: &str, kept: &Kept) -> Entry {
    Entry::DrainBegun {
        guest: guest.clone(),
        owner,
        boot: boot.to_owned(),
        ends: kept.ends,
        until: kept.until,
        for_ms: kept.for_ms,
        by: kept.by.clone(),
        reason: kept.reason.clone(),
    }
}
