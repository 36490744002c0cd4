//! The file against every hand that may be at it, in a directory that stands for a machine's root.

use super::*;
use crate::provider::login1::root::{Root, open_dir};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Semaphore;

const CONTENT: &str = "New logons are refused until 2026-11-21 18:00 UTC.\nPatching\n-- curfew\n";
const NEVER: Duration = Duration::MAX;

struct Place {
    folder: tempfile::TempDir,
    root: Root,
}

fn place() -> Place {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("run")).expect("run");
    let dir = open_dir(folder.path()).expect("a root");
    Place { folder, root: Root::over(dir, Owner::Host, Arc::new(Semaphore::new(1))) }
}

impl Place {
    fn path(&self) -> PathBuf {
        self.folder.path().join("run/nologin")
    }

    fn put(&self, content: &str) {
        std::fs::write(self.path(), content).expect("written");
    }

    fn content(&self) -> String {
        std::fs::read_to_string(self.path()).expect("it is there")
    }

    /// What lies in /run.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path().join("run")).expect("run");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect()
    }
}

#[test]
fn it_says_until_when_and_why_and_whose_it_is() {
    assert_eq!(saying("2026-11-21 18:00 UTC", "Patching"), CONTENT);
    let bare = saying("2026-11-21 18:00 UTC", "");
    assert_eq!(bare, "New logons are refused until 2026-11-21 18:00 UTC.\n-- curfew\n");
    assert!(!saying("then", "a\n-- other\u{1b}[2J").contains("\n-- other"), "a text is one line");
}

#[test]
fn it_is_set_replaced_and_lifted_and_nothing_is_left_beside_it() {
    let place = place();
    assert_eq!(set(&place.root, CONTENT, NEVER).expect("set"), Standing::Ours);
    assert_eq!(place.content(), CONTENT);
    let later = CONTENT.replace("18:00", "19:00");
    assert_eq!(set(&place.root, &later, NEVER).expect("replaced"), Standing::Ours);
    assert_eq!((place.content(), place.names()), (later, vec!["nologin".to_owned()]));
    assert_eq!(lift(&place.root).expect("lifted"), Standing::Absent);
    assert!(place.names().is_empty());
    assert_eq!(lift(&place.root).expect("lifted twice"), Standing::Absent);
}

#[test]
fn everybody_can_read_it() {
    let place = place();
    set(&place.root, CONTENT, NEVER).expect("set");
    let mode = std::fs::metadata(place.path()).expect("it is there");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o644);
}

#[test]
fn somebody_elses_is_neither_replaced_nor_taken_away() {
    for theirs in ["", "down for repairs\n", "-- curfew\nbut not really\n", "x-- curfew\n"] {
        let place = place();
        place.put(theirs);
        assert_eq!(set(&place.root, CONTENT, NEVER).expect("left"), Standing::SomebodyElses);
        assert_eq!(lift(&place.root).expect("left"), Standing::SomebodyElses);
        assert_eq!((place.content().as_str(), place.names().len()), (theirs, 1));
    }
}

#[test]
fn a_link_or_a_folder_is_somebody_elses_whatever_it_leads_to() {
    let place = place();
    let target = place.folder.path().join("target");
    std::fs::write(&target, CONTENT).expect("written");
    symlink(&target, place.path()).expect("a link");
    assert_eq!(set(&place.root, "x", NEVER).expect("left"), Standing::SomebodyElses);
    assert_eq!(lift(&place.root).expect("left"), Standing::SomebodyElses);
    assert_eq!(std::fs::read_to_string(&target).expect("untouched"), CONTENT);
}

#[test]
fn one_that_came_in_between_is_put_back() {
    let place = place();
    set(&place.root, CONTENT, NEVER).expect("set");
    let run = Run::open(&place.root).expect("run");
    run.write_aside("new\n-- curfew\n").expect("written");
    place.put("theirs\n");
    assert!(!run.exchange().expect("exchanged back"));
    assert_eq!(place.content(), "theirs\n");
    run.remove_aside().expect("removed");
    run.take_aside().expect("taken");
    assert_eq!(run.look(ASIDE).expect("looked"), Found::SomebodyElses);
    assert!(run.link().expect("put back"));
    assert_eq!(place.content(), "theirs\n");
}

#[test]
fn what_a_crash_left_beside_it_is_in_nobodys_way() {
    let place = place();
    std::fs::write(place.folder.path().join("run").join(ASIDE), "half of").expect("written");
    assert_eq!(set(&place.root, CONTENT, NEVER).expect("set"), Standing::Ours);
    assert_eq!((place.content().as_str(), place.names().len()), (CONTENT, 1));
}

#[test]
fn after_the_deadline_nothing_is_set() {
    let place = place();
    let late = set(&place.root, CONTENT, Duration::ZERO).expect_err("too late");
    assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    assert!(place.names().is_empty());
}

#[test]
fn a_machine_whose_pam_does_not_look_at_it_is_not_drained() {
    let place = place();
    assert!(!is_heeded(&place.root));
    let pam = place.folder.path().join("etc/pam.d");
    std::fs::create_dir_all(&pam).expect("a folder");
    std::fs::write(pam.join("cron"), "session required pam_limits.so\n").expect("written");
    assert!(!is_heeded(&place.root));
    std::fs::write(pam.join("sshd"), "account required pam_nologin.so\n").expect("written");
    assert!(is_heeded(&place.root));
}

#[test]
fn another_file_that_pam_looks_at_is_somebody_elses() {
    let place = place();
    std::fs::create_dir(place.folder.path().join("etc")).expect("a folder");
    std::fs::write(place.folder.path().join("etc/nologin"), "closed").expect("written");
    set(&place.root, CONTENT, NEVER).expect("set");
    assert_eq!(lift(&place.root).expect("lifted"), Standing::SomebodyElses);
    assert!(place.names().is_empty());
}
