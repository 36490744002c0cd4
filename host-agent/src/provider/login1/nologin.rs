//! /run/nologin, whose text PAM shows to people who may not log on: set and taken away only where it is Curfew's own,
//! and never half written. Its last line says whose it is.

use super::ids::Outside;
use super::root::{Owner, Root, reopen};
use super::{machine::since_boot, printable};
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// The last line of one that is Curfew's.
pub(super) const OURS: &str = "-- curfew";
const NAME: &str = "nologin";
/// What is being put in its place, or was just taken from it; beside it, since only then a rename is one step.
const ASIDE: &str = ".nologin.curfew";

/// Longest text from an order.
const TEXT_MAX: usize = 2048;
/// Most of somebody's file that is read to find its last line. A longer one is not Curfew's.
const READ_MAX: u64 = 16 * 1024;
/// Where PAM's services are, and most of them that are looked at.
const PAM: [&str; 3] = ["etc/pam.d", "usr/lib/pam.d", "usr/etc/pam.d"];
const SERVICES_MAX: usize = 1000;
/// How often somebody else may come in between before it is left to the next attempt.
const ATTEMPTS: u32 = 3;

/// What is in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Ours,
    SomebodyElses,
}

/// Whether new logons are refused, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// They are not.
    Absent,
    /// By Curfew's file.
    Ours,
    /// By somebody else's, which was left as it is.
    SomebodyElses,
}

/// What the file says: `until` when, and the order's text.
pub(super) fn saying(until: &str, text: &str) -> String {
    let text = printable(text, TEXT_MAX);
    let line = if text.is_empty() { String::new() } else { format!("{text}\n") };
    format!("New logons are refused until {until}.\n{line}{OURS}\n")
}

/// Whether anything in the machine heeds the file: some service of its PAM has `pam_nologin`.
pub(super) fn is_heeded(root: &Root) -> bool {
    let services = PAM.iter().filter_map(|folder| {
        let folder_is = root.open(folder, OFlags::RDONLY | OFlags::DIRECTORY).ok()?;
        let entries = Dir::read_from(folder_is).ok()?.take(SERVICES_MAX);
        let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str().ok().map(str::to_owned));
        Some(names.map(|name| format!("{folder}/{name}")).collect::<Vec<_>>())
    });
    services.flatten().any(|path| {
        let content = root.read(&path, READ_MAX).unwrap_or_default();
        String::from_utf8_lossy(&content).contains("pam_nologin")
    })
}

/// Puts a file with this content in place, unless somebody else's is there, or `deadline` has come.
pub(super) fn set(root: &Root, content: &str, deadline: Duration) -> io::Result<Standing> {
    let run = Run::open(root)?;
    for _ in 0..ATTEMPTS {
        let found = run.look(NAME)?;
        if found == Found::SomebodyElses {
            return Ok(Standing::SomebodyElses);
        }
        run.write_aside(content)?;
        if since_boot() >= deadline {
            run.remove_aside()?;
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the time was over"));
        }
        let in_place = match found {
            Found::Ours => run.exchange()?,
            _ => run.link()?,
        };
        run.remove_aside()?;
        if in_place {
            return Ok(Standing::Ours);
        }
    }
    Err(io::Error::other("somebody else changes it all the time"))
}

/// Takes it away if it is Curfew's.
pub(super) fn lift(root: &Root) -> io::Result<Standing> {
    let run = Run::open(root)?;
    for _ in 0..ATTEMPTS {
        match run.look(NAME)? {
            Found::Nothing => return Ok(standing_of_the_other(root)),
            Found::SomebodyElses => return Ok(Standing::SomebodyElses),
            Found::Ours => {}
        }
        run.take_aside()?;
        let was = run.look(ASIDE)?;
        if was == Found::SomebodyElses {
            // Theirs came in between: back, unless a third one is there by now.
            run.link()?;
        }
        run.remove_aside()?;
    }
    Err(io::Error::other("somebody else changes it all the time"))
}

/// PAM looks at this one as well, and Curfew never makes it.
fn standing_of_the_other(root: &Root) -> Standing {
    match root.open("etc/nologin", OFlags::PATH) {
        Ok(_) => Standing::SomebodyElses,
        Err(_) => Standing::Absent,
    }
}

/// The machine's /run.
struct Run(rustix::fd::OwnedFd);

impl Run {
    /// Opens it, and lets this thread act as the machine's root from now on: whatever it makes belongs to him.
    fn open(root: &Root) -> io::Result<Run> {
        let dir = root.open("run", OFlags::PATH | OFlags::DIRECTORY)?;
        if let Owner::Container { ids, .. } = root.owner() {
            let none = || io::Error::other("the container's user namespace maps no root");
            ids.outside(0).ok_or_else(none).and_then(Outside::become_on_this_thread)?;
        }
        Ok(Run(dir))
    }

    fn dir(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    fn look(&self, name: &str) -> io::Result<Found> {
        let place = match fs::openat(
            self.dir(),
            name,
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        ) {
            Err(Errno::NOENT) => return Ok(Found::Nothing),
            place => place?,
        };
        if FileType::from_raw_mode(fs::fstat(&place)?.st_mode) != FileType::RegularFile {
            return Ok(Found::SomebodyElses);
        }
        // Not readable for us is not ours.
        let Ok(file) = reopen(&place, OFlags::RDONLY | OFlags::NONBLOCK) else {
            return Ok(Found::SomebodyElses);
        };
        let mut content = Vec::new();
        File::from(file).take(READ_MAX + 1).read_to_end(&mut content)?;
        let is_whole = u64::try_from(content.len()).is_ok_and(|length| length <= READ_MAX);
        let content = String::from_utf8_lossy(&content);
        let is_ours = is_whole && content.lines().next_back() == Some(OURS);
        Ok(if is_ours { Found::Ours } else { Found::SomebodyElses })
    }

    fn write_aside(&self, content: &str) -> io::Result<()> {
        self.remove_aside()?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::openat(self.dir(), ASIDE, flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = File::from(file);
        file.write_all(content.as_bytes())?;
        // Whatever the umask: whoever logs on reads it.
        fs::fchmod(&file, Mode::from_raw_mode(0o644))?;
        Ok(())
    }

    /// Puts the new file where nothing is. Not done where something is by now.
    fn link(&self) -> io::Result<bool> {
        match fs::linkat(self.dir(), ASIDE, self.dir(), NAME, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Swaps the new file with the old one. Taken back where the old one is not Curfew's any more.
    fn exchange(&self) -> io::Result<bool> {
        match fs::renameat_with(self.dir(), ASIDE, self.dir(), NAME, RenameFlags::EXCHANGE) {
            Err(Errno::NOENT) => return Ok(false),
            exchanged => exchanged?,
        }
        if self.look(ASIDE)? == Found::Ours {
            return Ok(true);
        }
        fs::renameat_with(self.dir(), ASIDE, self.dir(), NAME, RenameFlags::EXCHANGE)?;
        Ok(false)
    }

    fn take_aside(&self) -> io::Result<()> {
        self.remove_aside()?;
        match fs::renameat_with(self.dir(), NAME, self.dir(), ASIDE, RenameFlags::NOREPLACE) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn remove_aside(&self) -> io::Result<()> {
        match fs::unlinkat(self.dir(), ASIDE, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests;
