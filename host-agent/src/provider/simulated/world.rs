//! The simulated guests as data: who is logged on, what requests do to them. It never reads a clock, waits or writes; a
//! guest costs nothing until it is asked something, and time passes only when somebody looks.

mod guest;

use super::config::{FaultKind, SimulatedConfig};
use crate::provider::{
    DrainOrder, DrainReply, EndMode, EndReply, Error, Look, NoticeReply, SessionList, UndrainReply,
};
use curfew_types::{OnlyIf, SessionKey, StatusCode, WallTime};
use guest::{SimulatedDrain, SimulatedGuest};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// Every notice that was shown, in order; kept as `ended` is.
    #[serde(default)]
    pub(super) notices: Vec<Shown>,
    /// Everybody of the logons file whom a guest did not let in, in order.
    #[serde(default)]
    pub(super) refused: Vec<Refused>,
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

/// A notice that a session was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shown {
    guest: String,
    key: SessionKey,
    user: String,
    text: String,
    /// When, in milliseconds since the Unix epoch.
    at_ms: u64,
}

/// Somebody who was not let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refused {
    guest: String,
    user: String,
    /// When, in milliseconds since the Unix epoch.
    at_ms: u64,
}

/// One guest at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// The guest's number.
    pub(super) number: u32,
    /// When the guests were first started.
    pub(super) born_ms: u64,
    /// Now.
    pub(super) now_ms: u64,
}

impl Moment {
    fn age_ms(self) -> u64 {
        self.now_ms.saturating_sub(self.born_ms)
    }
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
        World {
            born_ms: now_ms,
            logons_read: 0,
            guests: BTreeMap::new(),
            ended: Vec::new(),
            notices: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Brings every guest into being before it is asked something.
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
        look: Look,
        now_ms: u64,
    ) -> Result<SessionList, Error> {
        let (it, guest) = self.asked(config, number, now_ms)?;
        if guest.asked && config.has(number, FaultKind::Unverifiable) {
            return Err(Error::unlistable("the simulated guest cannot list its sessions any more"));
        }
        let boot = guest.boot_id.clone();
        let sessions = guest.sessions.iter().map(|session| session.shown(config, it, &boot)).collect();
        let clock = WallTime(i64::try_from(now_ms).unwrap_or(i64::MAX));
        let held_by = |session: &guest::SimulatedSession| {
            (session.number.to_string(), vec!["sh".to_owned(), "vim".to_owned()])
        };
        let processes = guest.sessions.iter().filter(|_| look.processes).map(held_by).collect();
        Ok(SessionList { boot, clock, sessions, processes })
    }

    /// Shows a notice to sessions.
    pub(super) fn notify(
        &mut self,
        config: &SimulatedConfig,
        number: u32,
        keys: &[SessionKey],
        text: &str,
        now_ms: u64,
    ) -> Result<Vec<NoticeReply>, Error> {
        let keeps_log = config.state_file.is_some();
        let leaves_after = config.faults_of(number).find_map(|fault| match fault {
            FaultKind::LeavesAfterNoticeMs(ms) => Some(ms),
            _ => None,
        });
        let (_, guest) = self.asked(config, number, now_ms)?;
        let boot = guest.boot_id.clone();
        let (mut replies, mut shown) = (Vec::new(), Vec::new());
        for key in keys {
            let is_it = |session: &&mut guest::SimulatedSession| {
                boot == key.boot && session.is_named(&key.id) && session.began_us == key.began_us
            };
            let Some(session) = guest.sessions.iter_mut().find(is_it) else {
                replies.push(NoticeReply::Gone);
                continue;
            };
            if config.has(number, FaultKind::NoTerminal) {
                replies.push(NoticeReply::NotShown("the simulated session has no terminal".into()));
                continue;
            }
            session.notices += 1;
            session.gone_ms = session.gone_ms.or(leaves_after.map(|ms| now_ms.saturating_add(ms)));
            let (guest, user) = (guest.name.clone(), session.user.clone());
            shown.push(Shown { guest, key: key.clone(), user, text: text.to_owned(), at_ms: now_ms });
            replies.push(NoticeReply::Shown);
        }
        self.notices.extend(shown.into_iter().filter(|_| keeps_log));
        Ok(replies)
    }

    /// Asks a session to end.
    pub(super) fn end(
        &mut self,
        config: &SimulatedConfig,
        number: u32,
        key: &SessionKey,
        (how, only_if): (EndMode, OnlyIf),
        now_ms: u64,
    ) -> Result<EndReply, Error> {
        let keeps_log = config.state_file.is_some();
        let (it, guest) = self.asked(config, number, now_ms)?;
        if config.has(number, FaultKind::AccessDenied) {
            let message = "the simulated guest denies ending sessions";
            return Err(Error::new(StatusCode::AccessDenied, message));
        }
        if guest.boot_id != key.boot {
            return Ok(EndReply::NotThatSession);
        }
        let Some(at) = guest.sessions.iter().position(|session| session.is_named(&key.id)) else {
            return Ok(EndReply::Gone);
        };
        let session = &mut guest.sessions[at];
        if session.began_us != key.began_us {
            return Ok(EndReply::NotThatSession);
        }
        if !only_if.holds(session.state(config, it), Some(session.idle_ms(config, it))) {
            return Ok(EndReply::NoLongerMatches);
        }
        if config.has(number, FaultKind::Vanishing) {
            guest.sessions.remove(at);
            return Ok(EndReply::Gone);
        }
        let forced = how == EndMode::Force;
        let ignored =
            config.has(number, FaultKind::Immortal) || (!forced && config.has(number, FaultKind::Stubborn));
        let ended = (keeps_log && !ignored && !session.closing).then(|| Ended {
            guest: guest.name.clone(),
            key: key.clone(),
            user: session.user.clone(),
            forced,
            at_ms: now_ms,
        });
        if !ignored {
            let delay_ms = if forced { 0 } else { session.delay_ms(config, it) };
            let gone_ms = now_ms.saturating_add(delay_ms);
            session.gone_ms = Some(session.gone_ms.map_or(gone_ms, |sooner| sooner.min(gone_ms)));
            session.closing = true;
        }
        if !std::mem::replace(&mut guest.asked, true) {
            first_end(guest, config, it);
        }
        let is_over = guest.sessions.get(at).is_some_and(|session| session.is_over(now_ms));
        self.ended.extend(ended);
        Ok(if is_over { EndReply::Ended } else { EndReply::Asked })
    }

    /// Lets a guest refuse new logons.
    pub(super) fn drain(
        &mut self,
        config: &SimulatedConfig,
        number: u32,
        order: &DrainOrder,
        now_ms: u64,
    ) -> Result<DrainReply, Error> {
        let guest = self.drainable(config, number, now_ms)?;
        if config.has(number, FaultKind::DrainedByOther) {
            return Ok(DrainReply::SomebodyElses);
        }
        let until_ms = now_ms.saturating_add(order.for_ms);
        guest.drain = Some(SimulatedDrain { until_ms, text: order.text.clone() });
        Ok(DrainReply::InForce)
    }

    /// Lets a guest take new logons again.
    pub(super) fn undrain(
        &mut self,
        config: &SimulatedConfig,
        number: u32,
        now_ms: u64,
    ) -> Result<UndrainReply, Error> {
        let guest = self.drainable(config, number, now_ms)?;
        guest.drain = None;
        let by_other = config.has(number, FaultKind::DrainedByOther);
        Ok(if by_other { UndrainReply::SomebodyElses } else { UndrainReply::Lifted })
    }

    /// Logs somebody on, unless the guest refuses that.
    pub(super) fn log_on(&mut self, config: &SimulatedConfig, number: u32, user: String, now_ms: u64) {
        let it = Moment { number, born_ms: self.born_ms, now_ms };
        let guest = self.guest(config, number);
        guest.pass(config, it);
        if !guest.log_on(config, user.clone(), it) {
            let refused = Refused { guest: guest.name.clone(), user, at_ms: now_ms };
            self.refused.push(refused);
        }
    }

    fn drainable(
        &mut self,
        config: &SimulatedConfig,
        number: u32,
        now_ms: u64,
    ) -> Result<&mut SimulatedGuest, Error> {
        let (_, guest) = self.asked(config, number, now_ms)?;
        if config.has(number, FaultKind::Undrainable) {
            let message = "the simulated guest cannot refuse new logons";
            return Err(Error::new(StatusCode::AdditionsFeatureNotAvail, message));
        }
        Ok(guest)
    }

    /// A guest that is asked something at this moment, unless it refuses everything.
    fn asked(
        &mut self,
        config: &SimulatedConfig,
        number: u32,
        now_ms: u64,
    ) -> Result<(Moment, &mut SimulatedGuest), Error> {
        let it = Moment { number, born_ms: self.born_ms, now_ms };
        match config.faults_of(number).find_map(|fault| fault.refusal(it.age_ms())) {
            Some(error) => Err(error),
            None => {
                let guest = self.guest(config, number);
                guest.pass(config, it);
                Ok((it, guest))
            }
        }
    }

    fn guest(&mut self, config: &SimulatedConfig, number: u32) -> &mut SimulatedGuest {
        let born_ms = self.born_ms;
        let guest =
            self.guests.entry(number).or_insert_with(|| SimulatedGuest::begin(config, number, born_ms));
        if guest.boot_id.is_empty() {
            guest.name_boot(config, number);
        }
        guest
    }
}

/// What happens right after a guest's first session was asked to end.
fn first_end(guest: &mut SimulatedGuest, config: &SimulatedConfig, it: Moment) {
    if config.has(it.number, FaultKind::NewLogon) {
        guest.log_on(config, "newcomer".into(), it);
    }
    if config.has(it.number, FaultKind::Reboots) {
        guest.reboot(config, it.number);
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod treatment_tests;
