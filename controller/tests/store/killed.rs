//! A process that writes until it is killed, and what must be left of its work.

use crate::build::{BEGIN, finish, operation_id, start, started, succeeded};
use crate::conformance::Place;
use curfew_controller::store::Store;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Tells the process which file is its own.
const FILE: &str = "CURFEW_STORE_TO_KILL";
/// How many appends are acknowledged before it is killed.
const ACKNOWLEDGED: usize = 200;

/// The file to write to, if this process is the one to be killed.
pub(crate) fn file_of_the_writer() -> Option<PathBuf> {
    std::env::var_os(FILE).map(PathBuf::from)
}

/// Appends one outcome at a time and says so on stdout after each.
pub(crate) async fn append_for_ever(store: &impl Store) {
    let operation = started(1, &[1_000_000]);
    store.append(&[start(&operation)]).await.expect("a start");
    for index in 0.. {
        store.append(&finish(&operation, &[(index, succeeded())], BEGIN)).await.expect("an append");
        writeln!(std::io::stdout(), "acknowledged {index}").expect("a line");
    }
}

pub(crate) async fn nothing_acknowledged_is_lost(place: &impl Place, file: &Path) {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "the_writer_that_is_killed", "--ignored", "--nocapture"])
        .env(FILE, file)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut last = None;
    let acknowledged = |line: std::io::Result<String>| {
        line.ok()?.split_once("acknowledged ").and_then(|(_, index)| index.parse::<u32>().ok())
    };
    for index in lines.by_ref().filter_map(acknowledged).take(ACKNOWLEDGED) {
        last = Some(index);
    }
    child.kill().expect("a kill");
    // What it said before it died is acknowledged too.
    last = lines.filter_map(acknowledged).last().or(last);
    child.wait().expect("its end");

    let last = last.expect("an acknowledged append");
    let store = place.open().await;
    let recovered = store.load().await.expect("a load").operations.remove(0);
    let found = u32::try_from(recovered.finished.len()).expect("a count");
    assert!(found == last + 1 || found == last + 2, "{found} found, up to {last} acknowledged");
    assert!(recovered.finished.iter().map(|(index, _)| *index).eq(0..found));
    let summary = store.operation(operation_id(1)).await.expect("an answer").expect("the operation");
    assert_eq!(summary.finished(), u64::from(found));
}
