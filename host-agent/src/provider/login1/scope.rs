//! The processes of a session: those in the control group of its systemd scope. Names and terminals come from the
//! agent's own /proc, which no container can write to.

use super::bus::{Failure, Object};
use super::root::Root;
use super::systemd;
use std::fs;
use zbus::{Connection, Variant};

/// Most names of one session's processes: enough to see what holds it.
const NAMES_MAX: usize = 8;
/// Longest name: the kernel keeps 15 bytes, each of which may be shown as a replacement character.
const NAME_MAX: usize = 45;
/// Most processes of one session that are looked at.
const PROCESSES_MAX: usize = 1024;
/// Most bytes of a control group's list: what that many process ids take.
const LIST_MAX: u64 = 8 * PROCESSES_MAX as u64;

/// Most terminals of one session that are told something.
const TERMINALS_MAX: usize = 16;

/// Where the control groups that systemd makes can be: with one hierarchy, with the old ones, and with both.
const HIERARCHIES: [&str; 3] = ["sys/fs/cgroup", "sys/fs/cgroup/systemd", "sys/fs/cgroup/unified"];

/// Major number of the terminals of windows and network logons; their number counts from 0.
const PTS: u32 = 136;
/// Major number of the machine's screens and, from [`SERIAL`] on, its serial lines.
const TTY: u32 = 4;
const SERIAL: u32 = 64;

/// A process, by its number where the agent runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process(u32);

/// The processes in a scope, some of them if they are very many; none where it is gone.
pub(super) async fn processes(bus: &Connection, root: &Root, scope: &str) -> Result<Vec<Process>, Failure> {
    if scope.is_empty() {
        return Ok(Vec::new());
    }
    let path = systemd::unit_path(scope);
    let unit = Object { service: systemd::SERVICE, path: &path, interface: "org.freedesktop.systemd1.Scope" };
    let group = match unit.property(bus, "ControlGroup").await.as_deref() {
        Ok(Variant::Str(group)) => group.as_str().to_owned(),
        Ok(_) | Err(Failure::Gone | Failure::NothingLeft) => return Ok(Vec::new()),
        Err(failure) => return Err(failure.clone()),
    };
    if group.is_empty() {
        return Ok(Vec::new());
    }
    let listed = root.work(move |root| {
        let lists = HIERARCHIES.iter().map(|at| format!("{at}{group}/cgroup.procs"));
        let mut found = lists.filter_map(|path| root.read_cgroup(&path, LIST_MAX).ok());
        Ok(found.next().unwrap_or_default())
    });
    let listed = listed.await.map_err(|error| Failure::Other(error.to_string()))?;
    // 0 is a process that the agent cannot see.
    let numbers = listed.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid != 0);
    Ok(numbers.take(PROCESSES_MAX).map(Process).collect())
}

/// Their names, each once.
pub(super) fn names(processes: &[Process]) -> Vec<String> {
    let mut names = Vec::new();
    for process in processes {
        let Ok(name) = fs::read(format!("/proc/{}/comm", process.0)) else { continue };
        let name = super::printable(String::from_utf8_lossy(&name).trim_end_matches('\n'), NAME_MAX);
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
        if names.len() == NAMES_MAX {
            break;
        }
    }
    names
}

/// The terminals that they take their input from, below /dev, each once, some of them if they are very many.
pub(super) fn terminals(processes: &[Process]) -> Vec<String> {
    let mut terminals = Vec::new();
    for process in processes {
        let stat = fs::read(format!("/proc/{}/stat", process.0)).unwrap_or_default();
        let terminal = terminal_in(&String::from_utf8_lossy(&stat));
        if let Some(terminal) = terminal.filter(|terminal| !terminals.contains(terminal)) {
            terminals.push(terminal);
        }
        if terminals.len() == TERMINALS_MAX {
            break;
        }
    }
    terminals
}

/// Field 7 of a process's stat: the device number of its terminal, or 0.
fn terminal_in(stat: &str) -> Option<String> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let device: u32 = fields.split(' ').nth(4)?.parse().ok()?;
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xf_ff00));
    match (major, minor) {
        (PTS, number) => Some(format!("pts/{number}")),
        (TTY, 0) => None,
        (TTY, number) if number < SERIAL => Some(format!("tty{number}")),
        (TTY, number) => Some(format!("ttyS{}", number - SERIAL)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processs_terminal_is_read_from_its_device_number() {
        let of = |device: u32| terminal_in(&format!("12 (a) b) c) S 1 12 12 {device} 12 4194304 0"));
        assert_eq!(of(0), None);
        assert_eq!(of(136 << 8 | 3), Some("pts/3".into()));
        assert_eq!(of(136 << 8 | 300 & 0xff | (300 & 0xf_ff00) << 12), Some("pts/300".into()));
        assert_eq!(of(4 << 8 | 2), Some("tty2".into()));
        assert_eq!(of(4 << 8 | 65), Some("ttyS1".into()));
        assert_eq!(of(5 << 8), None);
    }

    #[test]
    fn this_process_has_a_name_and_one_that_is_gone_has_none() {
        let this = Process(std::process::id());
        assert_eq!(names(&[this, this, Process(u32::MAX)]).len(), 1);
    }
}
