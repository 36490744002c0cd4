//! What the act moment of a task fixed, and what has been seen since: who is to end, who is left alone, who came later.

use crate::call::SessionList;
use curfew_types::outcome::RESULTS_MAX;
use curfew_types::{Mono, Session, SessionCounts, SessionKey};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A session that is to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its whole identity; shared with what is asked and written about it.
    pub session: Arc<SessionKey>,
    /// Whose it is, for reports.
    pub user: String,
    /// How many notices were shown to it before the act moment.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub notices: u32,
    /// Why a notice could not be shown to it; empty where none failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unnoticed: String,
    /// How often it was asked to end.
    #[serde(skip)]
    pub asked: u32,
    /// The platform said that it ended when it was asked last: nobody need wait before looking.
    #[serde(skip)]
    pub said_over: bool,
    /// It was killed, or may have been.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
    /// It was seen to be gone.
    #[serde(skip)]
    pub gone: bool,
    /// What was seen to hold it, in words; empty where nobody looked.
    #[serde(skip)]
    pub held_by: String,
    /// Its user was protected after the act moment: it is not asked any more, and nobody waits for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spared: bool,
    /// It did not match the request any more when it was to be asked: it is not asked again, and nobody waits for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unmatched: bool,
}

/// A session that was warned and left before the act moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftEarly {
    /// The platform's session id.
    pub id: String,
    /// Whose it was.
    pub user: String,
    /// How many notices were shown to it.
    pub notices: u32,
}

/// A session that was there at the act moment and is no target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftAlone {
    /// Its whole identity.
    pub session: SessionKey,
    /// Whose it is.
    pub user: String,
    /// Why it is none, in words.
    pub why: String,
    /// How many notices were shown to it, while it still was one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub notices: u32,
}

/// The act moment of a task, and what has been seen since.
#[derive(Clone, Debug)]
pub(crate) struct Acting {
    /// The act moment: the task's time counts from here.
    pub(crate) at: Mono,
    pub(crate) guest_boot: String,
    pub(crate) targets: Vec<Target>,
    pub(crate) left_early: Vec<LeftEarly>,
    pub(crate) left_alone: Vec<LeftAlone>,
    /// Sessions that began after the act moment, at the last look: how many, and who, as far as results tell them.
    pub(crate) new: u32,
    pub(crate) newcomers: Vec<(String, String)>,
    /// When the targets were last asked.
    pub(crate) asked_at: Mono,
    /// How many rounds of asking there were.
    pub(crate) rounds: u32,
    /// How often later sessions became targets, under a drain.
    pub(crate) additions: u32,
    /// What does not end by itself is killed from now on; the ledger says so.
    pub(crate) forcing: bool,
    /// The last look succeeded: what it showed can be reported as seen.
    pub(crate) seen: bool,
}

impl Target {
    /// A target that was never warned.
    pub fn new(session: Session) -> Target {
        Target::of(session.key.into(), session.user)
    }

    /// The same, of whoever has this session.
    pub(crate) fn of(session: Arc<SessionKey>, user: String) -> Target {
        Target {
            session,
            user,
            notices: 0,
            unnoticed: String::new(),
            asked: 0,
            said_over: false,
            forced: false,
            gone: false,
            held_by: String::new(),
            spared: false,
            unmatched: false,
        }
    }

    /// Whether it is left alone from now on.
    pub(crate) fn is_left_alone(&self) -> bool {
        self.spared || self.unmatched
    }
}

impl Acting {
    pub(crate) fn new(at: Mono, guest_boot: String, targets: Vec<Target>) -> Acting {
        Acting {
            at,
            guest_boot,
            targets,
            left_early: Vec::new(),
            left_alone: Vec::new(),
            new: 0,
            newcomers: Vec::new(),
            asked_at: at,
            rounds: 0,
            additions: 0,
            forcing: false,
            seen: true,
        }
    }

    pub(crate) fn counts(&self) -> SessionCounts {
        let of = |is: fn(&Target) -> bool| count(self.targets.iter().filter(|target| is(target)).count());
        let left_early = count(self.left_early.len());
        SessionCounts {
            found: count(self.targets.len()) + left_early,
            ended: of(|target| target.gone) + left_early,
            forced: of(|target| target.gone && target.forced),
            remaining: of(|target| !target.gone && !target.is_left_alone()),
            excluded: of(|target| !target.gone && target.is_left_alone()) + count(self.left_alone.len()),
            new: self.new,
        }
    }

    /// Takes in what a look showed. Returns whether the guest is still in the boot of the act moment.
    pub(crate) fn look(&mut self, list: &SessionList) -> bool {
        self.seen = true;
        let same_boot = list.boot == self.guest_boot;
        let present = |key: &SessionKey| same_boot && list.sessions.iter().any(|session| session.key == *key);
        for target in &mut self.targets {
            target.gone = !present(&target.session);
            if let Some(names) = list.processes.get(&target.session.id).filter(|_| !target.gone) {
                target.held_by = names.join(", ");
            }
        }
        let newcomers: Vec<&Session> = self.newcomers_in(list).collect();
        let new = count(newcomers.len());
        let shown = newcomers.into_iter().take(RESULTS_MAX);
        let shown = shown.map(|session| (session.key.id.clone(), session.user.clone())).collect();
        (self.new, self.newcomers) = (new, shown);
        same_boot
    }

    /// The sessions that were not there at the act moment.
    pub(crate) fn newcomers_in<'a>(
        &'a self,
        list: &'a SessionList,
    ) -> impl Iterator<Item = &'a Session> + 'a {
        let was_there = |key: &SessionKey| {
            self.targets.iter().any(|target| *target.session == *key)
                || self.left_alone.iter().any(|left| left.session == *key)
        };
        list.sessions.iter().filter(move |session| !was_there(&session.key))
    }

    /// Whether every target is gone that is to go.
    pub(crate) fn all_gone(&self) -> bool {
        self.targets.iter().all(|target| target.gone || target.is_left_alone())
    }

    pub(crate) fn any_asked(&self) -> bool {
        self.targets.iter().any(|target| target.asked > 0)
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}
