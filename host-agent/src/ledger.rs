//! The agent's ledger on disk: what it must not forget, appended, checksummed, durable before it is acted upon.
//!
//! Lines of JSON behind a checksum, each an entry or several that belong together, so that a person can read what an agent
//! had promised. The file is replaced by a shorter one that says the same when it has grown. Who owns the directory owns the ledger: a lock
//! on it keeps a second agent out. Deciding what to write is the core's.
//!
//! Writing and `fdatasync` block the calling thread, on purpose: a turn cannot go on before its entries are durable,
//! a hand-over to another thread would cost more than a small write on any disk that is fit for this, and ten
//! thousand agents in one process (on a memory file system) would otherwise need a thread each. The runtime of the
//! agent's own process has a second worker, which carries heartbeats on while a disk hangs.

mod error;
mod line;
mod medium;
mod read;

pub use error::LedgerError;

use crate::clock;
use crate::kill_point::{KillPoint, reach};
use curfew_agent_core::{Entry, ledger};
use medium::Medium;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The format that this build writes: since 2, a line may tell several entries together. It reads all before it, and a
/// ledger of an older one is rewritten before anything is appended.
const FORMAT: u32 = 2;
/// The oldest format that it reads.
const FORMAT_OLDEST: u32 = 1;
/// The file in the data directory.
const FILE: &str = "ledger";
/// What it is written to before it replaces the old one.
const NEW_FILE: &str = "ledger.new";
/// A ledger is not rewritten while it is smaller: a few thousand entries, read in some milliseconds.
const REWRITE_ABOVE: u64 = 1024 * 1024;
/// A ledger is rewritten when it has grown by this factor, so that each byte is copied a bounded number of times.
const REWRITE_FACTOR: u64 = 4;
/// The same for one that was just opened: what it has grown by is not known, and the first rewrite is cheap.
const REWRITE_FIRST_ABOVE: u64 = 64 * 1024;
/// Most bytes that are left to be written with a later turn: an order for a thousand guests. They are in memory only.
const LOOSE_MAX: usize = 64 * 1024;
/// What is kept of the memory for them, for the next ones.
const LOOSE_KEPT: usize = 4 * 1024;
/// A thread's place for rendering is given back above this: most turns need less.
const PLACE_MAX: usize = 64 * 1024;

thread_local! {
    /// Where a turn's lines are rendered: one place a thread, not one a ledger, and no new one each turn.
    static PLACE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// When entries must be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durable {
    /// Before anything else happens.
    Now,
    /// With the next ones that must be: losing them in a crash loses nothing. Until then they are in memory.
    WithTheNext,
}

/// The first line.
#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    incarnation: u64,
}

/// What a ledger held when it was opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) ledger: Ledger,
    pub(crate) entries: Vec<Entry>,
    /// Bytes that a crash had left at the end and that were cut off; 0 after a clean stop.
    pub(crate) torn: u64,
}

/// An open ledger. Locked until it is dropped.
pub(crate) struct Ledger {
    dir: PathBuf,
    /// Holds the lock, and makes a rename durable.
    dir_file: File,
    medium: Box<dyn Medium>,
    incarnation: u64,
    /// Where the durable part ends.
    durable: u64,
    /// What is to be written behind it, together with the next that must be durable.
    loose: Vec<u8>,
    /// How many lines that is.
    loose_lines: usize,
    /// The length above which it is rewritten.
    rewrite_above: u64,
    /// A write or a sync failed: what lies behind `durable` is cut off and written anew.
    has_failed: bool,
    /// A rename is not durable yet: nothing may be appended before it is, or a crash could bring the old file back.
    rename_pending: bool,
}

impl Ledger {
    /// Opens the ledger in this directory; makes both if there are none, and brings one of an older format up to this one.
    pub(crate) fn open(dir: &Path) -> Result<Opened, LedgerError> {
        let dir_file = open_dir(dir)?;
        let path = dir.join(FILE);
        let io = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| LedgerError::Io { doing, path, source }
        };
        match std::fs::remove_file(dir.join(NEW_FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io("removing", &dir.join(NEW_FILE))(error));
            }
            Ok(()) | Err(_) => {}
        }
        let file = match append_to(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ledger::create(dir, dir_file),
            opened => opened.map_err(io("opening", &path))?,
        };
        let bytes = std::fs::read(&path).map_err(io("reading", &path))?;
        let contents = read::contents(&path, &bytes)?;
        if contents.torn > 0 {
            file.set_len(contents.length).map_err(io("cutting a torn end off", &path))?;
        }
        // A process that was killed may have left lines, or a rename, that no disk has seen yet.
        file.sync_data().map_err(io("syncing", &path))?;
        dir_file.sync_all().map_err(io("syncing", dir))?;
        let mut ledger = Ledger::of(dir, dir_file, file, contents.incarnation, contents.length);
        if contents.format < FORMAT
            && let Err(error) = ledger.rewrite(&contents.entries)
        {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "the ledger could not be brought up to this version's format, and an older version may refuse what is added \
                 to it: free space on its disk; the next start tries again"
            );
        }
        Ok(Opened { ledger, entries: contents.entries, torn: contents.torn })
    }

    fn create(dir: &Path, dir_file: File) -> Result<Opened, LedgerError> {
        let incarnation = clock::random();
        let (file, length) = write_new(dir, incarnation, &[])?;
        rename_new(dir)?;
        let mut ledger = Ledger::of(dir, dir_file, file, incarnation, length);
        ledger.rename_pending = true;
        ledger.settle_rename()?;
        Ok(Opened { ledger, entries: Vec::new(), torn: 0 })
    }

    fn of(dir: &Path, dir_file: File, file: File, incarnation: u64, length: u64) -> Ledger {
        Ledger {
            dir: dir.into(),
            dir_file,
            medium: Box::new(file),
            incarnation,
            durable: length,
            loose: Vec::new(),
            loose_lines: 0,
            rewrite_above: REWRITE_FIRST_ABOVE,
            has_failed: false,
            rename_pending: false,
        }
    }

    /// The random name of this ledger, for as long as it lives.
    pub(crate) fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Appends one turn's entries and, unless `when` says otherwise, returns when they and all before are durable.
    /// After an error none of them counts, and the same call may be made again.
    pub(crate) fn append(&mut self, entries: &[Entry], when: Durable) -> Result<(), LedgerError> {
        if entries.is_empty() && (self.loose.is_empty() || when == Durable::WithTheNext) {
            return Ok(());
        }
        PLACE.with_borrow_mut(|place| {
            place.clear();
            place.extend_from_slice(&self.loose);
            let failed = |source| LedgerError::Io { doing: "writing", path: self.dir.join(FILE), source };
            let lines = write_lines(place, self.loose_lines, entries).map_err(failed)?;
            if when == Durable::Now || place.len() > LOOSE_MAX {
                self.write(place)?;
            } else {
                self.loose.extend_from_slice(&place[self.loose.len()..]);
                self.loose_lines += lines;
            }
            place.shrink_to(PLACE_MAX);
            Ok(())
        })
    }

    /// Writes these lines, which begin with the loose ones, behind what is there, and returns when they are durable.
    fn write(&mut self, bytes: &[u8]) -> Result<(), LedgerError> {
        self.settle_rename()?;
        let mut write = || {
            if self.has_failed {
                // Also after a failed sync: it may leave pages that count as clean and never reach the disk.
                self.medium.cut(self.durable)?;
            }
            self.medium.append(bytes)?;
            self.medium.sync()
        };
        match write() {
            Ok(()) => {
                self.has_failed = false;
                self.set_all_durable(self.durable + bytes.len() as u64);
                Ok(())
            }
            Err(source) => {
                self.has_failed = true;
                Err(LedgerError::Io { doing: "writing", path: self.dir.join(FILE), source })
            }
        }
    }

    fn set_all_durable(&mut self, length: u64) {
        self.durable = length;
        self.loose.clear();
        self.loose.shrink_to(LOOSE_KEPT);
        self.loose_lines = 0;
    }

    /// Whether the ledger has grown so much that it should be rewritten.
    pub(crate) fn is_grown(&self) -> bool {
        self.durable + self.loose.len() as u64 > self.rewrite_above
    }

    /// Replaces the ledger by one with these entries, which must say the same. After an error the old one stands.
    pub(crate) fn rewrite(&mut self, entries: &[Entry]) -> Result<(), LedgerError> {
        // Where it fails, the next try is due when the ledger has doubled.
        self.rewrite_above = REWRITE_ABOVE.max(self.durable.saturating_mul(2));
        let (file, length) = write_new(&self.dir, self.incarnation, entries)?;
        reach(KillPoint::BeforeRewriteRename);
        rename_new(&self.dir)?;
        reach(KillPoint::AfterRewriteRename);
        // From here on the old file has no name: nothing may go to it any more, whatever happens next.
        self.medium = Box::new(file);
        self.rename_pending = true;
        self.set_all_durable(length);
        self.has_failed = false;
        self.rewrite_above = REWRITE_ABOVE.max(length.saturating_mul(REWRITE_FACTOR));
        self.settle_rename()
    }

    fn settle_rename(&mut self) -> Result<(), LedgerError> {
        if self.rename_pending {
            let io = |source| LedgerError::Io { doing: "syncing", path: self.dir.clone(), source };
            self.dir_file.sync_all().map_err(io)?;
            self.rename_pending = false;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger")
            .field("dir", &self.dir)
            .field("durable", &self.durable)
            .finish_non_exhaustive()
    }
}

fn open_dir(dir: &Path) -> Result<File, LedgerError> {
    let io = |doing| move |source| LedgerError::Io { doing, path: dir.into(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io("creating"))?;
    let file = File::open(dir).map_err(io("opening"))?;
    let mode = file.metadata().map_err(io("examining"))?.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(LedgerError::Exposed { path: dir.into(), mode });
    }
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(LedgerError::Locked { path: dir.into() }),
        Err(error) => Err(io("locking")(error.into())),
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).open(path)
}

/// Writes a whole ledger beside the old one and makes it durable there.
fn write_new(dir: &Path, incarnation: u64, entries: &[Entry]) -> Result<(File, u64), LedgerError> {
    let path = dir.join(NEW_FILE);
    let write = || -> io::Result<(File, u64)> {
        let mut bytes = Vec::with_capacity(128 + entries.len() * 256);
        line::write(&mut bytes, 0, &Header { format: FORMAT, incarnation })?;
        write_lines(&mut bytes, 0, entries)?;
        let mut options = OpenOptions::new();
        let mut file = options.append(true).create_new(true).mode(0o600).open(&path)?;
        file.append(&bytes)?;
        file.sync_all()?;
        Ok((file, bytes.len() as u64))
    };
    write().map_err(|source| {
        // What is left of it would only be in the way.
        std::fs::remove_file(&path).ok();
        LedgerError::Io { doing: "writing", path: path.clone(), source }
    })
}

fn rename_new(dir: &Path) -> Result<(), LedgerError> {
    let (new, path) = (dir.join(NEW_FILE), dir.join(FILE));
    std::fs::rename(&new, &path).map_err(|source| LedgerError::Io { doing: "replacing", path, source })
}

/// Renders entries; `behind` lines before them are not durable yet. Returns how many lines they are.
fn write_lines(bytes: &mut Vec<u8>, behind: usize, entries: &[Entry]) -> io::Result<usize> {
    let mut lines = 0;
    for line in ledger::lines(entries) {
        line::write(bytes, behind + lines, &line)?;
        lines += 1;
    }
    Ok(lines)
}

#[cfg(test)]
pub(crate) mod tests;
