//! The claims about reading history page by page, and about forgetting it.

use crate::build::{BEGIN, finish, finish_all, late, operation_id, start, started, succeeded, verdict};
use crate::conformance::{Place, all_tasks, append};
use curfew_controller::store::{OperationQuery, TaskQuery};
use curfew_controller_core::record::{CancelScope, Record, Started};
use curfew_types::{OperationState, Outcome, WallTime};
use std::sync::Arc;

pub(crate) async fn a_page_of_tasks_continues_where_the_last_ended(place: &impl Place) {
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

pub(crate) async fn a_page_of_operations_continues_where_the_last_ended(place: &impl Place) {
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

pub(crate) async fn tasks_are_found_by_outcome(place: &impl Place) {
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

pub(crate) async fn an_operation_is_found_by_its_request_id(place: &impl Place) {
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

pub(crate) async fn pruning_leaves_unfinished_operations_alone(place: &impl Place) {
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

pub(crate) async fn appends_go_on_while_history_is_pruned(place: &impl Place) {
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

pub(crate) async fn what_has_ended_reads_the_same_after_pruning(place: &impl Place) {
    let (ended, running) = (started(1, &[300, 5, 700]), started(2, &[300]));
    let store = place.open().await;
    append(&store, &[start(&ended), start(&running)]).await;
    for number in 0..250_u32 {
        let at = BEGIN.plus(u64::from(number) * 7);
        let kind = u8::try_from(number).expect("small");
        let tasks: Vec<_> = (0..4).map(|n| (number + n * 250, verdict(kind.wrapping_add(n as u8)))).collect();
        let until = at.plus(u64::from(number % 3));
        let handed = tasks.iter().map(|(task, _)| *task).collect();
        append(&store, &[Record::Handed { operation: ended.id, host: 0, tasks: handed, until }]).await;
        append(&store, &finish(&ended, &tasks, at)).await;
        append(&store, &finish(&running, &[(number, verdict(kind))], at)).await;
        if number % 50 == 0 {
            append(&store, &[late(&ended, number, verdict(kind), at), cancel(&ended, number + 3, at)]).await;
        }
    }
    let rest: Vec<_> = (1000..1005).map(|index| (index, succeeded())).collect();
    let end = Record::Ended { operation: ended.id, at: BEGIN, revision: 1, slowest: Vec::new() };
    append(&store, &[finish(&ended, &rest, BEGIN), vec![end]].concat()).await;
    let before = (all_tasks(&store, ended.id).await, all_tasks(&store, running.id).await);
    let not_well = TaskQuery { limit: 2000, only_not_well: true, ..TaskQuery::default() };
    let not_well_before = store.tasks(ended.id, &not_well).await.expect("tasks");

    assert_eq!(store.prune(WallTime(0)).await.expect("a pruning"), Default::default());

    assert_eq!((all_tasks(&store, ended.id).await, all_tasks(&store, running.id).await), before);
    assert_eq!(store.tasks(ended.id, &not_well).await.expect("tasks"), not_well_before);
    append(&store, &finish(&running, &[(260, succeeded())], BEGIN)).await;
    append(&store, &[late(&ended, 3, verdict(4), BEGIN), late(&ended, 3, verdict(5), BEGIN)]).await;
    store.prune(WallTime(0)).await.expect("a pruning");
    let news = store.task(ended.id, 3).await.expect("an answer").expect("the task").late;
    assert_eq!(news, [(verdict(4), BEGIN), (verdict(5), BEGIN)]);
}

fn cancel(started: &Started, index: u32, at: WallTime) -> Record {
    let scope = CancelScope::Task(index);
    Record::CancelRequested { operation: started.id, scope, by: "bob".into(), reason: index.to_string(), at }
}
