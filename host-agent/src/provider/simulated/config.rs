//! What the configuration may say of simulated guests, and whether it makes sense. It holds no state.

mod refusal;

use crate::provider::BuildError;
use curfew_types::glob::Glob;
use curfew_types::{GuestId, HostName};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Most simulated guests of one provider: a hundred times the largest real hosts.
const GUESTS_MAX: u32 = 100_000;
/// Most sessions each guest begins with: a large terminal server.
const SESSIONS_MAX: u32 = 1_000;

/// Whom the sessions belong to where the configuration does not say.
const USERS: [&str; 8] = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"];

/// Guests that do not exist, for trying out, load and tests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulatedConfig {
    /// How many guests there are, numbered from 1.
    pub guests: u32,
    /// How many people are logged on to each guest at first.
    #[serde(default = "one")]
    pub sessions_per_guest: u32,
    /// How long a session takes to go after it was asked politely, in milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
    /// Up to how much longer it takes, in milliseconds: each session has its own time, decided by the seed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delay_spread_ms: u64,
    /// Decides users, kinds and states of sessions; the same seed gives the same guests.
    #[serde(default)]
    pub seed: u64,
    /// Whom the sessions belong to, as the guests write them (`CORP\\alice`, `bob@corp.example`); decided by the seed
    /// among these. Left out: eight first names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// What guests are called: this and their number.
    #[serde(default = "prefix")]
    pub name_prefix: String,
    /// What is wrong with which guests. All that match a guest apply to it.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// Where the guests' sessions and every session end are kept (JSON), so that they outlive the agent, as real
    /// guests do. Written whole at each change: for a few hundred guests, not for load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_file: Option<PathBuf>,
    /// Where a test logs people on: lines of JSON, `{"guest": "guest-1", "user": "alice"}`, appended whole. They
    /// are picked up when that guest is next asked something; needs `state_file`, which remembers what was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logons_file: Option<PathBuf>,
}

/// What is wrong with some guests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Which guests.
    pub guest: FaultyGuest,
    /// What is wrong with them.
    pub kind: FaultKind,
}

/// Which guests a fault is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FaultyGuest {
    /// The guest with this number, from 1.
    Number(u32),
    /// All whose name matches.
    Names(Glob),
}

/// What can be wrong with a simulated guest, or unusual. Times are in milliseconds from when it was first started,
/// where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Shut off: `VM_E_VM_NOT_RUNNING`.
    NotRunning,
    /// Paused: `VM_E_VM_PAUSED`.
    Paused,
    /// No guest agent answers, ever: `VM_E_ADDITIONS_NOT_AVAIL`.
    NoAgent,
    /// The guest agent answers from this time on: `VM_E_ADDITIONS_NOT_AVAIL` until then.
    NotBootedForMs(u64),
    /// The guest agent forbids what is needed: `VM_E_ADDITIONS_FEATURE_NOT_AVAIL`.
    FeatureMissing,
    /// Its sessions cannot be listed reliably.
    Unlistable,
    /// Sessions can be listed; ending one is denied.
    AccessDenied,
    /// In the inventory, yet unknown when asked: `VM_E_VM_UNKNOWN`.
    UnknownGuest,
    /// Sessions ignore polite requests; they go when forced.
    Stubborn,
    /// Sessions ignore everything.
    Immortal,
    /// Never answers: `VM_E_TIMED_OUT` when the budget is over.
    Frozen,
    /// Answers from this time on; what was asked before waits for it as long as its budget lasts.
    FrozenForMs(u64),
    /// Nobody is logged on.
    Empty,
    /// Somebody logs on right after the first session was asked to end.
    NewLogon,
    /// Sessions are gone by themselves when they are to be ended.
    Vanishing,
    /// It reboots right after the first session was asked to end.
    Reboots,
    /// Everything fails in an unexpected way: `DISP_E_EXCEPTION`.
    Broken,
    /// Sessions cannot be listed any more once the first was asked to end.
    Unverifiable,
    /// Nobody is connected to any of its sessions.
    Disconnected,
    /// Its sessions were idle for so long when it was first started, and have been since. Otherwise they are used half
    /// the time.
    IdleForMs(u64),
    /// At this time somebody comes back to each session: it is active from then on, and was used then.
    ReturnsAfterMs(u64),
    /// Somebody logs on at this time, unless new logons are refused then.
    ArrivesAfterMs(u64),
    /// People leave by themselves so many milliseconds after they were shown their first notice.
    LeavesAfterNoticeMs(u64),
    /// Its sessions have nothing on which a notice could be shown.
    NoTerminal,
    /// A request to show a notice is never answered, and nothing is shown: `VM_E_TIMED_OUT` when the budget is over.
    NotifyHangs,
    /// It cannot refuse new logons: `VM_E_ADDITIONS_FEATURE_NOT_AVAIL`.
    Undrainable,
    /// Somebody else than Curfew makes it refuse new logons.
    DrainedByOther,
    /// It has no timer of its own that ends a drain.
    NoTimer,
    /// It reboots by itself at this time: nobody is logged on then, and it takes new logons again.
    RebootsAfterMs(u64),
}

fn is_zero(ms: &u64) -> bool {
    *ms == 0
}

fn one() -> u32 {
    1
}

fn prefix() -> String {
    "guest-".into()
}

impl SimulatedConfig {
    /// So many healthy guests with one session each, which goes at once.
    pub fn healthy(guests: u32) -> SimulatedConfig {
        SimulatedConfig {
            guests,
            sessions_per_guest: one(),
            delay_ms: 0,
            delay_spread_ms: 0,
            seed: 0,
            users: Vec::new(),
            name_prefix: prefix(),
            faults: Vec::new(),
            state_file: None,
            logons_file: None,
        }
    }

    /// The same with one more fault, for the guest with this number.
    #[must_use]
    pub fn with_fault(mut self, guest: u32, kind: FaultKind) -> SimulatedConfig {
        self.faults.push(Fault { guest: FaultyGuest::Number(guest), kind });
        self
    }

    /// The name of the guest with this number.
    pub fn name_of(&self, number: u32) -> String {
        format!("{}{number}", self.name_prefix)
    }

    /// The user that these dice choose.
    pub(super) fn user(&self, dice: u64) -> String {
        let place = |among: usize| usize::try_from(dice).unwrap_or(0) % among;
        match self.users.len() {
            0 => USERS[place(USERS.len())].to_owned(),
            among => self.users[place(among)].clone(),
        }
    }

    /// What is wrong with the guest with this number.
    pub(super) fn faults_of(&self, number: u32) -> impl Iterator<Item = FaultKind> + '_ {
        self.faults.iter().filter(move |fault| fault.guest.means(number, &self.name_prefix)).map(|f| f.kind)
    }

    /// Whether the guest with this number has this fault.
    pub(super) fn has(&self, number: u32, kind: FaultKind) -> bool {
        self.faults_of(number).any(|fault| fault == kind)
    }

    /// Checks every field against its range.
    pub(super) fn check(&self, host: &HostName) -> Result<(), BuildError> {
        let refuse = |why: String| Err(BuildError { provider: super::NAME, why });
        if self.guests > GUESTS_MAX {
            return refuse(format!("guests is {}, at most {GUESTS_MAX} can be simulated", self.guests));
        }
        if self.sessions_per_guest > SESSIONS_MAX {
            let asked = self.sessions_per_guest;
            return refuse(format!("sessions_per_guest is {asked}, at most {SESSIONS_MAX} can be simulated"));
        }
        if let Some(user) =
            self.users.iter().find(|user| user.is_empty() || user.len() > curfew_types::session::USER_MAX)
        {
            return refuse(format!(
                "users names {user:?}, which is empty or longer than a user's name can be"
            ));
        }
        if let Err(error) = GuestId::local(host, super::NAME, &self.name_of(self.guests)) {
            return refuse(format!("name_prefix cannot be part of a guest's id: {error}"));
        }
        if self.logons_file.is_some() && self.state_file.is_none() {
            return refuse("logons_file needs state_file, which remembers what was read of it".into());
        }
        for fault in &self.faults {
            if let FaultyGuest::Number(number) = fault.guest
                && !(1..=self.guests).contains(&number)
            {
                return refuse(format!(
                    "faults names guest {number}, but they are numbered 1 to {}",
                    self.guests
                ));
            }
        }
        Ok(())
    }
}

impl FaultyGuest {
    fn means(&self, number: u32, prefix: &str) -> bool {
        match self {
            FaultyGuest::Number(wanted) => *wanted == number,
            FaultyGuest::Names(glob) => glob.matches(&format!("{prefix}{number}")),
        }
    }
}
