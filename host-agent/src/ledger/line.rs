//! One line of the ledger: a checksum (CRC-32 as in IEEE 802.3), how many lines before it were not durable yet, and JSON.
//! It knows no file.

use serde::Serialize;
use std::io::Write;

/// Appends a line to `out`. `behind` lines come between it and the last one that was durable when it was written.
pub(super) fn write(out: &mut Vec<u8>, behind: usize, value: &impl Serialize) -> std::io::Result<()> {
    let start = out.len();
    // The place of the checksum, which is known when the rest is.
    out.extend_from_slice(b"00000000 ");
    if let Ok(digit @ 0..10) = u8::try_from(behind) {
        // Nearly always, and formatting it would cost as much as the checksum.
        out.extend_from_slice(&[b'0' + digit, b' ']);
    } else {
        write!(out, "{behind} ")?;
    }
    serde_json::to_writer(&mut *out, value)?;
    let sum = crc32fast::hash(&out[start + 9..]);
    for (at, digit) in out[start..start + 8].iter_mut().rev().enumerate() {
        *digit = b"0123456789abcdef"[((sum >> (at * 4)) & 15) as usize];
    }
    out.push(b'\n');
    Ok(())
}

/// Takes a line apart: how many lines before it were not durable, and the JSON. `None` if it is not what was written.
pub(super) fn read(line: &[u8]) -> Option<(usize, &[u8])> {
    let (sum, body) = (line.get(..8)?, line.get(9..)?);
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    if line[8] != b' ' || sum != crc32fast::hash(body) {
        return None;
    }
    let space = body.iter().position(|byte| *byte == b' ')?;
    let behind = std::str::from_utf8(&body[..space]).ok()?.parse().ok()?;
    Some((behind, &body[space + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_ledgers_before() {
        let mut line = Vec::new();
        write(&mut line, 0, &123_456_789).unwrap();
        // The published one, of the line without its end.
        assert_eq!(std::str::from_utf8(&line), Ok("214dd4a8 0 123456789\n"));
    }

    #[test]
    fn a_line_reads_back_as_written_and_no_flipped_bit_passes() {
        let mut line = Vec::new();
        write(&mut line, 3, &"who").unwrap();
        assert_eq!(line.pop(), Some(b'\n'));
        assert_eq!(read(&line), Some((3, &b"\"who\""[..])));
        for bit in 0..line.len() * 8 {
            let mut flipped = line.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // A hexadecimal digit may change its case, which is the same checksum.
            let same = flipped.eq_ignore_ascii_case(&line) && bit / 8 < 8;
            assert!(same || read(&flipped).is_none(), "bit {bit}");
        }
    }
}
