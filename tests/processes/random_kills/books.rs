//! What a host's own books tell: the agent's ledger, read on while it grows and is replaced, and the guests' record of
//! whom they ended.

use super::watch::{Watched, outcome};
use anyhow::{Context as _, ensure};
use curfew_agent_core::{Entry, ledger};
use curfew_tests::guests::until;
use curfew_types::{GuestId, SessionKey, TaskId, Verdict};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

/// How long after the last operation a drain may still be in force: the longest one asked for, and a dial.
const LIFTED_WITHIN: Duration = Duration::from_secs(60);

/// The books of one host.
pub(super) struct HostBooks {
    ledger: PathBuf,
    state: PathBuf,
    logons: PathBuf,
    /// The ledger's file as it was last seen. A rewrite puts another in its place; this one is read to its end then.
    open: Option<Reader>,
    guests: BTreeMap<TaskId, GuestId>,
    /// The targets of each act moment.
    acted: BTreeMap<TaskId, BTreeSet<String>>,
    outcomes: BTreeMap<TaskId, Verdict>,
}

struct Reader {
    file: File,
    inode: u64,
    /// Where the last whole line ends. What comes after it a crash may have torn, and the next process cuts it off.
    read: u64,
}

impl HostBooks {
    pub(super) fn new(ledger: PathBuf, state: PathBuf, logons: PathBuf) -> HostBooks {
        HostBooks {
            ledger,
            state,
            logons,
            open: None,
            guests: BTreeMap::new(),
            acted: BTreeMap::new(),
            outcomes: BTreeMap::new(),
        }
    }

    /// Reads on. Somebody logs on to every guest whose act moment is new: after it, whatever comes.
    pub(super) fn read(&mut self) -> anyhow::Result<()> {
        let file = File::open(&self.ledger).with_context(|| self.ledger.display().to_string())?;
        let inode = file.metadata()?.ino();
        let mut entries = Vec::new();
        if let Some(reader) = &mut self.open {
            reader.read_on(&mut entries)?;
        }
        if self.open.as_ref().is_none_or(|reader| reader.inode != inode) {
            let reader = self.open.insert(Reader { file, inode, read: 0 });
            reader.read_on(&mut entries)?;
        }
        for entry in entries {
            self.take(entry)?;
        }
        Ok(())
    }

    fn take(&mut self, entry: Entry) -> anyhow::Result<()> {
        match entry {
            Entry::Accepted { operation, tasks, .. } => {
                for task in tasks {
                    self.guests.insert(TaskId { operation, index: task.index }, task.guest);
                }
            }
            Entry::Acting { operation, index, targets, .. } => {
                let id = TaskId { operation, index };
                let latecomer = latecomer(id);
                ensure!(
                    targets.iter().all(|target| target.user != latecomer),
                    "{latecomer} logged on after the act moment of {id} and became its target"
                );
                let targets: BTreeSet<String> = targets.iter().map(|target| name(&target.session)).collect();
                match self.acted.get(&id) {
                    Some(before) => ensure!(*before == targets, "the targets of {id} changed"),
                    None => {
                        self.acted.insert(id, targets);
                        self.log_on(id, &latecomer)?;
                    }
                }
            }
            // Under a drain, whoever got in after the act moment goes, too; that is written down first.
            Entry::Added { operation, index, targets } => {
                let id = TaskId { operation, index };
                let acted = self.acted.get_mut(&id).with_context(|| format!("{id} has not acted"))?;
                acted.extend(targets.iter().map(|target| name(&target.session)));
            }
            Entry::Finished { operation, index, verdict, .. } => {
                let id = TaskId { operation, index };
                let first = self.outcomes.entry(id).or_insert_with(|| verdict.as_ref().clone());
                ensure!(*first == *verdict, "the outcome of {id} in the ledger changed to {verdict:?}");
            }
            _ => {}
        }
        Ok(())
    }

    fn log_on(&self, task: TaskId, user: &str) -> anyhow::Result<()> {
        let guest = self.guests.get(&task).with_context(|| format!("{task} was not accepted"))?;
        let guest = guest.as_str().rsplit('/').next().unwrap_or_default();
        let mut file = std::fs::OpenOptions::new().append(true).open(&self.logons)?;
        Ok(file.write_all(format!("{}\n", serde_json::json!({ "guest": guest, "user": user })).as_bytes())?)
    }

    /// How many sessions were ended.
    pub(super) fn ended(&self) -> usize {
        self.record().map_or(0, |ended| ended.len())
    }

    /// Every session that was ended, as the guests wrote it down.
    pub(super) fn record(&self) -> anyhow::Result<Vec<Value>> {
        let state: Value = serde_json::from_str(&std::fs::read_to_string(&self.state)?)?;
        state["ended"].as_array().cloned().context("the guests' own record")
    }

    /// Nobody was ended who was no task's target at its act moment, and nobody twice.
    pub(super) fn check_sessions(&self) -> anyhow::Result<()> {
        let mut seen = HashSet::new();
        for ended in self.record()? {
            let key: SessionKey = serde_json::from_value(ended["key"].clone())?;
            let session = name(&key);
            ensure!(seen.insert(session.clone()), "a session was ended twice: {ended}");
            let is_target = self.acted.values().any(|targets| targets.contains(&session));
            ensure!(is_target, "a session was ended that was no task's target: {ended}");
        }
        Ok(())
    }

    /// Every guest takes logons again, now that all drains are over.
    pub(super) async fn wait_for_logons(&self) -> anyhow::Result<()> {
        let taken = || async {
            let state: Value = serde_json::from_str(&std::fs::read_to_string(&self.state)?)?;
            let guests = state["guests"].as_object().context("guests")?;
            let closed: Vec<&String> =
                guests.iter().filter(|(_, guest)| !guest["drain"].is_null()).map(|(name, _)| name).collect();
            ensure!(closed.is_empty(), "these guests still refuse logons: {closed:?}");
            Ok(())
        };
        until("guests take logons again", LIFTED_WITHIN, taken).await
    }

    /// The controller's outcomes are those of the ledger, with the same counts.
    pub(super) fn check_outcomes(&self, watched: &Watched) -> anyhow::Result<()> {
        for (task, verdict) in &self.outcomes {
            let stored = watched.get(*task).with_context(|| format!("nobody knows {task}"))?;
            let same = outcome(stored) == serde_json::to_value(verdict.outcome)?
                && stored["reason"] == serde_json::to_value(verdict.reason)?;
            ensure!(same, "{task}: the ledger has {verdict:?}, and the controller {stored}");
            let counts = serde_json::to_value(verdict.sessions)?;
            for (what, count) in counts.as_object().context("counts")? {
                let there = stored["sessions"][what].as_u64().unwrap_or(0);
                ensure!(Some(there) == count.as_u64(), "{task}: {what} is {count} here and {there} there");
            }
        }
        for task in self.acted.keys() {
            let reason = &watched.get(*task).with_context(|| format!("nobody knows {task}"))?["reason"];
            ensure!(reason != "not_started", "{task} was confirmed as not started, and had acted");
        }
        Ok(())
    }

    /// Whether the ledger had an outcome of this task.
    pub(super) fn has_outcome(&self, task: TaskId) -> bool {
        self.outcomes.contains_key(&task)
    }
}

impl Reader {
    /// Adds the entries that were written since.
    fn read_on(&mut self, entries: &mut Vec<Entry>) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(self.read))?;
        self.file.read_to_end(&mut bytes)?;
        bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
        self.read += u64::try_from(bytes.len())?;
        for line in bytes.split(|byte| *byte == b'\n') {
            // The header is no entry.
            let json = line.iter().position(|byte| *byte == b'{').map(|at| &line[at..]);
            entries.extend(json.and_then(|json| ledger::entries(json).ok()).into_iter().flatten());
        }
        Ok(())
    }
}

/// Who logs on after this task's act moment.
fn latecomer(task: TaskId) -> String {
    format!("after-{task}")
}

fn name(session: &SessionKey) -> String {
    format!("{} {} {}", session.boot, session.id, session.began_us)
}
