//! The guests of this host as they were last seen: what changed, one digest of all, and who reaches whom. Pure.

use curfew_types::digest::Fnv1a;
use curfew_types::guest::GUEST_NAME_MAX;
use curfew_types::label::{AGENT_PREFIX, LABELS_MAX, check_key, check_value};
use curfew_types::{Guest, GuestId, PowerState};
use std::collections::BTreeMap;

/// Discoveries in a row that must miss a guest before calls for it are answered "unknown": a guest whose hypervisor
/// process is just being replaced is missing from one.
const MISSED_MAX: u8 = 3;

/// What one provider said.
pub(super) type Discovered = Result<Vec<Guest>, String>;

/// The book.
#[derive(Debug, Default)]
pub(super) struct Book {
    guests: BTreeMap<GuestId, Known>,
    digest: u64,
    /// By provider: whether it has ever said what it has, and why it cannot now.
    providers: Vec<Standing>,
}

#[derive(Debug)]
struct Known {
    guest: Guest,
    provider: usize,
    /// Discoveries in a row that missed it; it is in the inventory while this is 0.
    missed: u8,
}

#[derive(Clone, Debug)]
struct Standing {
    name: &'static str,
    has_answered: bool,
    failing: Option<String>,
}

/// What a discovery changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) upserts: Vec<Guest>,
    pub(super) removed: Vec<GuestId>,
    /// What a person should know, said when it begins and not again.
    pub(super) notes: Vec<String>,
}

/// Who reaches a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// The provider at this place.
    Provider(usize),
    /// There is no such guest.
    Unknown,
    /// Some provider has not said yet which guests it has: it may be one of those.
    NotYetKnown,
}

impl Book {
    /// A book for the providers with these names.
    pub(super) fn new(names: impl IntoIterator<Item = &'static str>) -> Book {
        let standing = |name| Standing { name, has_answered: false, failing: None };
        let mut book = Book { providers: names.into_iter().map(standing).collect(), ..Book::default() };
        book.digest = book.compute_digest();
        book
    }

    /// Takes in what every provider said, in the order of the configuration.
    pub(super) fn apply(&mut self, discovered: Vec<Discovered>) -> Change {
        let mut change = Change::default();
        let mut seen: BTreeMap<GuestId, (usize, Guest)> = BTreeMap::new();
        for (provider, said) in discovered.into_iter().enumerate() {
            let said = self.note_standing(provider, said, &mut change.notes);
            for mut guest in said {
                sanitise(&mut guest);
                let first = seen.get(&guest.id).map(|(first, _)| *first);
                match first {
                    None => {
                        seen.insert(guest.id.clone(), (provider, guest));
                    }
                    Some(first) => self.note_duplicate(first, provider, &guest, &mut change.notes),
                }
            }
        }
        for (id, known) in &mut self.guests {
            if !seen.contains_key(id) {
                if known.missed == 0 {
                    change.removed.push(id.clone());
                }
                known.missed += 1;
            }
        }
        self.guests.retain(|_, known| known.missed < MISSED_MAX);
        for (id, (provider, guest)) in seen {
            let same =
                |known: &Known| known.missed == 0 && known.guest == guest && known.provider == provider;
            if !self.guests.get(&id).is_some_and(same) {
                change.upserts.push(guest.clone());
                self.guests.insert(id, Known { guest, provider, missed: 0 });
            }
        }
        if !change.upserts.is_empty() || !change.removed.is_empty() {
            self.digest = self.compute_digest();
        }
        change
    }

    /// What the provider said, or, when it could not, what it had said before, with the power state unknown.
    fn note_standing(&mut self, provider: usize, said: Discovered, notes: &mut Vec<String>) -> Vec<Guest> {
        let standing = &mut self.providers[provider];
        match said {
            Ok(guests) => {
                standing.has_answered = true;
                if standing.failing.take().is_some() {
                    notes.push(format!("the provider {} lists its guests again", standing.name));
                }
                guests
            }
            Err(why) => {
                if standing.failing.as_ref() != Some(&why) {
                    notes.push(format!("the provider {} cannot list its guests: {why}", standing.name));
                    standing.failing = Some(why);
                }
                let its =
                    self.guests.values().filter(|known| known.provider == provider && known.missed == 0);
                its.map(|known| Guest { power: PowerState::Unknown, ..known.guest.clone() }).collect()
            }
        }
    }

    fn note_duplicate(&self, first: usize, second: usize, guest: &Guest, notes: &mut Vec<String>) {
        let known = self.guests.get(&guest.id);
        // Said once, when the guest appears.
        if known.is_none_or(|known| known.missed > 0) {
            let (id, name) = (&guest.id, &guest.name);
            let (first, second) = (self.providers[first].name, self.providers[second].name);
            notes.push(format!(
                "guest {id} ({name:?}) is listed by {first} and by {second}: the first has it"
            ));
        }
    }

    /// Who reaches this guest.
    pub(super) fn route(&self, guest: &GuestId) -> Route {
        match self.guests.get(guest) {
            Some(known) => Route::Provider(known.provider),
            None if self.providers.iter().all(|standing| standing.has_answered) => Route::Unknown,
            None => Route::NotYetKnown,
        }
    }

    /// The inventory, by id.
    pub(super) fn guests(&self) -> impl Iterator<Item = &Guest> {
        self.guests.values().filter(|known| known.missed == 0).map(|known| &known.guest)
    }

    /// The digest of the inventory; never 0, which stands for "more follows" on the wire.
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    fn compute_digest(&self) -> u64 {
        let mut digest = Fnv1a::default();
        let mut text = |text: &str| {
            digest.write(&(text.len() as u64).to_le_bytes());
            digest.write(text.as_bytes());
        };
        for guest in self.guests() {
            text(guest.id.as_str());
            text(&guest.name);
            text(&guest.provider);
            text(guest.os.as_str());
            text(guest.power.as_str());
            text(if guest.is_host { "host" } else { "guest" });
            for (key, value) in &guest.labels {
                text(key);
                text(value);
            }
            // No key is empty, so this ends a guest.
            text("");
        }
        digest.finish().max(1)
    }
}

/// Makes a guest one that the controller takes: a name that fits, and labels of an agent's.
fn sanitise(guest: &mut Guest) {
    if guest.name.len() > GUEST_NAME_MAX {
        guest.name = guest.name[..guest.name.floor_char_boundary(GUEST_NAME_MAX)].into();
    }
    if guest.name.is_empty() {
        guest.name = "unnamed".into();
    }
    let fits = |key: &String, value: &String| {
        key.starts_with(AGENT_PREFIX) && check_key(key).is_ok() && check_value(value).is_ok()
    };
    let mut kept = 0;
    guest.labels.retain(|key, value| {
        let keeps = kept < LABELS_MAX && fits(key, value);
        kept += usize::from(keeps);
        keeps
    });
}

#[cfg(test)]
mod tests;
