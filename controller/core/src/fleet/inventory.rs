//! The guests of one host. A list in the order of their ids: fleets have a million guests, and what a tree needs beside each
//! would be half as much as the guest itself.

use curfew_types::{Guest, GuestId};
use std::sync::Arc;

/// A host's guests, by id.
#[derive(Debug, Default)]
pub(crate) struct Inventory(Vec<Arc<Guest>>);

impl Inventory {
    /// The guest with this id.
    pub(crate) fn get(&self, id: &GuestId) -> Option<&Arc<Guest>> {
        self.place_of(id).ok().map(|place| &self.0[place])
    }

    /// Whether there is one with this id.
    pub(crate) fn contains(&self, id: &GuestId) -> bool {
        self.place_of(id).is_ok()
    }

    /// Puts a guest in; one with the same id makes place for it.
    pub(crate) fn insert(&mut self, guest: Guest) {
        match self.place_of(&guest.id) {
            Ok(place) => self.0[place] = Arc::new(guest),
            Err(place) => self.0.insert(place, Arc::new(guest)),
        }
    }

    /// Makes room for so many more, and no others: most hosts' inventories seldom change.
    pub(crate) fn make_room(&mut self, more: usize) {
        self.0.reserve_exact(more);
    }

    /// Takes the guest with this id out, if there is one.
    pub(crate) fn remove(&mut self, id: &GuestId) {
        if let Ok(place) = self.place_of(id) {
            self.0.remove(place);
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Guest>> {
        self.0.iter()
    }

    fn place_of(&self, id: &GuestId) -> Result<usize, usize> {
        self.0.binary_search_by(|guest| guest.id.cmp(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use curfew_types::{OsFamily, PowerState};

    fn guest(id: &str, name: &str) -> Guest {
        Guest {
            id: id.parse().expect("an id"),
            name: name.into(),
            provider: "simulated".into(),
            os: OsFamily::Linux,
            power: PowerState::Running,
            is_host: false,
            labels: Default::default(),
        }
    }

    #[test]
    fn guests_are_kept_by_id_each_once_however_they_come() {
        let mut inventory = Inventory::default();
        for (id, name) in [("b", "old"), ("c", "third"), ("a", "first"), ("b", "new")] {
            inventory.insert(guest(id, name));
        }
        let names: Vec<&str> = inventory.iter().map(|guest| guest.name.as_ref()).collect();
        assert_eq!(names, ["first", "new", "third"]);
        let (a, gone) = (guest("a", "").id, guest("x", "").id);
        inventory.remove(&a);
        inventory.remove(&gone);
        assert_eq!((inventory.len(), inventory.contains(&a), inventory.get(&gone)), (2, false, None));
    }
}
