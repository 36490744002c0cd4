//! What agents may be told not to touch: every state of the safeguards, by its mark.

use super::{Broken, broken};
use crate::disk::Disk;
use curfew_controller_core::record::Record;
use curfew_types::agent::{Safeguards, SafeguardsMark};
use curfew_types::{GuestId, WallTime};
use std::collections::{BTreeMap, BTreeSet};

/// The safeguards as the controller that runs has written them, stored or not.
#[derive(Debug, Default)]
pub(crate) struct Told {
    held: BTreeMap<GuestId, Option<WallTime>>,
    users: BTreeSet<String>,
    mark: SafeguardsMark,
    /// Every state that may be told.
    states: BTreeMap<SafeguardsMark, (Vec<GuestId>, Vec<String>)>,
    /// What an operator asks to be released or unprotected just now; empty between two requests.
    pub(crate) asked: Vec<String>,
}

impl Told {
    pub(super) fn on(disk: &Disk) -> Told {
        let mut told = Told {
            held: disk.holds.iter().map(|(guest, hold)| (guest.clone(), hold.until)).collect(),
            users: disk.protected_users.keys().cloned().collect(),
            mark: disk.safeguards,
            ..Told::default()
        };
        told.note();
        told
    }

    fn note(&mut self) {
        let (held, users) = (self.held.keys().cloned().collect(), self.users.iter().cloned().collect());
        self.states.insert(self.mark, (held, users));
    }

    /// Takes in what is written. Nothing is released that nobody asked for and whose time is not over.
    pub(crate) fn take(&mut self, wall: WallTime, record: &Record) -> Result<(), Broken> {
        #[allow(clippy::wildcard_enum_match_arm, reason = "only safeguards are looked at here")]
        let mark = match record {
            Record::Held { hold, mark } => {
                self.held.insert(hold.guest.clone(), hold.until);
                mark
            }
            Record::Released { guest, mark } => {
                let until = self.held.remove(guest).flatten();
                let over = until.is_some_and(|until| until <= wall);
                if !over && !self.asked.iter().any(|asked| asked == guest.as_str()) {
                    return broken(6, format!("{guest} is released, and nobody asked for it"));
                }
                mark
            }
            Record::Protected { user, mark } => {
                self.users.insert(user.pattern.as_str().to_owned());
                mark
            }
            Record::Unprotected { pattern, mark } => {
                self.users.remove(pattern.as_str());
                if !self.asked.iter().any(|asked| asked == pattern.as_str()) {
                    return broken(6, format!("{pattern} is unprotected, and nobody asked for it"));
                }
                mark
            }
            _ => return Ok(()),
        };
        if *mark <= self.mark {
            return broken(6, format!("safeguards {mark:?} come after {:?}", self.mark));
        }
        self.mark = *mark;
        self.note();
        Ok(())
    }

    /// What is sent is a state that was written.
    pub(crate) fn check_sent(&self, safeguards: &Safeguards) -> Result<(), Broken> {
        let users: Vec<String> =
            safeguards.protected_users.iter().map(|glob| glob.as_str().to_owned()).collect();
        match self.states.get(&safeguards.mark) {
            Some((held, known)) if *held == safeguards.held && *known == users => Ok(()),
            known => broken(6, format!("{safeguards:?} is sent, and written is {known:?}")),
        }
    }
}
