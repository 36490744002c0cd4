//! A stand-in for `virsh`, for tests: a script of the test's own, which finds in `$1` the command and in `$2`, ... its
//! arguments.

use super::LibvirtConfig;
use std::os::unix::fs::PermissionsExt;

/// A program that is there until it is dropped.
pub(super) struct FakeVirsh {
    folder: tempfile::TempDir,
}

impl FakeVirsh {
    pub(super) fn new(script: &str) -> FakeVirsh {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("virsh");
        let check = "[ \"$1 $2 $3 $LC_ALL\" = '--quiet --connect test:///x C' ] || exit 99; shift 3";
        let here = folder.path().display();
        std::fs::write(&path, format!("#!/bin/sh\n{check}\nhere={here}\n{script}\n")).expect("a script");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
        FakeVirsh { folder }
    }

    pub(super) fn config(&self) -> LibvirtConfig {
        LibvirtConfig { uri: "test:///x".into(), virsh: self.folder.path().join("virsh") }
    }

    /// A file that the script wrote into `$here`.
    pub(super) fn written(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}
