//! Which hosts have a guest in their inventories: as a rule one. What several of them claim is decided elsewhere.

use curfew_types::{GuestId, HostName};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// The hosts of every guest.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Which host has a guest; of several, the first to have said so.
    homes: HashMap<GuestId, HostName>,
    /// The guests that several hosts have, with all of these hosts: seldom any.
    contested: HashMap<GuestId, Vec<HostName>>,
    /// Grows with every change of which host a guest may belong to.
    moves: u64,
}

impl Claims {
    /// How many guests there are, each once.
    pub(super) fn guest_count(&self) -> usize {
        self.homes.len()
    }

    /// Makes room for so many more guests.
    pub(super) fn make_room(&mut self, more: usize) {
        self.homes.reserve(more);
    }

    /// The hosts that have this guest.
    pub(super) fn of(&self, guest: &GuestId) -> &[HostName] {
        let home = || self.homes.get(guest).map_or(&[][..], std::slice::from_ref);
        self.contested.get(guest).map_or_else(home, Vec::as_slice)
    }

    /// Whether several hosts have this guest.
    pub(super) fn is_contested(&self, guest: &GuestId) -> bool {
        self.contested.contains_key(guest)
    }

    /// A number that stays the same as long as every guest belongs to the host that it belongs to.
    pub(super) fn moves(&self) -> u64 {
        self.moves
    }

    /// A host has this guest, or says something new of it.
    pub(super) fn add(&mut self, name: &HostName, guest: GuestId) {
        let home = match self.homes.entry(guest) {
            Entry::Vacant(free) => {
                free.insert(name.clone());
                self.moves += 1;
                return;
            }
            Entry::Occupied(home) => home,
        };
        if home.get() != name || self.contested.contains_key(home.key()) {
            let claims = self.contested.entry(home.key().clone()).or_insert_with(|| vec![home.get().clone()]);
            if !claims.contains(name) {
                claims.push(name.clone());
            }
            // Whom it belongs to hangs on who runs it, which this may change.
            self.moves += 1;
        }
    }

    /// A host has this guest no longer.
    pub(super) fn remove(&mut self, name: &HostName, guest: &GuestId) {
        self.moves += 1;
        let Some(claims) = self.contested.get_mut(guest) else {
            if self.homes.get(guest) == Some(name) {
                self.homes.remove(guest);
            }
            return;
        };
        claims.retain(|claimant| claimant != name);
        if let Some(first) = claims.first() {
            self.homes.insert(guest.clone(), first.clone());
        }
        if claims.len() <= 1 {
            self.contested.remove(guest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_contested_while_several_hosts_have_it_and_then_the_last_ones() {
        let [h1, h2, h3]: [HostName; 3] = ["h1", "h2", "h3"].map(|name| name.parse().expect("a name"));
        let guest: GuestId = "a".parse().expect("an id");
        let mut claims = Claims::default();
        claims.add(&h1, guest.clone());
        let moves = claims.moves();
        claims.add(&h1, guest.clone());
        assert_eq!((claims.of(&guest), claims.is_contested(&guest)), ([h1.clone()].as_slice(), false));
        assert_eq!(claims.moves(), moves, "said again");
        claims.add(&h2, guest.clone());
        claims.remove(&h3, &guest);
        assert_eq!(
            (claims.of(&guest), claims.is_contested(&guest)),
            ([h1.clone(), h2.clone()].as_slice(), true)
        );
        claims.remove(&h1, &guest);
        assert_eq!((claims.of(&guest), claims.is_contested(&guest)), ([h2.clone()].as_slice(), false));
        assert!(claims.moves() > moves && claims.guest_count() == 1);
        claims.remove(&h1, &guest);
        assert_eq!(claims.of(&guest), std::slice::from_ref(&h2), "it was not that host's any more");
        claims.remove(&h2, &guest);
        assert_eq!((claims.of(&guest).len(), claims.guest_count()), (0, 0));
    }
}
