//! The fixed texts that are run in Windows guests, as PowerShell takes them, and JSON as they read it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::fmt::Write as _;
use std::sync::LazyLock;

const FRAME: &str = include_str!("frame.ps1");
const SESSIONS: &str = include_str!("sessions.ps1");
const SESSIONS_CODE: &str = include_str!("sessions.cs");
const LOGONS: &str = include_str!("logons.ps1");

/// Windows takes a command line of 32,767 characters at most, and the agent's own helper puts some before ours.
#[cfg(test)]
pub(super) const ENCODED_MAX: usize = 32_000;

static SESSIONS_ENCODED: LazyLock<String> = LazyLock::new(|| encode(&sessions()));
static LOGONS_ENCODED: LazyLock<String> = LazyLock::new(|| encode(&logons()));

/// A script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    /// Lists, tells, ends sessions.
    Sessions,
    /// Refuses and allows logons.
    Logons,
}

impl Script {
    /// What follows `-EncodedCommand`: base64 of the text in little-endian UTF-16.
    pub(super) fn encoded(self) -> &'static str {
        match self {
            Script::Sessions => &SESSIONS_ENCODED,
            Script::Logons => &LOGONS_ENCODED,
        }
    }
}

/// One line of JSON in ASCII: PowerShell reads its input in the code page of its console.
pub(super) fn ascii(value: &Value) -> Vec<u8> {
    let mut line = String::new();
    // What is not ASCII stands within quotes, where JSON has an escape for it.
    for c in value.to_string().chars() {
        if c.is_ascii() && c != '\u{7f}' {
            line.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a String cannot fail.
            let _ = write!(line, "\\u{unit:04x}");
        }
    }
    line.push('\n');
    line.into_bytes()
}

fn sessions() -> String {
    let code = without_comments(SESSIONS_CODE, "//");
    format!("$code = @'\n{code}'@\n{}{}", without_comments(FRAME, "#"), without_comments(SESSIONS, "#"))
}

fn logons() -> String {
    without_comments(FRAME, "#") + &without_comments(LOGONS, "#")
}

/// The lines that mean something, without what is before and after them: a command line is short.
fn without_comments(text: &str, comment: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(comment));
    lines.fold(String::new(), |text, line| text + line + "\n")
}

fn encode(text: &str) -> String {
    STANDARD.encode(text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>())
}
