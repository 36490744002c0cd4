//! The claims about operations that every store must keep. They know the trait and nothing of an implementation.

use crate::build::{
    BEGIN, finish, finish_all, guest, host, late, operation_id, start, started, succeeded, verdict,
};
use async_trait::async_trait;
use curfew_controller::store::{Error, Store, StoredTask, TaskQuery};
use curfew_controller_core::record::{CancelScope, Record, Recovered};
use curfew_types::{OperationId, OperationState, Outcome};
use std::sync::Arc;

/// Where a store lies: what is opened again is what was closed.
#[async_trait]
pub(crate) trait Place: Sync {
    /// Opens it. What was opened before has been dropped.
    async fn open(&self) -> Arc<dyn Store>;
}

pub(crate) async fn append(store: &Arc<dyn Store>, records: &[Record]) {
    store.append(records).await.expect("an append");
}

pub(crate) async fn all_tasks(store: &Arc<dyn Store>, id: OperationId) -> Vec<StoredTask> {
    let query = TaskQuery { limit: u32::MAX, ..TaskQuery::default() };
    store.tasks(id, &query).await.expect("tasks").items
}

pub(crate) async fn refusal(store: &Arc<dyn Store>, records: &[Record]) -> String {
    match store.append(records).await {
        Err(Error::Refused { why, .. }) => why,
        other => panic!("not refused: {other:?}"),
    }
}

pub(crate) async fn a_new_store_is_empty(place: &impl Place) {
    let store = place.open().await;
    assert_eq!(store.load().await.expect("a load"), Recovered::default());
    assert_eq!(store.operation(operation_id(1)).await.expect("an answer"), None);
    assert_eq!(all_tasks(&store, operation_id(1)).await, []);
    assert_eq!(store.task(operation_id(1), 0).await.expect("an answer"), None);
}

pub(crate) async fn what_was_appended_is_there_after_reopening(place: &impl Place) {
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
    let chosen =
        store.tasks_at(operation.id, &[500, 255, 497, 256, 500, 501, u32::MAX]).await.expect("tasks");
    assert_eq!(
        chosen,
        [255, 256, 497, 500].map(|index| shown[index].clone()),
        "those that there are, in order"
    );
}

pub(crate) async fn a_batch_is_all_or_nothing(place: &impl Place) {
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

pub(crate) async fn a_second_outcome_is_refused(place: &impl Place) {
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

pub(crate) async fn an_operation_cannot_end_with_tasks_open(place: &impl Place) {
    let operation = started(1, &[3]);
    let ended = Record::Ended {
        operation: operation.id,
        at: BEGIN,
        revision: 4,
        slowest: vec![(2, u64::from(u32::MAX) + 1), (0, 5)],
    };
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
    assert_eq!(summary.slowest, [(2, u64::from(u32::MAX) + 1), (0, 5)]);
}

pub(crate) async fn records_about_what_is_not_there_are_refused(place: &impl Place) {
    let (known, unknown) = (started(1, &[10]), started(2, &[20]));
    let store = place.open().await;
    append(&store, &[start(&known)]).await;
    assert!(refusal(&store, &[start(&known)]).await.contains("is there already"));
    let both = format!("{} or {} is there already", known.id, unknown.id);
    assert!(refusal(&store, &[start(&unknown), start(&known)]).await.contains(&both));
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

pub(crate) async fn recovery_returns_exactly_the_unfinished_operations(place: &impl Place) {
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

pub(crate) async fn late_findings_stand_beside_the_outcome(place: &impl Place) {
    let operation = started(1, &[300, 10]);
    let store = place.open().await;
    append(&store, &[start(&operation)]).await;
    append(&store, &finish(&operation, &[(305, verdict(6))], BEGIN)).await;
    append(&store, &[late(&operation, 305, verdict(3), BEGIN.plus(1))]).await;
    assert_eq!(store.load().await.expect("a load").operations[0].late_findings, 1);
    let tasks: Vec<_> = (0..310).filter(|index| *index != 305).map(|index| (index, succeeded())).collect();
    let mut rest = finish(&operation, &tasks, BEGIN);
    rest.push(Record::Ended { operation: operation.id, at: BEGIN, revision: 1, slowest: Vec::new() });
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

pub(crate) async fn late_news_of_what_is_unknown_is_left_out(place: &impl Place) {
    let (known, unknown) = (started(1, &[2, 2]), started(2, &[2]));
    let store = place.open().await;
    append(&store, &[start(&known)]).await;
    append(&store, &finish_all(&known, BEGIN)).await;
    let Record::Late { operation, index, verdict, at, guest: theirs, host: whose } =
        late(&known, 1, verdict(3), BEGIN)
    else {
        unreachable!("a late record")
    };
    let news =
        |index, guest, host| Record::Late { operation, host, index, guest, verdict: verdict.clone(), at };
    append(
        &store,
        &[
            late(&unknown, 1, verdict.as_ref().clone(), BEGIN),
            news(index, theirs.clone(), host(1)),
            news(0, guest(0, 0), host(1)),
            news(0, theirs.clone(), whose.clone()),
            news(4, theirs.clone(), whose.clone()),
            news(400, theirs.clone(), whose.clone()),
            news(index, theirs, whose),
        ],
    )
    .await;
    let summary = store.operation(known.id).await.expect("an answer").expect("the operation");
    assert_eq!(summary.late_findings, 1);
    let with_news: Vec<_> =
        all_tasks(&store, known.id).await.into_iter().filter(|task| !task.late.is_empty()).collect();
    assert_eq!(with_news.iter().map(|task| task.index).collect::<Vec<_>>(), [1]);
}
