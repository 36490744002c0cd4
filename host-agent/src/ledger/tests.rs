//! The ledger on bad days: torn, damaged, full, shared.

use super::*;
use curfew_types::OperationId;
use std::sync::{Arc, Mutex};

fn entry(number: u64) -> Entry {
    Entry::EpochSeen { epoch: number }
}

fn open(dir: &Path) -> Opened {
    Ledger::open(dir).unwrap()
}

/// A directory with a ledger of these batches, and the path of the file.
fn written(batches: &[&[Entry]]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = open(dir.path()).ledger;
    for batch in batches {
        ledger.append(batch, Durable::Now).unwrap();
    }
    let path = dir.path().join(FILE);
    (dir, path)
}

/// A disk that does as the test says, and what has come to it.
#[derive(Clone, Default)]
pub(crate) struct BadDisk(Arc<Mutex<Disk>>);

#[derive(Default)]
struct Disk {
    bytes: Vec<u8>,
    /// Bytes that still fit; nothing says that all do.
    room: Option<usize>,
    syncs_fail: bool,
    syncs: u32,
}

impl BadDisk {
    /// A ledger on this disk.
    pub(crate) fn ledger(&self, dir: &Path) -> Ledger {
        let mut ledger = open(dir).ledger;
        ledger.medium = Box::new(self.clone());
        ledger.durable = 0;
        ledger
    }

    /// So many bytes still fit.
    pub(crate) fn set_room(&self, room: Option<usize>) {
        self.0.lock().unwrap().room = room;
    }

    /// What lies on it.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().bytes.clone()).unwrap()
    }
}

impl Medium for BadDisk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        let fits = disk.room.unwrap_or(usize::MAX).min(bytes.len());
        disk.bytes.extend_from_slice(&bytes[..fits]);
        if let Some(room) = &mut disk.room {
            *room -= fits;
        }
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.syncs += 1;
        if disk.syncs_fail { Err(io::Error::other("the disk is gone")) } else { Ok(()) }
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.0.lock().unwrap().bytes.truncate(usize::try_from(length).unwrap());
        Ok(())
    }
}

#[test]
fn what_was_appended_is_read_back_and_the_incarnation_stays() {
    let dir = tempfile::tempdir().unwrap();
    let accepted = Entry::Accepted {
        operation: OperationId::from_number(7).unwrap(),
        boot: "b".into(),
        at: curfew_types::Mono(1),
        expires: curfew_types::Mono(2),
        task_timeout_ms: 3,
        logoff: curfew_types::Logoff::default().into(),
        tasks: Vec::new(),
    };
    let mut first = open(dir.path());
    assert_eq!(first.entries, []);
    first.ledger.append(&[accepted.clone(), entry(1)], Durable::Now).unwrap();
    first.ledger.append(&[entry(2)], Durable::Now).unwrap();
    let incarnation = first.ledger.incarnation();
    drop(first);

    let second = open(dir.path());

    assert_eq!(second.entries, [accepted, entry(1), entry(2)]);
    assert_eq!((second.torn, second.ledger.incarnation()), (0, incarnation));
}

#[test]
fn two_ledgers_have_two_incarnations() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert_ne!(open(one.path()).ledger.incarnation(), open(two.path()).ledger.incarnation());
}

#[test]
fn a_ledger_torn_at_any_byte_loses_only_what_was_not_durable() {
    let (dir, path) = written(&[&[entry(1)], &[entry(2), entry(3)]]);
    let whole = std::fs::read(&path).unwrap();
    let ends: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] == b'\n').map(|at| at + 1).collect();
    // The header and the first batch are durable; the crash hits the second one.
    for length in ends[1]..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();

        let opened = open(dir.path());

        let lines = ends.iter().filter(|end| **end <= length).count();
        assert_eq!(opened.entries.len(), lines - 1, "{length}");
        assert_eq!(opened.torn, (length - ends[lines - 1]) as u64);
        let mut ledger = opened.ledger;
        ledger.append(&[entry(9)], Durable::Now).unwrap();
        drop(ledger);
        assert_eq!(open(dir.path()).entries.last(), Some(&entry(9)), "{length}");
    }
}

#[test]
fn a_crash_that_lost_the_middle_of_the_last_batch_is_a_torn_end() {
    let (dir, path) = written(&[&[entry(1)], &[entry(2), entry(3), entry(4)]]);
    let mut bytes = std::fs::read(&path).unwrap();
    let ends: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] == b'\n').map(|at| at + 1).collect();
    // A block of zeros, as file systems leave one that was never written.
    bytes[ends[2] + 3..ends[3] - 1].fill(0);
    std::fs::write(&path, &bytes).unwrap();

    let opened = open(dir.path());

    assert_eq!(opened.entries, [entry(1), entry(2)]);
    assert_eq!(opened.torn, (bytes.len() - ends[2]) as u64);
}

#[test]
fn a_crash_that_lost_lines_left_for_later_and_kept_newer_ones_is_a_torn_end() {
    let (dir, path) = written(&[&[entry(1)]]);
    let mut ledger = open(dir.path()).ledger;
    ledger.append(&[Entry::Acknowledged { sequence: 1 }], Durable::WithTheNext).unwrap();
    ledger.append(&[entry(2), entry(3)], Durable::Now).unwrap();
    drop(ledger);
    let mut bytes = std::fs::read(&path).unwrap();
    let ends: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] == b'\n').collect();
    // Behind the header and the entry that was durable before.
    bytes[ends[2] - 20..ends[2]].fill(0);
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(open(dir.path()).entries, [entry(1)]);
}

#[test]
fn damage_before_the_last_batch_is_an_error_that_names_the_line() {
    let (dir, path) = written(&[&[entry(1)], &[entry(2)], &[entry(3)]]);
    let whole = std::fs::read(&path).unwrap();
    let ends: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] == b'\n').map(|at| at + 1).collect();
    for line in 1..=3 {
        let mut bytes = whole.clone();
        bytes[ends[line - 1] - 3] ^= 1;
        std::fs::write(&path, &bytes).unwrap();

        let error = Ledger::open(dir.path()).unwrap_err();

        assert!(
            matches!(error, LedgerError::Damaged { line: found, .. } if found == line),
            "{line}: {error}"
        );
        assert!(error.to_string().contains("move it away"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "a damaged ledger was changed");
    }
}

#[test]
fn a_ledger_of_a_later_format_is_left_alone() {
    let (dir, path) = written(&[]);
    let mut bytes = Vec::new();
    line::write(&mut bytes, 0, &Header { format: 3, incarnation: 1 }).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    let error = Ledger::open(dir.path()).unwrap_err();
    assert!(matches!(error, LedgerError::Format { found: 3, .. }), "{error}");
}

#[test]
fn a_ledger_of_an_earlier_format_is_brought_up_to_this_one() {
    let (dir, path) = written(&[]);
    let mut bytes = Vec::new();
    line::write(&mut bytes, 0, &Header { format: 1, incarnation: 7 }).unwrap();
    line::write(&mut bytes, 0, &entry(1)).unwrap();
    std::fs::write(&path, &bytes).unwrap();

    let opened = open(dir.path());

    assert_eq!((opened.ledger.incarnation(), &opened.entries[..]), (7, &[entry(1)][..]));
    drop(opened);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.lines().next().is_some_and(|header| header.contains("\"format\":2")), "{text}");
    assert_eq!(open(dir.path()).entries, [entry(1)]);
}

#[test]
fn an_entry_of_a_later_version_is_an_error_and_not_passed_over() {
    let (dir, path) = written(&[&[entry(1)]]);
    let mut bytes = std::fs::read(&path).unwrap();
    line::write(&mut bytes, 0, &serde_json::json!({"entry": "drained"})).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    let error = Ledger::open(dir.path()).unwrap_err();
    assert!(matches!(error, LedgerError::Entry { line: 3, .. }), "{error}");
}

#[test]
fn a_rewritten_ledger_says_what_it_was_given_and_goes_on() {
    let (dir, path) = written(&[&[entry(1)]]);
    let mut ledger = open(dir.path()).ledger;
    let incarnation = ledger.incarnation();
    ledger.append(&vec![entry(5); 4000], Durable::Now).unwrap();
    assert!(ledger.is_grown());

    ledger.rewrite(&[entry(5)]).unwrap();
    assert!(!ledger.is_grown());
    ledger.append(&[entry(6)], Durable::Now).unwrap();
    drop(ledger);

    let opened = open(dir.path());
    assert_eq!(opened.entries, [entry(5), entry(6)]);
    assert_eq!(opened.ledger.incarnation(), incarnation);
    assert!(std::fs::metadata(path).unwrap().len() < 300, "an idle agent's ledger is small");
}

#[test]
fn a_half_made_rewrite_is_swept_away() {
    let (dir, _path) = written(&[&[entry(1)]]);
    std::fs::write(dir.path().join(NEW_FILE), "half").unwrap();
    let mut opened = open(dir.path());
    assert_eq!(opened.entries, [entry(1)]);
    opened.ledger.rewrite(&[entry(2)]).unwrap();
    drop(opened);
    assert_eq!(open(dir.path()).entries, [entry(2)]);
}

#[test]
fn a_full_disk_leaves_no_half_lines_once_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let disk = BadDisk::default();
    let mut ledger = disk.ledger(dir.path());
    ledger.append(&[entry(1)], Durable::Now).unwrap();
    let before = disk.text();

    disk.set_room(Some(20));
    let error = ledger.append(&[entry(2)], Durable::Now).unwrap_err();
    assert!(matches!(error, LedgerError::Io { doing: "writing", .. }), "{error}");
    assert_eq!(disk.text().len(), before.len() + 20);
    disk.set_room(None);
    ledger.append(&[entry(2)], Durable::Now).unwrap();

    assert_eq!(disk.text().lines().count(), 2, "{}", disk.text());
    assert!(disk.text().lines().all(|line| line::read(line.as_bytes()).is_some()));
}

#[test]
fn after_a_failed_sync_everything_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let disk = BadDisk::default();
    let mut ledger = disk.ledger(dir.path());
    disk.0.lock().unwrap().syncs_fail = true;
    ledger.append(&[entry(1)], Durable::Now).unwrap_err();
    ledger.append(&[entry(1)], Durable::Now).unwrap_err();
    disk.0.lock().unwrap().syncs_fail = false;
    ledger.append(&[entry(1)], Durable::Now).unwrap();
    assert_eq!(disk.text().lines().count(), 1);
}

#[test]
fn what_may_become_durable_later_does_so_with_the_next_that_must() {
    let dir = tempfile::tempdir().unwrap();
    let disk = BadDisk::default();
    let mut ledger = disk.ledger(dir.path());
    let acknowledged = Entry::Acknowledged { sequence: 1 };
    ledger.append(std::slice::from_ref(&acknowledged), Durable::WithTheNext).unwrap();
    assert_eq!((disk.text().lines().count(), disk.0.lock().unwrap().syncs), (0, 0));

    // A sync that fails takes nothing with it.
    disk.0.lock().unwrap().syncs_fail = true;
    ledger.append(&[], Durable::Now).unwrap_err();
    disk.0.lock().unwrap().syncs_fail = false;
    ledger.append(&[entry(2)], Durable::Now).unwrap();
    assert_eq!(disk.text().lines().count(), 2);

    let syncs = disk.0.lock().unwrap().syncs;
    ledger.append(&[], Durable::Now).unwrap();
    assert_eq!(disk.0.lock().unwrap().syncs, syncs, "there was nothing to sync");
    for _ in 0..2000 {
        ledger.append(std::slice::from_ref(&acknowledged), Durable::WithTheNext).unwrap();
    }
    assert!(disk.0.lock().unwrap().syncs > syncs, "what is not durable grows without bound");
}

#[test]
fn a_second_agent_is_kept_out_of_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    let error = Ledger::open(dir.path()).unwrap_err();
    assert!(matches!(error, LedgerError::Locked { .. }), "{error}");
    drop(first);
    open(dir.path());
}

#[test]
fn the_ledger_is_its_owners_alone() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("new/agent");
    drop(open(&data_dir));
    assert_eq!(std::fs::metadata(&data_dir).unwrap().mode() & 0o777, 0o700);
    assert_eq!(std::fs::metadata(data_dir.join(FILE)).unwrap().mode() & 0o777, 0o600);

    let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(&data_dir, open_to_all).unwrap();
    let error = Ledger::open(&data_dir).unwrap_err();
    assert!(matches!(error, LedgerError::Exposed { .. }), "{error}");
}
