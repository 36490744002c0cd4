//! What a verdict tells of each session: what became of it, how many notices it was shown, and why it stands so.

use crate::acting::{Acting, Target};
use crate::run::Run;
use crate::warning::Warning;
use curfew_types::{SessionFate, SessionResult};

/// The results of a run as it stands.
pub(crate) fn of(run: &Run) -> Vec<SessionResult> {
    match (&run.acting, &run.warning) {
        (Some(acting), _) => of_acting(acting),
        (None, Some(warning)) => of_warning(warning),
        (None, None) => Vec::new(),
    }
}

/// The results after the act moment.
pub(crate) fn of_acting(acting: &Acting) -> Vec<SessionResult> {
    let early = acting.left_early.iter().map(|left| SessionResult {
        id: left.id.clone(),
        user: left.user.clone(),
        fate: SessionFate::LeftByItself,
        notices: left.notices,
        why: String::new(),
    });
    let alone = acting.left_alone.iter().map(|left| SessionResult {
        id: left.session.id.clone(),
        user: left.user.clone(),
        fate: SessionFate::Excluded,
        notices: left.notices,
        why: left.why.clone(),
    });
    let new = acting.newcomers.iter().map(|(id, user)| SessionResult {
        id: id.clone(),
        user: user.clone(),
        fate: SessionFate::New,
        notices: 0,
        why: String::new(),
    });
    acting.targets.iter().map(of_target).chain(early).chain(alone).chain(new).collect()
}

/// The results of a run that ended while people still had time.
fn of_warning(warning: &Warning) -> Vec<SessionResult> {
    let result = |warned: &crate::warning::Warned| SessionResult {
        id: warned.session.id.clone(),
        user: warned.user.clone(),
        fate: if warned.gone { SessionFate::LeftByItself } else { SessionFate::Remaining },
        notices: warned.notices,
        why: warned.unnoticed.clone(),
    };
    warning.warned.iter().map(result).collect()
}

fn of_target(target: &Target) -> SessionResult {
    let (fate, why) = match target {
        Target { gone: true, forced: true, .. } => (SessionFate::Forced, String::new()),
        Target { gone: true, asked: 0, .. } => (SessionFate::LeftByItself, String::new()),
        Target { gone: true, .. } => (SessionFate::Ended, String::new()),
        Target { spared: true, .. } => (SessionFate::Excluded, PROTECTED.to_owned()),
        Target { unmatched: true, .. } => (SessionFate::Excluded, NO_LONGER_MATCHES.to_owned()),
        Target { held_by, .. } if held_by.is_empty() => (SessionFate::Remaining, String::new()),
        Target { held_by, .. } => (SessionFate::Remaining, format!("held by {held_by}")),
    };
    let why = match (why.is_empty(), target.unnoticed.is_empty()) {
        (_, true) => why,
        (true, false) => unnoticed(&target.unnoticed),
        (false, false) => format!("{why}; {}", unnoticed(&target.unnoticed)),
    };
    SessionResult {
        id: target.session.id.clone(),
        user: target.user.clone(),
        fate,
        notices: target.notices,
        why,
    }
}

/// Why a session of a protected user is left alone.
pub(crate) const PROTECTED: &str = "its user is protected";
/// Why a session is left alone that somebody came back to, for example.
const NO_LONGER_MATCHES: &str = "it no longer was as the request asks when its turn came";

fn unnoticed(why: &str) -> String {
    format!("could not be shown a notice: {why}")
}
