//! What logind says of a session, turned into the agent's words: the same for guests and for the host itself. It
//! asks nobody; whoever read the properties hands them in. Below it: one machine that is asked over its own bus and files,
//! be it the host itself or a container.

use curfew_types::session::USER_MAX;
use curfew_types::{Session, SessionKey, SessionState, WallTime};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[cfg(target_os = "linux")]
pub(super) mod bus;
#[cfg(target_os = "linux")]
mod desktop;
#[cfg(target_os = "linux")]
mod drain;
#[cfg(target_os = "linux")]
pub(super) mod ids;
#[cfg(target_os = "linux")]
mod logind;
#[cfg(target_os = "linux")]
pub(super) mod machine;
#[cfg(target_os = "linux")]
mod nologin;
#[cfg(target_os = "linux")]
mod notice;
#[cfg(target_os = "linux")]
pub(super) mod process;
#[cfg(target_os = "linux")]
pub(super) mod root;
#[cfg(target_os = "linux")]
mod scope;
#[cfg(target_os = "linux")]
pub(super) mod socket;
#[cfg(target_os = "linux")]
mod systemd;
#[cfg(target_os = "linux")]
mod terminal;

/// The bus name of logind.
pub(super) const SERVICE: &str = "org.freedesktop.login1";
/// Where its manager and, below it, its sessions are.
pub(super) const MANAGER_PATH: &str = "/org/freedesktop/login1";

/// SIGHUP: what a terminal that is hung up sends, and what shells end on.
const SIGHUP: i32 = 1;
/// SIGKILL: nothing survives it.
pub(super) const SIGKILL: i32 = 9;
/// SIGTERM: what services and desktops end on.
const SIGTERM: i32 = 15;

/// Longest session id: logind's are the audit session's number or `c` and a counter, 21 characters at most.
const ID_MAX: usize = 64;

/// Longest word kept of a session's kind or origin: a host name fits.
const WORD_MAX: usize = 256;

/// The properties of `org.freedesktop.login1.Session` that count here, as logind wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Properties {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) class: String,
    pub(super) state: String,
    /// `Type`: `tty`, `x11`, `wayland`, `unspecified`, ...
    pub(super) kind: String,
    pub(super) service: String,
    pub(super) tty: String,
    pub(super) display: String,
    /// The seat it belongs to, a screen and a keyboard; empty for a session that has none, as over a network.
    pub(super) seat: String,
    pub(super) remote_host: String,
    /// When it began, in microseconds since the Unix epoch on the guest's clock.
    pub(super) timestamp_us: u64,
    pub(super) idle_hint: bool,
    /// Since when it is idle, in microseconds since the Unix epoch on the guest's clock; 0 when logind cannot tell.
    pub(super) idle_since_us: u64,
}

impl Properties {
    /// The session of a person, or nothing where the class is not one of people.
    ///
    /// `now_us` is the guest's own wall clock, for idle times.
    pub(super) fn into_session(self, boot: &str, now_us: u64) -> Option<Session> {
        if !is_person(&self.class) {
            return None;
        }
        let idle_ms = self.idle_ms(now_us);
        let kind = self.kind_shown();
        let origin = [&self.remote_host, &self.tty, &self.display].into_iter().find(|text| !text.is_empty());
        Some(Session {
            state: self.state_told(),
            kind: printable(kind, WORD_MAX),
            origin: printable(origin.map_or("", String::as_str), WORD_MAX),
            since: WallTime(i64::try_from(self.timestamp_us / 1000).unwrap_or(i64::MAX)),
            idle_ms,
            user: printable(&self.name, USER_MAX),
            key: SessionKey { boot: boot.into(), id: self.id, began_us: self.timestamp_us },
        })
    }

    /// Whether somebody sits at it. `online` says that it is not in the foreground of its seat: somebody switched away
    /// from it. A session without a seat is always in use, and what logind calls `opening` is about to be.
    fn state_told(&self) -> SessionState {
        match self.state.as_str() {
            "closing" => SessionState::Closing,
            "online" if !self.seat.is_empty() => SessionState::Disconnected,
            _ => SessionState::Active,
        }
    }

    /// How it was opened, as people would say it.
    fn kind_shown(&self) -> &str {
        match (self.service.as_str(), self.kind.as_str()) {
            ("sshd" | "ssh", _) => "ssh",
            (service, _) if service.starts_with("xrdp") => "rdp",
            ("", "" | "unspecified") => "unspecified",
            (service, "" | "unspecified") => service,
            (_, kind) => kind,
        }
    }

    /// Whether it is a desktop, whose own terminal shows no text.
    pub(super) fn is_graphical(&self) -> bool {
        matches!(self.kind.as_str(), "x11" | "wayland" | "mir")
    }

    /// How long it has been idle. logind takes a text session's from its terminal, whose last use it tells also
    /// while the hint is off; a graphical session says it itself, and the time is then that of the last change.
    fn idle_ms(&self, now_us: u64) -> Option<u64> {
        match (self.idle_hint, self.is_graphical(), self.idle_since_us) {
            (false, true, _) => Some(0),
            (_, _, 0) => None,
            (_, _, since_us) => Some(now_us.saturating_sub(since_us) / 1000),
        }
    }
}

/// Whether sessions of this class are people's: `user`, `user-early`, `user-light`, ... Not `manager*` (a person's
/// service manager, there without a person), `background*` (cron), `greeter`, `lock-screen`.
fn is_person(class: &str) -> bool {
    class == "user" || class.starts_with("user-")
}

/// The polite signal for this attempt: hang up first; from the second attempt on, terminate.
pub(super) fn polite_signal(attempt: u32) -> i32 {
    if attempt == 0 { SIGHUP } else { SIGTERM }
}

/// Whether a text can be the id of a logind session: letters and digits, as logind itself checks.
pub(super) fn is_session_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= ID_MAX && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The object of the session with this id.
pub(super) fn session_path(id: &str) -> String {
    format!("{MANAGER_PATH}/session/{}", escaped(id))
}

/// systemd's encoding of a label in an object path, in which a digit is escaped where the label begins.
fn escaped(label: &str) -> String {
    let mut escaped = String::new();
    for (at, byte) in label.bytes().enumerate() {
        if byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit()) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("_{byte:02x}"));
        }
    }
    escaped
}

/// The end of a drain for people: to the minute, and never too early.
pub(super) fn until_told(now: SystemTime, for_ms: u64) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let end = since.saturating_add(Duration::from_millis(for_ms));
    let minutes = end.as_secs().saturating_add(59) / 60;
    let end = UNIX_EPOCH.checked_add(Duration::from_secs(minutes.saturating_mul(60)));
    // 2026-11-21T18:00:00Z
    let text = humantime::format_rfc3339_seconds(end.unwrap_or(now)).to_string();
    let (date, time) = text.split_once('T').unwrap_or((&text, ""));
    format!("{date} {} UTC", time.get(..5).unwrap_or_default())
}

/// A guest's text without control characters and not longer than `max` bytes: fit for any terminal.
pub(super) fn printable(text: &str, max: usize) -> String {
    let mut text: String =
        text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    curfew_types::outcome::truncate_at_char(&mut text, max);
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Somebody on a terminal, over ssh.
    pub(in crate::provider) fn ssh_session(id: &str, name: &str) -> Properties {
        Properties {
            id: id.into(),
            name: name.into(),
            class: "user".into(),
            state: "active".into(),
            kind: "tty".into(),
            service: "sshd".into(),
            tty: "pts/0".into(),
            remote_host: "192.0.2.7".into(),
            timestamp_us: 1_700_000_000_000_000,
            idle_since_us: 1_700_000_060_000_000,
            ..Properties::default()
        }
    }

    #[test]
    fn only_classes_of_people_are_sessions() {
        let of = |class: &str| {
            let session = Properties { class: class.into(), ..ssh_session("3", "alice") };
            session.into_session("b", 0).is_some()
        };
        for class in ["user", "user-early", "user-light", "user-early-light", "user-incomplete"] {
            assert!(of(class), "{class}");
        }
        for class in
            ["manager", "manager-early", "background", "background-light", "greeter", "lock-screen", ""]
        {
            assert!(!of(class), "{class}");
        }
    }

    #[test]
    fn an_ssh_session_reads_as_people_would_say_it() {
        let session = ssh_session("3", "alice").into_session("b:7", 1_700_000_090_000_000).expect("a person");
        assert_eq!((session.kind.as_str(), session.origin.as_str()), ("ssh", "192.0.2.7"));
        assert_eq!(session.state, SessionState::Active);
        assert_eq!(session.idle_ms, Some(30_000));
        assert_eq!(session.since, WallTime(1_700_000_000_000));
        assert_eq!(
            session.key,
            SessionKey { boot: "b:7".into(), id: "3".into(), began_us: 1_700_000_000_000_000 }
        );
    }

    #[test]
    fn a_session_that_was_switched_away_from_is_disconnected_and_one_told_to_end_is_closing() {
        let of = |state: &str, seat: &str| {
            let session = Properties { state: state.into(), seat: seat.into(), ..ssh_session("3", "alice") };
            session.into_session("b", 0).expect("a person").state
        };
        assert_eq!(of("online", "seat0"), SessionState::Disconnected);
        assert_eq!(of("active", "seat0"), SessionState::Active);
        assert_eq!(of("opening", "seat0"), SessionState::Active);
        assert_eq!(of("closing", "seat0"), SessionState::Closing);
    }

    #[test]
    fn a_session_without_a_seat_is_active_until_it_is_told_to_end() {
        let of = |state: &str| {
            let session = Properties { state: state.into(), ..ssh_session("3", "alice") };
            session.into_session("b", 0).expect("a person").state
        };
        assert_eq!(of("online"), SessionState::Active);
        assert_eq!(of("closing"), SessionState::Closing);
    }

    #[test]
    fn the_end_of_a_drain_is_told_to_the_minute_and_never_too_early() {
        let at = |secs| UNIX_EPOCH + Duration::from_secs(secs);
        assert_eq!(until_told(at(1_700_000_000), 0), "2023-11-14 22:14 UTC");
        assert_eq!(until_told(at(1_699_999_980), 60_000), "2023-11-14 22:14 UTC");
        assert_eq!(until_told(at(1_699_999_981), 60_000), "2023-11-14 22:15 UTC");
    }

    #[test]
    fn idle_is_unknown_rather_than_zero_where_logind_cannot_tell() {
        let text = Properties { idle_since_us: 0, ..ssh_session("3", "alice") };
        assert_eq!(text.idle_ms(5), None);
        let desktop = Properties { kind: "wayland".into(), ..ssh_session("3", "alice") };
        assert_eq!(desktop.idle_ms(1_700_000_090_000_000), Some(0));
        let away = Properties { idle_hint: true, ..desktop };
        assert_eq!(away.idle_ms(1_700_000_090_000_000), Some(30_000));
    }

    #[test]
    fn a_hostile_name_loses_its_control_characters_and_its_length() {
        let name = format!("al\u{1b}[2Jice\n{}", "ü".repeat(USER_MAX));
        let session = ssh_session("3", &name).into_session("b", 0).expect("a person");
        assert!(!session.user.chars().any(char::is_control));
        assert!(session.user.len() <= USER_MAX);
        assert!(session.user.starts_with("al\u{fffd}[2Jice\u{fffd}ü"));
    }

    #[test]
    fn a_session_id_becomes_the_path_that_logind_gives_it() {
        assert_eq!(session_path("3"), "/org/freedesktop/login1/session/_33");
        assert_eq!(session_path("12"), "/org/freedesktop/login1/session/_312");
        assert_eq!(session_path("c1"), "/org/freedesktop/login1/session/c1");
        assert!(is_session_id("c12") && !is_session_id("") && !is_session_id("-1") && !is_session_id("a b"));
    }
}
