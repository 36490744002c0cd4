//! The claims that every store must keep. They know the trait and nothing of an implementation.

use crate::build::{
    BEGIN, finish, finish_all, guest, host, late, operation_id, start, started, succeeded, verdict,
};
use async_trait::async_trait;
use curfew_controller::store::{Error, OperationQuery, Store, StoredTask, TaskQuery};
use curfew_controller_core::record::{CancelScope, Record, Recovered};
use curfew_types::agent::LedgerMark;
use curfew_types::{Guest, OperationId, OperationState, OsFamily, Outcome, PowerState, WallTime};
use std::sync::Arc;

/// Where a store lies: what is opened again is what was closed.
#[async_trait]
pub trait Place: Sync {
    /// Opens it. What was opened before has been dropped.
    async fn open(&self) -> Arc<dyn Store>;
}

async fn append(store: &Arc<dyn Store>, records: &[Record]) {
    store.append(records).await.expect("an append");
}

async fn all_tasks(store: &Arc<dyn Store>, id: OperationId) -> Vec<StoredTask> {
    let query = TaskQuery { limit: u32::MAX, ..TaskQuery::default() };
    store.tasks(id, &query).await.expect("tasks").items
}

async fn refusal(store: &Arc<dyn Store>, records: &[Record]) -> String {
    match store.append(records).await {
        Err(Error::Refused { why, .. }) => why,
        other => panic!("not refused: {other:?}"),
    }
}

pub async fn a_new_store_is_empty(place: &impl Place) {
    let store = place.open().await;
    assert_eq!(store.load().await.expect("a load"), Recovered::default());
    assert_eq!(store.operation(operation_id(1)).await.expect("an answer"), None);
    assert_eq!(all_tasks(&store, operation_id(1)).await, []);
    assert_eq!(store.task(operation_id(1), 0).await.expect("an answer"), None);
}

pub async fn what_was_appended_is_there_after_reopening(place: &impl Place) {
    let operation = started(1, &[200, 0, 300, 1]);
    let tasks: Vec<_> = (0..501).step_by(7).zip(0_u8..).map(|(index, n)| (index, verdict(n))).collect();
    let handed = Record::Handed {
        operation: operation.id,
        host: 2,
        tasks: (200..500).collect(),
        until: BEGIN.plus(900),
    };
    let cancel = |scope| Record::CancelRequested {
        operation: operation.id,
        scope,
        by: "bob".into(),
        reason: "wrong rack".into(),
        at: BEGIN.plus(3),
    };
    let store = place.open().await;
    append(&store, &[start(&operation)]).await;
    append(&store, &[handed, cancel(CancelScope::Task(500)), cancel(CancelScope::Operation)]).await;
    append(&store, &finish(&operation, &tasks, BEGIN.plus(4))).await;
    drop(store);

    let store = place.open().await;
    let recovered = store.load().await.expect("a load").operations;
    assert_eq!(recovered.len(), 1);
    assert_eq!(recovered[0].started, operation);
    assert_eq!(recovered[0].handed, (200..500).map(|index| (index, BEGIN.plus(900))).collect::<Vec<_>>());
    assert_eq!(recovered[0].finished, tasks);
    assert_eq!(recovered[0].cancelled_by.as_deref(), Some("bob"));
    assert_eq!(recovered[0].cancelled_tasks, [500]);

    let summary = store.operation(operation.id).await.expect("an answer").expect("the operation");
    assert_eq!(
        (summary.state, summary.task_count, summary.digest),
        (OperationState::Cancelling, 501, operation.digest)
    );
    assert_eq!((&summary.spec, summary.requester.as_str()), (&operation.spec, "alice"));
    assert_eq!(summary.finished(), tasks.len() as u64);
    let shown = all_tasks(&store, operation.id).await;
    assert_eq!(shown.len(), 501);
    assert_eq!((&shown[499].guest, &shown[499].host, shown[499].handed), (&guest(2, 299), &host(2), true));
    assert_eq!(shown[497].verdict, Some((tasks[71].1.clone(), BEGIN.plus(4))));
    assert_eq!(shown[500].cancelled.as_ref().map(|cancelled| cancelled.by.as_str()), Some("bob"));
    assert_eq!(store.task(operation.id, 497).await.expect("an answer").as_ref(), Some(&shown[497]));
}

pub async fn a_batch_is_all_or_nothing(place: &impl Place) {
    let (one, two) = (started(1, &[300]), started(2, &[5]));
    let store = place.open().await;
    append(&store, &[start(&one)]).await;
    append(&store, &finish(&one, &[(7, succeeded())], BEGIN)).await;
    let before = store.load().await.expect("a load");

    let mut batch = vec![Record::EpochRaised { epoch: 9 }, start(&two)];
    batch.extend(finish(&one, &[(6, succeeded())], BEGIN));
    batch.extend(finish(&one, &[(299, succeeded()), (7, succeeded())], BEGIN));
    assert!(refusal(&store, &batch).await.contains("/7 has its outcome already"));
    assert_eq!(store.load().await.expect("a load"), before);

    // What was refused beside it may come again, and counts once.
    batch.pop();
    batch.extend(finish(&one, &[(299, succeeded())], BEGIN));
    append(&store, &batch).await;
    let summary = store.operation(one.id).await.expect("an answer").expect("the operation");
    assert_eq!((summary.finished(), summary.outcomes[0], summary.ended_well), (3, 3, 3));
    assert_eq!(store.load().await.expect("a load").epoch, 9);
}

pub async fn a_second_outcome_is_refused(place: &impl Place) {
    let operation = started(1, &[10]);
    let again = finish(&operation, &[(3, verdict(4))], BEGIN.plus(1));
    let store = place.open().await;
    append(&store, &[start(&operation)]).await;
    append(&store, &finish(&operation, &[(3, succeeded())], BEGIN)).await;
    assert!(refusal(&store, &again).await.contains("has its outcome already"));
    let twice =
        [finish(&operation, &[(4, succeeded())], BEGIN), finish(&operation, &[(4, succeeded())], BEGIN)];
    assert!(refusal(&store, &twice.concat()).await.contains("has its outcome already"));
    drop(store);
    let store = place.open().await;
    assert!(refusal(&store, &again).await.contains("has its outcome already"), "also after a restart");
    let stored = store.task(operation.id, 3).await.expect("an answer").expect("the task");
    assert_eq!(stored.verdict, Some((succeeded(), BEGIN)));
}

pub async fn an_operation_cannot_end_with_tasks_open(place: &impl Place) {
    let operation = started(1, &[3]);
    let ended = Record::Ended { operation: operation.id, at: BEGIN, revision: 4 };
    let store = place.open().await;
    append(&store, &[start(&operation)]).await;
    append(&store, &finish(&operation, &[(0, succeeded()), (2, succeeded())], BEGIN)).await;
    assert!(refusal(&store, std::slice::from_ref(&ended)).await.contains("1 tasks have no outcome"));
    let mut rest = finish(&operation, &[(1, verdict(3))], BEGIN);
    rest.push(ended);
    append(&store, &rest).await;
    let summary = store.operation(operation.id).await.expect("an answer").expect("the operation");
    assert_eq!(summary.state, OperationState::Ended);
    assert_eq!(summary.ended.map(|ended| (ended.at, ended.revision)), Some((BEGIN, 4)));
}

pub async fn records_about_what_is_not_there_are_refused(place: &impl Place) {
    let (known, unknown) = (started(1, &[10]), started(2, &[20]));
    let store = place.open().await;
    append(&store, &[start(&known)]).await;
    assert!(refusal(&store, &[start(&known)]).await.contains("is there already"));
    assert!(refusal(&store, &finish(&unknown, &[(3, succeeded())], BEGIN)).await.contains("is unknown"));
    let past = Record::Handed { operation: known.id, host: 0, tasks: vec![10], until: BEGIN };
    assert!(refusal(&store, &[past]).await.contains("has no task 10"));
    append(&store, &finish_all(&known, BEGIN)).await;
    let cancel = Record::CancelRequested {
        operation: known.id,
        scope: CancelScope::Operation,
        by: "bob".into(),
        reason: String::new(),
        at: BEGIN,
    };
    assert!(refusal(&store, &[cancel]).await.contains("has ended"));
}

pub async fn a_page_of_tasks_continues_where_the_last_ended(place: &impl Place) {
    let operation = started(1, &[255, 1, 1, 600, 7]);
    let store = place.open().await;
    append(&store, &[start(&operation)]).await;
    append(&store, &finish(&operation, &[(0, succeeded()), (256, verdict(5)), (863, verdict(2))], BEGIN))
        .await;
    let whole = all_tasks(&store, operation.id).await;
    assert!(whole.iter().map(|task| task.index).eq(0..864));
    for limit in [1, 100, 256, 863, 864] {
        let mut query = TaskQuery { limit, ..TaskQuery::default() };
        let mut walked = Vec::new();
        loop {
            let page = store.tasks(operation.id, &query).await.expect("a page");
            assert!(page.items.len() <= limit as usize);
            walked.extend(page.items);
            if !page.more {
                break;
            }
            query.from = walked.last().expect("a task").index + 1;
        }
        assert_eq!(walked, whole, "pages of {limit}");
    }
    let past = TaskQuery { from: 864, limit: 5, ..TaskQuery::default() };
    let page = store.tasks(operation.id, &past).await.expect("a page");
    assert_eq!((page.items.len(), page.more), (0, false));
}

pub async fn a_page_of_operations_continues_where_the_last_ended(place: &impl Place) {
    let store = place.open().await;
    for number in 0..25 {
        let operation = started(number, &[1]);
        append(&store, &[start(&operation)]).await;
        if number % 3 == 0 {
            append(&store, &finish_all(&operation, BEGIN)).await;
        }
    }
    for (state, expected) in [
        (None, (0..25).rev().collect::<Vec<_>>()),
        (Some(OperationState::Ended), (0..25).rev().filter(|n| n % 3 == 0).collect()),
        (Some(OperationState::Running), (0..25).rev().filter(|n| n % 3 != 0).collect()),
        (Some(OperationState::Cancelling), Vec::new()),
    ] {
        let mut query = OperationQuery { state, before: None, limit: 4 };
        let mut walked = Vec::new();
        loop {
            let page = store.operations(&query).await.expect("a page");
            walked.extend(page.items.into_iter().map(|operation| operation.id));
            if !page.more {
                break;
            }
            query.before = walked.last().copied();
        }
        assert_eq!(walked, expected.into_iter().map(operation_id).collect::<Vec<_>>(), "{state:?}");
    }
}

pub async fn tasks_are_found_by_outcome(place: &impl Place) {
    let operation = started(1, &[1000, 1000]);
    let store = place.open().await;
    append(&store, &[start(&operation)]).await;
    let tasks: Vec<_> = (0..1990)
        .map(|index| match index {
            5 | 1500 => (index, verdict(3)),
            700 => (index, verdict(8)),
            _ => (index, succeeded()),
        })
        .collect();
    append(&store, &finish(&operation, &tasks, BEGIN)).await;
    let find = async |outcomes: &[Outcome], only_not_well, limit| {
        let query = TaskQuery { from: 0, limit, outcomes: outcomes.to_vec(), only_not_well };
        let page = store.tasks(operation.id, &query).await.expect("a page");
        (page.items.iter().map(|task| task.index).collect::<Vec<_>>(), page.more)
    };
    assert_eq!(find(&[], true, 10).await, (vec![5, 1500], false));
    assert_eq!(find(&[], true, 1).await, (vec![5], true));
    assert_eq!(find(&[Outcome::Skipped, Outcome::Failed], false, 10).await, (vec![5, 700, 1500], false));
    assert_eq!(find(&[Outcome::Skipped], true, 10).await, (vec![], false));
    assert_eq!(find(&[Outcome::TimedOut], false, 10).await, (vec![], false));
    assert_eq!(find(&[Outcome::Succeeded], false, 5).await, (vec![0, 1, 2, 3, 4], true));
}

pub async fn an_operation_is_found_by_its_request_id(place: &impl Place) {
    let store = place.open().await;
    let (one, two) = (started(1, &[1]), started(2, &[1]));
    append(&store, &[start(&one), start(&two)]).await;
    let find = async |requester: &str, request: &str| {
        let found = store.operation_by_request_id(requester, request).await.expect("an answer");
        found.map(|summary| summary.id)
    };
    assert_eq!(find("alice", "request-1").await, Some(one.id));
    assert_eq!(find("alice", "request-2").await, Some(two.id));
    assert_eq!(find("bob", "request-1").await, None);
    assert_eq!(find("alice", "request-3").await, None);
}

pub async fn recovery_returns_exactly_the_unfinished_operations(place: &impl Place) {
    let store = place.open().await;
    for number in (0..6).rev() {
        append(&store, &[start(&started(number, &[2, 2]))]).await;
    }
    for number in [1, 4] {
        append(&store, &finish_all(&started(number, &[2, 2]), BEGIN)).await;
    }
    let found: Vec<_> = store
        .load()
        .await
        .expect("a load")
        .operations
        .into_iter()
        .map(|operation| operation.started.id)
        .collect();
    assert_eq!(found, [0, 2, 3, 5].map(operation_id), "oldest first");
}

pub async fn late_findings_stand_beside_the_outcome(place: &impl Place) {
    let operation = started(1, &[300, 10]);
    let store = place.open().await;
    append(&store, &[start(&operation)]).await;
    append(&store, &finish(&operation, &[(305, verdict(6))], BEGIN)).await;
    append(&store, &[late(&operation, 305, verdict(3), BEGIN.plus(1))]).await;
    assert_eq!(store.load().await.expect("a load").operations[0].late_findings, 1);
    let tasks: Vec<_> = (0..310).filter(|index| *index != 305).map(|index| (index, succeeded())).collect();
    let mut rest = finish(&operation, &tasks, BEGIN);
    rest.push(Record::Ended { operation: operation.id, at: BEGIN, revision: 1 });
    append(&store, &rest).await;
    drop(store);

    let store = place.open().await;
    append(
        &store,
        &[late(&operation, 305, succeeded(), BEGIN.plus(2)), late(&operation, 2, verdict(1), BEGIN)],
    )
    .await;
    append(&store, &[late(&operation, 305, succeeded(), BEGIN.plus(3))]).await;
    let task = store.task(operation.id, 305).await.expect("an answer").expect("the task");
    assert_eq!(task.verdict, Some((verdict(6), BEGIN)));
    assert_eq!(
        task.late,
        [(verdict(3), BEGIN.plus(1)), (succeeded(), BEGIN.plus(2)), (succeeded(), BEGIN.plus(3))]
    );
    let summary = store.operation(operation.id).await.expect("an answer").expect("the operation");
    assert_eq!(
        (summary.late_findings, summary.finished(), summary.outcomes[Outcome::Unknown.place()]),
        (4, 310, 1)
    );
}

pub async fn late_news_of_what_is_unknown_is_left_out(place: &impl Place) {
    let (known, unknown) = (started(1, &[2, 2]), started(2, &[2]));
    let store = place.open().await;
    append(&store, &[start(&known)]).await;
    append(&store, &finish_all(&known, BEGIN)).await;
    let Record::Late { operation, index, verdict, at, guest, host: whose } =
        late(&known, 1, verdict(3), BEGIN)
    else {
        unreachable!("a late record")
    };
    let news =
        |index, guest, host| Record::Late { operation, host, index, guest, verdict: verdict.clone(), at };
    append(
        &store,
        &[
            late(&unknown, 1, verdict.clone(), BEGIN),
            news(index, guest.clone(), host(1)),
            news(0, guest.clone(), whose.clone()),
            news(4, guest.clone(), whose.clone()),
            news(400, guest.clone(), whose.clone()),
            news(index, guest, whose),
        ],
    )
    .await;
    let summary = store.operation(known.id).await.expect("an answer").expect("the operation");
    assert_eq!(summary.late_findings, 1);
    let with_news: Vec<_> =
        all_tasks(&store, known.id).await.into_iter().filter(|task| !task.late.is_empty()).collect();
    assert_eq!(with_news.iter().map(|task| task.index).collect::<Vec<_>>(), [1]);
}

pub async fn pruning_leaves_unfinished_operations_alone(place: &impl Place) {
    let store = place.open().await;
    for (number, ended) in [(1, Some(10)), (2, None), (3, Some(30)), (4, Some(19))] {
        let operation = started(number, &[20_000]);
        append(&store, &[start(&operation)]).await;
        match ended {
            Some(at) => append(&store, &finish_all(&operation, BEGIN.plus(at))).await,
            None => append(&store, &finish(&operation, &[(9, succeeded())], BEGIN)).await,
        }
    }
    let pruned = store.prune(BEGIN.plus(20)).await.expect("a pruning");
    assert_eq!((pruned.operations, pruned.tasks), (2, 40_000));
    assert_eq!(store.prune(BEGIN.plus(20)).await.expect("a pruning"), Default::default());
    for (number, left) in [(1, false), (2, true), (3, true), (4, false)] {
        let id = operation_id(number);
        assert_eq!(store.operation(id).await.expect("an answer").is_some(), left, "{number}");
        assert_eq!(all_tasks(&store, id).await.len(), if left { 20_000 } else { 0 }, "{number}");
    }
    // Its late news finds nothing, and its id may not come back by that.
    append(&store, &[late(&started(1, &[20_000]), 3, succeeded(), BEGIN)]).await;
    assert_eq!(store.operation(operation_id(1)).await.expect("an answer"), None);
}

pub async fn appends_go_on_while_history_is_pruned(place: &impl Place) {
    let store = place.open().await;
    let (old, new) = (started(1, &[50_000]), started(2, &[1000]));
    append(&store, &[start(&old), start(&new)]).await;
    append(&store, &finish_all(&old, BEGIN)).await;
    let pruning = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.prune(WallTime(i64::MAX)).await }
    });
    for index in 0..50 {
        append(&store, &finish(&new, &[(index, succeeded())], BEGIN)).await;
    }
    assert_eq!(pruning.await.expect("the task").expect("a pruning").tasks, 50_000);
    let summary = store.operation(new.id).await.expect("an answer").expect("the operation");
    assert_eq!(summary.finished(), 50);
}

fn a_guest(host: u32, number: u32, power: PowerState) -> Guest {
    Guest {
        id: guest(host, number),
        name: format!("vm-{number}"),
        provider: "qga".into(),
        os: OsFamily::Linux,
        power,
        is_host: number == 0,
        labels: [("agent/kernel".to_owned(), "6.1".to_owned())].into(),
    }
}

pub async fn the_fleet_is_as_it_was_told_last(place: &impl Place) {
    let inventory = |host_number, replace, upserts, removed, digest| Record::Inventory {
        host: host(host_number),
        replace,
        upserts,
        removed,
        digest,
    };
    let running = |number| a_guest(1, number, PowerState::Running);
    let labels = |value: &str| [("env".to_owned(), value.to_owned())].into();
    let mark = |incarnation, counter| LedgerMark { incarnation, counter };
    let store = place.open().await;
    append(
        &store,
        &[
            Record::HostSeen { host: host(1), at: BEGIN, version: "0.1.0".into() },
            inventory(1, true, (0..5).map(running).collect(), vec![], 11),
            Record::LedgerSeen { host: host(1), ledger: mark(u64::MAX, 3), acknowledged: 0 },
            Record::HostLabelled { host: host(2), labels: labels("lab") },
            Record::GuestLabelled { guest: guest(1, 1), labels: labels("lab") },
            Record::GuestLabelled { guest: guest(9, 9), labels: labels("desk") },
        ],
    )
    .await;
    append(
        &store,
        &[
            inventory(1, false, vec![a_guest(1, 2, PowerState::Paused)], vec![guest(1, 4)], 12),
            inventory(1, false, vec![running(7)], vec![guest(1, 0)], 13),
            inventory(2, false, vec![running(8)], vec![], 14),
            Record::LedgerSeen { host: host(1), ledger: mark(u64::MAX, 4), acknowledged: 1 },
            Record::LedgerSeen { host: host(1), ledger: mark(u64::MAX, 5), acknowledged: 2 },
            Record::GuestLabelled { guest: guest(9, 9), labels: Default::default() },
        ],
    )
    .await;
    drop(store);

    let recovered = place.open().await.load().await.expect("a load");
    let [one, two] = recovered.hosts.as_slice() else { panic!("two hosts: {:?}", recovered.hosts) };
    let mut expected = vec![running(1), a_guest(1, 2, PowerState::Paused), running(3), running(7)];
    expected.sort_by(|a, b| a.id.cmp(&b.id));
    let mut found = one.guests.clone();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(found, expected);
    assert_eq!((one.inventory_digest, one.seen, one.version.as_str()), (13, Some(BEGIN), "0.1.0"));
    assert_eq!((one.ledger, one.acknowledged), (Some(mark(u64::MAX, 5)), 2));
    assert_eq!((&two.labels, two.ledger, two.guests.len()), (&labels("lab"), None, 1));
    assert_eq!(recovered.guest_labels, [(guest(1, 1), labels("lab"))]);
}

pub async fn a_removed_host_is_forgotten_with_its_ledger(place: &impl Place) {
    let store = place.open().await;
    let seen = |number| Record::HostSeen { host: host(number), at: BEGIN, version: "0.1.0".into() };
    let ledger = Record::LedgerSeen { host: host(1), ledger: LedgerMark::default(), acknowledged: 17 };
    let inventory = Record::Inventory {
        host: host(1),
        replace: true,
        upserts: vec![a_guest(1, 1, PowerState::Running)],
        removed: vec![],
        digest: 3,
    };
    append(&store, &[seen(1), ledger, inventory, seen(2)]).await;
    append(&store, &[Record::HostRemoved { host: host(1) }, Record::HostRemoved { host: host(2) }, seen(2)])
        .await;
    append(&store, &[seen(1)]).await;
    let hosts = store.load().await.expect("a load").hosts;
    assert_eq!(hosts.iter().map(|host| host.name.clone()).collect::<Vec<_>>(), [host(1), host(2)]);
    assert_eq!((hosts[0].acknowledged, hosts[0].ledger, hosts[0].guests.len()), (0, None, 0));
}

pub async fn the_epoch_never_goes_back(place: &impl Place) {
    let store = place.open().await;
    append(&store, &[Record::EpochRaised { epoch: 5 }]).await;
    assert!(refusal(&store, &[Record::EpochRaised { epoch: 4 }]).await.contains("cannot go back"));
    append(&store, &[Record::EpochRaised { epoch: 6 }]).await;
    drop(store);
    assert_eq!(place.open().await.load().await.expect("a load").epoch, 6);
}
