//! Page sizes and page tokens: a token is where the last page ended, opaque to clients and checked on return.

use super::Error;

/// Page size when none is asked for.
const SIZE_DEFAULT: u32 = 100;
/// Largest page, as the proto's documentation says.
const SIZE_MAX: u32 = 1000;

/// The page size asked for; more than the largest is the largest, as AIP-158 has it.
pub(super) fn size(asked: u32) -> usize {
    let size = if asked == 0 { SIZE_DEFAULT } else { asked.min(SIZE_MAX) };
    size as usize
}

/// A token that names the last item of a page by its parts, none of which has a line break.
pub(super) fn token(parts: &[&str]) -> String {
    parts.join("\n").bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// The parts of a token; `None` for the first page.
pub(super) fn parts<const N: usize>(token: &str) -> Result<Option<[String; N]>, Error> {
    if token.is_empty() {
        return Ok(None);
    }
    let refuse = || Error::invalid("page_token", "it is not one that a page ended with; begin without one");
    let pair = |at: usize| token.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<u8>> = (0..token.len()).step_by(2).map(pair).collect();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(refuse)?;
    let parts: Vec<String> = text.split('\n').map(str::to_owned).collect();
    parts.try_into().map(Some).map_err(|_| refuse())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_nothing_else_does() {
        let made = token(&["host-1", "näme"]);
        assert_eq!(parts::<2>(&made).expect("ours"), Some(["host-1".into(), "näme".into()]));
        for foreign in ["x", "zz", "6", "61", "ff"] {
            assert!(parts::<2>(foreign).is_err(), "{foreign}");
        }
        assert!(parts::<2>("").expect("the first page").is_none());
    }

    #[test]
    fn a_page_is_never_larger_than_the_largest() {
        assert_eq!((size(0), size(7), size(5000)), (100, 7, 1000));
    }
}
