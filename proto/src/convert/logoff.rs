//! How people are logged off in a guest, to and from the wire: in an operator's request and in an agent's order.

use super::checks::Checks;
use super::words::{duration, timestamp, wall_time};
use crate::v1;
use curfew_types::filter::{IDLE_MAX_MS, USERS_MAX};
use curfew_types::glob::Glob;
use curfew_types::logoff::{DRAIN_MAX_MS, DRAIN_MIN_MS, GRACE_MAX_MS, NOTICE_DEFAULT, REPEAT_MIN_MS};
use curfew_types::operation::TASK_TIMEOUT_MAX_MS;
use curfew_types::{DrainFor, Logoff, Notice, SessionFilter, StateFilter};
use pbjson_types::Duration;

/// The fields of a request or an order that say it.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    pub(super) sessions: Option<v1::SessionFilter>,
    pub(super) notice: Option<v1::Notice>,
    pub(super) force_after: Option<Duration>,
    pub(super) drain: Option<v1::DrainOptions>,
}

impl From<Logoff> for Given {
    fn from(logoff: Logoff) -> Given {
        Given {
            sessions: (!logoff.sessions.is_everybody()).then(|| logoff.sessions.into()),
            notice: logoff.notice.map(Into::into),
            force_after: logoff.force_after_ms.map(duration),
            drain: logoff.drain.map(Into::into),
        }
    }
}

impl From<SessionFilter> for v1::SessionFilter {
    fn from(filter: SessionFilter) -> v1::SessionFilter {
        let texts = |globs: Vec<Glob>| globs.into_iter().map(String::from).collect();
        let state = match filter.state {
            None => v1::SessionStateFilter::Unspecified,
            Some(StateFilter::Active) => v1::SessionStateFilter::Active,
            Some(StateFilter::Disconnected) => v1::SessionStateFilter::Disconnected,
        };
        v1::SessionFilter {
            users: texts(filter.users),
            exclude_users: texts(filter.exclude_users),
            state: state.into(),
            idle_at_least: filter.idle_at_least_ms.map(duration),
            logged_on_before: filter.logged_on_before.map(timestamp),
        }
    }
}

impl From<Notice> for v1::Notice {
    fn from(notice: Notice) -> v1::Notice {
        v1::Notice {
            text: notice.text,
            grace: (notice.grace_ms > 0).then(|| duration(notice.grace_ms)),
            repeat: notice.repeat_ms.map(duration),
        }
    }
}

impl From<DrainFor> for v1::DrainOptions {
    fn from(drain: DrainFor) -> v1::DrainOptions {
        match drain {
            DrainFor::TheTask => v1::DrainOptions { drain_for: None },
            DrainFor::Ms(ms) => v1::DrainOptions { drain_for: Some(duration(ms)) },
        }
    }
}

impl Checks {
    /// How people are logged off. `within` is the name of the message that the fields are in.
    pub(super) fn logoff(&mut self, within: &str, given: Given) -> Logoff {
        let field = |name: &str| format!("{within}.{name}");
        let force_after_ms = given
            .force_after
            .map(|time| self.time(&field("force_after"), Some(time), 0, 0..=TASK_TIMEOUT_MAX_MS));
        Logoff {
            sessions: self.session_filter(&field("sessions"), given.sessions),
            notice: given.notice.map(|notice| self.notice(&field("notice"), notice)),
            force_after_ms,
            drain: given.drain.map(|drain| match drain.drain_for {
                None => DrainFor::TheTask,
                given @ Some(_) => {
                    let range = DRAIN_MIN_MS..=DRAIN_MAX_MS;
                    DrainFor::Ms(self.time(&field("drain.drain_for"), given, DRAIN_MIN_MS, range))
                }
            }),
        }
    }

    /// What has to fit together in a request: how long people get, when they are forced, and how long there is.
    pub(super) fn logoff_in_time(&mut self, logoff: &Logoff, task_timeout_ms: u64, deadline_ms: u64) {
        let seconds = |ms: u64| ms as f64 / 1000.0;
        if let Some(force_after_ms) = logoff.force_after_ms.filter(|after| *after >= task_timeout_ms) {
            let why = format!(
                "a task ends after {} s (task_timeout), so nothing would be forced after {} s: give a shorter time, or \
                 a longer task_timeout",
                seconds(task_timeout_ms),
                seconds(force_after_ms)
            );
            self.wrong("spec.force_after", why);
        }
        if logoff.grace_ms() >= deadline_ms {
            let why = format!("it must be shorter than the deadline, which is {} s", seconds(deadline_ms));
            self.wrong("spec.notice.grace", why);
        }
    }

    fn notice(&mut self, field: &str, given: v1::Notice) -> Notice {
        let text = if given.text.is_empty() { NOTICE_DEFAULT.to_owned() } else { given.text };
        if let Err(error) = Notice::check(&text) {
            self.wrong(&format!("{field}.text"), error.to_string());
        }
        let grace_ms = self.time(&format!("{field}.grace"), given.grace, 0, 0..=GRACE_MAX_MS);
        let repeat = format!("{field}.repeat");
        let repeat_ms = given
            .repeat
            .map(|time| self.time(&repeat, Some(time), REPEAT_MIN_MS, REPEAT_MIN_MS..=GRACE_MAX_MS));
        if repeat_ms.is_some_and(|ms| ms >= grace_ms) {
            self.wrong(&repeat, "it must be shorter than the grace, or nobody is told a second time");
        }
        Notice { text, grace_ms, repeat_ms }
    }

    /// Which sessions; all where nothing is said.
    pub(super) fn session_filter(&mut self, field: &str, given: Option<v1::SessionFilter>) -> SessionFilter {
        let Some(given) = given else { return SessionFilter::default() };
        let state = match v1::SessionStateFilter::try_from(given.state) {
            Ok(v1::SessionStateFilter::Unspecified) => None,
            Ok(v1::SessionStateFilter::Active) => Some(StateFilter::Active),
            Ok(v1::SessionStateFilter::Disconnected) => Some(StateFilter::Disconnected),
            Err(_) => {
                self.wrong(&format!("{field}.state"), "this version knows active and disconnected only");
                None
            }
        };
        let idle = format!("{field}.idle_at_least");
        SessionFilter {
            users: self.users(&format!("{field}.users"), &given.users),
            exclude_users: self.users(&format!("{field}.exclude_users"), &given.exclude_users),
            state,
            idle_at_least_ms: given
                .idle_at_least
                .map(|time| self.time(&idle, Some(time), 0, 0..=IDLE_MAX_MS))
                .filter(|ms| *ms > 0),
            logged_on_before: given.logged_on_before.as_ref().map(wall_time),
        }
    }

    fn users(&mut self, field: &str, texts: &[String]) -> Vec<Glob> {
        if texts.len() > USERS_MAX {
            self.wrong(field, format!("there are more than {USERS_MAX}; join some into one with * and ?"));
        }
        let mut globs = Vec::with_capacity(texts.len().min(USERS_MAX));
        for text in texts.iter().take(USERS_MAX) {
            match text.parse() {
                Ok(glob) => globs.push(glob),
                Err(error) => self.wrong(field, format!("{error}")),
            }
        }
        globs
    }
}
