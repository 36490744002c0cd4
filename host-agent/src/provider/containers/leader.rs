//! The first process of a container: whether it is one, and the way to its files.

use crate::provider::Error;
use crate::provider::login1::ids::Ids;
use crate::provider::login1::machine::since_boot;
use crate::provider::login1::process;
use crate::provider::login1::root::{Owner, Root, open_dir};
use curfew_types::StatusCode;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Where cgroup2 is mounted: alone, or beside the old hierarchies.
const CGROUP2: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// A process that is the first one of its own pid namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leader {
    pid: u32,
    /// When it began: tells it from a later process with the same number.
    began: u64,
    /// Its pid namespace.
    pids: PathBuf,
}

/// Why a process is not one whose container can be asked.
#[derive(Debug)]
pub(super) enum WhyNot {
    /// There is no such process any more.
    Gone,
    /// It is not a container's first process; why.
    NoContainer(&'static str),
    /// The agent cannot look at it.
    Unseen(io::Error),
}

impl Leader {
    /// The process with this number, if it is the first one of a container: in a pid and a mount namespace other than the
    /// host's, so that a wrong number never leads to the host's own users.
    pub(super) fn of(pid: u32) -> Result<Leader, WhyNot> {
        let began = process::began(pid).map_err(WhyNot::of)?;
        let it = pid.to_string();
        let pids = process::namespace(&it, "pid").map_err(WhyNot::of)?;
        if pids == process::namespace("self", "pid").map_err(WhyNot::Unseen)? {
            return Err(WhyNot::NoContainer("it shares the host's processes"));
        }
        let mounts = process::namespace(&it, "mnt").map_err(WhyNot::of)?;
        // The agent's service unit may have given it mounts of its own.
        for of_host in ["self", "1"] {
            if process::namespace(of_host, "mnt").is_ok_and(|of_host| of_host == mounts) {
                return Err(WhyNot::NoContainer("it shares the host's file systems"));
            }
        }
        if number_inside(pid).map_err(WhyNot::of)? != Some(1) {
            return Err(WhyNot::NoContainer("it is not the container's first process"));
        }
        let leader = Leader { pid, began, pids };
        leader.check()?;
        Ok(leader)
    }

    /// The container's root directory. It stays this container's, whatever becomes of the process.
    pub(super) fn root(&self, turn: Arc<Semaphore>) -> Result<Root, WhyNot> {
        let read = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", self.pid)).map_err(WhyNot::of);
        let dir = open_dir(Path::new(&format!("/proc/{}/root", self.pid))).map_err(WhyNot::of)?;
        let ids = Ids::read(&read("uid_map")?, &read("gid_map")?);
        self.check()?;
        Ok(Root::over(dir, Owner::Container { ids, pids: self.pids.clone() }, turn))
    }

    /// Which boot of the container this is. Read outside it, where it cannot write.
    ///
    /// # Errors
    /// When /proc does not tell.
    pub(super) fn boot(&self) -> io::Result<String> {
        process::boot(self.pid)
    }

    /// How long it has been running.
    pub(super) fn age(&self) -> Duration {
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        since_boot().saturating_sub(Duration::from_millis(self.began.saturating_mul(1000) / ticks))
    }

    /// Whether every process of its control group is stopped where it is, as `systemctl freeze` and other managers do.
    pub(super) fn is_frozen(&self) -> bool {
        let groups = fs::read_to_string(format!("/proc/{}/cgroup", self.pid)).unwrap_or_default();
        let Some(group) = groups.lines().find_map(|line| line.strip_prefix("0::")) else { return false };
        CGROUP2.iter().any(|at| {
            let events = fs::read_to_string(format!("{at}{group}/cgroup.events")).unwrap_or_default();
            events.lines().any(|line| line == "frozen 1")
        })
    }

    /// Still the same process.
    fn check(&self) -> Result<(), WhyNot> {
        match process::began(self.pid).map_err(WhyNot::of)? {
            began if began == self.began => Ok(()),
            _ => Err(WhyNot::Gone),
        }
    }
}

impl WhyNot {
    fn of(error: io::Error) -> WhyNot {
        if process::is_gone(&error) { WhyNot::Gone } else { WhyNot::Unseen(error) }
    }

    /// As the answer to a request about the container with this name.
    pub(super) fn into_error(self, name: &str) -> Error {
        match self {
            WhyNot::Gone => Error::new(StatusCode::VmNotRunning, format!("container {name:?} does not run")),
            WhyNot::NoContainer(why) => {
                Error::unlistable(format!("the process given for container {name:?} is no container: {why}"))
            }
            WhyNot::Unseen(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let message =
                    format!("looking into container {name:?}: {error}; the agent has to run as root");
                Error::new(StatusCode::AccessDenied, message)
            }
            WhyNot::Unseen(error) => {
                Error::new(StatusCode::Unexpected, format!("looking into container {name:?}: {error}"))
            }
        }
    }
}

/// The process's number in its innermost pid namespace.
fn number_inside(pid: u32) -> io::Result<Option<u32>> {
    // A name that is not UTF-8 stands in the same file.
    let status = fs::read(format!("/proc/{pid}/status"))?;
    let status = String::from_utf8_lossy(&status);
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    Ok(numbers.and_then(|numbers| numbers.split_whitespace().next_back()?.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_the_host_is_never_taken_for_a_container() {
        for pid in [std::process::id(), 1] {
            let refused = Leader::of(pid).expect_err("not a container");
            assert!(!matches!(refused, WhyNot::Gone), "{refused:?}");
        }
    }

    #[test]
    fn a_process_that_is_gone_is_a_container_that_does_not_run() {
        let refused = Leader::of(u32::MAX).expect_err("gone").into_error("web");
        assert_eq!(refused.code, StatusCode::VmNotRunning);
    }
}
