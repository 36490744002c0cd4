//! Who a container's users are outside it, and acting as one of them. It changes the credentials of a short-lived thread
//! only, never those of the agent.

use rustix::process::{Gid, Uid, getegid, geteuid};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};
use std::io;

/// The mapping of a user namespace, as seen from here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::provider) struct Ids {
    users: Vec<Range>,
    groups: Vec<Range>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    inside: u32,
    outside: u32,
    count: u32,
}

/// A user outside: what the kernel here knows him as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider) struct Outside {
    uid: u32,
    gid: u32,
}

impl Ids {
    /// Reads a process's `uid_map` and `gid_map`.
    pub(in crate::provider) fn read(uid_map: &str, gid_map: &str) -> Ids {
        Ids { users: ranges(uid_map), groups: ranges(gid_map) }
    }

    /// Who the user `uid`, in a group of the same number, is outside; nothing where the container has no such user.
    pub(super) fn outside(&self, uid: u32) -> Option<Outside> {
        let user = find(&self.users, uid)?;
        // A user's own group often has another number than he, and no permission here depends on it.
        let group = find(&self.groups, uid).or_else(|| find(&self.groups, 0))?;
        Some(Outside { uid: user, gid: group })
    }
}

impl Outside {
    /// The user of the same number, where there is no mapping.
    pub(super) fn plain(uid: u32) -> Outside {
        Outside { uid, gid: uid }
    }

    /// Lets the calling thread act as this user from now on. Only its effective ids change, so that nobody who has that uid
    /// may send signals to the thread, and through it to the agent.
    ///
    /// # Errors
    /// When the agent may not act as somebody else: it does not run as root.
    pub(super) fn become_on_this_thread(self) -> io::Result<()> {
        if self.uid == geteuid().as_raw() {
            return Ok(());
        }
        self.change_ids().map_err(|error| {
            let why = format!("acting as user {}: {error}; the agent has to run as root", self.uid);
            io::Error::new(io::Error::from(error).kind(), why)
        })
    }

    fn change_ids(self) -> rustix::io::Result<()> {
        if self.gid != getegid().as_raw() {
            set_thread_res_gid(None, Gid::from_raw(self.gid), None)?;
        }
        set_thread_res_uid(None, Uid::from_raw(self.uid), None)
    }
}

/// The lines `INSIDE OUTSIDE COUNT`. One that makes no sense maps nobody.
fn ranges(map: &str) -> Vec<Range> {
    let line = |line: &str| {
        let mut numbers = line.split_whitespace().map(|number| number.parse::<u32>().ok());
        let (inside, outside, count) = (numbers.next()??, numbers.next()??, numbers.next()??);
        Some(Range { inside, outside, count })
    };
    map.lines().filter_map(line).collect()
}

fn find(ranges: &[Range], id: u32) -> Option<u32> {
    ranges.iter().find_map(|range| {
        let offset = id.checked_sub(range.inside)?;
        if offset < range.count { range.outside.checked_add(offset) } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_containers_user_is_found_outside_it() {
        let ids = Ids::read("0 100000 65536\n", "0 100000 65536\n");
        assert_eq!(ids.outside(0), Some(Outside { uid: 100_000, gid: 100_000 }));
        assert_eq!(ids.outside(1000), Some(Outside { uid: 101_000, gid: 101_000 }));
        assert_eq!(ids.outside(65_536), None);
    }

    #[test]
    fn without_a_user_namespace_everybody_is_himself() {
        let ids = Ids::read("         0          0 4294967295\n", "         0          0 4294967295\n");
        assert_eq!(ids.outside(0), Some(Outside::plain(0)));
        assert_eq!(ids.outside(1000), Some(Outside::plain(1000)));
    }

    #[test]
    fn a_container_without_a_root_has_nobody_to_act_as() {
        assert_eq!(Ids::read("1000 100000 1\n", "0 0 1\n").outside(0), None);
        assert_eq!(Ids::read("nonsense\n", "").outside(0), None);
    }
}
