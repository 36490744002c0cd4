//! What is SQLite's own: a full disk, a second controller, other programs' files, copies, old files.

mod checkpoint;
mod marks;
mod tidy;
mod upgrade;

use super::{STATE_ENDED, STATE_REMOVING, SqliteStore, restore, snapshot};
use crate::store::{Error, Store, TaskQuery};
use curfew_controller_core::record::{Record, Started, TargetGuest, TargetHost};
use curfew_types::amount::Amount;
use curfew_types::operation::Standing;
use curfew_types::{
    Budgets, Logoff, OperationId, OperationSpec, Outcome, Reason, Selection, StatusCode, Verdict, WallTime,
};
use sqlx::{Connection, Executor, SqliteConnection};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn place() -> (TempDir, PathBuf) {
    let directory = TempDir::new().expect("a directory");
    let file = directory.path().join("store.db");
    (directory, file)
}

async fn open(file: &Path) -> SqliteStore {
    SqliteStore::open(file).await.expect("a store")
}

fn started(number: u64, tasks: u32) -> Started {
    let target = |n| TargetGuest {
        id: format!("guest-{n}").parse().expect("an id"),
        name: format!("vm-{n}").into(),
        wave: 0,
    };
    let host = TargetHost {
        host: "host-1".parse().expect("a name"),
        first: 0,
        guests: (0..tasks).map(target).collect(),
    };
    Started {
        id: OperationId::new(WallTime(1_795_000_000_000), number),
        spec: OperationSpec::plain(Selection { all: true, ..Selection::default() }),
        requester: "alice".into(),
        created: WallTime(1),
        deadline: WallTime(2),
        digest: 3,
        seed: 4,
        standing: Standing::running(Budgets::default()),
        hosts: [host].into(),
    }
}

fn start(number: u64, tasks: u32) -> Record {
    Record::Started(Box::new(started(number, tasks)))
}

fn finish(number: u64, indices: std::ops::Range<u32>) -> Record {
    // Messages that differ, so that packing cannot make them small.
    let verdict = |index: u32| {
        let message = format!("{index} ").repeat(20);
        Verdict::new(Outcome::Failed, StatusCode::Unexpected, Reason::ProviderFailed, message)
    };
    Record::Finished {
        operation: started(number, 0).id,
        host: 0,
        tasks: indices.map(|index| (index, verdict(index).into())).collect(),
        at: WallTime(5),
    }
}

async fn finished(store: &SqliteStore, number: u64) -> u64 {
    let summary = store.operation(started(number, 0).id).await.expect("an answer");
    summary.expect("the operation").finished()
}

/// Lets the database grow by no more than `more` pages.
async fn limit_pages(store: &SqliteStore, more: i64) {
    let mut writer = store.writer.lock().await;
    let mut connection = writer.take().await.expect("the connection");
    let pages: i64 =
        sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut connection).await.expect("a count");
    // The next connection has the limit too: after an error the writer opens a new one.
    writer.options = writer.options.clone().pragma("max_page_count", (pages + more).to_string());
    connection.close().await.expect("a close");
}

#[tokio::test]
async fn a_set_that_was_expected_is_stored_like_any_other() {
    let (_directory, file) = place();
    let store = open(&file).await;
    let (expected, other) = (started(1, 40_000), started(2, 40_000));
    store.expect_targets(&expected.hosts);
    store.append(&[Record::Started(Box::new(expected))]).await.expect("an append");
    store.append(&[Record::Started(Box::new(other))]).await.expect("an append");
    let mut connection = super::snapshot::open(&file).await.expect("another connection");
    let mut bodies = async |number: u64| -> Vec<Vec<u8>> {
        let rows = sqlx::query_scalar("SELECT body FROM targets WHERE operation = ? ORDER BY chunk");
        let id = started(number, 0).id.number().cast_signed();
        rows.bind(id).fetch_all(&mut connection).await.expect("rows")
    };
    let stored = bodies(1).await;
    assert_eq!(stored.len(), 40_000_usize.div_ceil(256));
    assert_eq!(stored, bodies(2).await);
}

#[tokio::test]
async fn what_is_being_removed_is_seen_by_nobody() {
    let (_directory, file) = place();
    let store = open(&file).await;
    store.append(&[start(1, 300), finish(1, 0..300)]).await.expect("an operation");
    let id = started(1, 300).id;
    let every = TaskQuery { limit: 300, ..TaskQuery::default() };
    let ended = TaskQuery { outcomes: vec![Outcome::Failed], ..every.clone() };
    for (state, tasks) in [(STATE_ENDED, 300), (STATE_REMOVING, 0)] {
        let mut beside =
            SqliteConnection::connect(&format!("sqlite:{}", file.display())).await.expect("a file");
        let mark = sqlx::query("UPDATE operations SET state = ?").bind(state);
        assert_eq!(mark.execute(&mut beside).await.expect("a change").rows_affected(), 1);
        for query in [&every, &ended] {
            assert_eq!(store.tasks(id, query).await.expect("a page").items.len(), tasks, "{query:?}");
        }
        assert_eq!(store.task(id, 299).await.expect("an answer").is_some(), tasks > 0);
        assert_eq!(store.operation(id).await.expect("an answer").is_some(), tasks > 0);
    }
}

#[tokio::test]
async fn a_full_store_says_away_and_recovers() {
    let (_directory, file) = place();
    let store = open(&file).await;
    store.append(&[start(1, 10_000)]).await.expect("room for the start");
    store.append(&[finish(1, 0..10)]).await.expect("room for a few");
    limit_pages(&store, 4).await;
    let turn = [finish(1, 10..5000), start(2, 5)];
    for _ in 0..3 {
        let error = store.append(&turn).await.expect_err("a full store");
        assert!(error.is_away(), "{error:?}");
        assert_eq!(error.to_string(), "cannot append to the store: the store is away");
        let source = std::error::Error::source(&error).expect("a source").to_string();
        assert!(source.contains("database or disk is full"), "{source}");
        assert_eq!(finished(&store, 1).await, 10, "reads go on, and nothing of the turn is there");
    }
    limit_pages(&store, 100_000).await;
    store.append(&turn).await.expect("the same turn");
    store.append(&[finish(1, 5000..5001), finish(2, 0..5)]).await.expect("the next turn");
    assert_eq!((finished(&store, 1).await, finished(&store, 2).await), (5001, 5));
    let again = store.append(&[finish(1, 4999..5000)]).await;
    assert!(matches!(again, Err(Error::Refused { .. })), "what was stored is remembered: {again:?}");
}

#[tokio::test]
async fn a_locked_store_says_away_and_recovers() {
    let (_directory, file) = place();
    let store = open(&file).await;
    store.append(&[start(1, 10)]).await.expect("an append");
    {
        let mut writer = store.writer.lock().await;
        writer.take().await.expect("the connection").close().await.expect("a close");
        writer.options = writer.options.clone().busy_timeout(std::time::Duration::from_millis(50));
    }
    let mut other = super::snapshot::open(&file).await.expect("another connection");
    other.execute("BEGIN IMMEDIATE").await.expect("the lock");
    let error = store.append(&[finish(1, 0..1)]).await.expect_err("a locked store");
    assert!(error.is_away(), "{error:?}");
    other.execute("ROLLBACK").await.expect("the end of the lock");
    store.append(&[finish(1, 0..1)]).await.expect("the same turn");
    assert_eq!(finished(&store, 1).await, 1);
}

#[tokio::test]
async fn an_append_that_is_dropped_half_way_leaves_the_store_usable() {
    let (_directory, file) = place();
    let store = open(&file).await;
    store.append(&[start(1, 100_000)]).await.expect("an append");
    for (round, polls) in (0..60).enumerate() {
        let from = u32::try_from(round).expect("a number") * 500;
        let turn = [finish(1, from..from + 500)];
        let mut append = Box::pin(store.append(&turn));
        for _ in 0..polls {
            if futures::poll!(&mut append).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(append);
        // Whether it came to its end before it was dropped is open: it is there whole or not at all.
        match store.append(&turn).await {
            Ok(()) | Err(Error::Refused { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
        assert_eq!(finished(&store, 1).await, u64::from(from) + 500);
    }
}

#[tokio::test]
async fn only_the_owner_can_read_what_is_written() {
    let (directory, file) = place();
    fs::write(&file, "").expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("a mode");
    let store = open(&file).await;
    store.append(&[start(1, 10)]).await.expect("an append");
    snapshot(&file, &directory.path().join("copy.db")).await.expect("a copy");
    let mut seen = 0;
    for entry in fs::read_dir(directory.path()).expect("a listing") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("its metadata").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", entry.path().display());
        seen += 1;
    }
    assert!(seen >= 4, "the database, its log, its lock and the copy");
}

#[tokio::test]
async fn a_second_controller_is_kept_away() {
    let (_directory, file) = place();
    let store = open(&file).await;
    let error = SqliteStore::open(&file).await.err().expect("a refusal");
    assert!(matches!(error, Error::InUse { .. }), "{error:?}");
    drop(store);
    open(&file).await;
}

#[tokio::test]
async fn a_newer_database_is_refused_by_its_version() {
    let (_directory, file) = place();
    open(&file).await.close().await;
    let mut connection = super::snapshot::open(&file).await.expect("a connection");
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (99, 'later', TRUE, x'00', 0)";
    connection.execute(newer).await.expect("a newer version");
    connection.close().await.expect("a close");
    let error = SqliteStore::open(&file).await.err().expect("a refusal");
    assert!(matches!(error, Error::Newer { found: 99, known: 3 }), "{error:?}");
    assert!(error.to_string().contains("use the newer controller"), "{error}");
}

#[tokio::test]
async fn what_is_not_a_store_is_refused_with_advice() {
    let (_directory, file) = place();
    fs::write(&file, "no database at all, but a text of some length".repeat(100)).expect("a file");
    let error = SqliteStore::open(&file).await.err().expect("a refusal");
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains("restore the last backup"), "{error}");

    fs::remove_file(&file).expect("a removal");
    let mut other =
        SqliteConnection::connect(&format!("sqlite:{}?mode=rwc", file.display())).await.expect("a file");
    other.execute("CREATE TABLE people (name TEXT)").await.expect("a table");
    other.close().await.expect("a close");
    let error = SqliteStore::open(&file).await.err().expect("a refusal");
    let source = std::error::Error::source(&error).expect("a source").to_string();
    assert_eq!(source, "it is not a database of Curfew's controller");
}

#[tokio::test]
async fn a_damaged_page_is_an_error_that_says_what_to_do() {
    let (_directory, file) = place();
    let store = open(&file).await;
    store.append(&[start(1, 50_000)]).await.expect("an append");
    store.close().await;
    drop(store);
    let mut bytes = fs::read(&file).expect("the file");
    let end = bytes.len();
    bytes[4096 * 20..end].fill(0xA5);
    fs::write(&file, bytes).expect("a damaged file");
    let error = match SqliteStore::open(&file).await {
        Ok(store) => store.load().await.expect_err("damage"),
        Err(error) => error,
    };
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
}

#[tokio::test]
async fn a_copy_taken_while_a_controller_runs_can_be_restored() {
    let (directory, file) = place();
    let copy = directory.path().join("copy.db");
    let store = open(&file).await;
    store.append(&[start(1, 3000)]).await.expect("an append");
    let appending = async {
        for index in 0..200 {
            store.append(&[finish(1, index..index + 1)]).await.expect("an append");
        }
    };
    let (copied, ()) = tokio::join!(snapshot(&file, &copy), appending);
    copied.expect("a copy");
    assert!(snapshot(&file, &copy).await.is_err(), "a copy is never written over");
    let refused = restore(&copy, &file).await.expect_err("a running controller");
    assert!(refused.to_string().contains("another controller"), "{refused}");
    store.close().await;
    drop(store);
    let refused = restore(&copy, &file).await.expect_err("a database");
    assert!(refused.to_string().contains("already"), "{refused}");

    fs::remove_file(&file).expect("a removal");
    restore(&copy, &file).await.expect("a restore");
    let store = open(&file).await;
    let then = finished(&store, 1).await;
    let recovered = store.load().await.expect("a load").operations.remove(0);
    assert_eq!(recovered.finished.len() as u64, then, "as of one moment");
    store.append(&[finish(1, 2000..2001)]).await.expect("an append");
}

#[tokio::test]
async fn a_damaged_copy_is_not_restored() {
    let (directory, file) = place();
    let copy = directory.path().join("copy.db");
    let store = open(&file).await;
    store.append(&[start(1, 20_000)]).await.expect("an append");
    snapshot(&file, &copy).await.expect("a copy");
    let mut bytes = fs::read(&copy).expect("the copy");
    bytes[4096 * 30..4096 * 60].fill(0xA5);
    fs::write(&copy, bytes).expect("a damaged copy");
    let elsewhere = directory.path().join("restored.db");
    let error = restore(&copy, &elsewhere).await.expect_err("a refusal");
    assert!(error.to_string().contains("cannot be restored"), "{error:?}");
    assert!(!elsewhere.exists(), "nothing is left of it");
}

#[test]
fn a_spec_written_by_the_first_version_is_read() {
    let text = r#"{"selection":{"all":false,"labels":"env=lab","hosts":["rack-*"],"guests":[],"guest_ids":["a/b/c"],
        "exclude":["vm-1"],"include_host_guests":true},"not_running":"refuse","max_in_flight":5,
        "task_timeout_ms":300000,"deliver_within_ms":60000,"deadline_ms":86400000,"request_id":"r-1",
        "reason":"maintenance","annotations":{"ticket":"7"}}"#;
    let spec: OperationSpec =
        serde_json::from_str(text).expect("a new field of the spec needs a serde default");
    assert_eq!(spec.max_in_flight, Some(Amount::Number(5)));
    assert_eq!(spec.logoff, Logoff::default(), "everybody, at once, politely");
}
