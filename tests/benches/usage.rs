//! What a process of the bench has used: its CPU time from its own clock, its memory from the kernel's accounts.

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// CPU and memory of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// CPU time of all its threads since it began, in nanoseconds.
    pub(crate) cpu_ns: u64,
    /// Resident memory, in bytes.
    pub(crate) resident: u64,
    /// The most that it ever was.
    pub(crate) peak: u64,
}

impl Usage {
    /// This process's.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(crate) fn now() -> anyhow::Result<Usage> {
        let status = std::fs::read_to_string("/proc/self/status").context("reading this process's status")?;
        let kib = |name: &str| -> anyhow::Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next()).context("a size")?;
            Ok(number.parse::<u64>()? * 1024)
        };
        Ok(Usage {
            cpu_ns: nanoseconds(ClockId::ProcessCPUTime),
            resident: kib("VmRSS:")?,
            peak: kib("VmHWM:")?,
        })
    }

    /// CPU seconds since an earlier look.
    pub(crate) fn cpu_since(self, before: Usage) -> f64 {
        self.cpu_ns.saturating_sub(before.cpu_ns) as f64 / 1e9
    }
}

/// The machine's monotonic clock, the same in every process.
pub(crate) fn monotonic_ns() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Lets this process open `wanted` files; beyond the hard limit that takes a right that not every root has.
///
/// # Errors
/// When the system does not allow it.
pub(crate) fn raise_file_limit(wanted: u64) -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let maximum = limit.maximum.map(|maximum| maximum.max(wanted));
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
        .with_context(|| format!("{wanted} open files are needed: raise the limit, or say --hosts with less"))
}
