//! JSON from a guest, read only when it is as small as what it ought to be: a value costs thirty times its text, so that a
//! few megabytes of brackets and commas would cost a host hundreds.

use serde_json::Value;

/// Deepest nesting that is read: what is asked for has five levels.
const DEPTH_MAX: usize = 16;

/// What is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider) enum Unreadable {
    /// It has too many values, or they are nested too deeply.
    TooMuch,
    /// It is no JSON.
    Garbage,
}

/// Reads one document with at most so many values.
///
/// # Errors
/// When it is something else.
pub(in crate::provider) fn read(text: &[u8], values_max: usize) -> Result<Value, Unreadable> {
    weigh(text, values_max)?;
    serde_json::from_slice(text).map_err(|_| Unreadable::Garbage)
}

/// Counts values and depth without building anything. Text within quotes counts for nothing; what is no JSON at all
/// is left to the parser.
fn weigh(text: &[u8], values_max: usize) -> Result<(), Unreadable> {
    let (mut values, mut depth) = (1_usize, 0_usize);
    let (mut quoted, mut escaped) = (false, false);
    for byte in text {
        if quoted {
            quoted = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'[' | b'{' => {
                depth += 1;
                values += 1;
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' => values += 1,
            _ => {}
        }
        if values > values_max || depth > DEPTH_MAX {
            return Err(Unreadable::TooMuch);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_small_enough_is_read_whatever_its_texts_look_like() {
        let text = br#"{"a":["\\\"[[[[,,,,{{{{",1,null]}"#;
        assert_eq!(read(text, 5), Ok(json!({ "a": ["\\\"[[[[,,,,{{{{", 1, null] })));
        assert_eq!(read(text, 4), Err(Unreadable::TooMuch));
    }

    #[test]
    fn brackets_and_commas_without_end_are_refused_before_they_cost_anything() {
        assert_eq!(read(&vec![b'['; 4_000_000], 1_000), Err(Unreadable::TooMuch));
        assert_eq!(
            read(&b"[0".iter().chain(&b",0".repeat(1_000_000)).copied().collect::<Vec<_>>(), 1_000),
            Err(Unreadable::TooMuch)
        );
        let deep = [vec![b'['; DEPTH_MAX + 1], vec![b']'; DEPTH_MAX + 1]].concat();
        assert_eq!(read(&deep, 1_000), Err(Unreadable::TooMuch));
    }

    #[test]
    fn garbage_is_garbage() {
        for text in [&b""[..], b"{", b"\"", b"{\"a\":1}x", b"\xFF", b"nul"] {
            assert_eq!(read(text, 10), Err(Unreadable::Garbage), "{text:?}");
        }
    }
}
