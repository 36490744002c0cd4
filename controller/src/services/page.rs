//! Pages: how large one may be, in items and bytes, and its token: where the last one ended, opaque to clients and
//! checked on return.

use super::Error;
use prost::Message;

/// Page size when none is asked for.
const SIZE_DEFAULT: u32 = 100;
/// Largest page, as the proto's documentation says.
const SIZE_MAX: u32 = 1000;
/// Most bytes of items in one message: clients take 4 MiB unless they are told otherwise, and other fields come on top. A
/// task of a guest with a hundred sessions has some 10 KiB, so that a page may end before its last item.
const BYTES_MAX: usize = 2 * 1024 * 1024;

/// The page size asked for; more than the largest is the largest, as AIP-158 has it.
pub(super) fn size(asked: u32) -> usize {
    let size = if asked == 0 { SIZE_DEFAULT } else { asked.min(SIZE_MAX) };
    size as usize
}

/// How many of these go into one message; always one.
pub(super) fn fitting<M: Message>(items: &[M]) -> usize {
    let mut bytes = 0;
    let beyond = items.iter().position(|item| {
        bytes += item.encoded_len();
        bytes > BYTES_MAX
    });
    beyond.unwrap_or(items.len()).max(1)
}

/// Cuts off what goes into no one message; tells whether that was anything.
pub(super) fn cut<M: Message>(items: &mut Vec<M>) -> bool {
    let fitting = fitting(items);
    let is_more = items.len() > fitting;
    items.truncate(fitting);
    is_more
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
    fn a_page_ends_before_it_is_too_much_for_one_message_but_never_without_an_item() {
        let mut items = vec!["x".repeat(BYTES_MAX / 4); 9];
        assert!(cut(&mut items));
        assert_eq!(items.len(), 3, "each is a little more than its text");
        assert!(!cut(&mut items));
        let mut huge = vec!["x".repeat(3 * BYTES_MAX); 2];
        assert!(cut(&mut huge));
        assert_eq!(huge.len(), 1);
        assert!(!cut(&mut Vec::<String>::new()));
    }

    #[test]
    fn a_page_is_never_larger_than_the_largest() {
        assert_eq!((size(0), size(7), size(5000)), (100, 7, 1000));
    }
}
