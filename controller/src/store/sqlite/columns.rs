//! Small values packed into bytes one after the other: numbers as short as they are, texts without what they share with
//! the one before. Who reads them knows their order.

use super::body::BodyError;

/// Longest shared beginning, and longest rest, that fit into the one byte before a text.
const SHORT: usize = 14;
/// In place of that byte: both lengths follow as numbers.
const LONG: u8 = 0xFF;

/// Packs values.
#[derive(Default)]
pub(super) struct Packer(Vec<u8>);

impl Packer {
    /// A packer with room for so many bytes before it has to move what it holds.
    pub(super) fn with_capacity(bytes: usize) -> Packer {
        Packer(Vec::with_capacity(bytes))
    }

    /// What was packed.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// A number in as many groups of seven bits as it needs, the lowest first.
    pub(super) fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    /// How many there are of something.
    pub(super) fn count(&mut self, count: usize) {
        self.number(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// A number that is near zero, on either side.
    pub(super) fn signed(&mut self, value: i64) {
        self.number(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    /// Bytes whose length the reader knows.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A text, without what it begins with as `before` does.
    pub(super) fn text(&mut self, before: &str, text: &str) {
        let shared = shared_beginning(before.as_bytes(), text.as_bytes());
        let rest = &text.as_bytes()[shared..];
        match (u8::try_from(shared), u8::try_from(rest.len())) {
            (Ok(head), Ok(tail)) if shared <= SHORT && rest.len() <= SHORT => self.0.push(head << 4 | tail),
            _ => {
                self.0.push(LONG);
                self.count(shared);
                self.count(rest.len());
            }
        }
        self.bytes(rest);
    }
}

/// How many bytes two texts begin with alike: eight at a time, since a large operation compares two texts for each guest.
fn shared_beginning(one: &[u8], other: &[u8]) -> usize {
    let (ones, others) = (one.as_chunks::<8>().0, other.as_chunks::<8>().0);
    let eights = ones.iter().zip(others).take_while(|(one, other)| one == other).count() * 8;
    let rest = one[eights..].iter().zip(&other[eights..]);
    eights + rest.take_while(|(one, other)| one == other).count()
}

/// Reads values back, in the order in which they were packed.
pub(super) struct Unpacker<'a>(&'a [u8]);

impl<'a> Unpacker<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Unpacker<'a> {
        Unpacker(bytes)
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// When there are fewer.
    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], BodyError> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(BodyError::Columns)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// The next byte.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn byte(&mut self) -> Result<u8, BodyError> {
        Ok(self.bytes(1)?[0])
    }

    /// The next number.
    ///
    /// # Errors
    /// When there is none, or it has more than 64 bits.
    pub(super) fn number(&mut self) -> Result<u64, BodyError> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(BodyError::Columns)
    }

    /// The next number, as a count or a place.
    ///
    /// # Errors
    /// As [`Unpacker::number`].
    pub(super) fn count(&mut self) -> Result<usize, BodyError> {
        usize::try_from(self.number()?).map_err(|_| BodyError::Columns)
    }

    /// The next number, on either side of zero.
    ///
    /// # Errors
    /// As [`Unpacker::number`].
    pub(super) fn signed(&mut self) -> Result<i64, BodyError> {
        let value = self.number()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// Makes `text`, which is the one before, the next one.
    ///
    /// # Errors
    /// When there is none, or it is none.
    pub(super) fn text(&mut self, text: &mut String) -> Result<(), BodyError> {
        let (shared, rest) = match self.byte()? {
            LONG => (self.count()?, self.count()?),
            lengths => (usize::from(lengths >> 4), usize::from(lengths & 0xF)),
        };
        let mut bytes = std::mem::take(text).into_bytes();
        if shared > bytes.len() {
            return Err(BodyError::Columns);
        }
        bytes.truncate(shared);
        bytes.extend_from_slice(self.bytes(rest)?);
        *text = String::from_utf8(bytes).map_err(|_| BodyError::Columns)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_read_back_in_their_order(
            numbers in prop::collection::vec((any::<u64>(), any::<i64>()), 0..20),
            texts in prop::collection::vec("(CORP\\\\)?[aé]{0,30}", 0..20),
        ) {
            let mut packer = Packer::default();
            for (number, signed) in &numbers {
                packer.number(*number);
                packer.signed(*signed);
            }
            let mut before = "";
            for text in &texts {
                packer.text(before, text);
                before = text;
            }
            let bytes = packer.into_bytes();
            let mut unpacker = Unpacker::new(&bytes);
            for (number, signed) in numbers {
                prop_assert_eq!(unpacker.number().expect("a number"), number);
                prop_assert_eq!(unpacker.signed().expect("a number"), signed);
            }
            let mut last = String::new();
            for text in texts {
                unpacker.text(&mut last).expect("a text");
                prop_assert_eq!(&last, &text);
            }
            prop_assert!(unpacker.is_empty());
        }

        #[test]
        fn noise_is_an_error_and_no_panic(noise in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut unpacker = Unpacker::new(&noise);
            let mut text = String::new();
            while unpacker.text(&mut text).is_ok() && unpacker.signed().is_ok() && !unpacker.is_empty() {}
        }
    }

    #[test]
    fn a_text_costs_what_is_new_in_it_and_a_byte() {
        let mut packer = Packer::default();
        packer.text("desk-00412-06", "desk-00412-07");
        assert_eq!(packer.into_bytes(), [0xC1, b'7']);
    }
}
