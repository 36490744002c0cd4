//! Files that earlier versions wrote, each opened by this one.

use super::{open, place};
use crate::store::{OperationQuery, Store, TaskQuery};
use curfew_controller_core::record::Record;
use curfew_types::agent::LedgerMark;
use curfew_types::amount::Amount;
use curfew_types::operation::{EventKind, OperationEvent, Standing};
use curfew_types::{
    Budgets, OperationId, OperationState, Outcome, Reason, SessionFate, StatusCode, Verdict, WallTime,
};
use sqlx::{Connection, Executor, SqliteConnection};
use std::path::Path;

/// The spec of every operation in the old file.
const SPEC: &str = r#"{"selection":{"all":true,"labels":null,"hosts":[],"guests":[],"guest_ids":[],"exclude":[],
    "include_host_guests":false},"not_running":"refuse","max_in_flight":5,"task_timeout_ms":300000,
    "deliver_within_ms":60000,"deadline_ms":86400000,"request_id":null,"reason":"maintenance","annotations":{}}"#;

fn id(number: u64) -> OperationId {
    OperationId::new(WallTime(1_795_000_000_000), number)
}

/// A file of the first version, with an operation that runs, one that is being cancelled and one that has ended. Each has
/// one guest; the last one's succeeded.
async fn write_first_version(file: &Path) {
    let mut to =
        SqliteConnection::connect(&format!("sqlite:{}?mode=rwc", file.display())).await.expect("a file");
    super::super::schema::migrate_to(&mut to, 1).await.expect("the first version");
    // The bodies as the first version packs them: host "h1" with the guest "h1/a", called "vm"; task 0 finished.
    let targets: &[u8] = b"\x0a\x0d\x0a\x02h1\x12\x07\x12\x01a\x22\x02vm";
    let verdict: &[u8] = b"\x1a\x0esessions_ended";
    let entry =
        [&[0x0a, u8::try_from(verdict.len()).expect("short")], verdict, b"\x12\x06\x10\x07\x1a\x02\x00\x00"]
            .concat();
    for (number, state) in [(1_u64, 1), (2, 2), (3, 3)] {
        let number = id(number).number().cast_signed();
        let ended = state == 3;
        sqlx::query(
            "INSERT INTO operations (id, state, requester, created_at, deadline_at, digest, task_count, host_count, \
             succeeded, ended_well, cancelled_by, cancel_reason, cancelled_at, ended_at, revision) \
             VALUES (?, ?, 'alice', 1, 2, 3, 1, 1, ?, ?, ?, '', 4, ?, ?)",
        )
        .bind(number)
        .bind(state)
        .bind(ended)
        .bind(ended)
        .bind((state == 2).then_some("bob"))
        .bind(ended.then_some(9))
        .bind(ended.then_some(6))
        .execute(&mut to)
        .await
        .expect("a row");
        let spec = sqlx::query("INSERT INTO specs (operation, spec) VALUES (?, ?)").bind(number).bind(SPEC);
        spec.execute(&mut to).await.expect("a spec");
        let guests = sqlx::query("INSERT INTO targets (operation, chunk, body) VALUES (?, 0, ?)");
        guests.bind(number).bind(targets).execute(&mut to).await.expect("targets");
        if ended {
            let journal = sqlx::query(
                "INSERT INTO journal (operation, chunk, seq, outcomes, body) VALUES (?, 0, 0, 1, ?)",
            );
            journal.bind(number).bind(&entry).execute(&mut to).await.expect("a journal");
        }
    }
    to.execute("INSERT INTO numbers (name, value) VALUES ('epoch', 7)").await.expect("an epoch");
    to.close().await.expect("a close");
}

#[tokio::test]
async fn a_file_of_the_first_version_is_read_and_goes_on() {
    let (_directory, file) = place();
    write_first_version(&file).await;
    let store = open(&file).await;
    let recovered = store.load().await.expect("a load");
    assert_eq!((recovered.epoch, recovered.safeguards), (7, Default::default()));
    assert_eq!((recovered.holds.len(), recovered.protected_users.len(), recovered.freeze), (0, 0, None));
    let unfinished: Vec<_> = recovered.operations.iter().map(|operation| operation.started.id).collect();
    assert_eq!(unfinished, [id(1), id(2)]);
    for operation in &recovered.operations {
        assert_eq!(operation.started.standing, Standing::running(Budgets::default()));
        assert_eq!((operation.started.seed, operation.started.hosts[0].guests[0].wave), (0, 0));
        assert_eq!(operation.started.spec.max_in_flight, Some(Amount::Number(5)));
    }
    assert_eq!(recovered.operations[1].cancelled_by.as_deref(), Some("bob"));

    let page =
        store.operations(&OperationQuery { state: None, before: None, limit: 10 }).await.expect("a page");
    let states: Vec<_> = page.items.iter().map(|operation| operation.state).collect();
    assert_eq!(states, [OperationState::Ended, OperationState::Cancelling, OperationState::Running]);
    let ended = &page.items[0];
    assert_eq!(
        (ended.wave_sizes.as_slice(), ended.reasons.len(), ended.slowest.len()),
        ([1].as_slice(), 0, 0)
    );
    let tasks = store.tasks(id(3), &TaskQuery { limit: 9, ..TaskQuery::default() }).await.expect("tasks");
    let outcome = tasks.items[0].verdict.as_ref().map(|(verdict, at)| (verdict.outcome, verdict.reason, *at));
    assert_eq!(outcome, Some((Outcome::Succeeded, Reason::SessionsEnded, WallTime(7))));
    assert_eq!((tasks.items[0].guest.as_str(), tasks.items[0].name.as_str()), ("h1/a", "vm"));

    // Old operations are steered and end as new ones do.
    let paused = Standing { state: OperationState::Paused, ..Standing::running(Budgets::default()) };
    let event = OperationEvent {
        at: WallTime(8),
        what: EventKind::Paused,
        by: Some("bob".into()),
        why: String::new(),
    };
    let verdict = Verdict::new(Outcome::Failed, StatusCode::Unexpected, Reason::ProviderFailed, "no");
    store
        .append(&[
            Record::Steered { operation: id(1), event: event.clone(), standing: paused },
            Record::Finished { operation: id(1), host: 0, tasks: vec![(0, verdict.into())], at: WallTime(9) },
        ])
        .await
        .expect("an append");
    let summary = store.operation(id(1)).await.expect("an answer").expect("the operation");
    assert_eq!(summary.state, OperationState::Paused);
    assert_eq!(summary.reasons, [(Outcome::Failed, Reason::ProviderFailed, 1)]);
    assert_eq!(store.events(id(1)).await.expect("events"), [event]);
}

/// A file of the second version: an operation whose two guests had two sessions, one of which remained, and a host's ledger.
async fn write_second_version(file: &Path) {
    let mut to =
        SqliteConnection::connect(&format!("sqlite:{}?mode=rwc", file.display())).await.expect("a file");
    super::super::schema::migrate_to(&mut to, 2).await.expect("the second version");
    // Host "h1" with the guest "h1/a", called "vm", and one with a UUID; the first failed at 7.
    let targets: &[u8] =
        b"\x0a\x23\x0a\x02h1\x12\x07\x12\x01a\x22\x02vm\x12\x14\x0a\x10AAAAAAAAAAAAAAAA\x50\x01";
    let verdict: &[u8] = b"\x08\x03\x1a\x0fsessions_remain\x28\x02\x30\x01\x40\x01\
        \x5a\x09\x0a\x02c2\x12\x03bob\x5a\x0b\x0a\x02c3\x12\x03eve\x18\x02";
    let length = u8::try_from(verdict.len()).expect("short");
    let entry = [&[0x0a, length], verdict, b"\x12\x06\x10\x07\x1a\x02\x00\x00"].concat();
    let number = id(1).number().cast_signed();
    let operation = "INSERT INTO operations (id, state, requester, created_at, deadline_at, digest, task_count, \
         host_count, failed) VALUES (?, 1, 'alice', 1, 2, 3, 2, 1, 1)";
    sqlx::query(operation).bind(number).execute(&mut to).await.expect("a row");
    let spec = sqlx::query("INSERT INTO specs (operation, spec) VALUES (?, ?)").bind(number).bind(SPEC);
    spec.execute(&mut to).await.expect("a spec");
    let guests = sqlx::query("INSERT INTO targets (operation, chunk, body) VALUES (?, 0, ?)");
    guests.bind(number).bind(targets).execute(&mut to).await.expect("targets");
    let journal = "INSERT INTO journal (operation, chunk, seq, outcomes, body) VALUES (?, 0, 0, 65544, ?)";
    sqlx::query(journal).bind(number).bind(&entry).execute(&mut to).await.expect("a journal");
    let host =
        "INSERT INTO hosts (name, ledger_incarnation, ledger_counter, acknowledged) VALUES ('h1', -1, 5, 3)";
    to.execute(host).await.expect("a host");
    to.close().await.expect("a close");
}

#[tokio::test]
async fn a_file_of_the_second_version_is_read_and_goes_on() {
    let (_directory, file) = place();
    write_second_version(&file).await;
    let store = open(&file).await;
    let mark = |counter| LedgerMark { incarnation: u64::MAX, counter };
    let recovered = store.load().await.expect("a load");
    assert_eq!((recovered.hosts[0].ledger, recovered.hosts[0].acknowledged), (Some(mark(5)), 3));
    let target = &recovered.operations[0].started.hosts[0].guests[1];
    assert_eq!((target.id.as_str(), target.wave), ("41414141-4141-4141-4141-414141414141", 1));
    assert_eq!(recovered.operations[0].finished[0].1.results.len(), 2);

    let verdict = Verdict::new(Outcome::Succeeded, StatusCode::Ok, Reason::SessionsEnded, "");
    let host = recovered.hosts[0].name.clone();
    let again = Record::Finished {
        operation: id(1),
        host: 0,
        tasks: vec![(0, verdict.clone().into())],
        at: WallTime(9),
    };
    store.append(&[again]).await.expect_err("it has its outcome");
    store
        .append(&[
            Record::Finished { operation: id(1), host: 0, tasks: vec![(1, verdict.into())], at: WallTime(9) },
            Record::LedgerSeen { host, ledger: mark(6), acknowledged: 4 },
        ])
        .await
        .expect("an append");
    let recovered = store.load().await.expect("a load");
    assert_eq!((recovered.hosts[0].ledger, recovered.hosts[0].acknowledged), (Some(mark(6)), 4));
    let tasks = store.tasks(id(1), &TaskQuery { limit: 9, ..TaskQuery::default() }).await.expect("tasks");
    let told: Vec<_> = tasks.items.iter().filter_map(|task| task.verdict.as_ref()).collect();
    assert_eq!(told.len(), 2);
    let users: Vec<_> = told[0].0.results.iter().map(|result| (result.user.as_str(), result.fate)).collect();
    assert_eq!(users, [("bob", SessionFate::Remaining), ("eve", SessionFate::Ended)]);
}
