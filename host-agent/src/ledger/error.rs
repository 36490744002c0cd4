//! Why a ledger cannot be used, in words that say what to do.

use super::FORMAT;
use std::io;
use std::path::PathBuf;

/// Why the ledger cannot be used. Each text says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// Something with a file did not work.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another agent has the directory.
    #[error(
        "another agent uses the data directory {}: stop it, or give this one a data_dir of its own",
        path.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// Others may write to the directory.
    #[error(
        "users other than its owner may write to the data directory {} (mode {mode:o}): they could replace the \
         ledger; run chmod go-w on it",
        path.display()
    )]
    Exposed {
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A line that was durable does not hold any more.
    #[error(
        "line {line} of {} is damaged and others follow, so it was not a crash that tore it: check the disk and \
         restore the file. If it is lost, move it away: the agent begins a new ledger, and the controller counts \
         what it had handed to the old one as unknown",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The file was written by another version.
    #[error(
        "{} has format {found}, and this agent reads formats up to {FORMAT}: run the version that wrote it",
        path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// An entry is whole but says nothing this build understands.
    #[error(
        "line {line} of {} is an entry that this version does not know: run the version that wrote it",
        path.display()
    )]
    Entry {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is not understood.
        source: serde_json::Error,
    },
}
