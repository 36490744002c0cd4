//! What the agent's own /proc tells of processes: when they began and which namespaces they are in.

use std::io;
use std::path::PathBuf;

/// When a process began, in clock ticks since the machine started: field 22 of its stat, 20 after the name's bracket.
/// Together with the process id it is one process only.
///
/// # Errors
/// When there is no such process.
pub(in crate::provider) fn began(pid: u32) -> io::Result<u64> {
    // Not every name is UTF-8.
    let stat = std::fs::read(format!("/proc/{pid}/stat"))?;
    let stat = String::from_utf8_lossy(&stat);
    let fields = stat.rsplit_once(") ").map(|(_, fields)| fields);
    let began = fields.and_then(|fields| fields.split(' ').nth(19)).and_then(|field| field.parse().ok());
    began.ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat has no field 22")))
}

/// Which boot of a machine it is whose first process is `pid`: the kernel's boot id, and when that process began, since
/// containers share the kernel.
///
/// # Errors
/// When /proc does not tell.
pub(in crate::provider) fn boot(pid: u32) -> io::Result<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(format!("{}:{}", id.trim(), began(pid)?))
}

/// Which namespace of this kind (`pid`, `mnt`) a process is in; equal only for those that share it.
///
/// # Errors
/// When there is no such process, or the agent may not look at it.
pub(in crate::provider) fn namespace(process: &str, kind: &str) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/{process}/ns/{kind}"))
}

/// Whether an error of a file in /proc says that the process has ended.
pub(in crate::provider) fn is_gone(error: &io::Error) -> bool {
    // ESRCH is the answer of files of a process that has just ended.
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}
