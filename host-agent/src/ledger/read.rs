//! Reading a ledger back: what holds, what a crash tore off, and what must not be passed over. It changes nothing.

use super::{Header, LedgerError, line};
use curfew_agent_core::{Entry, ledger};
use std::path::Path;

/// What stands in a ledger.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) format: u32,
    pub(super) incarnation: u64,
    pub(super) entries: Vec<Entry>,
    /// Where the last whole line ends.
    pub(super) length: u64,
    /// Bytes after that, which a crash left behind.
    pub(super) torn: u64,
}

/// Reads all of it.
///
/// Lines are durable before anything of them is carried out. So lines that do not hold are what a crash left, and
/// may go, unless one that was written later says that they had been durable.
pub(super) fn contents(path: &Path, bytes: &[u8]) -> Result<Contents, LedgerError> {
    let damaged = |line| LedgerError::Damaged { path: path.into(), line };
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let first = lines.next().and_then(whole).ok_or_else(|| damaged(1))?;
    let header: Header = serde_json::from_slice(first.1).map_err(|_| damaged(1))?;
    if !(super::FORMAT_OLDEST..=super::FORMAT).contains(&header.format) {
        return Err(LedgerError::Format { path: path.into(), found: header.format });
    }
    let lines: Vec<&[u8]> = lines.collect();
    let read: Vec<Option<(usize, &[u8])>> = lines.iter().map(|line| whole(line)).collect();
    let good = read.iter().position(Option::is_none).unwrap_or(read.len());
    if good < read.len() && !is_torn(&read, good) {
        // Lines are counted from 1, and the header is the first.
        return Err(damaged(good + 2));
    }
    let mut entries = Vec::new();
    for (at, (_, json)) in read[..good].iter().flatten().enumerate() {
        let unreadable = |source| LedgerError::Entry { path: path.into(), line: at + 2, source };
        entries.extend(ledger::entries(json).map_err(unreadable)?);
    }
    let header_length = bytes.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let length = header_length + lines[..good].iter().map(|line| line.len()).sum::<usize>();
    Ok(Contents {
        format: header.format,
        incarnation: header.incarnation,
        entries,
        length: length as u64,
        torn: (bytes.len() - length) as u64,
    })
}

fn whole(line: &[u8]) -> Option<(usize, &[u8])> {
    line.strip_suffix(b"\n").and_then(line::read)
}

/// Whether neither the line at `bad` nor any after it had been durable: each of those was written when the bad one
/// was not durable yet, or it would not count that one among the lines before it.
///
/// A block that was never written may swallow the ends of lines, so that there are fewer than there should be, and
/// never more.
fn is_torn(read: &[Option<(usize, &[u8])>], bad: usize) -> bool {
    let counts_the_bad_one =
        |(after, line): (usize, &Option<(usize, &[u8])>)| line.is_none_or(|(behind, _)| behind >= after);
    read[bad..].iter().enumerate().all(counts_the_bad_one)
}
