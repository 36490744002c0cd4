//! How people are logged off in a guest: who is meant, what they are told first, how long they get, what is done about
//! those who do not go, and whether others may come meanwhile.

use crate::SessionFilter;
use serde::{Deserialize, Serialize};

/// Longest grace: a day.
pub const GRACE_MAX_MS: u64 = 24 * 60 * 60 * 1000;
/// Shortest pause between two notices to one session: more often is noise, and each costs an exchange with the guest.
pub const REPEAT_MIN_MS: u64 = 1_000;
/// Shortest and longest time that new logons may be refused for. There is always an end.
pub const DRAIN_MIN_MS: u64 = 1_000;
/// See [`DRAIN_MIN_MS`]: a week.
pub const DRAIN_MAX_MS: u64 = 7 * 24 * 60 * 60 * 1000;
/// Longest notice, in bytes: what a message box or a few lines of a terminal hold.
pub const NOTICE_MAX: usize = 1024;
/// What is said where a grace is given without words.
pub const NOTICE_DEFAULT: &str =
    "You will be logged off in {minutes} min. Please save your work and log off.";

/// The options that an agent has to know to take an order that uses them.
pub const CAPABILITY_FILTERS: &str = "session_filters";
/// See [`CAPABILITY_FILTERS`].
pub const CAPABILITY_NOTICE: &str = "notice";
/// See [`CAPABILITY_FILTERS`].
pub const CAPABILITY_FORCE: &str = "force";
/// See [`CAPABILITY_FILTERS`].
pub const CAPABILITY_DRAIN: &str = "drain";

/// How people are logged off. The default is the contract's plain `Logoff`: everybody, at once, politely.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logoff {
    /// Which sessions.
    #[serde(default)]
    pub sessions: SessionFilter,
    /// What people are told, and how long they get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<Notice>,
    /// After so many milliseconds from the act moment, what has not ended by itself is killed. `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force_after_ms: Option<u64>,
    /// New logons are refused, from the first notice on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainFor>,
}

/// What people are told before they are logged off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The words; `{minutes}` and `{seconds}` stand for the time that is left.
    pub text: String,
    /// How long they get, in milliseconds, from the first notice in the guest. 0: they are told and logged off at once.
    pub grace_ms: u64,
    /// After how long they are told again, in milliseconds. `None`: once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat_ms: Option<u64>,
}

/// How long new logons are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainFor {
    /// Until the task has its outcome, and no longer than its order is good for.
    TheTask,
    /// For so many milliseconds, whatever becomes of the task unless it is cancelled.
    Ms(u64),
}

impl Logoff {
    /// The options that it uses, as an order names them.
    pub fn required_capabilities(&self) -> Vec<&'static str> {
        let used = [
            (!self.sessions.is_everybody(), CAPABILITY_FILTERS),
            (self.notice.is_some(), CAPABILITY_NOTICE),
            (self.force_after_ms.is_some(), CAPABILITY_FORCE),
            (self.drain.is_some(), CAPABILITY_DRAIN),
        ];
        used.into_iter().filter_map(|(is_used, name)| is_used.then_some(name)).collect()
    }

    /// How long people get, in milliseconds.
    pub fn grace_ms(&self) -> u64 {
        self.notice.as_ref().map_or(0, |notice| notice.grace_ms)
    }
}

/// Why a text cannot be shown to people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoticeError {
    /// Nothing was written.
    #[error("it is empty")]
    Empty,
    /// Longer than anybody reads.
    #[error("it is longer than 1024 bytes")]
    TooLong,
    /// It could do something to a terminal.
    #[error("it has a control character; write one line of text")]
    ControlCharacter,
    /// A word in braces that stands for nothing.
    #[error("{{{0}}} stands for nothing; {{minutes}} and {{seconds}} stand for the time that is left")]
    UnknownPlaceholder(String),
}

impl Notice {
    /// Whether these words can be shown.
    ///
    /// # Errors
    /// When they are empty, too long, have control characters, or braces around anything but a placeholder.
    pub fn check(text: &str) -> Result<(), NoticeError> {
        if text.trim().is_empty() {
            return Err(NoticeError::Empty);
        }
        if text.len() > NOTICE_MAX {
            return Err(NoticeError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(NoticeError::ControlCharacter);
        }
        let mut rest = text;
        while let Some((_, after)) = rest.split_once('{') {
            let Some((word, after)) = after.split_once('}') else { return Ok(()) };
            if !matches!(word, "minutes" | "seconds") {
                return Err(NoticeError::UnknownPlaceholder(word.to_owned()));
            }
            rest = after;
        }
        Ok(())
    }

    /// The words for people who have so many milliseconds left. Minutes and seconds are rounded up, so that nobody is
    /// told of less time than there is.
    pub fn saying(&self, left_ms: u64) -> String {
        let minutes = left_ms.div_ceil(60_000).to_string();
        let seconds = left_ms.div_ceil(1000).to_string();
        self.text.replace("{minutes}", &minutes).replace("{seconds}", &seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_says_the_time_that_is_left_rounded_up() {
        let notice = |text: &str| Notice { text: text.into(), grace_ms: 600_000, repeat_ms: None };
        assert_eq!(notice("in {minutes} min").saying(600_000), "in 10 min");
        assert_eq!(notice("in {minutes} min").saying(540_001), "in 10 min");
        assert_eq!(notice("{seconds} s, {minutes} min").saying(59_001), "60 s, 1 min");
        assert_eq!(notice("now").saying(0), "now");
    }

    #[test]
    fn only_text_that_cannot_harm_a_terminal_is_a_notice() {
        assert_eq!(Notice::check(NOTICE_DEFAULT), Ok(()));
        assert_eq!(Notice::check("  "), Err(NoticeError::Empty));
        assert_eq!(Notice::check("a\u{1b}[2J"), Err(NoticeError::ControlCharacter));
        assert_eq!(Notice::check(&"x".repeat(1025)), Err(NoticeError::TooLong));
        assert_eq!(Notice::check("in {hours} h"), Err(NoticeError::UnknownPlaceholder("hours".into())));
        assert_eq!(Notice::check("a { alone"), Ok(()));
    }

    #[test]
    fn the_plain_logoff_needs_nothing_and_each_option_its_own_word() {
        assert!(Logoff::default().required_capabilities().is_empty());
        let logoff = Logoff { force_after_ms: Some(1), drain: Some(DrainFor::TheTask), ..Logoff::default() };
        assert_eq!(logoff.required_capabilities(), [CAPABILITY_FORCE, CAPABILITY_DRAIN]);
    }
}
