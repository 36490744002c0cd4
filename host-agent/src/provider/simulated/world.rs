//! The simulated guests as data: who is logged on, what an end request does to them. It never reads a clock, waits
//! or writes; a guest costs nothing until it is asked something, and time passes only when somebody looks.

use super::config::{FaultKind, SimulatedConfig};
use crate::provider::{EndMode, EndReply, Error, SessionList};
use curfew_types::{Session, SessionKey, SessionState, StatusCode, WallTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Whom the guests' sessions belong to.
const USERS: [&str; 8] = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"];
/// How long before the guest was first seen its people had logged on, at most: one working day.
const LOGGED_ON_BEFORE_MS: u64 = 8 * 60 * 60 * 1000;

/// All guests. What is written to the state file, and read back from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct World {
    /// When the guests were first started, in milliseconds since the Unix epoch.
    pub(super) born_ms: u64,
    /// Bytes of the logons file that were read.
    pub(super) logons_read: u64,
    /// The guests that were asked something, by number.
    pub(super) guests: BTreeMap<u32, SimulatedGuest>,
    /// Every session that an end request ended, in order. Kept only where there is a state file to read it from.
    pub(super) ended: Vec<Ended>,
}

/// One guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SimulatedGuest {
    name: String,
    /// How often it rebooted.
    boot: u32,
    /// The number of the next session.
    next: u32,
    /// A session of it was asked to end.
    asked: bool,
    sessions: Vec<SimulatedSession>,
}

/// One person's session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SimulatedSession {
    number: u32,
    user: String,
    began_us: u64,
    /// When it will be gone, once it was asked to end, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gone_ms: Option<u64>,
}

/// A session that an end request ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ended {
    guest: String,
    key: SessionKey,
    user: String,
    /// It was forced.
    forced: bool,
    /// When the request came, in milliseconds since the Unix epoch.
    at_ms: u64,
}

/// How long a guest keeps silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// It answers now.
    None,
    /// It answers from this time on, in milliseconds since the Unix epoch.
    Until(u64),
    /// It never answers.
    Forever,
}

impl World {
    /// Guests that start now.
    pub(super) fn new(now_ms: u64) -> World {
        World { born_ms: now_ms, logons_read: 0, guests: BTreeMap::new(), ended: Vec::new() }
    }

    /// Brings every guest into being, so that the state file shows them all.
    pub(super) fn materialise(&mut self, config: &SimulatedConfig) {
        for number in 1..=config.guests {
            self.guest(config, number);
        }
    }

    /// How long this guest keeps silent.
    pub(super) fn silence(&self, config: &SimulatedConfig, number: u32, now_ms: u64) -> Silence {
        let mut silence = Silence::None;
        for fault in config.faults_of(number) {
            if fault == FaultKind::Frozen {
                return Silence::Forever;
            }
            if let FaultKind::FrozenForMs(ms) = fault
                && now_ms < self.born_ms.saturating_add(ms)
            {
                silence = Silence::Until(self.born_ms.saturating_add(ms));
            }
        }
        silence
    }

    /// Lists a guest's sessions.
    pub(super) fn list(
        &mut self,
        config: &SimulatedConfig,
        number: u32,
        now_ms: u64,
    ) -> Result<SessionList, Error> {
        self.refuse(config, number, now_ms)?;
        let guest = self.guest(config, number);
        guest.pass(now_ms);
        if guest.asked && config.has(number, FaultKind::Unverifiable) {
            return Err(Error::unlistable("the simulated guest cannot list its sessions any more"));
        }
        let boot = boot_id(config, number, guest.boot);
        let sessions = guest.sessions.iter().map(|s| s.shown(config, number, &boot, now_ms)).collect();
        Ok(SessionList { boot, sessions })
    }

    /// Asks a session to end; the second value says whether anything changed.
    pub(super) fn end(
        &mut self,
        config: &SimulatedConfig,
        number: u32,
        key: &SessionKey,
        how: EndMode,
        now_ms: u64,
    ) -> Result<EndReply, Error> {
        self.refuse(config, number, now_ms)?;
        if config.has(number, FaultKind::AccessDenied) {
            let message = "the simulated guest denies ending sessions";
            return Err(Error::new(StatusCode::AccessDenied, message));
        }
        let keeps_log = config.state_file.is_some();
        let guest = self.guest(config, number);
        guest.pass(now_ms);
        if boot_id(config, number, guest.boot) != key.boot {
            return Ok(EndReply::NotThatSession);
        }
        let Some(at) = guest.sessions.iter().position(|session| session.number.to_string() == key.id) else {
            return Ok(EndReply::Gone);
        };
        if guest.sessions[at].began_us != key.began_us {
            return Ok(EndReply::NotThatSession);
        }
        if config.has(number, FaultKind::Vanishing) {
            guest.sessions.remove(at);
            return Ok(EndReply::Gone);
        }
        let first = !std::mem::replace(&mut guest.asked, true);
        let forced = how == EndMode::Force;
        let ignored =
            config.has(number, FaultKind::Immortal) || (!forced && config.has(number, FaultKind::Stubborn));
        let session = &mut guest.sessions[at];
        let ended = (!ignored && session.gone_ms.is_none()).then(|| Ended {
            guest: guest.name.clone(),
            key: key.clone(),
            user: session.user.clone(),
            forced,
            at_ms: now_ms,
        });
        if !ignored {
            let gone_ms = if forced { now_ms } else { now_ms.saturating_add(config.delay_ms) };
            session.gone_ms = Some(session.gone_ms.map_or(gone_ms, |sooner| sooner.min(gone_ms)));
        }
        if first && config.has(number, FaultKind::NewLogon) {
            guest.log_on("newcomer".into(), now_ms);
        }
        if first && config.has(number, FaultKind::Reboots) {
            guest.boot += 1;
            guest.sessions.clear();
        }
        self.ended.extend(ended.filter(|_| keeps_log));
        Ok(EndReply::Asked)
    }

    /// Logs somebody on.
    pub(super) fn log_on(&mut self, config: &SimulatedConfig, number: u32, user: String, now_ms: u64) {
        self.guest(config, number).log_on(user, now_ms);
    }

    /// What the guest answers to anything at all.
    fn refuse(&self, config: &SimulatedConfig, number: u32, now_ms: u64) -> Result<(), Error> {
        for fault in config.faults_of(number) {
            let (code, message) = match fault {
                FaultKind::NotRunning => (StatusCode::VmNotRunning, "the simulated guest is shut off"),
                FaultKind::Paused => (StatusCode::VmPaused, "the simulated guest is paused"),
                FaultKind::NoAgent => {
                    (StatusCode::AdditionsNotAvail, "no agent answers in the simulated guest")
                }
                FaultKind::NotBootedForMs(ms) if now_ms < self.born_ms.saturating_add(ms) => {
                    (StatusCode::AdditionsNotAvail, "the simulated guest is still booting")
                }
                FaultKind::FeatureMissing => (
                    StatusCode::AdditionsFeatureNotAvail,
                    "the simulated guest's agent forbids running commands",
                ),
                FaultKind::Unlistable => {
                    return Err(Error::unlistable("the simulated guest cannot list its sessions"));
                }
                FaultKind::UnknownGuest => (StatusCode::VmUnknown, "the simulated guest is unknown"),
                FaultKind::Broken => (StatusCode::Unexpected, "the simulated guest is broken"),
                FaultKind::NotBootedForMs(_)
                | FaultKind::AccessDenied
                | FaultKind::Stubborn
                | FaultKind::Immortal
                | FaultKind::Frozen
                | FaultKind::FrozenForMs(_)
                | FaultKind::Empty
                | FaultKind::NewLogon
                | FaultKind::Vanishing
                | FaultKind::Reboots
                | FaultKind::Unverifiable => continue,
            };
            return Err(Error::new(code, message));
        }
        Ok(())
    }

    fn guest(&mut self, config: &SimulatedConfig, number: u32) -> &mut SimulatedGuest {
        let born_ms = self.born_ms;
        self.guests.entry(number).or_insert_with(|| SimulatedGuest::begin(config, number, born_ms))
    }
}

impl SimulatedGuest {
    fn begin(config: &SimulatedConfig, number: u32, born_ms: u64) -> SimulatedGuest {
        let people = if config.has(number, FaultKind::Empty) { 0 } else { config.sessions_per_guest };
        let sessions = (1..=people)
            .map(|session| {
                let dice = mix(config.seed, number, session);
                let before_ms = dice % LOGGED_ON_BEFORE_MS;
                let user = USERS[usize::try_from(dice >> 32).unwrap_or(0) % USERS.len()];
                SimulatedSession {
                    number: session,
                    user: user.into(),
                    began_us: born_ms.saturating_sub(before_ms) * 1000,
                    gone_ms: None,
                }
            })
            .collect();
        SimulatedGuest { name: config.name_of(number), boot: 0, next: people + 1, asked: false, sessions }
    }

    /// Lets go whoever is gone by now.
    fn pass(&mut self, now_ms: u64) {
        self.sessions.retain(|session| session.gone_ms.is_none_or(|gone_ms| gone_ms > now_ms));
    }

    fn log_on(&mut self, user: String, now_ms: u64) {
        self.sessions.push(SimulatedSession {
            number: self.next,
            user,
            began_us: now_ms * 1000,
            gone_ms: None,
        });
        self.next += 1;
    }
}

impl SimulatedSession {
    fn shown(&self, config: &SimulatedConfig, guest: u32, boot: &str, now_ms: u64) -> Session {
        let dice = mix(config.seed, guest, self.number) >> 8;
        let state = match (self.gone_ms, dice % 4) {
            (Some(_), _) => SessionState::Closing,
            (None, 0) => SessionState::Disconnected,
            (None, _) => SessionState::Active,
        };
        let since_ms = self.began_us / 1000;
        Session {
            key: SessionKey { boot: boot.into(), id: self.number.to_string(), began_us: self.began_us },
            user: self.user.clone(),
            state,
            kind: if dice.is_multiple_of(2) { "ssh".into() } else { "x11".into() },
            origin: format!("192.0.2.{}", dice % 254 + 1),
            since: WallTime(i64::try_from(since_ms).unwrap_or(i64::MAX)),
            idle_ms: Some(now_ms.saturating_sub(since_ms) / 2),
        }
    }
}

fn boot_id(config: &SimulatedConfig, guest: u32, boot: u32) -> String {
    format!("{:x}-{guest}-{boot}", config.seed)
}

/// Even dice from a seed and two numbers (SplitMix64's finisher).
fn mix(seed: u64, guest: u32, session: u32) -> u64 {
    let mut z = seed ^ (u64::from(guest) << 32 | u64::from(session)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
