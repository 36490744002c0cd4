//! One line of the ledger: a checksum, how many lines before it were not durable yet, and JSON. It knows no file.

use serde::Serialize;
use std::io::Write;

/// CRC-32 as in IEEE 802.3: `TABLES[0]` steps one byte; `TABLES[n]` a byte with `n` bytes of zero after it, so that
/// eight bytes go in one step. A busy agent writes megabytes of lines, and a bit at a time would cost more than JSON.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut at = 256;
    while at < 256 * 8 {
        let before = tables[at / 256 - 1][at % 256];
        tables[at / 256][at % 256] = (before >> 8) ^ tables[0][(before & 0xFF) as usize];
        at += 1;
    }
    tables
}

pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| (crc >> 8) ^ TABLES[0][usize::from(crc.to_le_bytes()[0] ^ byte)];
    let mut crc = u32::MAX;
    let (eights, rest) = bytes.as_chunks::<8>();
    for eight in eights {
        let mixed = (u64::from_le_bytes(*eight) ^ u64::from(crc)).to_le_bytes();
        crc = mixed
            .iter()
            .zip(TABLES.iter().rev())
            .fold(0, |sum, (byte, table)| sum ^ table[usize::from(*byte)]);
    }
    !rest.iter().fold(crc, step)
}

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
    let sum = crc32(&out[start + 9..]);
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
    if line[8] != b' ' || sum != crc32(body) {
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
    fn the_checksum_is_the_published_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b"The quick brown fox jumps over the lazy dog"), 0x414F_A339);
        assert_eq!(crc32(b""), 0);
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
