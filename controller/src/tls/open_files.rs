//! The limit of open files: each agent is one, and the usual 1,024 would turn the fleet away.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Connections that fit below this are a small fleet: a lower limit is worth a line at the start.
const SMALL: u64 = 4096;

/// Raises this process's limit to the most it may have without privilege.
pub(super) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "cannot raise the limit of open files");
        }
    }
    // `None` is no limit.
    if let Some(files) = getrlimit(Resource::Nofile).current.filter(|files| *files < SMALL) {
        tracing::warn!(
            files,
            "few open files are allowed, and each agent needs one; raise LimitNOFILE (ulimit -n)"
        );
    }
}
