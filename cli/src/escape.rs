//! Makes text of guests and servers safe to show: what could steer a terminal or hide from the reader becomes
//! visible. The only place that decides which characters those are; it must never let one of them through.

use std::borrow::Cow;
use std::fmt::Write as _;

/// `text` with every character that steers, hides or reorders written as an escape.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if is_hostile(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// JSON text with the same characters as JSON's own escapes: it parses to what it parsed to before.
///
/// Line feeds stay, since pretty-printed JSON has them between its tokens and never inside a string.
pub fn json(text: String) -> String {
    if !has_hostile(&text) {
        return text;
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if c == '\n' || !is_hostile(c) {
            shown.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a String cannot fail.
            let _ = write!(shown, "\\u{unit:04x}");
        }
    }
    shown
}

/// The same for one JSON value that stands in a YAML document, where characters beyond the first 65,536 have an
/// escape of their own instead of JSON's pairs.
pub fn json_in_yaml(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        // Writing to a String cannot fail.
        let _ = match is_hostile(c) {
            true => write!(shown, "\\U{:08x}", u32::from(c)),
            false => shown.write_char(c),
        };
    }
    shown
}

/// Whether a pretty-printed document has a character that must not reach a terminal as it is.
pub fn has_hostile(document: &str) -> bool {
    document.chars().any(|c| c != '\n' && is_hostile(c))
}

/// Controls (C0, DEL, C1), bidirectional marks and overrides, invisible and tag characters, and separators that
/// some terminals take for line ends.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_of_any_language_stays_as_it_is() {
        for text in ["alice", "LAB\\alice", "Zoë", "山田太郎", "кот", "🦀", ""] {
            assert!(matches!(visible(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn escape_sequences_bidi_overrides_and_invisible_characters_become_visible() {
        assert_eq!(visible("\u{1b}[2Jroot"), "\\u{1b}[2Jroot");
        assert_eq!(visible("a\u{9b}31mb"), "a\\u{9b}31mb");
        assert_eq!(visible("nimda\u{202e}exe"), "nimda\\u{202e}exe");
        assert_eq!(visible("a\u{200b}b\u{e0041}"), "a\\u{200b}b\\u{e0041}");
        assert_eq!(visible("one\ntwo\r\tthree\u{7f}"), "one\\ntwo\\r\\tthree\\u{7f}");
    }

    #[test]
    fn escaped_json_parses_to_the_same_value() {
        let value = serde_json::json!({ "user": "a\u{9b}b\u{202e}c\u{e0041}\u{1b}\nd" });
        let safe = json(serde_json::to_string_pretty(&value).expect("it serializes"));
        assert!(!safe.chars().any(|c| c != '\n' && is_hostile(c)), "{safe}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).expect("it parses"), value);
    }
}
