//! What a ledger is written to. A trait, so that tests can let a disk fill up or fail; no decision is made here.

use std::fs::File;
use std::io::{self, Write};

/// A file that grows at its end.
pub(super) trait Medium: Send {
    /// Writes at the end. After an error any part of it may have been written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns when everything written is durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the end off.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

/// Opened for appending.
impl Medium for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}
