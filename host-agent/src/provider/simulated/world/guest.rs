//! One simulated guest as data: its people, its drain, and what time alone does to it. It knows no request.

use super::Moment;
use crate::provider::simulated::config::{FaultKind, SimulatedConfig};
use curfew_types::{Session, SessionKey, SessionState, WallTime};
use serde::{Deserialize, Serialize};

/// How long before the guest was first seen its people had logged on, at most: one working day.
const LOGGED_ON_BEFORE_MS: u64 = 8 * 60 * 60 * 1000;

/// One guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::provider::simulated) struct SimulatedGuest {
    pub(super) name: String,
    /// How often it rebooted.
    boot: u32,
    /// The name of this boot; empty where the state file does not have it yet.
    #[serde(default)]
    pub(super) boot_id: String,
    /// The number of the next session.
    next: u32,
    /// A session of it was asked to end.
    pub(super) asked: bool,
    pub(super) sessions: Vec<SimulatedSession>,
    /// New logons are refused, by what Curfew set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) drain: Option<SimulatedDrain>,
    /// It has rebooted by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    rebooted: bool,
    /// Who was to log on at a time has done so, or was refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    arrived: bool,
}

/// New logons are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SimulatedDrain {
    /// When the guest's own timer ends it, in milliseconds since the Unix epoch.
    pub(super) until_ms: u64,
    pub(super) text: String,
}

/// One person's session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SimulatedSession {
    pub(super) number: u32,
    pub(super) user: String,
    pub(super) began_us: u64,
    /// When it will be gone, once it was asked to end or is about to leave, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) gone_ms: Option<u64>,
    /// It was asked to end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) closing: bool,
    /// Notices that it was shown.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) notices: u32,
}

impl SimulatedGuest {
    pub(super) fn begin(config: &SimulatedConfig, number: u32, born_ms: u64) -> SimulatedGuest {
        let people = if config.has(number, FaultKind::Empty) { 0 } else { config.sessions_per_guest };
        let sessions = (1..=people)
            .map(|session| {
                let dice = mix(config.seed, number, session);
                let before_ms = dice % LOGGED_ON_BEFORE_MS;
                let began_ms = born_ms.saturating_sub(before_ms);
                SimulatedSession::begin(session, config.user(dice >> 32), began_ms)
            })
            .collect();
        SimulatedGuest {
            name: config.name_of(number),
            boot: 0,
            boot_id: String::new(),
            next: people + 1,
            asked: false,
            sessions,
            drain: None,
            rebooted: false,
            arrived: false,
        }
    }

    /// Lets happen what was to happen by now.
    pub(super) fn pass(&mut self, config: &SimulatedConfig, it: Moment) {
        for fault in config.faults_of(it.number) {
            match fault {
                FaultKind::ArrivesAfterMs(ms) if !self.arrived && it.age_ms() >= ms => {
                    self.arrived = true;
                    let then = Moment { now_ms: it.born_ms.saturating_add(ms), ..it };
                    self.log_on(config, "newcomer".into(), then);
                }
                FaultKind::RebootsAfterMs(ms) if !self.rebooted && it.age_ms() >= ms => {
                    self.rebooted = true;
                    self.reboot(config, it.number);
                }
                _ => {}
            }
        }
        if !self.is_drained(config, it) {
            self.drain = None;
        }
        self.sessions.retain(|session| !session.is_over(it.now_ms));
    }

    /// Whether what Curfew set refuses new logons.
    pub(super) fn is_drained(&self, config: &SimulatedConfig, it: Moment) -> bool {
        let has_no_timer = config.has(it.number, FaultKind::NoTimer);
        self.drain.as_ref().is_some_and(|drain| has_no_timer || it.now_ms < drain.until_ms)
    }

    /// Somebody logs on. Returns whether the guest let him in.
    pub(super) fn log_on(&mut self, config: &SimulatedConfig, user: String, it: Moment) -> bool {
        if self.is_drained(config, it) || config.has(it.number, FaultKind::DrainedByOther) {
            return false;
        }
        self.sessions.push(SimulatedSession::begin(self.next, user, it.now_ms));
        self.next += 1;
        true
    }

    pub(super) fn name_boot(&mut self, config: &SimulatedConfig, number: u32) {
        self.boot_id = format!("{:x}-{number}-{}", config.seed, self.boot);
    }

    pub(super) fn reboot(&mut self, config: &SimulatedConfig, number: u32) {
        self.boot += 1;
        self.name_boot(config, number);
        self.sessions.clear();
        self.drain = None;
    }
}

impl SimulatedSession {
    fn begin(number: u32, user: String, now_ms: u64) -> SimulatedSession {
        let began_us = now_ms.saturating_mul(1000);
        SimulatedSession { number, user, began_us, gone_ms: None, closing: false, notices: 0 }
    }

    /// Whether this is its id.
    pub(super) fn is_named(&self, id: &str) -> bool {
        id.parse() == Ok(self.number)
    }

    /// Whether it is gone by now.
    pub(super) fn is_over(&self, now_ms: u64) -> bool {
        self.gone_ms.is_some_and(|gone_ms| gone_ms <= now_ms)
    }

    /// How long it takes to go once it was asked politely, in milliseconds.
    pub(super) fn delay_ms(&self, config: &SimulatedConfig, it: Moment) -> u64 {
        // Other bits than those that decide what the session looks like.
        let dice = self.dice(config, it) >> 20;
        config.delay_ms.saturating_add(dice % config.delay_spread_ms.saturating_add(1))
    }

    pub(super) fn shown(&self, config: &SimulatedConfig, it: Moment, boot: &str) -> Session {
        let dice = self.dice(config, it);
        let since_ms = self.began_us / 1000;
        Session {
            key: SessionKey { boot: boot.into(), id: self.number.to_string(), began_us: self.began_us },
            user: self.user.clone(),
            state: self.state(config, it),
            kind: if dice.is_multiple_of(2) { "ssh".into() } else { "x11".into() },
            origin: ["192.0.2.", &(dice % 254 + 1).to_string()].concat(),
            since: WallTime(i64::try_from(since_ms).unwrap_or(i64::MAX)),
            idle_ms: Some(self.idle_ms(config, it)),
        }
    }

    pub(super) fn state(&self, config: &SimulatedConfig, it: Moment) -> SessionState {
        if self.closing {
            return SessionState::Closing;
        }
        let is_disconnected =
            config.has(it.number, FaultKind::Disconnected) || self.dice(config, it).is_multiple_of(4);
        match self.returned_ms(config, it) {
            None if is_disconnected => SessionState::Disconnected,
            None | Some(_) => SessionState::Active,
        }
    }

    pub(super) fn idle_ms(&self, config: &SimulatedConfig, it: Moment) -> u64 {
        if let Some(then_ms) = self.returned_ms(config, it) {
            return it.now_ms.saturating_sub(then_ms);
        }
        let idle = config.faults_of(it.number).find_map(|fault| match fault {
            FaultKind::IdleForMs(ms) => Some(it.age_ms().saturating_add(ms)),
            _ => None,
        });
        let age_ms = it.now_ms.saturating_sub(self.began_us / 1000);
        idle.unwrap_or(age_ms / 2)
    }

    /// When somebody came back to it, if somebody did.
    fn returned_ms(&self, config: &SimulatedConfig, it: Moment) -> Option<u64> {
        config.faults_of(it.number).find_map(|fault| match fault {
            FaultKind::ReturnsAfterMs(ms) if it.age_ms() >= ms => Some(it.born_ms.saturating_add(ms)),
            _ => None,
        })
    }

    fn dice(&self, config: &SimulatedConfig, it: Moment) -> u64 {
        mix(config.seed, it.number, self.number) >> 8
    }
}

/// Even dice from a seed and two numbers (SplitMix64's finisher).
fn mix(seed: u64, guest: u32, session: u32) -> u64 {
    let mut z = seed ^ (u64::from(guest) << 32 | u64::from(session)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}
