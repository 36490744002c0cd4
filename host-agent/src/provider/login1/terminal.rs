//! Writing a text to terminals, without ever waiting for one and without opening anything else than a terminal.

use super::printable;
use super::root::{Root, reopen};
use rustix::fs::{FileType, OFlags, fstat, major};
use rustix::io::Errno;
use std::io;
use std::time::SystemTime;

/// Longest text written: a notice, with room for what is put around it.
const TEXT_MAX: usize = 2048;
/// Longest name of a terminal below /dev.
const NAME_MAX: usize = 64;
/// Major numbers of the terminals of windows and network logons: all that a container has.
const PTS: std::ops::RangeInclusive<u32> = 136..=143;

/// The text as it is written: on lines of its own with a bell and the time, as `wall` does, and with nothing that could do
/// anything else to a terminal.
pub(super) fn framed(text: &str, now: SystemTime) -> Vec<u8> {
    let now = humantime::format_rfc3339_seconds(now).to_string();
    let time = now.get(11..16).unwrap_or_default();
    format!("\r\n\u{7}\r\nCurfew ({time} UTC):\r\n{}\r\n\r\n", printable(text, TEXT_MAX)).into_bytes()
}

/// Writes it to the terminal with this name below /dev, as logind calls terminals.
///
/// # Errors
/// Why it cannot be seen there, in words.
pub(super) fn write(root: &Root, name: &str, framed: &[u8]) -> Result<(), String> {
    let said = |error: io::Error| format!("its terminal {name}: {error}");
    if !is_name(name) {
        return Err(format!("{name:?} is not the name of a terminal"));
    }
    let place = root.open(&format!("dev/{name}"), OFlags::PATH | OFlags::NOFOLLOW).map_err(said)?;
    let status = fstat(&place).map_err(|error| said(error.into()))?;
    let is_device = FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice;
    if !is_device || (root.is_foreign() && !PTS.contains(&major(status.st_rdev))) {
        return Err(format!("/dev/{name} is not a terminal"));
    }
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let terminal = reopen(&place, flags).map_err(said)?;
    match rustix::io::write(&terminal, framed) {
        Ok(written) if written == framed.len() => Ok(()),
        Ok(_) => Err("its terminal took only a part of it".into()),
        Err(Errno::AGAIN) => Err("its terminal takes no output".into()),
        Err(error) => Err(said(error.into())),
    }
}

/// `pts/3`, `tty2`, `ttyS0`: no path that leads anywhere else.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_MAX
        && name
            .split('/')
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn nothing_but_the_name_of_a_terminal_is_opened() {
        for name in ["pts/3", "tty2", "ttyS0"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "/tty1", "pts/", "../mem", "pts/../../etc/passwd", "pts//3", "a b"] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn a_text_cannot_do_anything_to_a_terminal() {
        let framed = framed("10 min\u{1b}[2J\n", UNIX_EPOCH + Duration::from_secs(3_661));
        let shown = "\r\n\u{7}\r\nCurfew (01:01 UTC):\r\n10 min\u{fffd}[2J\u{fffd}\r\n\r\n";
        assert_eq!(String::from_utf8(framed).expect("text"), shown);
    }
}
