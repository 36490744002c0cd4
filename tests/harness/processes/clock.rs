//! A wall clock of its own for a program, by way of libfaketime. The monotonic clocks stay the machine's: they are what
//! nobody can set.

use anyhow::Context as _;
use std::path::{Path, PathBuf};

/// A wall clock that a test sets, also while the program runs.
pub struct Clock {
    file: PathBuf,
    library: PathBuf,
}

impl Clock {
    /// A clock that is off by this much, as libfaketime writes it: `+6h`, `-2d`.
    ///
    /// # Errors
    /// When libfaketime is not installed.
    pub fn new(file: &Path, offset: &str) -> anyhow::Result<Clock> {
        let clock = Clock { file: file.to_owned(), library: library()? };
        clock.set(offset)?;
        Ok(clock)
    }

    /// Sets it; the program notices the next time it looks.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set(&self, offset: &str) -> anyhow::Result<()> {
        // Replaced, not rewritten: the program must never read half of it.
        let beside = self.file.with_extension("new");
        std::fs::write(&beside, offset)?;
        std::fs::rename(&beside, &self.file)?;
        Ok(())
    }

    /// What a program needs in its environment to live by it.
    pub fn environment(&self) -> Vec<(String, String)> {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .to_vec()
    }
}

fn library() -> anyhow::Result<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").context("reading /usr/lib")?;
    let candidates = folders.flatten().map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    candidates.into_iter().find(|path| path.exists()).context(
        "libfaketime is not installed: ./tests/run --install brings it along (Debian's package libfaketime)",
    )
}
