//! The file system of a machine as its first process sees it, and jobs in it. In a container every path is resolved
//! below the container's own root, whatever links it holds, and a file that hangs costs one thread, not the agent.

use super::ids::Ids;
use rustix::fs::{self, CWD, FileType, Mode, OFlags, ResolveFlags};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{Semaphore, oneshot};

/// cgroup2's and cgroup v1's magic numbers: a file there is the kernel's, whoever the file system belongs to.
const CGROUPS: [u64; 2] = [0x6367_7270, 0x0027_e0eb];

/// Whose files these are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::provider) enum Owner {
    /// The machine that the agent runs on: its files are as trustworthy as the agent's own.
    Host,
    /// Somebody who may mean harm.
    Container {
        /// Who the container's users are out here.
        ids: Ids,
        /// Which pid namespace its processes are in, as /proc names it.
        pids: PathBuf,
    },
}

/// A machine's root directory. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::provider) struct Root(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: OwnedFd,
    owner: Owner,
    /// One job at a time in one machine: what hangs there keeps only its own machine's later jobs waiting.
    turn: Arc<Semaphore>,
}

impl Root {
    /// The machine that the agent runs on: what its first process sees, so that nothing that the agent's own service
    /// unit hides or makes read-only is missing; without the right to that, what the agent itself sees.
    ///
    /// # Errors
    /// When neither can be opened.
    pub(in crate::provider) fn of_host() -> io::Result<Root> {
        let dir = open_dir(Path::new("/proc/1/root")).or_else(|_| open_dir(Path::new("/")))?;
        Ok(Root::over(dir, Owner::Host, Arc::new(Semaphore::new(1))))
    }

    pub(in crate::provider) fn over(dir: OwnedFd, owner: Owner, turn: Arc<Semaphore>) -> Root {
        Root(Arc::new(Inner { dir, owner, turn }))
    }

    /// Whose files these are.
    pub(super) fn owner(&self) -> &Owner {
        &self.0.owner
    }

    /// Whether somebody who may mean harm wrote these files.
    pub(super) fn is_foreign(&self) -> bool {
        self.0.owner != Owner::Host
    }

    /// Opens what is at this path below the root. Nothing in the path leads out of it.
    ///
    /// # Errors
    /// The kernel's. ENOSYS in a container where the kernel is older than 5.6: without openat2 nothing is opened.
    pub(super) fn open(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match fs::openat2(&self.0.dir, path, flags, Mode::empty(), inside) {
            Err(rustix::io::Errno::NOSYS) if !self.is_foreign() => {
                Ok(fs::openat(&self.0.dir, path, flags, Mode::empty())?)
            }
            opened => Ok(opened?),
        }
    }

    /// What is in the regular file at this path, at most `max` bytes of it. Nothing else is ever opened for reading.
    ///
    /// # Errors
    /// As for [`Root::open`], and where something else is at that path.
    pub(super) fn read(&self, path: &str, max: u64) -> io::Result<Vec<u8>> {
        let place = self.open(path, OFlags::PATH)?;
        if FileType::from_raw_mode(fs::fstat(&place)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut content = Vec::new();
        let file = reopen(&place, OFlags::RDONLY | OFlags::NONBLOCK)?;
        std::fs::File::from(file).take(max).read_to_end(&mut content)?;
        Ok(content)
    }

    /// The control group's list of processes, at most `max` bytes of it.
    pub(super) fn read_cgroup(&self, path: &str, max: u64) -> io::Result<String> {
        let file = self.open(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
        if self.is_foreign() {
            let kind = u64::try_from(fs::fstatfs(&file)?.f_type).unwrap_or(0);
            if !CGROUPS.contains(&kind) {
                return Err(io::Error::other("it is not a control group's file"));
            }
        }
        let mut text = String::new();
        std::fs::File::from(file).take(max).read_to_string(&mut text)?;
        Ok(text)
    }

    /// Runs a job that touches the machine's files, on a thread of its own, and waits for it.
    ///
    /// # Errors
    /// The job's; and where a thread cannot be had.
    pub(super) async fn work<T, J>(&self, job: J) -> io::Result<T>
    where
        T: Send + 'static,
        J: FnOnce(&Root) -> io::Result<T> + Send + 'static,
    {
        // Closed by nobody.
        let turn = Arc::clone(&self.0.turn).acquire_owned().await.map_err(io::Error::other)?;
        let (done_tx, done_rx) = oneshot::channel();
        let root = self.clone();
        std::thread::Builder::new().name("curfew-files".into()).spawn(move || {
            // Whoever asked may have given up waiting.
            let _ = done_tx.send(job(&root));
            drop(turn);
        })?;
        done_rx.await.map_err(|_| io::Error::other("the job ended without a result"))?
    }
}

/// Opens a directory as a place to begin paths at.
pub(in crate::provider) fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(fs::openat(CWD, path, flags, Mode::empty())?)
}

/// The path under which this process finds what a file descriptor of its own is open at.
pub(super) fn path_of(fd: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// Opens anew, with other flags, what is open already: nothing can have been put in its place.
pub(super) fn reopen(fd: &impl AsFd, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(fs::openat(CWD, path_of(fd.as_fd()), flags | OFlags::CLOEXEC, Mode::empty())?)
}
